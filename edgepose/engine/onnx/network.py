"""An ONNX file as records: the ten messages that a network without weights in it, or with them, is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError, printable
from edgepose.engine.onnx import wire
from edgepose.engine.onnx.wire import DamagedError, fields, integers, real, reals, signed, span, text

NEXT_STEP = "the file is damaged or no ONNX model, export it again"
LARGEST = (1 << 31) - 1
"""Bytes of a file; protocol buffers hold no more."""
OPSETS = range(7, 27)
"""Versions of ONNX's operators whose meaning is known here."""
MOST_NODES = 1 << 15
DTYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8", 12: "<u4",
    13: "<u8",
}  # fmt: skip
"""Number of a type in TensorProto -> numpy's."""
REAL = (1, 10, 11)
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Node:
    """An operator."""

    op: str
    name: str
    inputs: tuple[str, ...]
    """Names of values; empty: an optional one left out."""
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    domain: str = ""

    def get(self, name: str, default: Any) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    @property
    def said(self) -> str:
        """For messages."""
        name = self.name or (self.outputs[0] if self.outputs else "")
        return f"{self.domain + '.' if self.domain else ''}{printable(self.op)} {printable(name)!r}"


@dataclass(frozen=True, slots=True)
class Network:
    """The main graph of a file, its nodes in the order they can run."""

    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    inputs: dict[str, tuple[int | str, ...]]
    """Name -> shape; a string or 0 stands for any length."""
    outputs: tuple[str, ...]
    opset: int


@dataclass(slots=True)
class _Tensor:
    """A TensorProto while it is read."""

    name: str = ""
    shape: list[int] = field(default_factory=list)
    kind: int = 0
    raw: memoryview | None = None
    numbers: list[float] = field(default_factory=list)
    external: dict[str, str] = field(default_factory=dict)


def read_file(path: Path) -> tuple[bytes, Network]:
    """An ONNX file and what is in it; weights that lie in a file beside it are read too.

    Raises:
        ModelError: missing, too large, damaged, or of an unknown version.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise ModelError(f"{path}: has {size} bytes, an ONNX file has at most {LARGEST}; {NEXT_STEP}")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    return content, read_network(content, str(path), path.parent)


def read_network(content: bytes, where: str, folder: Path | None = None) -> Network:
    """The network in the bytes of an ONNX file.

    folder  where files with weights may lie; None: nowhere

    Raises:
        ModelError: damaged, of an unknown version, with a cycle, or without its weights.
    """
    try:
        return _sorted(_model(memoryview(content), folder), where)
    except DamagedError as error:
        raise ModelError(f"{where}: {error}; {NEXT_STEP}") from None


def _model(message: memoryview, folder: Path | None) -> Network:
    graph, opset = None, 0
    for number, value in fields(message):
        if number == 7:
            graph = span(value)
        elif number == 8:
            entry = dict(fields(span(value)))
            if text(entry.get(1, memoryview(b""))) in ("", "ai.onnx"):
                opset = signed(entry.get(2, 1))
    if graph is None:
        raise DamagedError("holds no graph")
    if opset not in OPSETS:
        raise DamagedError(
            f"is written with operators of version (opset) {opset}, known are {OPSETS[0]} to {OPSETS[-1]}; "
            "export it with opset_version=17"
        )
    return _graph(graph, opset, folder)


def _graph(message: memoryview, opset: int, folder: Path | None) -> Network:
    nodes: list[Node] = []
    constants: dict[str, Array] = {}
    inputs: dict[str, tuple[int | str, ...]] = {}
    outputs: list[str] = []
    for number, value in fields(message):
        if number == 1:
            nodes.append(_node(span(value), folder))
            if len(nodes) > MOST_NODES:
                raise DamagedError(f"has more than {MOST_NODES} nodes")
        elif number == 5:
            name, array = _tensor(span(value), folder)
            constants[name] = array
        elif number == 11:
            name, shape = _value_info(span(value))
            inputs[name] = shape
        elif number == 12:
            outputs.append(_value_info(span(value))[0])
        elif number == 15:
            raise DamagedError("has sparse weights, which are not read here")
    inputs = {name: shape for name, shape in inputs.items() if name not in constants}
    return Network(tuple(nodes), constants, inputs, tuple(outputs), opset)


def _value_info(message: memoryview) -> tuple[str, tuple[int | str, ...]]:
    name, shape = "", []
    for number, value in fields(message):
        if number == 1:
            name = text(value)
        elif number == 2:
            for dimension in _inside(span(value), 1, 2, 1):
                said = dict(fields(dimension))
                shape.append(text(said[2]) if 2 in said else max(0, signed(said.get(1, 0))))
    return name, tuple(shape)


def _inside(message: memoryview, *path: int) -> list[memoryview]:
    """The messages at the end of a path of field numbers."""
    found = [message]
    for step in path:
        found = [span(value) for one in found for number, value in fields(one) if number == step]
    return found


def _node(message: memoryview, folder: Path | None) -> Node:
    names: dict[int, list[str]] = {number: [] for number in (1, 2, 3, 4, 7)}
    attributes: dict[str, Any] = {}
    for number, value in fields(message):
        if number in names:
            names[number].append(text(value))
        elif number == 5:
            name, said = _attribute(span(value), folder)
            attributes[name] = said
    op, name, domain = ("".join(names[number][-1:]) for number in (4, 3, 7))
    plain = "" if domain == "ai.onnx" else domain
    return Node(op, name, tuple(names[1]), tuple(names[2]), attributes, plain)


def _attribute(message: memoryview, folder: Path | None) -> tuple[str, Any]:
    name, kind = "", 0
    said: dict[int, Any] = {7: [], 8: [], 9: []}
    for number, value in fields(message):
        if number == 1:
            name = text(value)
        elif number == 20:
            kind = signed(value)
        elif number == 2:
            said[2] = real(value)
        elif number == 3:
            said[3] = signed(value)
        elif number == 4:
            said[4] = text(value)
        elif number == 5:
            said[5] = _tensor(span(value), folder)[1]
        elif number == 7:
            said[7] += reals(value)
        elif number == 8:
            said[8] += integers(value)
        elif number == 9:
            said[9].append(text(value))
    field_of = {1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8, 8: 9}
    if kind in field_of:
        defaults = {2: 0.0, 3: 0, 4: ""}
        return name, said.get(field_of[kind], defaults.get(field_of[kind]))
    scalars = [said[number] for number in (2, 3, 4, 5) if number in said]
    return name, scalars[0] if scalars else next((said[number] for number in (8, 7, 9) if said[number]), [])


def _tensor(message: memoryview, folder: Path | None) -> tuple[str, Array]:
    found = _Tensor()
    for number, value in fields(message):
        if number == 1:
            found.shape += integers(value)
        elif number == 2:
            found.kind = signed(value)
        elif number == 8:
            found.name = text(value)
        elif number == 9:
            found.raw = span(value)
        elif number in (4, 10):
            found.numbers += reals(value, "<f4" if number == 4 else "<f8")
        elif number in (5, 7, 11):
            found.numbers += integers(value)
        elif number == 13:
            entry = dict(fields(span(value)))
            found.external[text(entry.get(1, memoryview(b"")))] = text(entry.get(2, memoryview(b"")))
    return found.name, _values(found, folder)


def _values(found: _Tensor, folder: Path | None) -> Array:
    """A constant; all kinds of floats as float32."""
    dtype, who = DTYPES.get(found.kind), f"constant {printable(found.name)!r}"
    if dtype is None:
        raise DamagedError(f"{who} is of type {found.kind}, which no pose network needs")
    if min(found.shape, default=0) < 0 or len(found.shape) > 8:
        raise DamagedError(f"{who} has an impossible shape")
    count = int(np.prod([int(size) for size in found.shape], dtype=object)) if found.shape else 1
    raw = _external(found, folder, who) if found.external else found.raw
    if raw is not None:
        if len(raw) != count * np.dtype(dtype).itemsize:
            raise DamagedError(f"{who} has {len(raw)} bytes, its shape {found.shape} needs {count} values")
        flat = np.frombuffer(raw, dtype)
    elif len(found.numbers) != count:
        raise DamagedError(f"{who} has {len(found.numbers)} values, its shape {found.shape} needs {count}")
    elif found.kind == 10:
        flat = np.array(found.numbers, np.uint16).view(np.float16)
    else:
        flat = _fitting(found.numbers, np.dtype(dtype), who)
    return flat.reshape(found.shape).astype(np.float32 if found.kind in REAL else flat.dtype.newbyteorder("="))


def _fitting(numbers: list[float], dtype: np.dtype[Any], who: str) -> Array:
    try:
        return np.array(numbers, dtype)
    except OverflowError:
        raise DamagedError(f"{who} has values that its type cannot hold") from None


def _external(found: _Tensor, folder: Path | None, who: str) -> memoryview:
    """Weights that lie in a file beside the model."""
    name = found.external.get("location", "")
    if folder is None or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise DamagedError(f"{who} lies in another file, {printable(name)!r}, which is not beside the model")
    path = folder / name
    try:
        offset, length = (int(found.external.get(key, "0") or 0) for key in ("offset", "length"))
        if offset < 0 or length < 0 or path.stat().st_size > LARGEST:
            raise DamagedError(f"{who} lies at an impossible place of {name}")
        with path.open("rb") as file:
            file.seek(offset)
            return memoryview(file.read(length) if length else file.read())
    except (OSError, ValueError) as error:
        if isinstance(error, DamagedError):
            raise
        why = error.strerror if isinstance(error, OSError) else "it says no number"
        raise DamagedError(f"{who} lies in {printable(name)!r} beside the model: {why}; put that file there") from None


# ------------------------------------------------------------------------------------------------ order


def _sorted(network: Network, where: str) -> Network:
    """The same with its nodes in an order in which they can run."""
    made: dict[str, int] = {}
    for place, node in enumerate(network.nodes):
        for name in filter(None, node.outputs):
            if name in made or name in network.constants:
                raise ModelError(f"{where}: {printable(name)!r} is made twice; {NEXT_STEP}")
            made[name] = place
    known = {"", *network.constants, *network.inputs}
    lacking = [name for node in network.nodes for name in node.inputs if name not in known and name not in made]
    lacking += [name for name in network.outputs if name not in known and name not in made]
    if lacking:
        raise ModelError(f"{where}: nothing makes {printable(lacking[0])!r}; {NEXT_STEP}")
    waits = [len({made[name] for name in node.inputs if name in made}) for node in network.nodes]
    readers: dict[int, set[int]] = {}
    for place, node in enumerate(network.nodes):
        for name in node.inputs:
            if name in made:
                readers.setdefault(made[name], set()).add(place)
    order = [place for place, count in enumerate(waits) if not count]
    for place in order:
        for reader in sorted(readers.get(place, ())):
            waits[reader] -= 1
            if not waits[reader]:
                order.append(reader)
    if len(order) < len(network.nodes):
        loop = [network.nodes[place].said for place, count in enumerate(waits) if count]
        raise ModelError(f"{where}: its nodes go in a circle: {_few(loop)}; {NEXT_STEP}")
    return replace(network, nodes=tuple(network.nodes[place] for place in order))


def _few(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")


__all__ = ["DamagedError", "Network", "Node", "read_file", "read_network", "wire"]

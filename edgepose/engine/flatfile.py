"""Reads the structure of a .tflite file without trusting one byte of it.

A .tflite is a FlatBuffer: tables whose first word points back at a vtable, which gives the place of each field by
number; vectors and strings are a count and then their items; every pointer is an offset. The interpreter follows them
unchecked and dies on a damaged file, so this reader follows them first. It never walks constant data, and the number
of tables and the bytes it looks at are capped, so a hostile file costs no more time than a sound one.
Field numbers are those of TFLite's schema.fbs, version 3.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edgepose.errors import ModelError

IDENTIFIER = b"TFL3"
EDGETPU_OP = "edgetpu-custom-op"
LFS_POINTER = b"version https://git-lfs"
NEXT_STEP = "the file is damaged or not a TFLite model, fetch it again"

MAX_TABLES = 1 << 16
"""Tables in one file; a pose network has some 500."""
MAX_RANK = 8
MAX_TENSOR_BYTES = 1 << 28
"""Largest tensor a small board could want."""
MAX_SCALE = 1e4
"""Real value of one quantised step; with 1e30 LiteRT's kernels write outside their memory."""
MAX_OPCODE = 512
"""Above every builtin operator TFLite has."""
CUSTOM_OPCODE = 32

DTYPES: dict[int, tuple[str, int]] = {
    0: ("float32", 32), 1: ("float16", 16), 2: ("int32", 32), 3: ("uint8", 8), 4: ("int64", 64), 5: ("string", 0),
    6: ("bool", 8), 7: ("int16", 16), 8: ("complex64", 64), 9: ("int8", 8), 10: ("float64", 64),
    11: ("complex128", 128), 12: ("uint64", 64), 13: ("resource", 0), 14: ("variant", 0), 15: ("uint32", 32),
    16: ("uint16", 16), 17: ("int4", 4), 18: ("bfloat16", 16), 19: ("int2", 2), 20: ("uint4", 4),
    21: ("float8_e4m3fn", 8), 22: ("float8_e5m2", 8),
}  # fmt: skip
"""TensorType -> name, bits of one item; 0 bits: of no fixed size."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a graph, as the file describes it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    """real = (raw - zero_point) * scale; 1 where the file gives none."""
    zero_point: int
    scales: int
    """How many scales the file gives: 0 is not quantised, 1 per tensor, more per channel."""


@dataclass(frozen=True, slots=True)
class Graph:
    """What a .tflite file says about itself."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    ops: tuple[int | str, ...]
    """Operators in order: TFLite's number of a builtin one, the name of a custom one."""

    @property
    def custom_ops(self) -> tuple[str, ...]:
        """Names of the custom operators, each once."""
        return tuple(dict.fromkeys(op for op in self.ops if isinstance(op, str)))

    @property
    def is_edgetpu(self) -> bool:
        """Whether it was compiled for a Coral Edge TPU."""
        return EDGETPU_OP in self.custom_ops


def read_graph(content: bytes, where: str) -> Graph:
    """Check the whole structure of a model file and return what its first graph says.

    content  the file's bytes
    where    path for messages

    Raises:
        ModelError: one line, `where`: what is wrong, next step.
    """
    file = _File(content, where)
    model = file.root()
    codes = [_opcode(file, table, at) for at, table in file.tables(model, 1, "operator codes")]
    buffers = [_buffer(file, table, at) for at, table in file.tables(model, 4, "buffers")]
    graphs = [_subgraph(file, table, at, codes, buffers) for at, table in file.tables(model, 2, "graphs")]
    if not graphs:
        file.fail("has no graph")
    _extras(file, model, len(buffers), graphs)
    return graphs[0].graph


# ------------------------------------------------------------------------------------------------ FlatBuffer


@dataclass(frozen=True, slots=True)
class _Table:
    start: int
    fields: tuple[int, ...]
    """Field number -> byte offset from start; 0 is absent."""
    size: int


class _File:
    """Bounds-checked access to a FlatBuffer."""

    def __init__(self, content: bytes, where: str) -> None:
        self._content = content
        self._where = where
        self._tables = 0
        self._budget = 4 * len(content) + (1 << 16)
        """Bytes that may still be looked at; more means that pieces overlap."""

    def fail(self, what: str) -> NoReturn:
        raise ModelError(f"{self._where}: {what}; {NEXT_STEP}")

    def root(self) -> _Table:
        content = self._content
        if not content:
            self.fail("is empty")
        if content.startswith(LFS_POINTER):
            raise ModelError(f"{self._where}: is a git-lfs pointer, not the model itself; run `git lfs pull`")
        if len(content) < 8 or content[4:8] != IDENTIFIER:
            self.fail(f"has no {IDENTIFIER.decode()} mark at byte 4")
        table = self.table(self.span(0, 4, "root") + self._u32(0), "model")
        version = self.uint(table, 0, 4, 0)
        if version != 3:
            self.fail(f"has schema version {version}, expected 3")
        return table

    def span(self, start: int, size: int, what: str) -> int:
        """`start`, after checking that `size` bytes from there lie in the file and are paid for."""
        if start < 0 or size < 0 or start + size > len(self._content):
            self.fail(f"{what} points outside the file")
        self._budget -= size
        if self._budget < 0:
            self.fail(f"{what} overlaps what was already read")
        return start

    def _u32(self, at: int) -> int:
        return int.from_bytes(self._content[at : at + 4], "little")

    def table(self, start: int, what: str) -> _Table:
        self._tables += 1
        if self._tables > MAX_TABLES:
            self.fail(f"has more than {MAX_TABLES} parts")
        self.span(start, 4, what)
        (back,) = struct.unpack_from("<i", self._content, start)
        vtable = self.span(start - back, 4, what)
        vtable_size, size = struct.unpack_from("<HH", self._content, vtable)
        if vtable_size < 4 or vtable_size % 2 or size < 4:
            self.fail(f"{what} has a damaged header")
        self.span(vtable, vtable_size, what)
        self.span(start, size, what)
        fields = struct.unpack_from(f"<{(vtable_size - 4) // 2}H", self._content, vtable + 4)
        if any(offset and not 4 <= offset < size for offset in fields):
            self.fail(f"{what} has a field outside itself")
        return _Table(start, fields, size)

    def _field(self, table: _Table, number: int, size: int) -> int:
        """Position of a field, or 0 where it is absent."""
        offset = table.fields[number] if number < len(table.fields) else 0
        if offset and offset + size > table.size:
            self.fail("a part has a field that ends outside it")
        return table.start + offset if offset else 0

    def uint(self, table: _Table, number: int, size: int, default: int) -> int:
        at = self._field(table, number, size)
        return int.from_bytes(self._content[at : at + size], "little") if at else default

    def sint(self, table: _Table, number: int, size: int, default: int) -> int:
        at = self._field(table, number, size)
        return int.from_bytes(self._content[at : at + size], "little", signed=True) if at else default

    def _target(self, table: _Table, number: int) -> int:
        """Where the pointer in a field leads, or 0 where it is absent."""
        at = self._field(table, number, 4)
        return at + self._u32(at) if at else 0

    def child(self, table: _Table, number: int, what: str) -> _Table | None:
        at = self._target(table, number)
        return self.table(at, what) if at else None

    def vector(self, table: _Table, number: int, item: int, what: str, *, walk: bool = True) -> tuple[int, int] | None:
        """Start and count of a vector's items of `item` bytes; None where it is absent.

        With walk=False only its ends are checked: constant data may be large and is not read.
        """
        at = self._target(table, number)
        if not at:
            return None
        count = self._u32(self.span(at, 4, what))
        if at + 4 + count * item > len(self._content):
            self.fail(f"{what} points outside the file")
        return self.span(at + 4, count * item if walk else 0, what), count

    def array(self, table: _Table, number: int, dtype: str, what: str) -> NDArray[Any]:
        """A vector of numbers; empty where it is absent."""
        kind = np.dtype(dtype)
        found = self.vector(table, number, kind.itemsize, what)
        if found is None:
            return np.zeros(0, kind)
        return np.frombuffer(self._content, kind, found[1], found[0])

    def ints(self, table: _Table, number: int, what: str) -> tuple[int, ...]:
        """A vector of int32."""
        found = self.vector(table, number, 4, what)
        return struct.unpack_from(f"<{found[1]}i", self._content, found[0]) if found else ()

    def text(self, table: _Table, number: int, what: str) -> str:
        found = self.vector(table, number, 1, what)
        if found is None:
            return ""
        start, count = found
        return self._content[start : start + count].decode("utf-8", "replace")

    def tables(self, table: _Table, number: int, what: str) -> Iterator[tuple[str, _Table]]:
        """The tables of a vector, each with its name for messages."""
        found = self.vector(table, number, 4, what)
        if found is None:
            return
        start, count = found
        if count > MAX_TABLES:
            self.fail(f"has {count} {what}")
        for index in range(count):
            at = start + 4 * index
            name = f"{what}[{index}]"
            yield name, self.table(at + self._u32(at), name)


# ------------------------------------------------------------------------------------------------ TFLite


@dataclass(frozen=True, slots=True)
class _Subgraph:
    graph: Graph
    tensors: int
    """How many it has."""


def _opcode(file: _File, table: _Table, at: str) -> int | str:
    code = max(file.sint(table, 0, 1, 0), file.sint(table, 3, 4, 0))  # an old 8-bit field and its successor
    name = file.text(table, 1, at)
    if code == CUSTOM_OPCODE:
        if not name:
            file.fail(f"{at} is a custom operator without a name")
        return name
    if not 0 <= code < MAX_OPCODE:
        file.fail(f"{at} is operator {code}, which TFLite has not")
    return code


def _buffer(file: _File, table: _Table, at: str) -> int:
    """Bytes of constant data in a buffer, inside the FlatBuffer or behind it; 0 for none."""
    inside = file.vector(table, 0, 1, at, walk=False)
    start, size = file.uint(table, 1, 8, 0), file.uint(table, 2, 8, 0)
    if start > 1:  # the format uses 1 as a place holder
        file.span(start + size, 0, at)
        return size
    return inside[1] if inside else 0


def _subgraph(file: _File, table: _Table, at: str, codes: list[int | str], buffers: list[int]) -> _Subgraph:
    tensors: list[Tensor] = []
    ready: set[int] = set()
    """Tensors that have a value: constants, variables, inputs, then what operators made."""
    fixed: set[int] = set()
    """Constants: nothing may write to them."""
    for index, (name, row) in enumerate(file.tables(table, 0, f"{at} tensors")):
        tensor, buffer = _tensor(file, row, name, len(buffers))
        tensors.append(tensor)
        if buffers[buffer]:
            _check_constant(file, row, tensor, buffers[buffer])
            fixed.add(index)
        if buffers[buffer] or file.uint(row, 5, 1, 0) or not _items(tensor.shape):
            ready.add(index)
    inputs = _indices(file, table, 1, f"{at} inputs", len(tensors))
    outputs = _indices(file, table, 2, f"{at} outputs", len(tensors))
    ready.update(inputs)
    ops = []
    for name, row in file.tables(table, 3, f"{at} operators"):
        ops.append(_operator(file, row, name, codes, len(tensors), ready, fixed))
    for index in outputs:
        if index not in ready:
            file.fail(f"{at} output {tensors[index].name!r} is made by no operator")
    graph = Graph(tuple(tensors[i] for i in inputs), tuple(tensors[i] for i in outputs), tuple(ops))
    return _Subgraph(graph, len(tensors))


def _items(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def _tensor(file: _File, table: _Table, at: str, buffers: int) -> tuple[Tensor, int]:
    name = file.text(table, 3, at)
    shape = file.ints(table, 0, f"{at} shape")
    kind = file.sint(table, 1, 1, 0)
    if kind not in DTYPES:
        file.fail(f"{at} {name!r} has type {kind}, which TFLite has not")
    dtype, bits = DTYPES[kind]
    if len(shape) > MAX_RANK or any(size < 0 for size in shape) or _items(shape) * max(bits, 8) // 8 > MAX_TENSOR_BYTES:
        file.fail(f"{at} {name!r} has shape {_brief(shape)}")
    buffer = file.uint(table, 2, 4, 0)
    if buffer >= buffers:
        file.fail(f"{at} {name!r} has buffer {buffer} of {buffers}")
    if file.uint(table, 10, 4, 0):
        file.fail(f"{at} {name!r} keeps its values in another file")
    signature = file.ints(table, 7, f"{at} shape signature")
    if signature and len(signature) != len(shape):
        file.fail(f"{at} {name!r} has two shapes of different rank")
    scale, zero_point, scales = _quantisation(file, table, f"{at} {name!r}", shape, dtype)
    return Tensor(name, shape, dtype, scale, zero_point, scales), buffer


def _brief(shape: tuple[int, ...]) -> str:
    return str(list(shape)) if len(shape) <= MAX_RANK else f"of rank {len(shape)}"


def _quantisation(file: _File, tensor: _Table, at: str, shape: tuple[int, ...], dtype: str) -> tuple[float, int, int]:
    """Scale, zero point and the number of scales."""
    table = file.child(tensor, 4, f"{at} quantisation")
    if table is None:
        return 1.0, 0, 0
    for number in (0, 1):  # recorded smallest and largest values
        file.array(table, number, "<f4", f"{at} range")
    scale = file.array(table, 2, "<f4", f"{at} scales")
    zero_point = file.array(table, 3, "<i8", f"{at} zero points")
    if file.uint(table, 4, 1, 0):
        file.child(table, 5, f"{at} quantisation details")
    if len(scale) == 0:
        return 1.0, 0, 0
    axis = file.sint(table, 6, 4, 0)
    if len(scale) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scale)):
        file.fail(f"{at} has {len(scale)} scales for axis {axis} of {list(shape)}")
    if len(zero_point) not in (0, 1, len(scale)):
        file.fail(f"{at} has {len(scale)} scales but {len(zero_point)} zero points")
    if not np.all((scale >= 0) & (scale <= MAX_SCALE)):  # also refuses NaN
        file.fail(f"{at} has a scale outside 0..{MAX_SCALE:g}")
    if dtype in ("int8", "uint8") and len(zero_point):
        limits = np.iinfo(dtype)
        if np.any((zero_point < limits.min) | (zero_point > limits.max)):
            file.fail(f"{at} has a zero point outside {dtype}")
    return float(scale[0]), int(zero_point[0]) if len(zero_point) else 0, len(scale)


def _check_constant(file: _File, table: _Table, tensor: Tensor, found: int) -> None:
    """A constant is as long as its shape says, unless packed sparse or of no fixed size."""
    bits = next(bits for name, bits in DTYPES.values() if name == tensor.dtype)
    expected = (_items(tensor.shape) * bits + 7) // 8
    if file.child(table, 6, f"{tensor.name!r} sparsity") is None and bits and found != expected:
        file.fail(f"constant {tensor.name!r} {list(tensor.shape)} has {found} bytes, expected {expected}")


def _indices(file: _File, table: _Table, number: int, at: str, count: int, lowest: int = 0) -> tuple[int, ...]:
    indices = file.ints(table, number, at)
    for index in indices:
        if not lowest <= index < count:
            file.fail(f"{at} names tensor {index} of {count}")
    return indices


def _operator(
    file: _File, table: _Table, at: str, codes: list[int | str], tensors: int, ready: set[int], fixed: set[int]
) -> int | str:
    """Check one operator, add its outputs to `ready`, return its code."""
    code = file.uint(table, 0, 4, 0)
    if code >= len(codes):
        file.fail(f"{at} has operator code {code} of {len(codes)}")
    for index in _indices(file, table, 1, f"{at} inputs", tensors, -1):  # -1: an optional input left out
        if index >= 0 and index not in ready:
            file.fail(f"{at} reads tensor {index} before it is made")
    outputs = _indices(file, table, 2, f"{at} outputs", tensors)
    if not fixed.isdisjoint(outputs):
        file.fail(f"{at} writes to a constant")
    _indices(file, table, 8, f"{at} intermediates", tensors, -1)
    file.vector(table, 7, 1, f"{at} flags")
    file.vector(table, 5, 1, f"{at} custom options", walk=False)  # an Edge TPU build keeps its program here
    start, size = file.uint(table, 9, 8, 0), file.uint(table, 10, 8, 0)
    if start > 1:
        file.span(start + size, 0, f"{at} custom options")
    for kind, options in ((3, 4), (11, 12)):
        if file.uint(table, kind, 1, 0):
            file.child(table, options, f"{at} options")
    ready.update(outputs)
    return codes[code]


def _extras(file: _File, model: _Table, buffers: int, graphs: list[_Subgraph]) -> None:
    """Check what is read but not needed here: description, metadata, signatures."""
    file.text(model, 3, "description")
    for index in file.ints(model, 5, "metadata buffers"):
        if not 0 <= index < buffers:
            file.fail(f"metadata buffers names buffer {index} of {buffers}")
    for at, row in file.tables(model, 6, "metadata"):
        file.text(row, 0, at)
        if file.uint(row, 1, 4, 0) >= buffers:
            file.fail(f"{at} names a buffer of {buffers} that is not there")
    for at, row in file.tables(model, 7, "signatures"):
        file.text(row, 2, at)
        graph = file.uint(row, 4, 4, 0)
        if graph >= len(graphs):
            file.fail(f"{at} names graph {graph} of {len(graphs)}")
        for number in (0, 1):
            for name, entry in file.tables(row, number, f"{at} tensors"):
                file.text(entry, 0, name)
                if file.uint(entry, 1, 4, 0) >= graphs[graph].tensors:
                    file.fail(f"{name} names a tensor that is not there")

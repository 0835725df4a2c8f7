"""What a .tflite file says about itself, every number in it checked before it is believed.

The interpreter follows offsets and indices unchecked and dies of a damaged file, so they are followed here first.
Constant data is never walked. Field numbers are those of TFLite's schema.fbs, version 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgepose.engine.flatbuffer import FlatBuffer, Table

IDENTIFIER = b"TFL3"
EDGETPU_OP, ETHOSU_OP = "edgetpu-custom-op", "ethos-u"
ACCELERATORS = {EDGETPU_OP: "a Coral Edge TPU", ETHOSU_OP: "an Arm Ethos-U"}
"""Custom operator that a compiler wrote -> the accelerator that alone runs it."""
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
BITS = dict(DTYPES.values())


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
    def needs(self) -> str:
        """The accelerator it was compiled for, as people call it; empty: none."""
        return next((ACCELERATORS[name] for name in self.custom_ops if name in ACCELERATORS), "")

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
    file = FlatBuffer(content, where)
    model = file.root(IDENTIFIER)
    version = file.uint(model, 0, 4, 0)
    if version != 3:
        file.fail(f"has schema version {version}, expected 3")
    codes = [_opcode(file, table, at) for at, table in file.tables(model, 1, "operator codes")]
    buffers = [_buffer(file, table, at) for at, table in file.tables(model, 4, "buffers")]
    graphs = [_subgraph(file, table, at, codes, buffers) for at, table in file.tables(model, 2, "graphs")]
    if not graphs:
        file.fail("has no graph")
    _extras(file, model, len(buffers), graphs)
    return graphs[0].graph


def read_ends(content: bytes, where: str) -> Graph:
    """As read_graph of a file known to be sound, in a tenth of the time: inputs and outputs; of `ops` the kinds only.

    Raises:
        ModelError: even what is read is damaged.
    """
    file = FlatBuffer(content, where)
    model = file.root(IDENTIFIER)
    codes = tuple(_opcode(file, table, at) for at, table in file.tables(model, 1, "operator codes"))
    graph = file.item(model, 2, 0, "graphs")
    found = file.vector(model, 4, 4, "buffers", walk=False)
    buffers = found[1] if found else 0

    def tensor(index: int) -> Tensor:
        return _tensor(file, file.item(graph, 0, index, "tensors"), f"tensors[{index}]", buffers)[0]

    inputs, outputs = (file.ints(graph, number, "inputs and outputs") for number in (1, 2))
    return Graph(tuple(map(tensor, inputs)), tuple(map(tensor, outputs)), codes)


# ------------------------------------------------------------------------------------------------ TFLite


@dataclass(frozen=True, slots=True)
class _Subgraph:
    graph: Graph
    tensors: int
    """How many it has."""


def _opcode(file: FlatBuffer, table: Table, at: str) -> int | str:
    code = max(file.sint(table, 0, 1, 0), file.sint(table, 3, 4, 0))  # an old 8-bit field and its successor
    name = file.text(table, 1, at)
    if code == CUSTOM_OPCODE:
        if not name:
            file.fail(f"{at} is a custom operator without a name")
        return name
    if not 0 <= code < MAX_OPCODE:
        file.fail(f"{at} is operator {code}, which TFLite has not")
    return code


def _buffer(file: FlatBuffer, table: Table, at: str) -> int:
    """Bytes of constant data in a buffer, inside the FlatBuffer or behind it; 0 for none."""
    inside = file.vector(table, 0, 1, at, walk=False)
    start, size = file.uint(table, 1, 8, 0), file.uint(table, 2, 8, 0)
    if start > 1:  # the format uses 1 as a place holder
        file.span(start + size, 0, at)
        return size
    return inside[1] if inside else 0


def _subgraph(file: FlatBuffer, table: Table, at: str, codes: list[int | str], buffers: list[int]) -> _Subgraph:
    tensors: list[Tensor] = []
    ready: set[int] = set()
    """Tensors that have a value: constants, variables, inputs, then what operators made."""
    fixed: set[int] = set()
    """Constants: nothing may write to them."""
    scratch: set[int] = set()
    """What an accelerator's operator reads and nothing made: its working memory."""
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
        ops.append(_operator(file, row, name, codes, len(tensors), ready, fixed, scratch))
    for index in outputs:
        if index not in ready:
            file.fail(f"{at} output {quoted(tensors[index].name)} is made by no operator")
    graph = Graph(tuple(tensors[i] for i in inputs), tuple(tensors[i] for i in outputs), tuple(ops))
    return _Subgraph(graph, len(tensors))


def _items(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def _tensor(file: FlatBuffer, table: Table, at: str, buffers: int) -> tuple[Tensor, int]:
    name = file.text(table, 3, at)
    shape = file.ints(table, 0, f"{at} shape")
    kind = file.sint(table, 1, 1, 0)
    if kind not in DTYPES:
        file.fail(f"{at} {quoted(name)} has type {kind}, which TFLite has not")
    dtype, bits = DTYPES[kind]
    if len(shape) > MAX_RANK or any(size < 0 for size in shape) or _items(shape) * max(bits, 8) // 8 > MAX_TENSOR_BYTES:
        file.fail(f"{at} {quoted(name)} has shape {_brief(shape)}")
    buffer = file.uint(table, 2, 4, 0)
    if buffer >= buffers:
        file.fail(f"{at} {quoted(name)} has buffer {buffer} of {buffers}")
    if file.uint(table, 10, 4, 0):
        file.fail(f"{at} {quoted(name)} keeps its values in another file")
    signature = file.ints(table, 7, f"{at} shape signature")
    if signature and len(signature) != len(shape):
        file.fail(f"{at} {quoted(name)} has two shapes of different rank")
    scale, zero_point, scales = _quantisation(file, table, f"{at} {quoted(name)}", shape, dtype)
    return Tensor(name, shape, dtype, scale, zero_point, scales), buffer


def quoted(name: str) -> str:
    """A name from a file, safe on one line of a message."""
    return repr(name if len(name) <= 60 else name[:57] + "...")


def _brief(shape: tuple[int, ...]) -> str:
    return str(list(shape)) if len(shape) <= MAX_RANK else f"of rank {len(shape)}"


def _quantisation(
    file: FlatBuffer, tensor: Table, at: str, shape: tuple[int, ...], dtype: str
) -> tuple[float, int, int]:
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


def _check_constant(file: FlatBuffer, table: Table, tensor: Tensor, found: int) -> None:
    """A constant is as long as its shape says, unless packed sparse or of no fixed size."""
    bits = BITS[tensor.dtype]
    expected = (_items(tensor.shape) * bits + 7) // 8
    if file.child(table, 6, f"{quoted(tensor.name)} sparsity") is None and bits and found != expected:
        file.fail(f"constant {quoted(tensor.name)} {list(tensor.shape)} has {found} bytes, expected {expected}")


def _indices(file: FlatBuffer, table: Table, number: int, at: str, count: int, lowest: int = 0) -> tuple[int, ...]:
    indices = file.ints(table, number, at)
    for index in indices:
        if not lowest <= index < count:
            file.fail(f"{at} names tensor {index} of {count}")
    return indices


def _operator(
    file: FlatBuffer, table: Table, at: str, codes: list[int | str], tensors: int, ready: set[int], fixed: set[int],
    scratch: set[int],
) -> int | str:  # fmt: skip
    """Check one operator, add its outputs to `ready`, return its code."""
    code = file.uint(table, 0, 4, 0)
    if code >= len(codes):
        file.fail(f"{at} has operator code {code} of {len(codes)}")
    for index in _indices(file, table, 1, f"{at} inputs", tensors, -1):  # -1: an optional input left out
        if index >= 0 and index not in ready:
            if codes[code] not in ACCELERATORS:
                file.fail(f"{at} reads tensor {index} before it is made")
            scratch.add(index)  # memory that the accelerator's driver writes to and reads from
    outputs = _indices(file, table, 2, f"{at} outputs", tensors)
    if early := scratch.intersection(outputs):
        file.fail(f"{at} makes tensor {min(early)}, which was read before")
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


def _extras(file: FlatBuffer, model: Table, buffers: int, graphs: list[_Subgraph]) -> None:
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

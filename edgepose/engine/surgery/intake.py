"""What a model wants of a picture, and which operators at its start the host can do as well with a table of bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose.engine.bytemap import byte_map
from edgepose.engine.flatfile import Tensor
from edgepose.engine.surgery.net import Cut, Net, Value
from edgepose.engine.surgery.proof import LEVELS, byte_table
from edgepose.engine.surgery.writing import write_model

ELEMENTWISE = frozenset({"CAST", "QUANTIZE", "DEQUANTIZE", "ADD", "SUB", "MUL", "DIV"})
"""Operators that may be only a map of bytes."""
SPANS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""Real values of byte 0 and of byte 255 that people train with."""
NEARLY = 1.5
"""Quantised steps by which an input's ends may miss those of a usual span."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Where pictures go in."""

    tensor: int
    """The input of the cut model."""
    span: tuple[float, float]
    """Real value there of byte 0 and of byte 255."""
    dropped: tuple[str, ...] = ()
    """Operators before it that the host's bytes replace."""
    said: str = ""
    """Why operators stayed that looked as if they could go."""


def find_intake(net: Net, span: tuple[float, float] | None = None) -> Intake:
    """The input of a model, behind its arithmetic on bytes where that is proven to be none of its business.

    span  real value of byte 0 and of byte 255 where the file cannot say: a float input
    """
    first = net.picture
    ops, end = _byte_arithmetic(net, first)
    own = _span_of(net, first, end, span)
    if end is None:
        return Intake(first.index, own)
    feed = None if first.dtype == "uint8" else own
    prefix = write_model(Cut(net, [first.index]).model([end.index]))
    found = byte_table(prefix, feed)
    if isinstance(found, str):
        return Intake(first.index, own, said=f"{' '.join(ops)} stay at its start: {found}")
    low, high = ((float(found[place]) - end.zero_point) * end.scale for place in (0, -1))
    kind, table = byte_map(as_tensor(end), (low, high), net.where)
    plain = np.arange(LEVELS) - (128 if kind == "xor80" else 0)
    if not np.array_equal(found, table if kind == "lut" else plain):
        return Intake(first.index, own, said=f"{' '.join(ops)} stay at its start: they are not a straight line")
    return Intake(end.index, (low, high), dropped=tuple(ops))


def as_tensor(value: Value) -> Tensor:
    """A value as the engine describes a model's ends."""
    scales = 1 if value.scale else 0
    return Tensor(value.name, value.shape, value.dtype, value.scale or 1.0, value.zero_point, scales)


def _byte_arithmetic(net: Net, first: Value) -> tuple[list[str], Value | None]:
    """The elementwise operators at the start, up to the last tensor of bytes among their results; or none."""
    names: list[str] = []
    best: tuple[list[str], Value | None] = ([], None)
    at = first
    while len(net.readers.get(at.index, [])) == 1 and at.index not in net.outputs:
        op = net.readers[at.index][0]
        others = [net.value(index) for index in op.inputs if index != at.index]
        plain = op.name in ELEMENTWISE and op.inputs.count(at.index) == 1 and len(op.outputs) == 1
        if not plain or any(other.constant is None or np.prod(other.shape) > first.shape[3] for other in others):
            break
        at = net.value(op.outputs[0])
        if at.shape != first.shape:
            break
        names.append(op.name)
        if at.is_byte and first.dtype in ("uint8", "float32"):
            best = (list(names), at)
    enough = first.shape[1] * first.shape[2] >= LEVELS
    return best if enough else ([], None)


def _span_of(net: Net, first: Value, end: Value | None, span: tuple[float, float] | None) -> tuple[float, float]:
    """Real value of byte 0 and of byte 255 at the file's own input."""
    if first.is_byte:
        return _ends(first)
    if first.dtype == "uint8":
        return 0.0, 255.0
    if span is not None:
        return span
    if end is not None and net.maker[end.index].input(0) == first.index:  # quantised at once: its range tells
        usual = [span for span in SPANS if np.allclose(_ends(end), span, rtol=0, atol=NEARLY * end.scale)]
        # where half a step lies between them the range itself is taken: then no byte is on a tie
        return usual[0] if usual and byte_map(as_tensor(end), usual[0], net.where)[0] == "lut" else _ends(end)
    return -1.0, 1.0


def _ends(value: Value) -> tuple[float, float]:
    """Real values of the lowest and the highest byte."""
    info = np.iinfo(value.dtype)
    return (float(info.min) - value.zero_point) * value.scale, (float(info.max) - value.zero_point) * value.scale

"""A .tflite in the making: values with a layout of their own, so that most transposes never happen.

A value keeps ONNX's shape; what is stored is that shape with its axes in the order of `perm`. A convolution stores
channels last and says perm (0, 2, 3, 1); a Transpose only changes perm; who needs an order asks for it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.engine.surgery import parts
from edgepose.engine.surgery.names import NUMBERS
from edgepose.engine.surgery.net import packed
from edgepose.engine.surgery.writing import write_model

Array = NDArray[Any]
Perm = tuple[int, ...]
Shape = tuple[int, ...]
NHWC: Perm = (0, 2, 3, 1)
KINDS = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9}
"""dtype -> number among TFLite's types."""
Option = tuple[int, str, Any]
"""Number of a field, struct's letter for it, value."""


LARGEST = 1 << 25
"""Numbers in one value; 128 MiB of float32."""


def sized(shape: Shape) -> Shape:
    """A shape that something in a network may have.

    Raises:
        ValueError: it is too large, or an axis is negative.
    """
    if math.prod(shape) > LARGEST or any(not 0 <= size < 1 << 31 for size in shape):
        raise ValueError(f"{'x'.join(map(str, shape))[:80]} numbers are more than any network has in one value")
    return shape


@dataclass(frozen=True, slots=True)
class Scale:
    """real = (raw - zero) * scale, one of each or one per channel of `axis`."""

    scale: tuple[float, ...]
    zero: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What an ONNX name stands for."""

    shape: Shape
    perm: Perm
    tensor: int = -1
    """Where it is stored; -1: it is a constant that nothing needed yet."""
    constant: Array | None = None
    """In ONNX's order of axes."""
    scale: Scale | None = None
    """Of a constant: real values are (constant - zero) * scale."""

    def __post_init__(self) -> None:
        sized(self.shape)

    @property
    def stored(self) -> Shape:
        """Shape of the tensor."""
        return tuple(self.shape[axis] for axis in self.perm)

    def place(self, axis: int) -> int:
        """Where an axis lies in the tensor."""
        return self.perm.index(axis % len(self.perm))


@dataclass(slots=True)
class Tensor:
    """A tensor of the new file."""

    shape: Shape
    dtype: str
    data: bytes | None = None
    scale: Scale | None = None
    name: str = ""


@dataclass(slots=True)
class Step:
    """An operator of the new file."""

    op: str
    inputs: list[int]
    outputs: list[int]
    kind: int = 0
    options: list[Option] = field(default_factory=list)
    version: int = 1


def plain(rank: int) -> Perm:
    """ONNX's own order."""
    return tuple(range(rank))


class Builder:
    """Tensors and steps, growing."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.steps: list[Step] = []
        self._shared: dict[tuple[Any, ...], int] = {}

    # -------------------------------------------------------------------------------------------- raw parts

    def tensor(self, shape: Shape, dtype: str = "float32", scale: Scale | None = None, name: str = "") -> int:
        """Add a tensor."""
        self.tensors.append(Tensor(shape, dtype, None, scale, name))
        return len(self.tensors) - 1

    def const(self, array: Array, scale: Scale | None = None) -> int:
        """Add a constant; the same one once."""
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        elif str(array.dtype) not in KINDS:
            array = array.astype(np.int64)
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        key = (little.tobytes(), array.shape, str(array.dtype), scale)
        if key not in self._shared:
            self.tensors.append(Tensor(tuple(array.shape), str(array.dtype), key[0], scale))
            self._shared[key] = len(self.tensors) - 1
        return self._shared[key]

    def step(self, op: str, inputs: Sequence[int], shape: Shape, kind: int = 0, *options: Option,
             dtype: str = "", version: int = 1) -> int:  # fmt: skip
        """Add an operator with one output; returns that."""
        made = self.tensor(shape, dtype or self.tensors[inputs[0]].dtype)
        self.steps.append(Step(op, list(inputs), [made], kind, list(options), version))
        return made

    # -------------------------------------------------------------------------------------------- values

    def as_perm(self, value: Value, perm: Perm) -> int:
        """The tensor that holds a value in this order of axes."""
        if value.constant is not None:
            scale = value.scale
            if scale and len(scale.scale) > 1:
                scale = replace(scale, axis=perm.index(scale.axis))
            return self.const(value.constant.transpose(perm), scale)
        if value.perm == perm:
            return value.tensor
        order = [value.perm.index(axis) for axis in perm]
        shape = tuple(value.shape[axis] for axis in perm)
        if [axis for axis in order if value.stored[axis] > 1] == sorted(
            axis for axis in order if value.stored[axis] > 1
        ):
            return self.reshaped(value.tensor, shape)  # only axes of length 1 move
        return self.step("TRANSPOSE", [value.tensor, self.const(np.array(order, np.int32))], shape, 26)

    def reshaped(self, tensor: int, shape: Shape) -> int:
        """The same numbers with another shape."""
        if self.tensors[tensor].shape == shape:
            return tensor
        return self.step("RESHAPE", [tensor, self.const(np.array(shape, np.int32))], shape, 17)

    def at(self, value: Value, perm: Perm | None = None) -> tuple[int, Perm]:
        """A value's tensor in this order, or in the one it has."""
        perm = perm or value.perm
        return self.as_perm(value, perm), perm

    # -------------------------------------------------------------------------------------------- the file

    def live(self, outputs: Sequence[int]) -> list[Step]:
        """The steps that lead to some tensors."""
        wanted, steps = set(outputs), []
        for step in reversed(self.steps):
            if wanted.intersection(step.outputs):
                steps.append(step)
                wanted.update(step.inputs)
        return steps[::-1]

    def model(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The bytes of the file; only what leads to the outputs is in it."""
        steps = self.live(outputs)
        used = sorted({*inputs, *outputs, *(index for step in steps for index in (*step.inputs, *step.outputs))} - {-1})
        place = {index: number for number, index in enumerate(used)} | {-1: -1}
        buffers, tensors = [parts.Buffer()], []
        for index in used:
            tensors.append(_tensor_part(self.tensors[index], len(buffers)))
            buffers += [parts.Buffer(data=self.tensors[index].data)] if self.tensors[index].data else []
        codes = sorted({(NUMBERS[step.op], step.version) for step in steps})
        graph = parts.Graph(
            tensors=tensors,
            inputs=packed([place[index] for index in inputs]),
            outputs=packed([place[index] for index in outputs]),
            operators=[_operator_part(step, place, codes) for step in steps],
            name=b"main",
        )
        return write_model(
            parts.Model(
                version=3,
                codes=[parts.Code(short=min(op, 127), builtin=op, version=version) for op, version in codes],
                graphs=[graph],
                description=b"converted from ONNX by edgepose",
                buffers=buffers,
            )
        )


def _tensor_part(tensor: Tensor, buffer: int) -> parts.Tensor:
    return parts.Tensor(
        shape=packed(tensor.shape),
        kind=KINDS[tensor.dtype],
        buffer=buffer if tensor.data else 0,
        name=tensor.name.encode(),
        quantisation=_scale_part(tensor.scale),
    )


def _scale_part(scale: Scale | None) -> parts.Quantisation | None:
    if scale is None:
        return None
    return parts.Quantisation(
        scale=np.array(scale.scale, "<f4").tobytes(), zero_point=np.array(scale.zero, "<i8").tobytes(), axis=scale.axis
    )


def _operator_part(step: Step, place: dict[int, int], codes: list[tuple[int, int]]) -> parts.Operator:
    return parts.Operator(
        code=codes.index((NUMBERS[step.op], step.version)),
        inputs=packed([place[index] for index in step.inputs]),
        outputs=packed([place[index] for index in step.outputs]),
        options_kind=step.kind,
        options=_raw(step.options) if step.kind else None,
    )


def _raw(options: Sequence[Option]) -> parts.Raw:
    """A table of plain numbers."""
    body = bytearray(4)
    places = [0] * (max((number for number, _, _ in options), default=-1) + 1)
    for number, letter, value in sorted(options, key=lambda row: -struct.calcsize(row[1])):
        width = struct.calcsize(letter)
        body += bytes(-len(body) % width)
        places[number] = len(body)
        body += struct.pack("<" + letter, value)
    return parts.Raw(tuple(places), bytes(body), 0, {})

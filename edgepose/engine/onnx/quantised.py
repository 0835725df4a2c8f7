"""Quantisation as ONNX says it, QuantizeLinear and DequantizeLinear around a float operator, as TFLite's int8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgepose.engine.onnx.build import Array, Builder, Scale, Step, Tensor, Value, plain
from edgepose.engine.onnx.network import Node
from edgepose.engine.onnx.shaping import given
from edgepose.engine.onnx.spatial import constant, need


def _scale(node: Node, ins: list[Value | None], rank: int) -> tuple[Scale, bool]:
    """Scales and zero points, and whether the type is uint8, which becomes int8: 128 less of both."""
    need(not node.get("block_size", 0), "it is quantised in blocks")
    scales = constant(ins[1], "scale").ravel()
    zeros = constant(ins[2], "zero point") if len(ins) > 2 and ins[2] is not None else np.zeros(1, np.uint8)
    need(zeros.dtype in (np.uint8, np.int8, np.int32), f"its type is {zeros.dtype}")
    need(bool(len(scales)) and bool(np.all(scales > 0)), "its scale is not above 0")
    unsigned = zeros.dtype == np.uint8
    flat = np.broadcast_to(zeros.ravel().astype(int) - 128 * unsigned, scales.shape)
    axis = int(node.get("axis", 1)) % max(1, rank)
    return Scale(tuple(map(float, scales)), tuple(map(int, flat)), axis if len(scales) > 1 else 0), unsigned


def quantize(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """QuantizeLinear, as QUANTIZE to int8."""
    source = given(ins[0])
    scale, _ = _scale(node, ins, len(source.shape))
    need(len(scale.scale) == 1, "it has a scale per channel for what is computed while it runs")
    tensor, perm = b.at(source)
    made = b.step("QUANTIZE", [tensor], source.stored, 89, dtype="int8", version=1)
    b.tensors[made].scale = scale
    return [Value(source.shape, perm, made)]


def dequantize(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """DequantizeLinear: of a constant it stays what it is, else DEQUANTIZE."""
    source = given(ins[0])
    scale, unsigned = _scale(node, ins, len(source.shape))
    if source.constant is not None:
        numbers: Array = source.constant
        if numbers.dtype == np.uint8:
            numbers = (numbers.astype(np.int16) - 128).astype(np.int8)
            scale = scale if unsigned else Scale(scale.scale, tuple(z - 128 for z in scale.zero), scale.axis)
        if numbers.dtype != np.int8:  # a bias: made anew where it is needed
            value = Value(source.shape, plain(len(source.shape)), constant=numbers, scale=scale)
            return [Value(source.shape, value.perm, constant=constant(value, "bias"))]
        return [Value(source.shape, plain(len(source.shape)), constant=numbers, scale=scale)]
    need(b.tensors[source.tensor].scale == scale, "it reads other steps than were written")
    made = b.step("DEQUANTIZE", [source.tensor], source.stored, 38, dtype="float32", version=2)
    return [Value(source.shape, source.perm, made)]


# ------------------------------------------------------------------------------------------------ fusing

WEIGHTED = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}
"""Steps with weights and a bias -> their version for int8."""
SAME_SCALE = {"MAX_POOL_2D", "RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "RESIZE_NEAREST_NEIGHBOR",
              "RESIZE_BILINEAR", "PAD", "AVERAGE_POOL_2D", "GATHER"}  # fmt: skip
"""Steps that give what they were given: input and output must have one scale."""
FREE = {"ADD": 2, "SUB": 2, "MUL": 2, "MEAN": 2, "LEAKY_RELU": 2, "HARD_SWISH": 1}
"""Steps that take any scales -> their version for int8."""
ACTIVATIONS = ("RELU", "RELU6")


def fuse(b: Builder, ends: Sequence[int]) -> None:
    """Float steps between DEQUANTIZE and QUANTIZE become int8 steps."""
    if not any(step.op == "QUANTIZE" for step in b.steps):
        return
    work = _Fusing(b, ends)
    for step in list(b.steps):
        work.try_step(step)


class _Fusing:
    """The steps of a builder while they are changed."""

    def __init__(self, b: Builder, ends: Sequence[int]) -> None:
        self.b = b
        self.maker = {step.outputs[0]: step for step in b.steps}
        self.readers: dict[int, list[Step]] = {}
        for step in b.live(ends):
            for index in step.inputs:
                self.readers.setdefault(index, []).append(step)
        self.ends = Counter(ends)

    def raw(self, index: int) -> int:
        """The int8 tensor behind a float one; -1: there is none."""
        step = self.maker.get(index)
        return step.inputs[0] if step is not None and step.op == "DEQUANTIZE" else -1

    def only_reader(self, index: int) -> Step | None:
        """Who reads a tensor, if that is one step and nobody outside."""
        found = self.readers.get(index, [])
        return found[0] if len(found) == 1 and not self.ends[index] else None

    def try_step(self, step: Step) -> None:
        """Make one step int8 where all it reads and all it makes is."""
        moving = [place for place, index in enumerate(step.inputs)
                  if self.b.tensors[index].data is None and self.b.tensors[index].dtype == "float32"]  # fmt: skip
        raws = [self.raw(step.inputs[place]) for place in moving]
        if not moving or min(raws) < 0 or step.op in ("QUANTIZE", "DEQUANTIZE"):
            return
        last, activation = self._end_of(step)
        if last is None:
            return
        scale = self.b.tensors[last.outputs[0]].scale
        made = self._written(step, moving, raws, scale, activation)
        if made is None:
            return
        made.outputs = list(last.outputs)
        at = self.b.steps.index(last)
        self.b.steps[at] = made
        self.maker[made.outputs[0]] = made

    def _end_of(self, step: Step) -> tuple[Step | None, Step | None]:
        """The QUANTIZE behind a step, and the activation between."""
        reader = self.only_reader(step.outputs[0])
        activation = reader if reader is not None and reader.op in ACTIVATIONS else None
        if activation is not None:
            reader = self.only_reader(activation.outputs[0])
        return (reader, activation) if reader is not None and reader.op == "QUANTIZE" else (None, None)

    def _written(self, step: Step, moving: Sequence[int], raws: Sequence[int], scale: Scale | None,
                 activation: Step | None) -> Step | None:  # fmt: skip
        inputs = list(step.inputs)
        for place, raw in zip(moving, raws, strict=True):
            inputs[place] = raw
        options = list(step.options)
        if activation is not None:
            from edgepose.engine.onnx.tidy import ACTIVATION_FIELD
            from edgepose.engine.onnx.tidy import ACTIVATIONS as NUMBER

            if step.op not in ACTIVATION_FIELD:
                return None
            options.append((ACTIVATION_FIELD[step.op], "b", NUMBER[activation.op]))
        if step.op in WEIGHTED:
            bias = self._bias(inputs) if len(raws) == 2 else -1
            if bias < 0:
                return None
            return Step(step.op, [*inputs[:2], bias], [], step.kind, options, WEIGHTED[step.op])
        if step.op == "CONCATENATION":
            return Step(step.op, [self._rescaled(index, scale) for index in inputs], [], step.kind, options, 2)
        if step.op in SAME_SCALE:
            inputs[0] = self._rescaled(inputs[0], scale)
            return Step(step.op, inputs, [], step.kind, options, 2)
        if step.op == "LOGISTIC" and scale == Scale((1 / 256,), (-128,)):
            return Step(step.op, inputs, [], step.kind, options, 2)
        if step.op in FREE and all(self.b.tensors[index].dtype != "float32" for index in inputs):
            return Step(step.op, inputs, [], step.kind, options, FREE[step.op])
        return None

    def _bias(self, inputs: Sequence[int]) -> int:
        """The bias as int32 in steps of input times weight; -1: it does not fit."""
        source, weight, bias = (self.b.tensors[index] for index in inputs)
        if source.scale is None or weight.scale is None or bias.data is None:
            return -1
        each = np.array(weight.scale.scale, np.float64) * source.scale.scale[0]
        steps = np.rint(np.frombuffer(bias.data, "<f4").astype(np.float64) / each)
        if np.abs(steps).max(initial=0) >= 1 << 31:
            return -1
        scales = Scale(tuple(np.broadcast_to(each, each.shape).tolist()), (0,) * len(each))
        self.b.tensors.append(Tensor(bias.shape, "int32", steps.astype("<i4").tobytes(), scales))
        return len(self.b.tensors) - 1

    def _rescaled(self, index: int, scale: Scale | None) -> int:
        if self.b.tensors[index].scale == scale:
            return index
        made = self.b.step("QUANTIZE", [index], self.b.tensors[index].shape, 89, dtype="int8", version=2)
        self.b.tensors[made].scale = scale
        moved = self.b.steps.pop()
        self.b.steps.insert(self.b.steps.index(self.maker[index]) + 1 if index in self.maker else 0, moved)
        return made

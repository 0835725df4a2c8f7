"""What computes with numbers where they lie: sums, activations, means, products of matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgepose.engine.onnx.build import Array, Builder, Perm, Shape, Value, plain
from edgepose.engine.onnx.network import Node
from edgepose.engine.onnx.shaping import axes_of, given, numbers, permuted, view
from edgepose.engine.onnx.spatial import constant, need

Handler = Callable[[Builder, Node, list["Value | None"]], list[Value]]
FIELDS = {"ADD": 11, "MUL": 21, "SUB": 28, "DIV": 29, "POW": 56, "MAXIMUM": 39, "MINIMUM": 39}
"""TFLite's operator of two inputs -> kind of its options."""


# ------------------------------------------------------------------------------------------------ two inputs


def both(b: Builder, op: str, one: Value, other: Value) -> Value:
    """An operator of two values, each stretched to the other's shape."""
    rank = max(len(one.shape), len(other.shape))
    one, other = (view(b, each, (1,) * (rank - len(each.shape)) + each.shape) for each in (one, other))
    shape = np.broadcast_shapes(one.shape, other.shape)
    moving = [each for each in (one, other) if each.constant is None]
    perm = max(moving, key=lambda each: math.prod(each.shape)).perm if moving else plain(rank)
    stored = tuple(shape[axis] for axis in perm)
    tensors = [b.as_perm(each, perm) for each in (one, other)]
    return Value(shape, perm, b.step(op, tensors, stored, FIELDS[op], dtype="float32"))


def scalar(number: float) -> Value:
    """A constant of one number."""
    return Value((), (), constant=np.array(number, np.float32))


def _two(op: str) -> Handler:
    def handler(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
        made = given(ins[0])
        for other in ins[1:]:  # Sum, Max and Min take any number of them
            made = both(b, op, made, given(other))
        return [made]

    return handler


def power(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Pow: squares and roots by their own operators."""
    source, exponent = given(ins[0]), given(ins[1])
    if exponent.constant is not None and exponent.constant.size == 1:
        number = float(exponent.constant.ravel()[0])
        if number == 2:
            return [both(b, "MUL", source, source)]
        if number in (0.5, 1):
            return [one(b, "SQRT", source) if number == 0.5 else source]
    return [both(b, "POW", source, exponent)]


# ------------------------------------------------------------------------------------------------ one input


def one(b: Builder, op: str, source: Value, kind: int = 0, *options: tuple[int, str, float]) -> Value:
    """An operator that works number by number."""
    tensor, perm = b.at(source)
    return Value(source.shape, perm, b.step(op, [tensor], source.stored, kind, *options, dtype="float32"))


def _each(op: str, kind: int = 0) -> Handler:
    return lambda b, node, ins: [one(b, op, given(ins[0]), kind)]


def clipped(b: Builder, source: Value, low: float, high: float) -> Value:
    """Between two numbers, either of which may be infinite."""
    known = {(0.0, 6.0): "RELU6", (0.0, math.inf): "RELU", (-1.0, 1.0): "RELU_N1_TO_1"}
    if (low, high) in known:
        return one(b, known[low, high], source)
    if low > -math.inf:
        source = both(b, "MAXIMUM", source, scalar(low))
    return both(b, "MINIMUM", source, scalar(high)) if high < math.inf else source


def clip(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Clip."""
    ends = [node.get("min", -math.inf), node.get("max", math.inf)]
    for place, value in enumerate(ins[1:3]):
        if value is not None:
            ends[place] = float(constant(value, "bound").ravel()[0])
    huge = float(np.finfo(np.float32).max)
    low, high = -math.inf if ends[0] <= -huge else float(ends[0]), math.inf if ends[1] >= huge else float(ends[1])
    return [clipped(b, given(ins[0]), low, high)]


def leaky(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """LeakyRelu."""
    return [one(b, "LEAKY_RELU", given(ins[0]), 75, (0, "f", float(node.get("alpha", 0.01))))]


def prelu(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """PRelu: what is positive, and the rest times its slope."""
    source, slope = given(ins[0]), given(ins[1])
    below = both(b, "MUL", both(b, "MINIMUM", source, scalar(0.0)), slope)
    return [both(b, "ADD", one(b, "RELU", source), below)]


def elu(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Elu."""
    need(float(node.get("alpha", 1.0)) == 1.0, "its alpha is not 1")
    return [one(b, "ELU", given(ins[0]))]


def hard_sigmoid(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """HardSigmoid."""
    source = both(b, "MUL", given(ins[0]), scalar(float(node.get("alpha", 0.2))))
    return [clipped(b, both(b, "ADD", source, scalar(float(node.get("beta", 0.5)))), 0.0, 1.0)]


def softplus(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Softplus, written so that exp never overflows."""
    source = given(ins[0])
    small = one(b, "EXP", one(b, "NEG", one(b, "ABS", source)))
    return [both(b, "ADD", one(b, "RELU", source), one(b, "LOG", both(b, "ADD", small, scalar(1.0))))]


def silu(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Swish, a sigmoid times what went into it."""
    source = given(ins[0])
    return [both(b, "MUL", source, one(b, "LOGISTIC", source))]


def gelu(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Gelu."""
    source = given(ins[0])
    if node.get("approximate", "none") != "tanh":
        return [one(b, "GELU", source, 116, (0, "?", False))]
    cube = both(b, "MUL", both(b, "MUL", source, source), source)
    bent = both(b, "ADD", source, both(b, "MUL", cube, scalar(0.044715)))  # XNNPACK's GELU is the exact one always
    bent = one(b, "TANH", both(b, "MUL", bent, scalar(math.sqrt(2 / math.pi))))
    half = both(b, "MUL", source, scalar(0.5))
    return [both(b, "MUL", half, both(b, "ADD", bent, scalar(1.0)))]


ERF = (0.3275911, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
"""Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most."""


def erf(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Erf, which TFLite has not, by a polynomial."""
    source = given(ins[0])
    size = one(b, "ABS", source)
    t = both(b, "DIV", scalar(1.0), both(b, "ADD", both(b, "MUL", size, scalar(ERF[0])), scalar(1.0)))
    sum_ = both(b, "MUL", t, scalar(ERF[5]))
    for factor in ERF[4:0:-1]:
        sum_ = both(b, "MUL", both(b, "ADD", sum_, scalar(factor)), t)
    bell = one(b, "EXP", one(b, "NEG", both(b, "MUL", source, source)))
    return [both(b, "MUL", one(b, "SIGN", source), both(b, "SUB", scalar(1.0), both(b, "MUL", sum_, bell)))]


def softmax(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Softmax over one axis, which must lie last."""
    source = given(ins[0])
    (axis,) = axes_of([int(node.get("axis", -1))], len(source.shape))
    perm = (*(each for each in source.perm if each != axis), axis)
    moved = Value(source.shape, perm, b.as_perm(source, perm))
    return [one(b, "SOFTMAX", moved, 9, (0, "f", 1.0))]


# ------------------------------------------------------------------------------------------------ sums


def reduced(b: Builder, op: str, source: Value, axes: Sequence[int], keep: bool = True) -> Value:
    """One number for all along some axes."""
    tensor, perm = b.at(source)
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(source.shape))
    places = b.const(np.array(sorted(perm.index(axis) for axis in axes), np.int32))
    made = b.step(op, [tensor, places], tuple(shape[axis] for axis in perm), 27, (0, "?", True))
    value = Value(shape, perm, made)
    return value if keep else view(b, value, tuple(n for axis, n in enumerate(shape) if axis not in axes))


def _reduce(op: str) -> Handler:
    def handler(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
        source = given(ins[0])
        axes = axes_of(numbers(node, ins, "axes", 1, []), len(source.shape))
        if not axes and node.get("noop_with_empty_axes", 0):
            return [source]
        return [reduced(b, op, source, axes or range(len(source.shape)), bool(node.get("keepdims", 1)))]

    return handler


def _whole(op: str) -> Handler:
    """A mean or maximum of each channel."""
    return lambda b, node, ins: [reduced(b, op, given(ins[0]), range(2, len(given(ins[0]).shape)))]


def layer_norm(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """LayerNormalization, by its parts."""
    source = given(ins[0])
    (axis,) = axes_of([int(node.get("axis", -1))], len(source.shape))
    made = normalised(b, source, range(axis, len(source.shape)), float(node.get("epsilon", 1e-5)))
    made = both(b, "MUL", made, given(ins[1]))
    return [both(b, "ADD", made, given(ins[2])) if len(ins) > 2 and ins[2] else made]


def normalised(b: Builder, source: Value, axes: Sequence[int], epsilon: float) -> Value:
    """Mean 0 and variance 1 along some axes."""
    away = both(b, "SUB", source, reduced(b, "MEAN", source, axes))
    spread = reduced(b, "MEAN", both(b, "MUL", away, away), axes)
    return both(b, "MUL", away, one(b, "RSQRT", both(b, "ADD", spread, scalar(epsilon))))


def instance_norm(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """InstanceNormalization."""
    source, rank = given(ins[0]), len(given(ins[0]).shape)
    made = normalised(b, source, range(2, rank), float(node.get("epsilon", 1e-5)))
    scale, shift = (by_channel(constant(value, "scale"), rank) for value in ins[1:3])
    return [both(b, "ADD", both(b, "MUL", made, scale), shift)]


def by_channel(array: Array, rank: int) -> Value:
    """One number per channel."""
    shape = (1, -1, *[1] * (rank - 2))
    return Value(array.reshape(shape).shape, plain(rank), constant=array.reshape(shape).astype(np.float32))


def batch_norm(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """BatchNormalization that no convolution took in: a product and a sum."""
    factor, shift = norm_of(node, ins)
    source = given(ins[0])
    scale, offset = (by_channel(row, len(source.shape)) for row in (factor, shift))
    return [both(b, "ADD", both(b, "MUL", source, scale), offset)]


def norm_of(node: Node, ins: Sequence[Value | None]) -> tuple[Array, Array]:
    """What a BatchNormalization multiplies by and adds."""
    scale, bias, mean, spread = (constant(value, "statistics").astype(np.float64) for value in ins[1:5])
    factor = scale / np.sqrt(spread + float(node.get("epsilon", 1e-5)))
    return factor, bias - mean * factor


# ------------------------------------------------------------------------------------------------ matrices


def matmul(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """MatMul: fully connected where the right one is a constant matrix."""
    left, right = given(ins[0]), given(ins[1])
    need(len(left.shape) > 1 and len(right.shape) > 1, "one of its inputs is a vector")
    if right.constant is not None and len(right.shape) == 2:
        return [connected(b, left, right, None)]
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    shape = (*batch, left.shape[-2], right.shape[-1])
    swapped, tensors = [], []
    for value in (left, right):
        rank = len(value.shape)
        turned = (*range(rank - 2), rank - 1, rank - 2)
        swapped.append(value.perm == turned and value.constant is None)  # TFLite turns it itself
        tensors.append(b.as_perm(value, turned if swapped[-1] else plain(rank)))
    options = [(place, "?", flag) for place, flag in enumerate(swapped)]
    return [Value(shape, plain(len(shape)), b.step("BATCH_MATMUL", tensors, shape, 101, *options, dtype="float32"))]


def connected(b: Builder, left: Value, right: Value, bias: Array | None) -> Value:
    """Numbers along the last axis times a constant matrix (in, out)."""
    rank = len(left.shape)
    need(left.shape[-1] == right.shape[0], "its matrices do not fit")
    perm = left.perm if left.perm[-1] == rank - 1 else plain(rank)
    matrix = permuted(right, (1, 0))
    tensor = b.as_perm(matrix, (0, 1))
    if matrix.scale is not None:
        whole = any(matrix.scale.zero) or b.tensors[tensor].dtype != "int8" or len(matrix.scale.scale) > 1
        tensor = (
            b.const(constant(matrix, "weight"))
            if whole
            else b.step("DEQUANTIZE", [tensor], matrix.shape, 38, dtype="float32", version=2)
        )
    zeros = np.zeros(right.shape[1], np.float32) if bias is None else bias
    shape = (*left.shape[:-1], right.shape[1])
    inputs = [b.as_perm(left, perm), tensor, b.const(zeros.astype(np.float32))]
    stored: Shape = tuple(shape[axis] for axis in perm)
    return Value(shape, perm, b.step("FULLY_CONNECTED", inputs, stored, 8, (2, "?", rank != 2), version=5))


def gemm(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """Gemm: alpha A B + beta C."""
    left, right = given(ins[0]), given(ins[1])
    alpha, beta = float(node.get("alpha", 1.0)), float(node.get("beta", 1.0))
    left = permuted(left, (1, 0)) if node.get("transA", 0) else left
    right = permuted(right, (1, 0)) if node.get("transB", 0) else right
    third = ins[2] if len(ins) > 2 else None
    need(right.constant is not None, "its second matrix is computed while it runs")
    if alpha != 1:
        right = Value(right.shape, right.perm, constant=constant(right, "weight") * np.float32(alpha))
    if third is None or (third.constant is not None and third.constant.size in (1, right.shape[1])):
        many = right.shape[1]
        bias = None if third is None else np.broadcast_to(constant(third, "bias").ravel() * beta, (many,))
        return [connected(b, left, right, bias)]
    added = both(b, "MUL", third, scalar(beta)) if beta != 1 else third
    return [both(b, "ADD", connected(b, left, right, None), added)]


def arg_max(b: Builder, node: Node, ins: list[Value | None]) -> list[Value]:
    """ArgMax."""
    source, keep = given(ins[0]), bool(node.get("keepdims", 1))
    need(not node.get("select_last_index", 0), "it takes the last of equals")
    (axis,) = axes_of([int(node.get("axis", 0))], len(source.shape))
    shape: Shape = tuple(n for i, n in enumerate(source.shape) if i != axis)
    perm: Perm = tuple(each - (each > axis) for each in source.perm if each != axis)
    place = b.const(np.array(source.place(axis), np.int32))
    stored = tuple(shape[each] for each in perm)
    made = b.step("ARG_MAX", [b.at(source)[0], place], stored, 40, (0, "b", 4), dtype="int64")
    value = Value(shape, perm, made)
    return [view(b, value, (*shape[:axis], 1, *shape[axis:])) if keep else value]


TWO = {
    "Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV", "Max": "MAXIMUM", "Min": "MINIMUM", "Sum": "ADD",
}  # fmt: skip
EACH = {
    "Relu": "RELU", "Sigmoid": "LOGISTIC", "Tanh": "TANH", "HardSwish": "HARD_SWISH", "Exp": "EXP", "Log": "LOG",
    "Sqrt": "SQRT", "Neg": "NEG", "Abs": "ABS", "Floor": "FLOOR", "Ceil": "CEIL", "Round": "ROUND", "Sin": "SIN",
    "Cos": "COS", "Sign": "SIGN",
}  # fmt: skip
REDUCE = {"ReduceMean": "MEAN", "ReduceMax": "REDUCE_MAX", "ReduceMin": "REDUCE_MIN", "ReduceSum": "SUM"}
WHOLE = {"GlobalAveragePool": "MEAN", "GlobalMaxPool": "REDUCE_MAX"}
HANDLERS: dict[str, Handler] = {
    **{name: _two(op) for name, op in TWO.items()},
    **{name: _each(op) for name, op in EACH.items()},
    **{name: _reduce(op) for name, op in REDUCE.items()},
    **{name: _whole(op) for name, op in WHOLE.items()},
    "Reciprocal": lambda b, _node, ins: [both(b, "DIV", scalar(1.0), given(ins[0]))],
    "Pow": power,
    "Clip": clip,
    "LeakyRelu": leaky,
    "PRelu": prelu,
    "Elu": elu,
    "HardSigmoid": hard_sigmoid,
    "Softplus": softplus,
    "Swish": silu,
    "Gelu": gelu,
    "Erf": erf,
    "Softmax": softmax,
    "LayerNormalization": layer_norm,
    "InstanceNormalization": instance_norm,
    "BatchNormalization": batch_norm,
    "MatMul": matmul,
    "Gemm": gemm,
    "ArgMax": arg_max,
}
"""ONNX's operator -> how it is written."""

__all__ = ["HANDLERS", "norm_of"]

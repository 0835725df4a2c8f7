"""Our own int8 networks as ONNX, for runtimes that read it: each operator between DequantizeLinear and QuantizeLinear.

The input stays the picture's bytes, (1, H, W, 3), and the outputs stay the raw heads: the same arrays as in TFLite.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.engine.surgery import parts
from edgepose.engine.surgery.net import Net, Op

OPSET, IR_VERSION = 13, 8
KINDS = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
INTS, INT, FLOAT, STRING = 7, 2, 1, 3
ACTIVATIONS = {0: None, 1: (0.0, None), 3: (0.0, 6.0)}
Array = NDArray[Any]


# ------------------------------------------------------------------------------------------------ protocol buffers


def varint(number: int) -> bytes:
    """An unsigned number; a negative one as its 64 bits."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def number(field: int, value: int) -> bytes:
    """A field that is a number."""
    return varint(field << 3) + varint(value)


def span(field: int, value: bytes | str) -> bytes:
    """A field that is bytes, text or a message."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def tensor(name: str, array: Array) -> bytes:
    """A TensorProto."""
    shape = b"".join(number(1, size) for size in array.shape)
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return shape + number(2, KINDS[str(array.dtype)]) + span(8, name) + span(9, little.tobytes())


def attribute(name: str, value: Any) -> bytes:
    """An AttributeProto."""
    if isinstance(value, str):
        return span(1, name) + span(4, value) + number(20, STRING)
    if isinstance(value, float):
        return span(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, FLOAT)
    if isinstance(value, int):
        return span(1, name) + number(3, value) + number(20, INT)
    return span(1, name) + b"".join(number(8, each) for each in value) + number(20, INTS)


def value_info(name: str, dtype: str, shape: Sequence[int]) -> bytes:
    """A ValueInfoProto."""
    axes = b"".join(span(1, number(1, size)) for size in shape)
    return span(1, name) + span(2, span(1, number(1, KINDS[dtype]) + span(2, axes)))


# ------------------------------------------------------------------------------------------------ the graph


class Graph:
    """An ONNX graph, growing; everything in it is channels first between the first and last transposes."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.nodes: list[bytes] = []
        self.constants: dict[str, Array] = {}
        self.real: dict[int, str] = {}
        """Tensor -> name of its real values, channels first."""

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; returns its output."""
        said = [span(1, name) for name in inputs] + [span(2, output), span(3, output), span(4, op)]
        said += [span(5, attribute(name, value)) for name, value in attributes.items()]
        self.nodes.append(b"".join(said))
        return output

    def const(self, name: str, array: Array) -> str:
        """Add a constant."""
        self.constants[name] = array
        return name

    def scales(self, index: int) -> tuple[Array, Array, int]:
        """Scale, zero point and axis of a tensor."""
        quant = self.net.graph.tensors[index].quantisation
        if quant is None or not quant.scale:
            raise ModelError(
                f"{self.net.where}: tensor {index} is not quantised; only int8 networks are written as ONNX"
            )
        scale, zero = np.frombuffer(quant.scale, "<f4"), np.frombuffer(quant.zero_point or bytes(8), "<i8")
        zeros = np.broadcast_to(zero, scale.shape)
        return scale, zeros, quant.axis

    def steps(self, index: int) -> list[str]:
        """Names of the scale and zero point of an activation."""
        scale, zero, _ = self.scales(index)
        kind = np.dtype(self.net.values[index].dtype)
        names = (f"t{index}/scale", f"t{index}/zero")
        values = (scale[0].reshape(()), zero[0].astype(kind).reshape(()))
        return [self.const(name, value) for name, value in zip(names, values, strict=True)]

    def weight(self, index: int, order: Sequence[int]) -> str:
        """Real values of a constant, with its axes in ONNX's order."""
        scale, zero, axis = self.scales(index)
        value = self.net.values[index]
        array = value.numbers().astype(value.dtype).reshape(value.shape).transpose(order)
        if len(scale) == 1:
            scale, zero = scale.reshape(()), zero.reshape(())
        names = [self.const(f"t{index}", np.ascontiguousarray(array)), self.const(f"t{index}/scale", scale)]
        names.append(self.const(f"t{index}/zero", zero.astype(value.dtype)))
        return self.node("DequantizeLinear", names, f"t{index}/real", axis=list(order).index(axis) if order else 0)

    def made(self, index: int, real: str) -> None:
        """Quantise what an operator made, and note its real values for those who read it."""
        raw = self.node("QuantizeLinear", [real, *self.steps(index)], f"t{index}/raw")
        self.real[index] = self.node("DequantizeLinear", [raw, *self.steps(index)], f"t{index}/real")


def options(op: Op) -> Callable[..., int]:
    """Reads a field of an operator's options: number, struct's letter, default."""
    raw: parts.Raw | None = op.part.options

    def read(field: int, letter: str, default: int = 0) -> int:
        at = raw.fields[field] if raw and field < len(raw.fields) else 0
        return int(struct.unpack_from("<" + letter, raw.content, at)[0]) if at and raw else default

    return read


def _active(graph: Graph, op: Op, real: str, kind: int) -> str:
    if kind not in ACTIVATIONS:
        raise ModelError(f"{graph.net.where}: {op.name} has an activation ({kind}) that is not written as ONNX")
    ends = ACTIVATIONS[kind]
    if ends is None:
        return real
    if ends[1] is None:
        return graph.node("Relu", [real], f"{real}/relu")
    bounds = [graph.const(f"bound {end}", np.array(end, np.float32)) for end in ends]
    return graph.node("Clip", [real, *bounds], f"{real}/clip")


def _conv(graph: Graph, op: Op) -> str:
    read, depthwise = options(op), op.name == "DEPTHWISE_CONV_2D"
    source, weight = graph.net.values[op.inputs[0]], graph.net.values[op.inputs[1]]
    kernel, stride = weight.shape[1:3], (read(2, "i", 1), read(1, "i", 1))
    hole = (read(6, "i", 1), read(5, "i", 1)) if depthwise else (read(5, "i", 1), read(4, "i", 1))
    pads = [0, 0, 0, 0]
    if read(0, "b") == 0:  # SAME
        for axis in (0, 1):
            n, s, k = source.shape[1 + axis], stride[axis], (kernel[axis] - 1) * hole[axis] + 1
            whole = max((-(-n // s) - 1) * s + k - n, 0)
            pads[axis], pads[2 + axis] = whole // 2, whole - whole // 2
    names = [graph.real[op.inputs[0]], graph.weight(op.inputs[1], (3, 0, 1, 2) if depthwise else (0, 3, 1, 2))]
    names += [graph.weight(op.inputs[2], (0,))] if op.input(2) >= 0 else []
    groups = source.shape[3] if depthwise else source.shape[3] // weight.shape[3]
    made = graph.node("Conv", names, f"t{op.outputs[0]}/conv", kernel_shape=kernel, strides=stride, dilations=hole,
                      pads=pads, group=groups)  # fmt: skip
    return _active(graph, op, made, read(4 if depthwise else 3, "b"))


def _add(graph: Graph, op: Op) -> str:
    made = graph.node("Add", [graph.real[index] for index in op.inputs], f"t{op.outputs[0]}/sum")
    return _active(graph, op, made, options(op)(0, "b"))


def _resize(graph: Graph, op: Op) -> str:
    read, (_, height, width, channels) = options(op), graph.net.values[op.outputs[0]].shape
    where = "align_corners" if read(2, "b") else "half_pixel" if read(3, "b") else "asymmetric"
    size = graph.const(f"t{op.outputs[0]}/size", np.array([1, channels, height, width], np.int64))
    return graph.node("Resize", [graph.real[op.inputs[0]], "", "", size], f"t{op.outputs[0]}/resized", mode="linear",
                      coordinate_transformation_mode=where)  # fmt: skip


def _logistic(graph: Graph, op: Op) -> str:
    return graph.node("Sigmoid", [graph.real[op.inputs[0]]], f"t{op.outputs[0]}/sigmoid")


WRITERS: Mapping[str, Callable[[Graph, Op], str]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "ADD": _add,
    "RESIZE_BILINEAR": _resize,
    "LOGISTIC": _logistic,
}
"""TFLite's operator -> how it is written; all that our own networks are made of."""


def to_onnx(content: bytes, where: str) -> bytes:
    """An int8 .tflite as ONNX with the same input and heads.

    Raises:
        ModelError: naming the operators that are not written.
    """
    net = Net(content, where)
    unknown = sorted({op.name for op in net.ops} - set(WRITERS))
    if unknown:
        raise ModelError(f"{where}: {', '.join(unknown)} cannot be written as ONNX; those can: {', '.join(WRITERS)}")
    graph, (first,) = Graph(net), net.inputs
    real = graph.node("DequantizeLinear", ["input", *graph.steps(first)], "input/real")
    graph.real[first] = graph.node("Transpose", [real], "input/nchw", perm=[0, 3, 1, 2])
    for op in net.ops:
        graph.made(op.outputs[0], WRITERS[op.name](graph, op))
    heads = []
    for place, index in enumerate(net.outputs):
        name = f"head{place}"
        graph.node("Transpose", [f"t{index}/raw"], name, perm=[0, 2, 3, 1])
        heads.append(value_info(name, net.values[index].dtype, net.values[index].shape))
    body = b"".join(span(1, node) for node in graph.nodes) + span(2, "edgepose")
    body += b"".join(span(5, tensor(name, array)) for name, array in graph.constants.items())
    body += span(11, value_info("input", net.values[first].dtype, net.values[first].shape))
    body += b"".join(span(12, head) for head in heads)
    return number(1, IR_VERSION) + span(2, "edgepose") + span(7, body) + span(8, span(1, "") + number(2, OPSET))

"""TensorFlow.js graph -> float .tflite that ends at the heads; pre- and post-processing are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from models_build.tfjs import Graph, Node
from models_build.tflite import INPUT, Writer

ROOT = "StatefulPartitionedCall/"
NORMALISED = ROOT + "sub_1"
"""The node whose value is the picture in -1..1: where our graph begins."""

ACTIVATIONS = {
    "Relu": schema.ActivationFunctionType.RELU,
    "Relu6": schema.ActivationFunctionType.RELU6,
}
PADDINGS = {"SAME": schema.Padding.SAME, "VALID": schema.Padding.VALID}


def convert(graph: Graph, heads: Mapping[str, str], input_hw: tuple[int, int]) -> bytes:
    """The float .tflite: input (1, H, W, 3) in -1..1, one output for each head, in their order (role -> node)."""
    walk = _Walk(graph)
    source = walk.writer.tensor(INPUT, (1, *input_hw, 3))
    walk.tensors[NORMALISED] = source
    return walk.writer.finish(source, {role: walk.visit(ROOT + node) for role, node in heads.items()})


class _Walk:
    """Adds each node after the nodes it reads."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.writer = Writer()
        self.tensors: dict[str, int] = {}
        """Node -> tensor, for what has been added."""

    def visit(self, name: str) -> int:
        """The tensor of a node, added now if it is new."""
        if name not in self.tensors:
            node = self.graph.nodes[name]
            if node.op not in OPERATORS:
                raise ValueError(f"{name}: cannot convert operation {node.op}; known are {', '.join(OPERATORS)}")
            self.tensors[name] = OPERATORS[node.op](self, node)
        return self.tensors[name]


def _convolution(walk: _Walk, node: Node) -> int:
    """Full or depthwise convolution with its bias and activation."""
    writer, weights = walk.writer, walk.graph.weights
    depthwise = "epthwise" in node.op
    source = walk.visit(node.inputs[0])
    kernel = weights[node.inputs[1]]  # (kh, kw, in, out), depthwise (kh, kw, in, multiplier)
    filters = kernel.reshape(1, *kernel.shape[:2], -1) if depthwise else kernel.transpose(3, 0, 1, 2)
    channels = filters.shape[3 if depthwise else 0]
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    if depthwise:
        options.depthMultiplier = kernel.shape[3]
    _, down, across, _ = node.attributes["strides"]
    options.strideH, options.strideW = down, across
    options.padding = PADDINGS[node.attributes["padding"]]
    if node.attributes.get("dilations", [1, 1, 1, 1]) != [1, 1, 1, 1]:
        raise ValueError(f"{node.name}: dilated convolution is not supported")
    fused = node.attributes.get("fused_ops") or []
    if fused[:1] not in ([], ["BiasAdd"]) or len(fused) > 2:
        raise ValueError(f"{node.name}: fused operations {fused} are not supported")
    bias = weights[node.inputs[2]] if fused else np.zeros(channels, np.float32)
    options.fusedActivationFunction = ACTIVATIONS[fused[1]] if len(fused) == 2 else 0
    if fused:
        filters = _wake(filters, bias, 3 if depthwise else 0)
    batch, height, width, _ = writer.shape(source)
    trim_h, trim_w = (0, 0) if node.attributes["padding"] == "SAME" else (kernel.shape[0] - 1, kernel.shape[1] - 1)
    shape = (batch, -(-(height - trim_h) // down), -(-(width - trim_w) // across), channels)
    inputs = [
        source,
        writer.constant(node.name + "/weights", filters.astype(np.float32)),
        writer.constant(node.name + "/bias", bias.astype(np.float32)),
    ]
    return writer.add("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, node.name, shape, options)


def _wake(filters: NDArray[Any], bias: NDArray[Any], axis: int) -> NDArray[Any]:
    """Give channels whose weights are all zero one weight: their bias / 16384.

    Half precision lost those weights. A channel of zeros has no scale and so leaves no int32 for its bias; the float
    graph moves by less than 1e-4 of that bias.
    """
    others = tuple(dimension for dimension in range(filters.ndim) if dimension != axis)
    dead = ~filters.any(axis=others)
    woken = filters.copy()
    first: list[int | slice] = [0] * filters.ndim
    first[axis] = slice(None)
    woken[tuple(first)] = np.where(dead, bias / 16384, woken[tuple(first)])
    return woken


def _sum(walk: _Walk, node: Node) -> int:
    inputs = [walk.visit(name) for name in node.inputs]
    return walk.writer.add("ADD", inputs, node.name, walk.writer.shape(inputs[0]), schema.AddOptionsT())


def _double(walk: _Walk, node: Node) -> int:
    """Bilinear up-sampling; every one in these graphs doubles, whatever size its constants were written for."""
    writer = walk.writer
    source = walk.visit(node.inputs[0])
    batch, height, width, channels = writer.shape(source)
    size = np.array([2 * height, 2 * width], np.int32)
    options = schema.ResizeBilinearOptionsT()
    options.alignCorners = bool(node.attributes.get("align_corners", False))
    options.halfPixelCenters = bool(node.attributes.get("half_pixel_centers", False))
    inputs = [source, writer.constant(node.name + "/size", size)]
    shape = (batch, 2 * height, 2 * width, channels)
    return writer.add("RESIZE_BILINEAR", inputs, node.name, shape, options, version=3)


def _sigmoid(walk: _Walk, node: Node) -> int:
    source = walk.visit(node.inputs[0])
    return walk.writer.add("LOGISTIC", [source], node.name, walk.writer.shape(source))


OPERATORS: dict[str, Callable[[_Walk, Node], int]] = {
    "_FusedConv2D": _convolution,
    "Conv2D": _convolution,
    "FusedDepthwiseConv2dNative": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "AddV2": _sum,
    "ResizeBilinear": _double,
    "Sigmoid": _sigmoid,
}

"""What makes the graph smaller without changing what it computes: norms into convolutions, activations into steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgepose.engine.onnx.arithmetic import norm_of
from edgepose.engine.onnx.build import Builder, Value, plain
from edgepose.engine.onnx.network import Network, Node

ACTIVATIONS = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
ACTIVATION_FIELD = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "ADD": 0, "MUL": 0, "SUB": 0, "DIV": 0, "FULLY_CONNECTED": 0,
    "MAX_POOL_2D": 5, "AVERAGE_POOL_2D": 5,
}  # fmt: skip
"""TFLite's operator that can take an activation in -> the field that says which."""


def fuse_activations(b: Builder, ends: Sequence[int]) -> None:
    """Activations become a part of the step before them, where nobody else reads that."""
    readers = Counter(index for step in b.live(ends) for index in step.inputs) + Counter(ends)
    maker = {step.outputs[0]: step for step in b.steps}
    for step in list(b.steps):
        before = maker.get(step.inputs[0]) if step.op in ACTIVATIONS else None
        if before is None or before.op not in ACTIVATION_FIELD or readers[step.inputs[0]] != 1:
            continue
        number = ACTIVATION_FIELD[before.op]
        if any(option[0] == number for option in before.options):
            continue
        before.options.append((number, "b", ACTIVATIONS[step.op]))
        before.outputs = step.outputs
        maker[step.outputs[0]] = before
        b.steps.remove(step)


def fold_norms(network: Network) -> tuple[Node, ...]:
    """The nodes with each BatchNormalization behind a convolution taken into its weights; adds constants."""
    readers = Counter(name for node in network.nodes for name in node.inputs) + Counter(network.outputs)
    convs = {node.outputs[0]: node for node in network.nodes if node.op == "Conv" and len(node.outputs) == 1}
    changed: dict[str, Node] = {}
    gone: set[int] = set()
    for node in network.nodes:
        conv = convs.get(node.inputs[0]) if node.op == "BatchNormalization" and len(node.inputs) == 5 else None
        if conv is None or readers[conv.outputs[0]] != 1 or conv.outputs[0] in changed:
            continue
        weight, bias = (network.constants.get(name) for name in (*conv.inputs[1:3], "")[:2])
        statistics = [network.constants.get(name) for name in node.inputs[1:]]
        if weight is None or (bias is None and len(conv.inputs) > 2) or any(row is None for row in statistics):
            continue
        if any(row is not None and row.shape != weight.shape[:1] for row in (*statistics, bias)):
            continue
        rows = [None if row is None else Value(row.shape, plain(row.ndim), constant=row) for row in (None, *statistics)]
        factor, shift = norm_of(node, rows)
        names = [f"{conv.outputs[0]}/folded/{part}" for part in ("weight", "bias")]
        network.constants[names[0]] = (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
        network.constants[names[1]] = ((0 if bias is None else bias * factor) + shift).astype(np.float32)
        changed[conv.outputs[0]] = replace(conv, inputs=(conv.inputs[0], *names), outputs=(node.outputs[0],))
        gone.add(id(node))
    nodes = (node for node in network.nodes if id(node) not in gone)
    return tuple(changed.get(node.outputs[0], node) if node.outputs else node for node in nodes)

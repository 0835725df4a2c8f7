"""Takes out activations that do nothing, a RELU behind a RELU6: in int8 they split what a delegate takes in pieces."""

from __future__ import annotations

from edgepose.engine.surgery.net import Net, Op, copied, ints, packed
from edgepose.engine.surgery.writing import write_model

ACTIVATION = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "ADD": 0, "SUB": 0, "MUL": 0, "MAX_POOL_2D": 5, "CONCATENATION": 1}
"""Operator -> the field of its options that names the activation it ends in."""
NOT_NEGATIVE = (1, 3)
"""RELU, RELU6."""


def without_idle(content: bytes, where: str) -> tuple[bytes, int]:
    """The same model without them, and how many there were; what it computes stays the same to the bit."""
    net = Net(content, where)
    same: dict[int, int] = {}
    """Output of an idle operator -> what it holds."""
    for op in net.ops:
        if op.name == "RELU" and op.outputs[0] not in net.outputs and _not_negative(net, op.input(0), same):
            same[op.outputs[0]] = same.get(op.input(0), op.input(0))
    if not same:
        return content, 0
    net.graph.operators = [
        copied(part, inputs=packed([same.get(index, index) for index in ints(part.inputs)]))
        for part in net.graph.operators
        if not same.keys() & set(ints(part.outputs))
    ]
    return write_model(net.model), len(same)


def _not_negative(net: Net, index: int, same: dict[int, int]) -> bool:
    maker = net.maker.get(same.get(index, index))
    return maker is not None and (maker.name in ("RELU", "RELU6") or _fused(maker) in NOT_NEGATIVE)


def _fused(op: Op) -> int:
    """The activation an operator ends in; 0: none."""
    options, number = op.part.options, ACTIVATION.get(op.name)
    if options is None or number is None or number >= len(options.fields) or not options.fields[number]:
        return 0
    return options.content[options.fields[number]]

"""Recognises models by the operators behind their heads: MoveNet's search, Coral's PoseNet decoder."""

from __future__ import annotations

import math

from edgepose.engine.surgery.flexbuffer import read_map
from edgepose.engine.surgery.found import Found, Shaped, is_map, stride_of
from edgepose.engine.surgery.net import Net, Op
from edgepose.engine.surgery.personlab import personlab

POSENET_DECODER = "PosenetDecoderOp"
HEADS = 3
"""What that operator reads first: heatmaps, short and mid-range offsets."""
USUAL_BIAS = 1.8
"""Cells that MoveNet adds to a distance before it divides by it."""


def posenet_decoder(net: Net) -> Found | None:
    """PoseNet or BodyPix with Coral's decoder operator at its end: what it reads are the heads."""
    found = [op for op in net.ops if op.custom and op.name == POSENET_DECODER and len(op.inputs) >= HEADS]
    if len(found) != 1 or min(found[0].inputs[:HEADS]) < 0:
        return None
    asked = list(found[0].inputs[:HEADS])  # BodyPix has long offsets behind them
    raw = [net.same_values(index) for index in asked]
    if len({net.values[index].dtype for index in raw}) > 1:  # one decoder reads one type
        raw = asked
    options, warning = _decoder_options(found[0])
    return personlab(net, raw, options, [warning] if warning else [])


def _decoder_options(op: Op) -> tuple[dict[str, float], str]:
    """nms_radius, score_threshold and stride of the operator, as far as it says them; a warning or nothing."""
    try:
        said = read_map(op.part.custom_options or b"")
    except ValueError as error:
        return {}, f"the options of {POSENET_DECODER} cannot be read ({error}); the usual ones are taken"
    options: dict[str, float] = {}
    for name, low, high in (("stride", 1, 64), ("nms_radius", 0, 1000), ("score_threshold", 1e-6, 1 - 1e-6)):
        value = said.get(name)
        if value is None or not math.isfinite(value) or not low <= value <= high:
            return {}, f"{POSENET_DECODER} says {name} = {value}, which cannot be; the usual options are taken"
        options[name] = int(value) if name == "stride" else float(f"{value:.6g}")
    return options, ""


def movenet(net: Net) -> Found | None:
    """MoveNet SinglePose: it gathers coarse joints at one centre, then an offset and a score at each joint's peak."""
    heads: dict[str, int] = {}
    for op in net.ops:
        source, places = net.value(op.input(0)), net.value(op.input(1))
        if op.name == "ARG_MAX" and "center" not in heads:
            heads["center"] = net.same_values(source.index, ("RESHAPE",))
        if op.name != "GATHER_ND" or not is_map(source) or len(places.shape) != 2:
            continue
        if places.shape[1] == 3 and source.shape[3] % 2 == 0:
            heads["regress" if places.shape[0] == 1 else "offset"] = source.index
        elif places.shape[1] == 4:
            heads["heatmap"] = net.same_values(source.index)
    if len(heads) < 4:
        return None
    heads["heatmap"] = _finest(net, heads["heatmap"])
    heat = net.values[heads["heatmap"]]
    _, height, width, joints = heat.shape
    like_heat = all(net.values[heads[role]].shape == (1, height, width, 2 * joints) for role in ("regress", "offset"))
    center = _center(net, heads["center"], (1, height, width, 1))
    if joints != 17 or not like_heat or center is None:
        return None
    options = {
        "people_head": "single",
        "stride": stride_of(net, heat),
        "distance_bias": _bias(net),
        "min_person_score": 0.2,
        "min_joint_score": 0.2,
    }
    if center[1]:
        options["center_weighted"] = True
    roles = {"center": center[0], "regress": heads["regress"], "heatmap": heat.index, "offset": heads["offset"]}
    return Found("MoveNet SinglePose", "movenet", roles, "coco17", options, span=(0.0, 255.0))


def _finest(net: Net, index: int) -> int:
    """Of the outputs of one operator that hold the same map, the one in the smallest steps."""
    value, maker = net.values[index], net.maker.get(index)
    if maker is None:
        return index
    same = [net.values[other] for other in maker.outputs]
    like = [other for other in same if (other.shape, other.dtype, other.zero_point) == (
        value.shape, value.dtype, value.zero_point)]  # fmt: skip
    return min(like, key=lambda other: other.scale).index


def _center(net: Net, index: int, shape: tuple[int, ...]) -> tuple[int | Shaped, bool] | None:
    """The map of people's centres, and whether it is already weighted by the distance to the middle."""
    op = net.made_by(index, "MUL")
    if op:  # weighted in the graph: the plain map lies before it
        plain = [other for other in op.inputs if net.value(other).shape == shape and net.values[other].constant is None]
        return (plain[0], False) if len(plain) == 1 else None
    value = net.values[index]
    if value.shape == shape:
        return index, True
    flat = value.shape == (1, shape[1] * shape[2], 1)
    return (Shaped(index, shape), True) if flat else None


def _bias(net: Net) -> float:
    """Cells added to the distance before a heatmap is divided by it."""
    for op in net.ops:
        if op.name == "ADD" and len(op.inputs) == 2:
            for one, other in (op.inputs, op.inputs[::-1]):
                number = net.value(other).real()
                if len(number) == 1 and net.made_by(net.same_values(one), "SQRT") and 0 < number[0] <= 100:
                    return round(float(number[0]), 3)
    return USUAL_BIAS

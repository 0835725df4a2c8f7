"""Recognises models whose outputs are no maps but rows of numbers: coordinates, bins, boxes with joints."""

from __future__ import annotations

from typing import Any

from edgepose.engine.surgery.found import Found
from edgepose.engine.surgery.net import Net, Value
from edgepose.engine.surgery.shapes import INPUT_UNKNOWN, is_float

SKELETON_OF = {13: "body13", 14: "aic14", 16: "mpii16", 17: "coco17", 33: "blazepose33"}
"""Joints -> the skeleton that most models of as many have."""
SCORES = {"min_person_score": 0.2, "min_joint_score": 0.2}
VISIBLE = {"min_joint_score": 0.5}
"""Of BlazePose's landmarks, which have a place where nothing is seen too."""
MAX_SPLIT = 16
Roles = dict[str, tuple[int, ...]]
BLAZEPOSE: dict[str, tuple[Roles, Roles, str, tuple[float, float]]] = {
    "detector": ({"boxes": (1, 2254, 12), "scores": (1, 2254, 1)}, {}, "blazepose4", (-1.0, 1.0)),
    "detector, 128x128": ({"boxes": (1, 896, 12), "scores": (1, 896, 1)}, {}, "blazepose4", (-1.0, 1.0)),
    "landmarks": (
        {"landmarks": (1, 195), "flag": (1, 1)},
        {"heatmap": (1, 64, 64, 39), "world": (1, 117)},
        "blazepose33",
        (0.0, 1.0),
    ),
}
"""Part -> heads, heads that may be missing, skeleton, span of the input."""


def movenet_outputs(net: Net) -> Found | None:
    """MoveNet as it is, where its search cannot be cut off: one person, or six with their boxes."""
    values = outputs_of(net)
    kinds = {(1, 1, 17, 3): ("one person", "movenet"), (1, 6, 56): ("six people", "movenet_multi")}
    if len(values) != 1 or values[0].shape not in kinds:
        return None
    people, kind = kinds[values[0].shape]
    _, height, width, _ = net.picture.shape
    return Found(
        what=f"MoveNet's own outputs, {people}",
        decoder="regression",
        heads={"pose": values[0].index},
        skeleton="coco17",
        options={"kind": kind, "input_wh": [width, height], **SCORES},
        span=(0.0, 255.0),
        warnings=["the graph's own search for joints stays in it: it is slower and, in int8, coarser than edgepose's"],
    )


def coordinates(net: Net) -> Found | None:
    """A vector of joints: [1, 2K], [1, K, 2] or [1, K, 3]."""
    values = outputs_of(net)
    if len(values) != 1:
        return None
    shape = values[0].shape
    if len(shape) == 2:
        shape = (shape[0], shape[1] // 2, 2) if shape[1] % 2 == 0 else ()
    if len(shape) != 3 or shape[0] != 1 or shape[1] not in SKELETON_OF or shape[2] not in (2, 3):
        return None
    _, joints, numbers = shape
    _, height, width, _ = net.picture.shape
    options = {"values": "xy" if numbers == 2 else "xy_score", "units": "normalised", "input_wh": [width, height]}
    guess = "x, y" if numbers == 2 else "x, y, score"
    return _guessed(
        net,
        f"coordinates of {joints} joints",
        "regression",
        {"pose": values[0]},
        SKELETON_OF[joints],
        options,
        f"{guess} of each joint in 0..1 of the input is a guess: see decoder.options.values and units",
    )


def simcc(net: Net) -> Found | None:
    """Two rows of bins per joint, one across and one down the picture (RTMPose)."""
    values = outputs_of(net)
    if len(values) != 2 or any(len(value.shape) != 3 or value.shape[0] != 1 for value in values):
        return None
    _, height, width, _ = net.picture.shape
    for x, y in (values, values[::-1]):
        split = x.shape[2] / width
        fits = x.shape[1] == y.shape[1] in SKELETON_OF and x.shape[2] * height == y.shape[2] * width
        if fits and 1 <= split <= MAX_SPLIT:
            heads = {"simcc_x": x, "simcc_y": y}
            what = f"SimCC, {x.shape[1]} joints"
            return _guessed(net, what, "simcc", heads, SKELETON_OF[x.shape[1]], {"split": float(split)})
    return None


def _guessed(
    net: Net, what: str, decoder: str, heads: dict[str, Value], skeleton: str, options: dict[str, Any], *warnings: str
) -> Found:
    return Found(
        what=what,
        decoder=decoder,
        heads={role: value.index for role, value in heads.items()},
        skeleton=skeleton,
        options={**options, **SCORES},
        warnings=[*warnings, *([INPUT_UNKNOWN] if is_float(net) else [])],
    )


def outputs_of(net: Net) -> list[Value]:
    """What it gives, before operators that only write it in another type."""
    return [net.values[net.same_values(index)] for index in net.outputs]


def blazepose(net: Net) -> Found | None:
    """MediaPipe's person detector, or its landmark model."""
    shapes = {value.shape: value.index for value in outputs_of(net)}
    for part, (roles, optional, skeleton, span) in BLAZEPOSE.items():
        if all(shape in shapes for shape in roles.values()):
            wanted = roles | {role: shape for role, shape in optional.items() if shape in shapes}
            return Found(
                what=f"BlazePose, {part}",
                decoder="blazepose",
                heads={role: shapes[shape] for role, shape in wanted.items()},
                skeleton=skeleton,
                options={"part": part.split(",")[0]} | (VISIBLE if part == "landmarks" else {}),
                span=span,
            )
    return None


def box_heatmap(net: Net) -> Found | None:
    """Mask R-CNN: boxes, and for each box one small map per joint; the first axis counts boxes."""
    values = outputs_of(net)
    boxes = [value for value in values if len(value.shape) == 2 and value.shape[1] == 4]
    maps = [value for value in values if len(value.shape) == 4 and boxes and value.shape[0] == boxes[0].shape[0]]
    if len(boxes) != 1 or len(maps) != 1:
        return None
    first, *sides, last = maps[0].shape[1:]
    layout, joints, square = (
        ("nchw", first, sides[0] == last) if sides[0] == last else ("nhwc", last, first == sides[0])
    )
    if joints not in SKELETON_OF or not square:
        return None
    heads = {"heatmap": maps[0], "boxes": boxes[0]}
    scores = [value for value in values if value.shape == boxes[0].shape[:1]]
    if len(scores) == 1:
        heads["scores"] = scores[0]
    return Found(
        what=f"boxes with heatmaps of {joints} joints",
        decoder="box_heatmap",
        heads={role: value.index for role, value in heads.items()},
        skeleton=SKELETON_OF[joints],
        options={"people": "per_box", "layout": layout, **SCORES},
        keep_first=frozenset(heads),
        warnings=[
            "boxes are taken as left, top, right, bottom in model pixels: see options.box_order and box_unit_xy",
            *([INPUT_UNKNOWN] if is_float(net) else []),
        ],
    )

"""Recognises models whose outputs are no maps but rows of numbers: coordinates, bins, boxes with joints."""

from __future__ import annotations

from typing import Any

from edgepose.engine.surgery.found import Found
from edgepose.engine.surgery.net import Net, Value
from edgepose.engine.surgery.shapes import INPUT_UNKNOWN, is_float

SKELETON_OF = {13: "body13", 14: "aic14", 16: "mpii16", 17: "coco17", 33: "blazepose33"}
"""Joints -> the skeleton that most models of as many have."""
SCORES = {"min_person_score": 0.2, "min_joint_score": 0.2}
MAX_SPLIT = 16
YOLO_BOX, YOLO_SUPPRESSED = 5, 6
"""Numbers before the joints of an anchor: box and one class; of a person: corners, score, class."""
UNITS_END = 16.0
"""An int8 head that holds more than this counts pixels."""
Roles = dict[str, tuple[int, ...]]
BLAZEPOSE: dict[str, tuple[Roles, Roles, str, tuple[float, float]]] = {
    "detector": ({"boxes": (1, 2254, 12), "scores": (1, 2254, 1)}, {}, "blazepose4", (-1.0, 1.0)),
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
    values = _outputs(net)
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
    values = _outputs(net)
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
    values = _outputs(net)
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


def _outputs(net: Net) -> list[Value]:
    return [net.values[net.same_values(index)] for index in net.outputs]


def yolo_pose(net: Net) -> Found | None:
    """Ultralytics' export: at each of many anchors a box, a score and joints of x, y, score; or people told apart."""
    values = _outputs(net)
    if len(values) != 1 or len(values[0].shape) != 3 or values[0].shape[0] != 1:
        return None
    head = values[0]
    channels = min(head.shape[1:])
    suppressed = head.shape[2] == channels and _yolo_joints(channels - YOLO_SUPPRESSED)
    joints = suppressed or _yolo_joints(channels - YOLO_BOX)
    if not joints or max(head.shape[1:]) <= channels:
        return None
    _, height, width, _ = net.picture.shape
    in_pixels = head.is_byte and 255 * head.scale > UNITS_END
    units = "pixels" if in_pixels else "normalised"
    return Found(
        what=f"YOLO-pose, {joints} joints" + (", each person once" if suppressed else ""),
        decoder="yolo_pose",
        heads={"pose": head.index},
        skeleton=SKELETON_OF[joints],
        options={
            "input_wh": [width, height],
            "units": units,
            **({"suppressed": True} if suppressed else {}),
            "min_person_score": 0.25,
            "min_joint_score": 0.2,
        },
        span=(0.0, 1.0),
        pad=114,
    )


def _yolo_joints(numbers: int) -> int:
    """Joints of x, y, score in so many numbers; 0: none that is known."""
    return numbers // 3 if numbers % 3 == 0 and numbers // 3 in SKELETON_OF else 0


def blazepose(net: Net) -> Found | None:
    """MediaPipe's person detector, or its landmark model."""
    shapes = {value.shape: value.index for value in _outputs(net)}
    for part, (roles, optional, skeleton, span) in BLAZEPOSE.items():
        if all(shape in shapes for shape in roles.values()):
            wanted = roles | {role: shape for role, shape in optional.items() if shape in shapes}
            return Found(
                what=f"BlazePose, {part}",
                decoder="blazepose",
                heads={role: shapes[shape] for role, shape in wanted.items()},
                skeleton=skeleton,
                options={"part": part},
                span=span,
            )
    return None


def box_heatmap(net: Net) -> Found | None:
    """Mask R-CNN: boxes, and for each box one small map per joint; the first axis counts boxes."""
    values = _outputs(net)
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

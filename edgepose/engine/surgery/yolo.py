"""Recognises YOLO-pose exports: in one head or three, each person once, or as the last convolutions leave it."""

from __future__ import annotations

import math
from typing import Any

from edgepose.engine.surgery.found import Found
from edgepose.engine.surgery.net import Net, Value
from edgepose.engine.surgery.rows import SKELETON_OF, outputs_of

BOX, SUPPRESSED = 5, 6
"""Numbers before the joints of an anchor: box and one class; of a person: corners, score, class."""
UNITS_END = 16.0
"""An int8 head that holds more than this counts pixels."""
STRIDES = (8, 16, 32, 64)
DISTRIBUTION = 64
"""Channels of a box whose sides are distributions over 16 cells."""
MOST_CLASSES = 100
LEAST_CELLS = 4
OTHER = {"min_person_score": 0.25, "min_joint_score": 0.2}


def yolo_pose(net: Net) -> Found | None:
    """One head: at each of many anchors a box, a score and joints of x, y, score; or people told apart."""
    values = outputs_of(net)
    if len(values) != 1 or len(values[0].shape) != 3 or values[0].shape[0] != 1:
        return None
    head = values[0]
    channels = min(head.shape[1:])
    suppressed = head.shape[2] == channels and _joints(channels - SUPPRESSED)
    joints = suppressed or _joints(channels - BOX)
    if not joints or max(head.shape[1:]) <= channels:
        return None
    in_pixels = head.is_byte and 255 * head.scale > UNITS_END
    options = {"units": "pixels" if in_pixels else "normalised", **({"suppressed": True} if suppressed else {})}
    return _found(net, {"pose": head}, joints, options, ", each person once" if suppressed else "")


def yolo_split(net: Net) -> Found | None:
    """Three decoded heads, each with a scale of its own: boxes of 4, scores, joints."""
    values = outputs_of(net)
    anchors = sum(_cells(net, stride) for stride in STRIDES[:3])
    shapes = [_channels(value, anchors) for value in values]
    if len(values) != 3 or 0 in shapes or shapes.count(4) != 1:
        return None
    heads = {"boxes": values[shapes.index(4)]}
    joints = 0
    for value, channels in zip(values, shapes, strict=True):
        if channels == 4:
            continue
        role = "keypoints" if _joints(channels) else "scores"
        heads[role], joints = value, joints or _joints(channels)
    pixels = any(head.is_byte and 255 * head.scale > UNITS_END for role, head in heads.items() if role != "scores")
    options = {"units": "pixels" if pixels else "normalised"}
    return _found(net, heads, joints, options, ", heads apart") if len(heads) == 3 else None


def yolo_grids(net: Net) -> Found | None:
    """Heads of each stride as the last convolutions leave them: Vela's and Himax's exports, Hailo's."""
    heads: dict[str, Value] = {}
    joints = 0
    for value in outputs_of(net):
        role, count = _raw_role(net, value)
        if not role or role in heads:
            return None
        heads[role], joints = value, joints or count
    strides = [stride for stride in STRIDES if f"boxes_{stride}" in heads]
    scored = all(f"scores_{stride}" in heads or _holds_scores(net, heads, stride) for stride in strides)
    placed = all("keypoints" in heads or f"keypoints_{stride}" in heads for stride in strides)
    if not strides or not joints or not scored or not placed:
        return None
    logits = not all(_is_likelihood(net, value) for role, value in heads.items() if role.startswith("scores"))
    return _found(net, heads, joints, {"score_logits": logits}, ", nothing decoded")


def _raw_role(net: Net, value: Value) -> tuple[str, int]:
    """Role of a head of one stride, or of the joints of all, and joints; empty where it is none.

    Of several ways to read it the one with the channels that such heads usually have.
    """
    readings = []
    for stride in STRIDES:
        channels = _channels(value, _cells(net, stride))
        role, rank = _kind(channels)
        if role:
            readings.append((rank, f"{role}_{stride}", _joints(channels)))
    for several in (STRIDES[:3], STRIDES):
        channels = _channels(value, sum(_cells(net, stride) for stride in several))
        if _joints(channels):
            readings.append((0, "keypoints", _joints(channels)))
    return min(readings)[1:] if readings else ("", 0)


def _kind(channels: int) -> tuple[str, int]:
    """What so many numbers at a cell usually are, and how unusual that is."""
    if _joints(channels):
        return "keypoints", 0
    if DISTRIBUTION <= channels <= DISTRIBUTION + MOST_CLASSES:
        return "boxes", 1
    if channels == 4:
        return "boxes", 3
    return ("scores", 2 if channels == 1 else 4) if 0 < channels <= MOST_CLASSES else ("", 0)


def _holds_scores(net: Net, heads: dict[str, Value], stride: int) -> bool:
    return _channels(heads[f"boxes_{stride}"], _cells(net, stride)) > DISTRIBUTION


def _cells(net: Net, stride: int) -> int:
    _, height, width, _ = net.picture.shape
    return -(-height // stride) * -(-width // stride)


def _channels(value: Value, cells: int) -> int:
    """Numbers at each of so many cells, whichever way they lie; 0: it has not so many cells."""
    shape = value.shape[1:]
    if cells < LEAST_CELLS or len(shape) not in (2, 3) or value.shape[0] != 1:
        return 0
    if math.prod(shape[:-1]) == cells:
        return shape[-1]
    return shape[0] if math.prod(shape[1:]) == cells else 0


def _is_likelihood(net: Net, value: Value) -> bool:
    """Whether scores are 0..1 already: behind a sigmoid, or quantised to no more."""
    if value.is_byte:
        low = -128 if value.dtype == "int8" else 0
        return value.zero_point == low and 250 * value.scale < 1.01
    return net.made_by(net.same_values(value.index, ("RESHAPE", "TRANSPOSE", "DEQUANTIZE")), "LOGISTIC") is not None


def _joints(numbers: int) -> int:
    """Joints of x, y, score in so many numbers; 0: none that is known."""
    return numbers // 3 if numbers % 3 == 0 and numbers // 3 in SKELETON_OF else 0


def _found(net: Net, heads: dict[str, Value], joints: int, options: dict[str, Any], what: str) -> Found:
    _, height, width, _ = net.picture.shape
    return Found(
        what=f"YOLO-pose, {joints} joints{what}",
        decoder="yolo_pose",
        heads={role: value.index for role, value in heads.items()},
        skeleton=SKELETON_OF[joints],
        options={"input_wh": [width, height], **options, **OTHER},
        span=(0.0, 1.0),
        pad=114,
    )

"""PoseNet's heads, with or without its decoder operator, and the ways they have been spoilt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepose.engine.surgery.found import Found, is_map, stride_of
from edgepose.engine.surgery.net import Net, Value

JOINTS, BONES = 17, 16
CHANNELS = {"heatmap": JOINTS, "short_offset": 2 * JOINTS, "mid_offset": 4 * BONES}
REACH_PX = 32.0
"""Short offsets are trained within this many pixels of a joint (PersonLab, section 3.1: a disk of radius R = 32)."""
LOST = 0.1
"""Share of that disk that may lie beyond what a head can hold."""
USUAL = {"nms_radius": 10.0, "score_threshold": 0.2}


def personlab(
    net: Net, tensors: Sequence[int], options: dict[str, Any] | None = None, warnings: Sequence[str] = ()
) -> Found | None:
    """PoseNet, if the tensors are its three heads; told apart by their channels."""
    values = [net.values[index] for index in tensors]
    heads: dict[str, Value] = {}
    for role, channels in CHANNELS.items():
        fitting = [value for value in values if is_map(value, channels)]
        if len(fitting) != 1:
            return None
        heads[role] = fitting[0]
    if len({(value.shape[1:3], value.dtype) for value in heads.values()}) > 1:
        return None
    made = {"stride": stride_of(net, heads["heatmap"]), **USUAL, **(options or {})}
    return Found(
        what="PoseNet",
        decoder="personlab",
        heads={role: value.index for role, value in heads.items()},
        skeleton="coco17",
        options={**made, "min_person_score": 0.2, "min_joint_score": 0.2},
        span=(-1.0, 1.0),
        resize="nearest",
        fit="stretch",
        warnings=[*warnings, *_clipped(heads["short_offset"])],
    )


def _clipped(head: Value) -> list[str]:
    """A warning if the short offsets are quantised to less than they have to reach."""
    if not head.is_byte:
        return []
    limits = np.iinfo(head.dtype)
    low, high = ((int(end) - head.zero_point) * head.scale for end in (limits.min, limits.max))
    lost = 1 - _within(min(-low, high)) / (math.pi * REACH_PX**2)
    if lost <= LOST:
        return []
    return [
        f"short_offset holds {low:.1f}..{high:.1f} px only, but offsets reach {REACH_PX:g} px: in {lost:.0%} of a "
        "joint's surroundings they are clipped and joints land beside their place; "
        "take the build of this model with the decoder in it (NAME_decoder.tflite) and import that"
    ]


def _within(half: float) -> float:
    """Square pixels that a disk of radius REACH_PX shares with a square of +-half."""
    step = REACH_PX / 512
    side = np.arange(-REACH_PX + step / 2, REACH_PX, step)
    x, y = np.meshgrid(side, side)
    return float(np.sum((x**2 + y**2 <= REACH_PX**2) & (np.maximum(abs(x), abs(y)) <= half)) * step**2)

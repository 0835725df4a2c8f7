"""PoseNet's heads, with or without its decoder operator, and the ways they have been spoilt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepose.engine.surgery.found import Found, is_map, stride_of
from edgepose.engine.surgery.net import Net, Value

JOINTS, BONES = 17, 16
CHANNELS = {"heatmap": JOINTS, "short_offset": 2 * JOINTS}
MID, HALF = 4 * BONES, 2 * BONES
"""Channels of the mid-range offsets: all in one head (Coral), or outwards and inwards in two (Google)."""
ROLES = ("heatmap", "short_offset", "mid_offset", "mid_forward", "mid_backward")
INWARDS = ("bwd", "backward")
"""In the name of the second of those."""
REACH_PX = 32.0
"""Short offsets are trained within this many pixels of a joint (PersonLab, section 3.1: a disk of radius R = 32)."""
LOST = 0.1
"""Share of that disk that may lie beyond what a head can hold."""
USUAL = {"nms_radius": 10.0, "score_threshold": 0.2}


def personlab(
    net: Net, tensors: Sequence[int], options: dict[str, Any] | None = None, warnings: Sequence[str] = ()
) -> Found | None:
    """PoseNet, if its heads are among the tensors; told apart by their channels, BodyPix's further ones left out."""
    values = [net.values[index] for index in tensors]
    heads = _mid_offsets(values)
    for role, channels in CHANNELS.items():
        fitting = [value for value in values if is_map(value, channels)]
        if not heads or not fitting:
            return None
        heads[role] = next((value for value in fitting if "long" not in value.name.lower()), fitting[0])
    heads["heatmap"] = _logits(net, heads["heatmap"])
    if len({(value.shape[1:3], value.dtype) for value in heads.values()}) > 1:
        return None
    made = {"stride": stride_of(net, heads["heatmap"]), **USUAL, **(options or {})}
    return Found(
        what="PoseNet",
        decoder="personlab",
        heads={role: heads[role].index for role in ROLES if role in heads},
        skeleton="coco17",
        options={**made, "min_person_score": 0.2, "min_joint_score": 0.2},
        span=(-1.0, 1.0),
        resize="nearest",
        fit="stretch",
        warnings=[*warnings, *_clipped(heads["short_offset"])],
    )


def _mid_offsets(values: Sequence[Value]) -> dict[str, Value]:
    """The mid-range offsets, in one head or in two; empty where there are none."""
    joined = [value for value in values if is_map(value, MID)]
    halves = [value for value in values if is_map(value, HALF)]
    if len(joined) == 1:
        return {"mid_offset": joined[0]}
    if joined or len(halves) != 2:
        return {}
    if any(word in halves[0].name.lower() for word in INWARDS):
        halves.reverse()
    return {"mid_forward": halves[0], "mid_backward": halves[1]}


def _logits(net: Net, heat: Value) -> Value:
    """The heatmap before a sigmoid in the graph: the decoder wants logits, and an int8 sigmoid is coarse."""
    sigmoid = net.made_by(heat.index, "LOGISTIC")
    return heat if sigmoid is None else net.values[net.same_values(sigmoid.input(0))]


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

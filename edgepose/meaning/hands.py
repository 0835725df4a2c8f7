"""Where the hands are, in torso lengths: for gestures that are held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning import joints as j
from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

HANDS = {
    "left_hand_up": ("torso", "left wrist above the head: its nose, else a third of a torso over the shoulders"),
    "right_hand_up": ("torso", "right wrist above the head"),
    "left_arm_reach": ("torso", "left wrist from its shoulder, any direction: a straight arm is 1.15"),
    "right_arm_reach": ("torso", "right wrist from its shoulder"),
    "left_arm_rise_deg": ("deg", "left arm, shoulder to wrist, above the horizontal"),
    "right_arm_rise_deg": ("deg", "right arm, shoulder to wrist, above the horizontal"),
    "left_arm_out": ("torso", "left wrist outwards of its shoulder, across the picture"),
    "right_arm_out": ("torso", "right wrist outwards of its shoulder, across the picture"),
    "hands_apart": ("torso", "between the wrists"),
    "crossed": ("torso", "how far each wrist is at the other elbow's side, in front of the trunk; the lesser of both"),
    "left_hand_head": ("torso", "left wrist from the ear or eye of its side, else from the nose"),
    "right_hand_head": ("torso", "right wrist from the ear or eye of its side, else from the nose"),
    "one_arm_out": ("torso", "how much further one wrist reaches sideways than the other"),
}
EAR_OVER_SHOULDER = 0.45
"""Torso lengths."""


def hands(body: Body) -> Floats:
    """(N, 13) in the order of HANDS."""
    xy, size = body.xy, body.size
    shoulders, elbows, wrists = xy[:, 5:7], xy[:, 7:9], xy[:, 9:11]
    arm = (wrists - shoulders) / size[:, None, None]
    reach = np.sqrt(np.einsum("nsd,nsd->ns", arm, arm))
    rise = np.degrees(np.arctan2(-arm[..., 1], np.abs(arm[..., 0])))
    brow = body.shoulder[:, 1] - EAR_OVER_SHOULDER * size
    top = np.fmin(xy[:, j.NOSE, 1], brow)
    up = (top[:, None] - wrists[..., 1]) / size[:, None]
    away = _outwards(shoulders)
    out = arm[..., 0] * away
    apart = wrists[:, 0] - wrists[:, 1]
    apart_len = np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2) / size
    return np.concatenate(
        (
            up, reach, rise, out, apart_len[:, None], _crossed(body, elbows, wrists)[:, None],
            _at_head(body, wrists), np.abs(np.abs(arm[:, :1, 0]) - np.abs(arm[:, 1:, 0])),
        ),
        axis=1,
    )  # fmt: skip


def _outwards(shoulders: Floats) -> Floats:
    """(N, 2) the sign of x that leads away from the trunk on the left and on the right."""
    left = np.sign(shoulders[:, 0, 0] - shoulders[:, 1, 0])
    return np.stack((left, -left), axis=1)


def _crossed(body: Body, elbows: Floats, wrists: Floats) -> Floats:
    """Each wrist past the trunk's middle, towards the other elbow, between shoulders and hips."""
    away = _outwards(body.xy[:, 5:7])
    middle = (body.shoulder[:, 0] + body.hip[:, 0]) / 2
    past = (middle[:, None] - wrists[..., 0]) * away / body.size[:, None]
    y = wrists[..., 1]
    height = (body.hip[:, 1] - body.shoulder[:, 1])[:, None]
    inside = (y > body.shoulder[:, 1:]) & (y < body.hip[:, 1:] - 0.1 * height)
    bent = elbows[..., 1] > y - 0.35 * body.size[:, None]
    depth = np.where(inside & bent, past, np.where(np.isnan(past), np.nan, -1.0))
    return np.asarray(depth.min(1), np.float64)


def _at_head(body: Body, wrists: Floats) -> Floats:
    ears = body.xy[:, 3:5]
    eyes = body.xy[:, 1:3]
    face = np.where(np.isnan(ears), eyes, ears)
    face = np.where(np.isnan(face), body.xy[:, j.NOSE, None], face)
    span = wrists - face
    return np.asarray(np.sqrt(np.einsum("nsd,nsd->ns", span, span)) / body.size[:, None], np.float64)

"""Where the hands are, in torso lengths: for gestures that are held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    made = np.empty((len(body), len(HANDS)))
    body.loops.hands(body.xy, body.middles, body.size, EAR_OVER_SHOULDER, made)
    return made

"""Which way a face looks, coarsely, from five points: turned and tilted can be told, nodding hardly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

HEADS = {
    "turned": ("1", "the nose towards one ear: -1 to the person's right, 0 facing the camera, 1 to the person's left"),
    "head_drop": ("torso", "nose above the shoulders' middle: small when the head hangs"),
    "head_roll_deg": ("deg", "eyes against the shoulders' line: head tilted to the person's left is positive"),
    "neck": ("deg", "head against the trunk: 0 in line"),
    "back_seen": ("1", "1 where the person's left shoulder is on the picture's left: seen from behind"),
}


def heads(body: Body) -> Floats:
    """(N, 5) in the order of HEADS."""
    made = np.empty((len(body), len(HEADS)))
    body.loops.heads(body.xy, body.middles, body.size, made)
    return made

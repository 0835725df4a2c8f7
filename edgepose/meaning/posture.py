"""Upright, sitting, lying, bent, kneeling: what the trunk and the legs look like in one frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

POSTURES = ("upright", "sitting", "lying", "bent", "kneeling")
UPRIGHT, SITTING, LYING, BENT, KNEELING = range(5)

LYING_DEG = 55.0
"""Trunk against the vertical, from which somebody lies whose legs do not stand."""
BENT_DEG = 45.0
THIGH_DOWN = 0.5
"""Torso lengths that knees are below hips at least in somebody who stands; a thigh is 0.85."""
SHANK_DOWN = 0.35
SHORT_TRUNK = 0.5
"""Of its length: a trunk that shows less points at the camera, and its tilt says nothing."""
FLAT = 1.0
"""Torso lengths from shoulders down to feet, below which such a body lies."""


LIMITS = np.array((LYING_DEG, BENT_DEG, THIGH_DOWN, SHANK_DOWN, SHORT_TRUNK, FLAT))


def postures(body: Body) -> Floats:
    """(N, 9): tilt of the trunk in degrees, thigh and shank downwards in torso lengths, place in POSTURES or NaN.

    Then for each of POSTURES 1 or 0. Made once for a body.
    """
    if "postures" not in body.kept:
        made = body.kept["postures"] = np.empty((len(body), 4 + len(POSTURES)))
        body.loops.postures(body.xy, body.middles, body.size, LIMITS, made)
    return body.kept["postures"]

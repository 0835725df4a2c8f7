"""Upright, sitting, lying, bent, kneeling: what the trunk and the legs look like in one frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.body import ANKLE, HIP, KNEE, Body
from edgepose.meaning.joints import NOSE

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


def postures(body: Body) -> Floats:
    """As `_postures`; made once for a body."""
    if "postures" not in body.kept:
        body.kept["postures"] = _postures(body)
    return body.kept["postures"]


def _postures(body: Body) -> Floats:
    """(N, 4): tilt of the trunk in degrees, thigh and shank downwards in torso lengths, place in POSTURES or NaN."""
    size = body.size
    trunk = _axis(body)
    dx, dy = trunk[:, 0], trunk[:, 1]
    tilt = np.degrees(np.arctan2(np.abs(dx), -dy))
    y = body.middles[:, :, 1]
    thigh = _longer(body, HIP, KNEE) / size
    shank = _longer(body, KNEE, ANKLE) / size
    extent = (np.fmax(y[:, ANKLE], y[:, KNEE]) - y[:, 0]) / size
    short = np.sqrt(dx * dx + dy * dy) < SHORT_TRUNK * size
    stands = (thigh >= THIGH_DOWN) & ~(shank < SHANK_DOWN)
    kneels = (thigh >= THIGH_DOWN) & (shank < SHANK_DOWN)
    code = np.full(len(size), np.nan)
    known = ~np.isnan(tilt) & ~np.isnan(thigh)
    code[known & (tilt <= BENT_DEG) & kneels] = KNEELING
    code[known & (tilt <= BENT_DEG) & stands] = UPRIGHT
    code[known & (tilt <= LYING_DEG) & (thigh < THIGH_DOWN)] = SITTING
    code[known & (tilt > BENT_DEG) & (stands | kneels)] = BENT
    flat = np.where(short, extent < FLAT, (tilt > LYING_DEG) & ~(stands | kneels))
    code[flat & ~np.isnan(tilt)] = LYING
    code[np.isnan(size)] = np.nan
    return np.stack((tilt, thigh, shank, code), axis=1)


def _axis(body: Body) -> Floats:
    """(N, 2) the trunk; where shoulders or hips are hidden, from knees or ankles up to shoulders or nose."""
    trunk = body.trunk
    if not np.isnan(trunk[:, 0]).any():
        return trunk
    upper = np.where(np.isnan(body.shoulder), body.xy[:, NOSE], body.shoulder)
    lower = body.hip
    for joint in (KNEE, ANKLE):
        lower = np.where(np.isnan(lower), body.middles[:, joint], lower)
    return np.where(np.isnan(trunk), upper - lower, trunk)


def _longer(body: Body, upper: int, lower: int) -> Floats:
    """(N,) pixels that the lower joint is below the upper one, of the leg that reaches further down."""
    joint = (0, 11, 13, 15)
    left = body.xy[:, joint[lower], 1] - body.xy[:, joint[upper], 1]
    right = body.xy[:, joint[lower] + 1, 1] - body.xy[:, joint[upper] + 1, 1]
    return np.asarray(np.fmax(left, right), np.float64)

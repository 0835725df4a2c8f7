"""Joint and segment angles, in the conventions of Sports2D, and how far each lies in the picture's plane.

knee, hip, elbow  0 where the two bones are in line (straight leg, standing, straight arm), rising as they bend
shoulder          0 with the arm hanging along the trunk, 90 level, 180 straight up
ankle             0 with the foot square to the shank, -90 in line with it; only of skeletons with feet
trunk, thigh ...  anticlockwise from the picture's horizontal, from the lower or outer joint: an upright trunk is 90
neck              0 with the head in line with the trunk

All in degrees. From one camera they are right only as far as the limb lies in the picture's plane.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning import joints as j
from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

RELIABLE = 0.9
"""An angle is reliable when its shorter-seen bone shows at least this part of its length: within 26 degrees of the
plane."""

NEARLY = 0.95
"""A bone that shows this part of its length counts as lying in the plane."""

_HINGES = {
    "knee": (j.LEFT_HIP, j.LEFT_KNEE, j.LEFT_ANKLE, 2, 4),
    "hip": (j.LEFT_SHOULDER, j.LEFT_HIP, j.LEFT_KNEE, 0, 2),
    "elbow": (j.LEFT_SHOULDER, j.LEFT_ELBOW, j.LEFT_WRIST, 6, 8),
    "shoulder": (j.LEFT_HIP, j.LEFT_SHOULDER, j.LEFT_ELBOW, 0, 6),
}
"""Of the left side: outer, hinge, outer joint, and the two bones of body.BONES; the right side's are one higher."""
_STRAIGHT = {"knee": 180.0, "hip": 180.0, "elbow": 180.0, "shoulder": 0.0}

JOINT_ANGLES = tuple(f"{name}_{side}" for name in _HINGES for side in j.SIDES)
SEGMENTS = {
    f"{name}_{side}": (lower + right, upper + right)
    for right, side in enumerate(j.SIDES)
    for name, lower, upper in (
        ("thigh", j.LEFT_KNEE, j.LEFT_HIP),
        ("shank", j.LEFT_ANKLE, j.LEFT_KNEE),
        ("arm", j.LEFT_ELBOW, j.LEFT_SHOULDER),
        ("forearm", j.LEFT_WRIST, j.LEFT_ELBOW),
    )
}
"""Segment -> from, to."""
SEGMENT_ANGLES = ("trunk", *SEGMENTS)

_BOTH = [(name, tuple(place + side for place in hinge)) for name, hinge in _HINGES.items() for side in (0, 1)]
_PLACES = np.array([hinge for _, hinge in _BOTH])
_OFFSET = np.array([_STRAIGHT[name] for name, _ in _BOTH])
_ENDS = np.array(list(SEGMENTS.values()))
MEANS = ("knee", "hip", "elbow", "shoulder")
"""Angles of both sides in one: the mean, each side as far as it lies in the picture's plane."""


def joint_angles(body: Body, in_plane: Floats) -> Floats:
    """(N, 28) of JOINT_ANGLES the degrees, 0..180, and how much of each lies in the picture's plane; of MEANS the same.

    And MEANS as if seen from the side: a guess from lengths.

    in_plane  (N, 10) of the bones, as `Scale.in_plane` gives it
    """
    made = np.empty((len(body), 2 * len(JOINT_ANGLES) + 3 * len(MEANS)))
    body.loops.angles(body.xy, in_plane, _PLACES, _OFFSET, NEARLY, made)
    return made


def segment_angles(body: Body) -> Floats:
    """(N, 9) degrees, -180..180, in the order of SEGMENT_ANGLES."""
    made = np.empty((len(body), len(SEGMENT_ANGLES)))
    body.loops.segments(body.xy, body.middles, _ENDS, made)
    return made

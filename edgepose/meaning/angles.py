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

_TRIPLES = np.array([(a + s, b + s, c + s) for a, b, c, _, _ in _HINGES.values() for s in (0, 1)])
_A, _B, _C = (_TRIPLES[:, column].copy() for column in range(3))
_BONES = np.array([(p + s, q + s) for *_, p, q in _HINGES.values() for s in (0, 1)])
_P, _Q = _BONES[:, 0].copy(), _BONES[:, 1].copy()
_OFFSET = np.array([_STRAIGHT[name] for name in _HINGES for _ in j.SIDES])
_SIGN = np.where(_OFFSET > 0, -1.0, 1.0)
_FROM, _TO = (np.array([pair[end] for pair in SEGMENTS.values()]) for end in (0, 1))


def joint_angles(xy: Floats) -> Floats:
    """(N, 8) degrees, 0..180, in the order of JOINT_ANGLES; NaN where a joint is missing."""
    hinge = xy[:, _B]
    first, second = xy[:, _A] - hinge, xy[:, _C] - hinge
    cross = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    dot = first[..., 0] * second[..., 0] + first[..., 1] * second[..., 1]
    return np.asarray(_OFFSET + _SIGN * np.degrees(np.arctan2(np.abs(cross), dot)), np.float64)


def planes(in_plane: Floats) -> Floats:
    """(N, 8) of the joint angles, from (N, 10) of the bones: the worse of its two."""
    return np.asarray(np.minimum(in_plane[:, _P], in_plane[:, _Q]), np.float64)


def bends(xy: Floats, in_plane: Floats) -> Floats:
    """(N, 8) degrees of the joint angles as if seen from the side, from (N, 10) of the bones: a guess from lengths.

    What of a bone is not seen points at the camera or away; a hinge that bends lies before or behind both its ends.
    """
    hinge = xy[:, _B]
    first, second = xy[:, _A] - hinge, xy[:, _C] - hinge
    lengths = np.sqrt(np.einsum("nad,nad->na", first, first) * np.einsum("nad,nad->na", second, second))
    flat = np.einsum("nad,nad->na", first, second) / np.maximum(lengths, 1e-9)
    one, other = np.minimum(in_plane[:, _P] / NEARLY, 1.0), np.minimum(in_plane[:, _Q] / NEARLY, 1.0)
    cosine = flat * one * other + np.sqrt((1 - one * one) * (1 - other * other))
    return np.asarray(_OFFSET + _SIGN * np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.float64)


def segment_angles(body: Body) -> Floats:
    """(N, 9) degrees, -180..180, in the order of SEGMENT_ANGLES."""
    span = body.xy[:, _TO] - body.xy[:, _FROM]
    span = np.concatenate((body.trunk[:, None], span), axis=1)
    return np.asarray(np.degrees(np.arctan2(-span[..., 1], span[..., 0])), np.float64)

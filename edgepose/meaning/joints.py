"""The joints that rules speak of: COCO's seventeen, found by name in any skeleton."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17, Skeleton

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST = range(5, 11)
LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE = range(11, 17)
NAMES = COCO17.joints
SIDES = ("left", "right")
LIMBS = slice(5, 17)
"""Of the seventeen: all but the head's."""

STAND_INS = {"nose": ("head_top", "upper_neck", "neck")}
"""What serves, first wins, where a skeleton has no such joint."""


def places(skeleton: Skeleton) -> NDArray[np.intp]:
    """(17,) where each joint lies in the skeleton; -1 where it has none."""
    found = []
    for name in NAMES:
        wanted = (name, *STAND_INS.get(name, ()))
        found.append(next((skeleton.joints.index(one) for one in wanted if one in skeleton.joints), -1))
    return np.array(found, np.intp)


def missing(skeleton: Skeleton, needed: tuple[int, ...]) -> list[str]:
    """Names of the joints that are needed and that the skeleton has not."""
    where = places(skeleton)
    return [NAMES[joint] for joint in needed if where[joint] < 0]


def taken(xy: NDArray[np.float32], where: NDArray[np.intp] | None) -> NDArray[np.float64]:
    """(N, 17, 2) float64 of (N, K, 2); a joint of which either number is not finite is NaN in both.

    where  as `places` gives it; None: the skeleton is COCO's own
    """
    if where is None:
        points = xy.astype(np.float64)
    else:
        points = xy[:, where].astype(np.float64)
        points[:, where < 0] = np.nan
    bad = ~np.isfinite(points.sum(2))
    if bad.any():
        points[bad] = np.nan
    return points

"""Where to look closer: boxes around people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Skeleton
from edgepose.estimate.predictor import Box

F = np.float32
LEAST_SIDE_PX = 8.0
"""Of a box; nobody smaller can be made out."""
TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
TORSO_REACH, BODY_REACH = 1.9, 1.2
"""Half a box's side over the distance of the farthest joint from between the hips: of the torso, and of all."""


def around(xy: NDArray[np.float32], margin: float) -> Box | None:
    """The square around the known joints of a pose (K, 2), `margin` times as large; None: there are fewer than two."""
    known = xy[~np.isnan(xy).any(axis=1)]
    if len(known) < 2:
        return None
    low, high = known.min(axis=0), known.max(axis=0)
    return _square(low + high, max(float((high - low).max()) * margin, LEAST_SIDE_PX))


class BodyBox:
    """The next crop of a one-person model, from the person's last pose.

    Source: crop region of MoveNet's example code; there, a loop reads the variable of the one before, so that only
    the torso counts and long limbs are cut off. Here each joint has its own distance.
    """

    def __init__(self, skeleton: Skeleton, margin: float) -> None:
        """`margin` is for skeletons without shoulders and hips, and poses that show none of them."""
        names = skeleton.joints
        self.torso = [names.index(name) for name in TORSO] if set(TORSO) <= set(names) else []
        self.margin = margin

    def __call__(self, xy: NDArray[np.float32]) -> Box | None:
        """The square to look at for a pose (K, 2), NaN where a joint is unknown; None: look everywhere."""
        shoulders, hips = xy[self.torso[:2]], xy[self.torso[2:]]
        known = ~np.isnan(xy[:, 0])
        if np.isnan(shoulders).all() or np.isnan(hips).all():
            return around(xy, self.margin)
        middle = np.nanmean(hips, axis=0)
        distance = np.abs(xy - middle).max(axis=1)
        torso = float(np.nanmax(distance[self.torso]))
        body = float(distance[known].max())
        side = 2 * max(torso * TORSO_REACH, body * BODY_REACH)
        return _square(2 * middle, max(side, LEAST_SIDE_PX))


def _square(twice_middle: NDArray[np.float32], side: float) -> Box:
    x, y = (float(twice) / 2 for twice in twice_middle)
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def side_of(box: Box) -> float:
    """Pixels of a square's side."""
    return box[2] - box[0]

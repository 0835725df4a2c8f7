"""How a person is framed for a model that wants them upright: a square around the hips, turned along the body.

Source: MediaPipe's AlignmentPointsRectsCalculator, RectTransformationCalculator and the way BlazePose was trained: the
square holds a circle around the middle of the hips that holds the whole person, and a quarter more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import BLAZEPOSE4, Skeleton
from edgepose.estimate.boxes import LEAST_SIDE_PX, TORSO
from edgepose.estimate.predictor import Box

Point = NDArray[np.float32]
MARGIN = 1.25
"""Of the square's side over the circle's diameter."""
TORSO_REACH, BODY_REACH = 1.9, 1.1
"""The circle's radius over the distance from between the hips: of the shoulders, and of the farthest joint; crown and
toes are none."""


class Framed(NamedTuple):
    """What the model looks at."""

    box: Box
    degrees: float
    """As Turn says: clockwise from the frame's up to the person's."""


class Framing:
    """The frame of a pose of one skeleton."""

    def __init__(self, skeleton: Skeleton) -> None:
        names = skeleton.joints
        self._points = [names.index(name) for name in BLAZEPOSE4.joints[:2]] if skeleton == BLAZEPOSE4 else []
        self._torso = [names.index(name) for name in TORSO] if set(TORSO) <= set(names) else []

    def __call__(self, xy: NDArray[np.float32]) -> Framed | None:
        """Of a pose (K, 2), NaN where a joint is unknown; None: not all of hips and shoulders are."""
        if self._points:
            middle, top = xy[self._points]
            return _framed(middle, top - middle, float(np.hypot(*(top - middle))))
        if not self._torso or np.isnan(xy[self._torso]).any():
            return None
        shoulders, hips = xy[self._torso[:2]].mean(axis=0), xy[self._torso[2:]].mean(axis=0)
        up = shoulders - hips
        farthest = float(np.nanmax(np.hypot(*(xy - hips).T)))
        return _framed(hips, up, max(TORSO_REACH * float(np.hypot(*up)), BODY_REACH * farthest))


def _framed(middle: Point, up: Point, radius: float) -> Framed | None:
    if math.isnan(radius):
        return None
    half = max(radius * MARGIN, LEAST_SIDE_PX / 2)
    x, y = (float(each) for each in middle)
    return Framed((x - half, y - half, x + half, y + half), math.degrees(math.atan2(float(up[0]), -float(up[1]))))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes as if neither were turned."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    return both / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - both)

"""Why something cannot be judged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepose.meaning.base import Moment

SMALL_PX = 12.0
"""A torso shorter than this is too small to judge."""
BORDER = 0.02
"""Of the picture's longer side."""


def reason(moment: Moment, person: int, joints: Sequence[int], plane: float = 1.0) -> str:
    """One of records.REASONS for somebody's joints.

    plane  how much of what is asked for lies in the picture's plane
    """
    size = float(moment.body.size[person])
    if math.isfinite(size) and size < SMALL_PX:
        return "too small"
    lost = [joint for joint in joints if math.isnan(moment.body.xy[person, joint, 0])]
    if not lost:
        return "foreshortened" if plane < 0.5 else "hidden"
    return "cut off" if _at_border(moment, person) else "hidden"


def _at_border(moment: Moment, person: int) -> bool:
    """Some joint that is there lies at the border."""
    points = moment.body.xy[person]
    points = points[np.isfinite(points[:, 0])]
    if not len(points):
        return False
    width, height = moment.body.size_wh
    margin = max(BORDER * max(width, height), 0.25 * float(np.nan_to_num(moment.body.size[person])))
    low, high = points.min(0), points.max(0)
    return bool((low < margin).any() or (high > np.array((width, height)) - margin).any())

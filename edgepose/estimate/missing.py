"""Why a joint was not found: hidden, out of the picture, or doubtful."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import DOUBTFUL, HIDDEN, OUT, Poses, Skeleton

DOUBT = 0.5
"""A joint inside the picture with so much of the score that it needed is doubtful."""
EDGE = 0.03
"""Of the size of a body: places that near to the picture's edge are out of it; models put there what is beyond."""
REACH = 0.15
"""Of the size of a body: a limb that ends so near to an edge goes on outside."""
LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
SIDES = ("left_", "right_")


def told(poses: Poses, xy: NDArray[np.float32], score: NDArray[np.float32], least: NDArray[np.float32]) -> Poses:
    """The poses with `missing`.

    xy, score  (N, K, 2) and (N, K) as the model gives them, before joints were left out; NaN where it gives none
    least      (N,) score from which a joint is found
    """
    lost = np.isnan(poses.xy[..., 0])
    size = np.nan_to_num(_size(xy), nan=1.0)[:, None]
    inside = _from_edge(xy, poses.size_wh)
    out = lost & (inside < EDGE * size)  # nobody knows a place that is NaN: it is not less
    doubtful = lost & ~out & (inside >= EDGE * size) & (score >= DOUBT * least[:, None])
    near = inside < REACH * size
    for inner, outer in _outward(poses.skeleton):
        beyond = out[:, inner] | (near[:, inner] & (near[:, outer] | ~doubtful[:, outer]))
        out[:, outer] |= lost[:, outer] & beyond
    missing = np.where(lost, np.where(out, OUT, np.where(doubtful, DOUBTFUL, HIDDEN)), 0).astype(np.uint8)
    return poses.rows(slice(None), missing=missing)


def _size(xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) longer side of the box around all places, pixels; NaN: there is none."""
    box: NDArray[np.float32] = np.fmax.reduce(xy, axis=1) - np.fmin.reduce(xy, axis=1)
    longer: NDArray[np.float32] = box.max(axis=1)
    return longer


def _from_edge(xy: NDArray[np.float32], size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """(N, K) pixels from the nearest edge of the picture, below 0 outside."""
    far: NDArray[np.float32] = np.minimum(xy, np.array(size_wh, np.float32) - 1 - xy).min(axis=2)
    return far


def _outward(skeleton: Skeleton) -> list[tuple[int, int]]:
    """Pairs of neighbours along each limb, the one nearer to the trunk first, from the trunk outwards."""
    at = {name: index for index, name in enumerate(skeleton.joints)}
    named = [(side + inner, side + outer) for limb in LIMBS for side in SIDES for inner, outer in pairwise(limb)]
    return [(at[inner], at[outer]) for inner, outer in named if inner in at and outer in at]

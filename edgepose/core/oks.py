"""Object keypoint similarity: how alike two poses are, 1 the same, 0 nothing in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AREA_OF_BOX = 0.53
"""A person's area as a share of the box around its joints: the mean over COCO's people."""


def oks(xy: NDArray[np.float32], others: NDArray[np.float32], sigmas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Similarity of one pose to each of `others`, scaled by the larger of the two.

    xy (K, 2) and others (M, K, 2) in pixels, NaN where a joint is unknown; sigmas (K,). Returns (M,).
    Joints known on both sides count; with none in common the similarity is 0. Source: COCO keypoint evaluation.
    """
    return _alike(((others - xy) ** 2).sum(axis=2), np.maximum(_area(xy[None]), _area(others)), sigmas)


def _alike(
    distance2: NDArray[np.float32], area: NDArray[np.float32], sigmas: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(...,) similarity of pairs: squared distances (..., K), NaN where unknown, and areas (...,)."""
    both = ~np.isnan(distance2)
    alike = np.exp(-np.where(both, distance2, 0) / (2 * area[..., None] * (2 * sigmas) ** 2))
    mean: NDArray[np.float32] = (alike * both).sum(axis=-1) / np.maximum(both.sum(axis=-1), 1)
    return mean


def _area(xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Area of each pose (M, K, 2) in square pixels, at least 1."""
    known = ~np.isnan(xy)
    high = np.where(known, xy, -np.inf).max(axis=1)
    low = np.where(known, xy, np.inf).min(axis=1)
    size = np.where(np.isfinite(high), high - low, 0)
    area: NDArray[np.float32] = np.maximum(AREA_OF_BOX * size.prod(axis=1), 1.0)
    return area


def distinct(xy: NDArray[np.float32], sigmas: NDArray[np.float32], most_alike: float) -> list[int]:
    """Indices of poses (N, K, 2), best first, without those more alike than `most_alike` to a better one."""
    area = _area(xy)
    distance2 = ((xy[:, None] - xy[None]) ** 2).sum(axis=3)
    same = _alike(distance2, np.maximum(area[:, None], area), sigmas) > most_alike
    kept: list[int] = []
    for person in range(len(xy)):
        if not same[person, kept].any():
            kept.append(person)
    return kept

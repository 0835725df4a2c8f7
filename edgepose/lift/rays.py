"""A person's rays as a lifter takes them: turned so that the person is straight ahead, centred and of one size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F = np.float32
Array = NDArray[np.float64]
CLIP = 4.0
LEAST_FOUND = 4
"""Joints below which all count for the middle."""


class Facing(NamedTuple):
    """People seen by a camera that is turned to each of them."""

    xy: Array
    """(N, K, 2) rays x / z, y / z; 0 where there is none."""
    turn: Array
    """(N, 3, 3) from the camera's axes to those of the camera turned to the person."""
    found: NDArray[np.bool_]
    """(N, K)."""


def facing(rays: Array, score: NDArray[np.float32]) -> Facing:
    """Turn the camera to each person. rays (N, K, 2), score (N, K) 0 where a joint is missing."""
    found = (score > 0) & np.isfinite(rays).all(axis=-1)
    direction = np.concatenate([np.where(found[..., None], rays, 0), np.ones((*rays.shape[:2], 1))], axis=-1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    ahead = (direction * found[..., None]).sum(axis=1)
    ahead[:, 2] += 1e-9  # who is not seen at all is straight ahead
    turn = _turn_to(ahead / np.linalg.norm(ahead, axis=-1, keepdims=True))
    turned = np.einsum("nij,nkj->nki", turn, direction)
    xy = turned[..., :2] / np.maximum(turned[..., 2:], 1e-3)
    return Facing(np.where(found[..., None], xy, 0), turn, found)


def _turn_to(ahead: Array) -> Array:
    """(N, 3, 3) the shortest rotation that brings each direction (N, 3) straight ahead; no roll is added."""
    x, _, z = ahead.T
    level = np.hypot(x, z)
    right = np.stack([z / level, np.zeros_like(x), -x / level], -1)
    down = np.cross(ahead, right)
    return np.stack([right, down, ahead], -2)


def normalised(xy: Array, score: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, K, 3) x, y, score around the found joints' middle, in spreads; (N, 1) log of 8 times that spread."""
    found = score > 0
    few = found.sum(axis=1, keepdims=True) < LEAST_FOUND
    weight = np.where(few, True, found).astype(np.float64)
    total = weight.sum(axis=1, keepdims=True)
    middle = (xy * weight[..., None]).sum(axis=1) / total
    off = xy - middle[:, None]
    spread = np.maximum(np.sqrt(((off**2).sum(axis=-1) * weight).sum(axis=1, keepdims=True) / total), 1e-4)
    at = np.clip(off / spread[..., None], -CLIP, CLIP) * found[..., None]
    return np.concatenate([at, score[..., None]], axis=-1).astype(F), np.log(spread * 8).astype(F)

"""Where the rays of several cameras meet, joint by joint: the weighted midpoint, wrong rays cut, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.lift.fuse.match import Group, Sights

Array = NDArray[np.float64]
FIRST_DEPTH_M, NEAREST_M = 3.0, 0.3
CUT_M = 0.10
"""Distance from the point beyond which the worst of more than two rays is cut."""
ACCEPT_M = 0.12
"""Root mean square distance of a joint's rays up to which it is believed."""
SIGMA_M = 0.034
"""Of a ray at a person, times the joint's factor; measured on synchronised cameras."""
FACTOR = np.array([1.1] * 5 + [0.85, 0.85, 0.9, 0.9, 0.95, 0.95, 1.2, 1.2, 1.0, 1.0, 1.05, 1.05])
"""Of each of COCO's joints: how much less exact it is than others."""


class Points(NamedTuple):
    """Joints of one person."""

    xyz: Array
    """(K, 3) metres in the world; NaN where rays do not meet."""
    sigma: Array
    """(K, 3) metres, one standard deviation an axis."""
    gap: Array
    """(K,) metres, root mean square distance of the rays kept."""
    kept: NDArray[np.bool_]
    """(C, K) rays that count."""


def triangulate_people(groups: Sequence[Group], sights: Sights, origin: Array) -> list[Points]:
    """Each person's joints, all people in one go.

    groups  sights of each person
    origin  (C, 3) metres of all cameras
    """
    cameras, people, joints = len(origin), len(groups), sights.weight.shape[1]
    direction, weight = np.zeros((cameras, people, joints, 3)), np.zeros((cameras, people, joints))
    for person, group in enumerate(groups):
        rows = sights.camera[group]
        direction[rows, person], weight[rows, person] = sights.direction[group], sights.weight[group]
    all_of_them = triangulate(origin, direction.reshape(cameras, -1, 3), weight.reshape(cameras, -1))
    of_person = [slice(person * joints, (person + 1) * joints) for person in range(people)]
    xyz, sigma, gap, kept = all_of_them
    return [Points(xyz[own], sigma[own], gap[own], kept[:, own]) for own in of_person]


def triangulate(origin: Array, direction: Array, weight: Array) -> Points:
    """Joints from the rays of C cameras; K of one person, or of several behind each other.

    origin     (C, 3) metres
    direction  (C, K, 3) unit vectors; what it holds where there is no ray does not matter
    weight     (C, K) 0: no ray
    """
    kept = weight > 0
    direction = np.where(kept[..., None], direction, (0.0, 0.0, 1.0))
    across = np.eye(3) - direction[..., :, None] * direction[..., None, :]
    depth = np.full(weight.shape, FIRST_DEPTH_M)
    for turn in range(len(origin) + 1):
        xyz, off, depth = meet(origin, direction, across, np.where(kept, weight / depth**2, 0))
        off = np.where(kept, off, 0)
        wrong = (off.max(axis=0) > CUT_M) & (kept.sum(axis=0) > 2)
        if turn and not wrong.any():
            break
        if turn:  # the first point was found with depths that were guessed
            kept[off.argmax(axis=0)[wrong], np.flatnonzero(wrong)] = False
    count = kept.sum(axis=0)
    gap = np.sqrt((off**2).sum(axis=0) / np.maximum(count, 1))
    good = (count >= 2) & (gap < ACCEPT_M)
    sigma = _sigma(across, kept, off, count)
    return Points(np.where(good[:, None], xyz, np.nan), np.where(good[:, None], sigma, np.nan), gap, kept & good)


def meet(origin: Array, direction: Array, across: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Points (K, 3) nearest to their rays, distances (C, K) from them and depths (C, K) along them."""
    matrix = np.einsum("ck,ckij->kij", weight, across) + np.eye(3) * 1e-9
    right = np.einsum("ck,ckij,cj->ki", weight, across, origin)
    xyz = np.linalg.solve(matrix, right[..., None])[..., 0]
    from_camera = xyz - origin[:, None]
    depth = np.maximum((from_camera * direction).sum(axis=-1), NEAREST_M)
    return xyz, np.linalg.norm(from_camera - depth[..., None] * direction, axis=-1), depth


def _sigma(across: Array, kept: NDArray[np.bool_], off: Array, count: NDArray[np.int64]) -> Array:
    """(K, 3) from the angles between the rays, more where they miss each other."""
    joints = kept.shape[1]
    unit = SIGMA_M * (np.ones(joints) if joints % len(FACTOR) else np.resize(FACTOR, joints))
    spread = np.linalg.inv(np.einsum("ck,ckij->kij", kept, across) + np.eye(3) * 1e-6)
    misfit = ((off**2).sum(axis=0) / unit**2 + 2) / (np.maximum(2 * count - 3, 0) + 2)
    variance = np.einsum("kii->ki", spread) * (unit**2 * np.maximum(misfit, 1))[:, None]
    sigma: Array = np.sqrt(variance)
    return sigma

"""Where cameras stand against each other: two by their essential matrix, more by resection, all by bundle adjustment.

The points are no unknowns of the adjustment: each is where its rays meet, wherever the cameras stand at that step.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.lift.fuse.calibration import rodrigues
from edgepose.lift.fuse.triangulate import meet

Array = NDArray[np.float64]
LEAST_COMMON = 150
"""Joints that a camera must have seen together with others."""
NEAR = 0.01
"""Of a ray, in x / z, that is no outlier: 10 px at a focal length of 1000."""
STEPS, STEP = 40, 1e-6
SOFT = 2.5
"""Residuals beyond so many times the median one count less."""


class Stand(NamedTuple):
    """camera = rotation @ world + shift."""

    rotation: Array
    shift: Array

    @property
    def position(self) -> Array:
        """(3,) in the world."""
        place: Array = -self.rotation.T @ self.shift
        return place


Stands = list[Stand]


def points(stands: Stands, rays: Array, weight: Array) -> Array:
    """(P, 3) where rays (C, P, 2) meet; NaN where fewer than two do."""
    ahead = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1)
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    direction = np.stack([line @ stand.rotation for line, stand in zip(ahead, stands, strict=True)])
    across = np.eye(3) - direction[..., :, None] * direction[..., None, :]
    origin = np.stack([stand.position for stand in stands])
    kept = np.where((weight > 0).sum(axis=0) >= 2, weight, 0)
    xyz = meet(origin, direction, across, kept)[0]
    depth = np.linalg.norm(xyz - origin[:, None], axis=-1)
    xyz = meet(origin, direction, across, kept / np.maximum(depth, 1e-3) ** 2)[0]
    return np.where((kept.max(axis=0) > 0)[:, None], xyz, np.nan)


def misses(stands: Stands, rays: Array, weight: Array, xyz: Array) -> Array:
    """(C, P, 2) of points from rays, in x / z and y / z; 0 where there is no ray."""
    out = np.zeros_like(rays)
    for place, stand in enumerate(stands):
        there = xyz @ stand.rotation.T + stand.shift
        ahead = there[:, 2] > 1e-3
        off = there[:, :2] / np.where(ahead, there[:, 2], 1.0)[:, None] - rays[place]
        out[place] = np.where(((weight[place] > 0) & ahead & ~np.isnan(xyz[:, 0]))[:, None], off, 0.0)
    return out


def stand_of_all(rays: Array, weight: Array, names: tuple[str, ...]) -> Stands:
    """Where each camera stands, the first at the origin, in a unit of no meaning.

    rays (C, P, 2), weight (C, P)

    Raises:
        ConfigError: a camera has too little in common with the others.
    """
    from edgepose.core.opencv import cv2

    first, second, stand = _best_pair(rays, weight)
    placed = {first: Stand(np.eye(3), np.zeros(3)), second: stand}
    while len(placed) < len(rays):
        chosen = sorted(placed)
        xyz = points([placed[one] for one in chosen], rays[chosen], weight[chosen])
        common = {one: (weight[one] > 0) & ~np.isnan(xyz[:, 0]) for one in range(len(rays)) if one not in placed}
        best = max(common, key=lambda one: int(common[one].sum()))
        seen = common[best]
        if seen.sum() < LEAST_COMMON:
            raise ConfigError(
                f"camera {names[best]} saw the walker {int(seen.sum()) // 17} times together with two others, "
                f"{LEAST_COMMON // 17} are needed; walk where their pictures overlap"
            )
        found, turn, shift, _ = cv2.solvePnPRansac(
            xyz[seen], rays[best][seen], np.eye(3), None, reprojectionError=NEAR, iterationsCount=300,
            flags=cv2.SOLVEPNP_SQPNP,
        )  # fmt: skip
        if not found:
            raise ConfigError(f"camera {names[best]} fits nowhere; check its lens and its clock")
        placed[best] = Stand(rodrigues(np.asarray(turn, np.float64).ravel()), np.asarray(shift, np.float64).ravel())
    stands = [placed[one] for one in range(len(rays))]
    home = stands[0]
    return [
        Stand(one.rotation @ home.rotation.T, one.shift - one.rotation @ home.rotation.T @ home.shift) for one in stands
    ]


def _best_pair(rays: Array, weight: Array) -> tuple[int, int, Stand]:
    """Two cameras that see much together, from sides that differ; how the second stands against the first."""
    from edgepose.core.opencv import cv2

    best: tuple[float, int, int, Stand] | None = None
    for first, second in combinations(range(len(rays)), 2):
        common = (weight[first] > 0) & (weight[second] > 0)
        if common.sum() < LEAST_COMMON:
            continue
        a, b = rays[first][common], rays[second][common]
        essential, inside = cv2.findEssentialMat(a, b, np.eye(3), cv2.RANSAC, 0.999, NEAR)
        if essential is None or essential.shape != (3, 3):
            continue
        kept, turn, shift, _ = cv2.recoverPose(essential, a, b, np.eye(3), mask=inside)
        stand = Stand(np.asarray(turn, np.float64), np.asarray(shift, np.float64).ravel())
        worth = kept * _parallax(stand, a, b)
        if best is None or worth > best[0]:
            best = worth, first, second, stand
    if best is None:
        raise ConfigError("no two cameras saw the walker together often enough; walk where their pictures overlap")
    return best[1:]


def _parallax(stand: Stand, a: Array, b: Array) -> float:
    """Median sine of the angle between two cameras' rays."""
    one, other = (np.concatenate([xy, np.ones((len(xy), 1))], axis=1) for xy in (a, b))
    other = other @ stand.rotation
    cross = np.linalg.norm(np.cross(one, other), axis=1)
    return float(np.median(cross / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)))


def adjusted(stands: Stands, rays: Array, weight: Array, focal_px: Array) -> Stands:
    """Bundle adjustment, the first camera held: Levenberg and Marquardt's steps, outliers counting less.

    focal_px  (C,) what x / z is worth in pixels
    """
    scale = focal_px[:, None, None]

    def residuals(now: Stands) -> Array:
        return misses(now, rays, weight, points(now, rays, weight)) * scale

    def soft(off: Array) -> Array:
        length = np.linalg.norm(off, axis=-1)
        usual = SOFT * np.median(length[weight > 0]) + 1e-9
        share: Array = np.sqrt(np.minimum(1.0, usual / np.maximum(length, 1e-12)))[..., None]
        return share * (weight > 0)[..., None]

    damping, unknown = 1e-3, 6 * (len(stands) - 1)
    off = residuals(stands)
    for _ in range(STEPS):
        share = soft(off)
        now = (off * share).ravel()
        slope = np.empty((now.size, unknown))
        for column in range(unknown):
            change = np.zeros(unknown)
            change[column] = STEP
            slope[:, column] = ((residuals(_moved(stands, change)) * share).ravel() - now) / STEP
        square, right = slope.T @ slope, -slope.T @ now
        step: Array = np.linalg.solve(square + damping * np.diag(np.diag(square) + 1e-9), right).astype(np.float64)
        tried = _moved(stands, step)
        trial = residuals(tried)
        better = ((trial * share) ** 2).sum() < (now**2).sum()
        damping = max(damping / 5, 1e-9) if better else damping * 8
        if better:
            gain = 1 - ((trial * share) ** 2).sum() / (now**2).sum()
            stands, off = tried, trial
            if gain < 1e-6:
                break
        elif damping > 1e6:
            break
    return stands


def _moved(stands: Stands, change: Array) -> Stands:
    """All but the first turned and shifted a little."""
    steps = change.reshape(-1, 2, 3)
    return [
        stands[0],
        *(
            Stand(rodrigues(turn) @ one.rotation, one.shift + shift)
            for one, (turn, shift) in zip(stands[1:], steps, strict=True)
        ),
    ]

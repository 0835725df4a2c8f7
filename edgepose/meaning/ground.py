"""The floor in metres: a homography from four points or more, with the lens's distortion taken out first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.core.poses import Space
from edgepose.meaning.body import Body
from edgepose.meaning.joints import LEFT_ANKLE, RIGHT_ANKLE
from edgepose.meaning.settings import Ground

Floats = NDArray[np.float64]


class Floor:
    """Pixels to metres on the floor, and back."""

    def __init__(self, ground: Ground, size_wh: tuple[int, int]) -> None:
        """Scale `ground.points_px` from the size they were taken in; raises ConfigError where they make no plane."""
        self._k = ground.k1, ground.k2
        taken = ground.size_wh or size_wh
        scale = np.divide(size_wh, taken, dtype=np.float64)
        self._focal = (ground.focal_px or float(taken[0])) * float(scale[0])
        self._middle: Floats = (np.array(size_wh, np.float64) - 1) / 2
        pixels = self._straight(np.asarray(np.array(ground.points_px, np.float64) * scale, np.float64))
        metres = np.array(ground.points_m, np.float64)
        self._to_m = homography(pixels, metres)
        miss = float(np.abs(self._apply(self._to_m, pixels) - metres).max())
        span = float(np.ptp(metres, axis=0).max())
        if not miss < 0.25 * span:
            raise ConfigError(
                f"ground: points_px and points_m do not fit each other ({miss:.2f} m apart); list both in one order"
            )
        self.miss_m = miss
        """How far the given points are from their own metres, at worst; 0 of four."""
        self._to_px: Floats = np.asarray(np.linalg.inv(self._to_m), np.float64)
        # a point of the floor keeps its side of the horizon
        self._front = float(np.sign((np.column_stack((pixels, np.ones(len(pixels)))) @ self._to_m[2]).mean()))

    def metres(self, points: Floats) -> Floats:
        """(..., 2) metres of (..., 2) pixels; NaN at and above the horizon."""
        flat = self._straight(points)
        depth = (flat[..., 0] * self._to_m[2, 0] + flat[..., 1] * self._to_m[2, 1] + self._to_m[2, 2]) * self._front
        made = self._apply(self._to_m, flat)
        return np.where((depth > 1e-9)[..., None], made, np.nan)

    def pixels(self, points: Floats) -> Floats:
        """(..., 2) pixels, as if the lens had no distortion, of (..., 2) metres."""
        return self._apply(self._to_px, points)

    def uncertainty_m(self, points: Floats, error_px: float) -> Floats:
        """(...) metres that an error of so many pixels makes there: along the worst direction."""
        flat = self._straight(points)
        to_m = self._to_m
        full = flat @ to_m[:, :2].T + to_m[:, 2]
        depth = full[..., 2:]
        # the derivative of a homography along x and along y
        along = (to_m[:2, :2].T - (full[..., :2] / depth)[..., None, :] * to_m[2, :2, None]) / depth[..., None]
        return np.asarray(error_px * np.sqrt((along**2).sum(-1)).max(-1), np.float64)

    @staticmethod
    def _apply(matrix: Floats, points: Floats) -> Floats:
        full = points @ matrix[:, :2].T + matrix[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(full[..., :2] / full[..., 2:], np.float64)

    def _straight(self, points: Floats) -> Floats:
        """Without the lens's distortion: the fixed point of OpenCV's model, five steps."""
        k1, k2 = self._k
        if not k1 and not k2:
            return points
        bent = (points - self._middle) / self._focal
        flat = bent
        for _ in range(5):
            r2 = (flat**2).sum(-1, keepdims=True)
            flat = bent / (1 + k1 * r2 + k2 * r2 * r2)
        return np.asarray(flat * self._focal + self._middle, np.float64)


def homography(source: Floats, target: Floats) -> Floats:
    """(3, 3) that takes (M, 2) source to target: the direct linear transform, points scaled first (Hartley 1997)."""
    shift_a, shift_b = _scaling(source), _scaling(target)
    rows = []
    for (x, y), (u, v) in zip(_moved(shift_a, source), _moved(shift_b, target), strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y, -u), (0, 0, 0, x, y, 1, -v * x, -v * y, -v)]
    _, _, right = np.linalg.svd(np.array(rows, np.float64))
    made = np.linalg.inv(shift_b) @ right[-1].reshape(3, 3) @ shift_a
    return np.asarray(made / np.linalg.norm(made), np.float64)


def _scaling(points: Floats) -> Floats:
    middle = points.mean(0)
    scale = np.sqrt(2) / max(float(np.sqrt(((points - middle) ** 2).sum(1)).mean()), 1e-12)
    return np.array(((scale, 0, -scale * middle[0]), (0, scale, -scale * middle[1]), (0, 0, 1)))


def _moved(matrix: Floats, points: Floats) -> Floats:
    return np.asarray(points * matrix[0, 0] + matrix[:2, 2], np.float64)


def feet(body: Body) -> tuple[Floats, NDArray[np.bool_]]:
    """(N, 2) pixels where each stands: between the ankles, of one the other, else the hips; and where it is the hips.

    Of ankles far apart in height the lower one: the other is in the air.
    """
    left, right = body.xy[:, LEFT_ANKLE], body.xy[:, RIGHT_ANKLE]
    point = body.middles[:, 3]
    apart = np.abs(left[:, 1] - right[:, 1]) > 0.35 * body.size
    if apart.any():
        lower = np.where((left[:, 1] > right[:, 1])[:, None], left, right)
        point = np.where(apart[:, None], lower, point)
    hidden = np.isnan(point[:, 0])
    if hidden.any():
        point = np.where(hidden[:, None], body.hip, point)
    return point, hidden


ANKLE_TORSO, HIP_TORSO = 0.135, 1.84
"""How high ankles and hips are above the floor in somebody who stands, torso lengths: 0.039 and 0.530 of the height
(Winter)."""


class Placed(NamedTuple):
    """Where people of a room stand."""

    metres: Floats
    """(N, 2) on the room's floor."""
    error: Floats
    """(N,) metres, one standard deviation."""


def in_room(space: Space, xyz: Floats) -> Placed:
    """By the ankles as the room has them; where these are hidden by the hips. xyz (N, 17, 3) metres from the root."""
    root = space.root.astype(np.float64)
    ankles = xyz[:, [LEFT_ANKLE, RIGHT_ANKLE], :2]
    seen = ~np.isnan(ankles[..., 0])
    middle = np.where(seen[..., None], ankles, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)[:, None]
    return Placed(root[:, :2] + middle, space.root_sigma.astype(np.float64))


def contact(body: Body, size: Floats | None = None) -> Floats:
    """(N, 2) pixels where each touches the floor: below the feet, by what an ankle, or a hip, is above it."""
    point, hidden = feet(body)
    below = np.where(hidden, HIP_TORSO, ANKLE_TORSO) * (body.size if size is None else size)
    return np.asarray(point + np.stack((np.zeros(len(below)), below), axis=1), np.float64)

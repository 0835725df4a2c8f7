"""The camera as a pinhole with a lens: pixels to rays and back. Serves lifting and triangulation alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STEPS = 8
"""At most, of the fixed point that takes a lens's distortion out; 5 leave less than 1e-4 px on the lenses tried."""
EXACT = 1e-7
"""Less than this a step need not change: 1e-4 px at a focal length of 1000 px."""


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """Where a ray through a pixel goes, in the camera's own axes: x right, y down, z forward."""

    size_wh: tuple[int, int]
    """Picture width, height, pixels."""
    focal_xy: tuple[float, float]
    """Pixels."""
    centre_xy: tuple[float, float]
    """Pixels; (0, 0) is the centre of the top-left one."""
    distortion: tuple[float, ...] = ()
    """OpenCV's k1, k2, p1, p2, k3; empty: none."""

    @classmethod
    def with_view(cls, size_wh: tuple[int, int], fov_deg: float) -> Camera:
        """One whose angle of view along the longer side is all that is known."""
        focal = max(size_wh) / 2 / math.tan(math.radians(fov_deg) / 2)
        centre = (size_wh[0] - 1) / 2, (size_wh[1] - 1) / 2
        return cls(size_wh, (focal, focal), centre)

    def rays(self, xy: NDArray[np.floating]) -> Array:
        """(..., 2) x / z and y / z of the rays through pixels (..., 2); NaN stays NaN."""
        bent = (np.asarray(xy, np.float64) - self.centre_xy) / self.focal_xy
        if not any(self.distortion):
            return bent
        straight = bent
        for _ in range(STEPS):
            radial, tangential = self._lens(straight)
            before, straight = straight, (bent - tangential) / radial
            if not (np.abs(straight - before) > EXACT).any():
                break
        return straight

    def project(self, xyz: NDArray[np.floating]) -> Array:
        """(..., 2) pixels of points (..., 3), metres in the camera's axes; NaN where they are not before it."""
        xyz = np.asarray(xyz, np.float64)
        depth = np.where(xyz[..., 2:] > 1e-6, xyz[..., 2:], np.nan)
        straight = xyz[..., :2] / depth
        if any(self.distortion):
            radial, tangential = self._lens(straight)
            straight = straight * radial + tangential
        return straight * self.focal_xy + self.centre_xy

    def _lens(self, xy: Array) -> tuple[Array, Array]:
        """Radial factor (..., 1) and tangential shift, (..., 2) or (2,), of OpenCV's model."""
        k1, k2, p1, p2, k3 = (*self.distortion, 0.0, 0.0, 0.0, 0.0, 0.0)[:5]
        x, y = xy[..., :1], xy[..., 1:]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        if not (p1 or p2):
            return radial, np.zeros(2)
        shift = [2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y]
        return radial, np.concatenate(shift, axis=-1)

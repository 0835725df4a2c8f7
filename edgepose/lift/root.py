"""Where a person stands: the place at which a pose of known size fits its rays best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SIGMA = 0.06
"""Of the distance: people differ in height by 4 %, and a lifted pose is a little too near."""
NEAREST_M = 0.3


def place(xyz: Array, rays: Array, weight: Array) -> Array:
    """(N, 3) metres: the root of each pose, by weighted least squares of the joints' distances from their rays.

    xyz     (N, K, 3) metres from the root, in the camera's axes
    rays    (N, K, 2) x / z, y / z
    weight  (N, K) 0 where there is no ray
    """
    seen = weight > 0
    line = np.concatenate([np.where(seen[..., None], rays, 0), np.ones((*rays.shape[:2], 1))], axis=-1)
    line /= np.linalg.norm(line, axis=-1, keepdims=True)
    across = np.eye(3) - line[..., :, None] * line[..., None, :]
    across *= weight[..., None, None]
    matrix = across.sum(axis=1) + np.eye(3) * 1e-9
    right = -np.einsum("nkij,nkj->ni", across, xyz)
    root: Array = np.linalg.solve(matrix, right[..., None])[..., 0]
    root[root[:, 2] < NEAREST_M] = np.nan  # behind the camera: the rays do not belong to such a pose
    return root

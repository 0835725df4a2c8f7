"""Metres that the 2D network brings itself: BlazePose's world landmarks, put into the camera and given a sigma."""

from __future__ import annotations

import numpy as np

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import BLAZEPOSE33, Poses, Skeleton
from edgepose.lift.stage import CANONICAL_M, HIPS, PER_HEIGHT, body_of, in_metres, standing
from edgepose.lift.view import View

SIGMA_HERE_M = np.array([0.025, 0.04])
SIGMA_PER_M = np.array([0.06, 0.17])
"""Across and along the view: at the hips, and more for each metre from there, as a wrong turn has it. Round numbers:
the network says nothing of its own errors."""


class World:
    """Poses -> Poses whose xyz are metres in the camera's axes, from the mid hip; as Lifter."""

    def __init__(self, cfg: config.Lift, skeleton: Skeleton) -> None:
        """Check that it can.

        Raises:
            ConfigError: the model is none of BlazePose's, or the calibration is of no use.
        """
        if skeleton != BLAZEPOSE33:
            raise ConfigError(
                f"lift.kind: blazepose takes the metres of BlazePose's landmark model, the model's skeleton is "
                f"{skeleton.name}; set engine.model to FINDER+that model, or lift.kind to mlp"
            )
        self._view, self._scale = View(cfg), cfg.height_m * PER_HEIGHT / CANONICAL_M
        self._body = body_of(skeleton)

    def update(self, poses: Poses) -> Poses:
        """The same people, in the camera; NaN for who was not refined."""
        if not len(poses):
            return poses
        own = np.full((*poses.score.shape, 3), np.nan) if poses.xyz is None else poses.xyz.astype(np.float64)
        xyz = (own - own[:, [self._body[hip] for hip in HIPS]].mean(axis=1, keepdims=True)) * self._scale
        sigma = SIGMA_HERE_M + SIGMA_PER_M * np.linalg.norm(xyz, axis=2, keepdims=True)
        rays = self._view.camera(poses.size_wh).rays(poses.xy)
        weight = np.where(np.isfinite(rays).all(axis=-1), poses.score, 0).astype(np.float32)
        return in_metres(poses, standing(xyz, sigma, rays, weight, self._body))

"""The stage behind smoothing: poses in pixels become poses in metres, joint by joint with what they are worth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import COCO17, Poses, Skeleton, Space
from edgepose.lift.rays import facing, normalised
from edgepose.lift.root import SIGMA, place
from edgepose.lift.view import View

Array = NDArray[np.float64]
F = np.float32
CANONICAL_M, PER_HEIGHT = 1.34, 0.79
"""Torso + thigh + shank of the person that lifters know; of a person's height."""
SHOULDERS, HIPS = [5, 6], [11, 12]
LEAST_JOINTS = 8


class Lifted(NamedTuple):
    """What a lifter makes of normalised poses."""

    xyz: NDArray[np.float32]
    """(N, 17, 3) metres of the canonical person from the mid hip, axes of the camera turned to the person."""
    sigma: NDArray[np.float32]
    """(N, 17, 2) across and along the view."""


class Lifts(Protocol):
    """A way to lift."""

    def __call__(self, pose: NDArray[np.float32], extent: NDArray[np.float32], down: NDArray[np.float32]) -> Lifted:
        """Lift people.

        pose    (N, 17, 3) x, y, score as rays.normalised
        extent  (N, 1) log of 8 times their spread
        down    (N, 3) where down is for the turned camera; 0, 0, 0: unknown
        """
        ...


class Solid(NamedTuple):
    """People in metres, in the axes of the camera that saw them; who is not seen well enough has NaN everywhere."""

    xyz: NDArray[np.float64]
    """(N, K, 3) from the root."""
    sigma: NDArray[np.float64]
    """(N, K, 2) across and along the view."""
    root: NDArray[np.float64]
    """(N, 3) the mid hip."""
    guessed: NDArray[np.bool_]
    """(N, K) not seen."""


def solid(
    lifts: Lifts, rays: NDArray[np.float64], score: NDArray[np.float32], down: NDArray[np.float64], height_m: float
) -> Solid:
    """Lift what one camera saw.

    rays      (N, 17, 2) x / z, y / z
    score     (N, 17) 0 where a joint is missing
    down      (3,) where down is in the camera's axes; 0, 0, 0: unknown
    height_m  how tall people are
    """
    seen = facing(rays, score)
    weight = np.where(seen.found, score, F(0)).astype(F)
    lifted = lifts(*normalised(seen.xy, weight), np.einsum("nij,j->ni", seen.turn, down).astype(F))
    scale = height_m * PER_HEIGHT / CANONICAL_M
    centred = lifted.xyz - lifted.xyz[:, HIPS].mean(axis=1, keepdims=True)
    xyz = np.einsum("nji,nkj->nki", seen.turn, centred) * scale
    sigma = lifted.sigma.astype(np.float64) * scale
    return standing(xyz, sigma, rays, weight, list(range(len(COCO17.joints))))


def standing(xyz: Array, sigma: Array, rays: Array, weight: NDArray[np.float32], body: list[int]) -> Solid:
    """People with a root where their rays say; NaN for who is not seen well enough.

    xyz     (N, K, 3) metres from the mid hip, in the camera's axes; NaN where it is not known
    sigma   (N, K, 2) across and along the view
    rays    (N, K, 2) x / z, y / z
    weight  (N, K) 0 where a joint is not seen
    body    the joints that are COCO's 17
    """
    known = (weight > 0) & ~np.isnan(xyz[..., 0])
    root = place(np.where(known[..., None], xyz, 0), rays, np.where(known, weight, F(0)).astype(np.float64))
    root[~known.any(axis=1)] = np.nan
    enough = _enough(weight[:, body] > 0) & ~np.isnan(root).any(axis=1)
    for part in (xyz, sigma, root):
        part[~enough] = np.nan
    return Solid(xyz, sigma, root, weight <= 0)


def in_metres(poses: Poses, found: Solid) -> Poses:
    """The poses with what was found of them."""
    xyz, sigma, root = (part.astype(F) for part in found[:3])
    distance = np.linalg.norm(found.root, axis=1)
    space = Space("lifted", "camera", root, (SIGMA * distance).astype(F), sigma, found.guessed)
    return replace(poses, xyz=xyz, space=space)


class Lifter:
    """Poses -> Poses with xyz in metres."""

    def __init__(self, cfg: config.Lift, skeleton: Skeleton, lifts: Lifts) -> None:
        """Check that it can.

        Raises:
            ConfigError: poses of that skeleton cannot be lifted, or the calibration is of no use.
        """
        if skeleton != COCO17:
            raise ConfigError(
                f"lift.kind: only poses of skeleton coco17 are lifted, the model's is {skeleton.name}; set it to none"
            )
        self._lifts = lifts
        self._height_m, self._down, self._view = cfg.height_m, _down(cfg), View(cfg)

    def update(self, poses: Poses) -> Poses:
        """The same people in metres too; who is not seen well enough has NaN there."""
        if not len(poses):
            return poses
        rays = self._view.camera(poses.size_wh).rays(poses.xy)
        return in_metres(poses, solid(self._lifts, rays, poses.score, self._down, self._height_m))


def body_of(skeleton: Skeleton) -> list[int]:
    """The joints of COCO's 17 in a skeleton that has them."""
    return [skeleton.joints.index(name) for name in COCO17.joints]


def _down(cfg: config.Lift) -> Array:
    """Where down is in the camera's axes; zeros: unknown."""
    if cfg.pitch_deg is None:
        return np.zeros(3)
    pitch, roll = math.radians(cfg.pitch_deg), math.radians(cfg.roll_deg)
    level = math.cos(pitch)
    return np.array([math.sin(roll) * level, math.cos(roll) * level, math.sin(pitch)])


def _enough(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether so much is seen that a third dimension is worth anything: the trunk, and half of the joints."""
    hips, shoulders = found[:, HIPS].sum(axis=1), found[:, SHOULDERS].sum(axis=1)
    trunk = ((hips == len(HIPS)) & (shoulders > 0)) | ((shoulders == len(SHOULDERS)) & (hips > 0))
    enough: NDArray[np.bool_] = trunk & (found.sum(axis=1) >= LEAST_JOINTS)
    return enough

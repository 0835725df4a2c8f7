"""Lifting by matching: the nearest of 10,000 known views tells what is behind a 2D pose.

Source: Chen and Ramanan, "3D human pose estimation = 2D pose estimation + matching", CVPR 2017. What the picture shows
is kept half; how much the neighbours differ is the sigma.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.lift.mlp import checked, folder
from edgepose.lift.stage import Lifted

F = np.float32
NEIGHBOURS = 16
FACE_WEIGHT = 0.3
KEPT = 0.5
"""Of a seen joint's x, y; the rest is the neighbours'."""
LEAST_SPREAD_M = np.array([0.03, 0.045], F)
"""Neighbours that agree are not surer than a 2D network is."""


class Library(NamedTuple):
    """Known views."""

    views: NDArray[np.float32]
    """(K, 2, M) normalised x, y."""
    xyz: NDArray[np.float32]
    """(M, K, 3) metres of the canonical person."""


class Exemplar:
    """Lifts by the nearest views; as Lifts."""

    def __init__(self, loops: kernels.Choice = "auto") -> None:
        """Read the views; `loops` as `decode.kernels`.

        Raises:
            ConfigError: they are missing or damaged.
        """
        with np.load(io.BytesIO(checked(folder() / "exemplar.npz"))) as file:
            pose = file["pose"].astype(F) * file["step"]
            xyz = file["xyz"].astype(F)
        self._library = Library(np.ascontiguousarray(pose.transpose(1, 2, 0)), xyz)
        self._apart = kernels.family("match", loops).apart
        self._weight = np.where(np.arange(pose.shape[1]) < 5, FACE_WEIGHT, 1).astype(F)

    def __call__(self, pose: NDArray[np.float32], extent: NDArray[np.float32], down: NDArray[np.float32]) -> Lifted:  # noqa: ARG002
        """As Lifts; where down is makes no difference to it."""
        rows = [self._one(person[:, :2], (person[:, 2] > 0).astype(F)) for person in pose]
        return Lifted(np.stack([row.xyz for row in rows]), np.stack([row.sigma for row in rows]))

    def _one(self, xy: NDArray[np.float32], found: NDArray[np.float32]) -> Lifted:
        library, weight = self._library, self._weight * found
        distance = np.empty(len(library.xyz), F)
        self._apart(library.views, np.ascontiguousarray(np.where(found[:, None] > 0, xy, 0), F), weight, distance)
        near = np.argpartition(distance, NEIGHBOURS)[:NEIGHBOURS]
        off = distance[near]
        share = np.exp(-(off - off.min()) / max(float(off.min()), 0.02))
        share /= share.sum()
        poses = library.xyz[near]
        xyz = np.einsum("n,nkc->kc", share, poses)
        flat = np.einsum("n,nkc->kc", share, library.views[:, :, near].transpose(2, 0, 1))
        xyz[:, :2] = _as_seen(xyz[:, :2], flat, xy, found)
        spread = np.sqrt(np.einsum("n,nkc->kc", share, (poses - np.einsum("n,nkc->kc", share, poses)) ** 2))
        sigma = np.stack([np.sqrt((spread[:, :2] ** 2).mean(axis=1)), spread[:, 2]], axis=1)
        return Lifted(xyz.astype(F), np.maximum(sigma, LEAST_SPREAD_M).astype(F))


def _as_seen(
    xyz: NDArray[np.float32], flat: NDArray[np.float32], xy: NDArray[np.float32], found: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(K, 2) metres across the view, half as the neighbours have them and half as the picture shows."""
    total = max(float(found.sum()), 1.0)
    middle, flat_middle, seen_middle = ((part * found[:, None]).sum(axis=0) / total for part in (xyz, flat, xy))
    ours, theirs = (xyz - middle) * found[:, None], (flat - flat_middle) * found[:, None]
    scale = float((ours * theirs).sum()) / max(float((theirs**2).sum()), 1e-6)
    shown = (xy - seen_middle) * scale + middle
    blended: NDArray[np.float32] = np.where(found[:, None] > 0, KEPT * shown + (1 - KEPT) * xyz, xyz)
    return blended

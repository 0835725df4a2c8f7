"""Somebody whom one camera alone sees: lifted by what people look like, and put where their height says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.lift.fuse.calibration import PlacedCamera
from edgepose.lift.fuse.people import Sighting, Track
from edgepose.lift.root import SIGMA
from edgepose.lift.stage import Lifts, solid

Array = NDArray[np.float64]
DOWN = np.array([0.0, 0.0, -1.0])
FIRST_M, DRIFT_M_S = 0.1, 0.5
"""How sure the distance of somebody is who was measured just now, and how fast that fades."""
SHORTEST_M, TALLEST_M = 0.8, 2.3
"""Nobody is measured to be of another height."""


class Alone:
    """Lifts one camera's pose into the world."""

    def __init__(self, lifts: Lifts, height_m: float) -> None:
        """height_m: of people who were not measured."""
        self._lifts, self._height_m = lifts, height_m

    def __call__(
        self, number: int, camera: PlacedCamera, direction: Array, weight: Array, t: float, known: Track | None
    ) -> Sighting | None:
        """A person as camera `number` saw them; None: too little is seen.

        direction  (K, 3) unit vectors in the world
        weight     (K,) 0 where there is no ray
        known      who it is, if they were seen before
        """
        ahead = direction @ camera.rotation.T
        rays = np.where((weight > 0)[:, None], ahead[:, :2] / np.maximum(ahead[:, 2:], 1e-6), np.nan)
        tall = np.clip(known.tall_m, SHORTEST_M, TALLEST_M) if known else np.nan
        height = self._height_m if np.isnan(tall) else float(tall)
        found = solid(self._lifts, rays[None], weight[None].astype(np.float32), camera.rotation @ DOWN, height)
        if np.isnan(found.root[0]).any():
            return None
        off = found.root[0] @ camera.rotation
        far = float(np.linalg.norm(off))
        view, unsure = off / far, SIGMA * far
        if known is not None:
            far, unsure = _settled(far, unsure, known, t, camera, view)
        root = camera.position + far * view
        along = (view**2)[None] * found.sigma[0, :, 1:] ** 2 + (1 - view**2)[None] * found.sigma[0, :, :1] ** 2
        xyz = found.xyz[0] @ camera.rotation
        return Sighting(root + xyz, np.sqrt(along), root, unsure, found.guessed[0], number, view)


def _settled(
    far: float, unsure: float, known: Track, t: float, camera: PlacedCamera, view: Array
) -> tuple[float, float]:
    """Distance and its sigma, with where they were before: who was measured does not leap when a camera is lost."""
    expected = float((known.expected_root(t) - camera.position) @ view)
    before = min(FIRST_M + DRIFT_M_S * (t - known.measured_t), unsure)
    share = before**2 / (unsure**2 + before**2)
    leap = min(max(far - expected, -unsure), unsure)  # one joint far off may put a whole body a metre away
    return expected + share * leap, min(unsure, max(before, FIRST_M))

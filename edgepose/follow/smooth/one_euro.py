"""The One Euro filter: calm at rest, quick in motion."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from edgepose.follow.smooth.people import Array, Seen, grown


@dataclass(frozen=True)
class Tuning:
    """What a One Euro filter is set to."""

    min_cutoff_hz: float
    """Cutoff at rest."""
    beta: float
    """Rise of the cutoff, Hz, at a speed of one body size a second."""
    d_cutoff_hz: float
    """Cutoff of the speed itself."""


PRESETS = {"light": Tuning(1.0, 20.0, 1.0), "strong": Tuning(0.5, 5.0, 1.0)}


class OneEuro:
    """One filter for each coordinate of each joint of each person.

    As its authors have it (Casiez, Roussel, Vogel, CHI 2012, and their groundTruth.csv), with real time steps. The
    speed counts in body sizes a second, so one setting serves any distance and resolution; and a joint has a weight, so
    one the model is unsure of moves its filter less.
    """

    def __init__(self, tuning: Tuning, joints: int, axes: int, kernels: ModuleType) -> None:
        self.tuning, self._kernels = tuning, kernels
        self._place, self._speed = np.zeros((0, joints, axes)), np.zeros((0, joints, axes))
        self._seen = np.zeros((0, joints))

    def grow(self, people: int) -> None:
        """Make room for that many."""
        self._place, self._speed, self._seen = (grown(old, people) for old in (self._place, self._speed, self._seen))

    def update(self, points: Array, weights: Array, sizes: Array, seen: Seen) -> Array:
        """The points, smoothed.

        points   (N, K, D)
        weights  (N, K)
        sizes    (N,)
        """
        if len(seen.new):
            self._seen[seen.new] = np.nan
        out = np.empty(points.shape)
        self._kernels.one_euro(
            points, weights, sizes, seen.slots, seen.oldest, seen.now,
            self.tuning.min_cutoff_hz, self.tuning.beta, self.tuning.d_cutoff_hz,
            self._place, self._speed, self._seen, out,
        )  # fmt: skip
        return out

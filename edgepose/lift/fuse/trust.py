"""Whether a camera still stands where its calibration says: how far its rays pass from people whom the room knows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MOVED_M, STANDS_M = 0.10, 0.06
"""Usual distance of a camera's rays from people beyond which it was moved, and below which it stands right again."""
MOST_M = 0.5
"""More is not taken for more: whoever is that far is another person."""
USUAL_S, LEAST_S = 3.0, 4.0
"""Time constant of what is usual, and how long people must have been seen before it says anything."""
EACH_S, MOST_STEP_S = 0.09, 0.3
"""How often it looks; in longer times than the second nobody was there."""
LEAST_OTHERS = 2
"""Cameras that must agree with each other before a third is left out."""


class Trust:
    """Of each of a room's cameras."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._miss = np.zeros(len(names))
        self._seen_s = np.zeros(len(names))
        self._last_s = -math.inf
        self.left_out: frozenset[int] = frozenset()
        """Numbers of the cameras that do not count for now."""

    @property
    def misses(self) -> dict[str, float]:
        """Metres that each camera's rays usually pass people at; NaN: too little was seen."""
        known = np.where(self._seen_s >= LEAST_S, self._miss, np.nan)
        return dict(zip(self._names, known.tolist(), strict=True))

    @property
    def troubles(self) -> list[str]:
        """A line for each camera that was moved."""
        return [
            f"camera {name} misses people by {miss:.2f} m: it was moved or its calibration is wrong; "
            + ("it is left out" if number in self.left_out else "which of the cameras, two cannot tell")
            for number, (name, miss) in enumerate(self.misses.items())
            if miss > MOVED_M or number in self.left_out
        ]

    def asks(self, moment_s: float) -> bool:
        """Whether it is time to look again."""
        return not 0 <= moment_s - self._last_s < EACH_S

    def saw(self, moment_s: float, distance: Array, camera: NDArray[np.int64], shown: NDArray[np.bool_]) -> None:
        """Take one moment.

        distance  (P, N) metres of known people from what cameras saw
        camera    (N,) whose it is
        shown     (P, C) people who are in a camera's picture, as far as its calibration says
        """
        step = min(max(moment_s - self._last_s, 0.0), MOST_STEP_S)
        self._last_s = moment_s
        for number in np.unique(camera).tolist():
            near = distance[shown[:, number]][:, camera == number]
            if near.size:
                self._take(number, min(float(near.min()), MOST_M), step)
        self._judge()

    def _take(self, number: int, miss: float, step: float) -> None:
        first = self._seen_s[number] == 0
        share = 1.0 if first else 1 - math.exp(-step / USUAL_S)
        self._miss[number] += share * (miss - self._miss[number])
        self._seen_s[number] += step

    def _judge(self) -> None:
        known = self._seen_s >= LEAST_S
        back = {number for number in self.left_out if self._miss[number] < STANDS_M}
        left_out = self.left_out - back
        agreeing = known & (self._miss < STANDS_M)
        moved = [number for number in np.flatnonzero(known & (self._miss > MOVED_M)).tolist() if number not in left_out]
        if moved and agreeing.sum() >= LEAST_OTHERS:
            left_out |= {max(moved, key=lambda number: float(self._miss[number]))}
        self.left_out = frozenset(left_out)

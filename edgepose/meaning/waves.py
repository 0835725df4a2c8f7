"""Hands that go to and fro: turning points of each wrist, against its shoulder and its elbow, and of both wrists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

WAVES = {
    "left_wave": ("1", "turning points in a row of the left hand while it is held up; small ones count three quarters"),
    "right_wave": ("1", "the same of the right hand"),
    "both_wave": ("1", "turning points in a row that both hands made, wide ones"),
    "claps": ("1", "times in a row that the hands met"),
}
WINDOW_S = 2.5
GAP_S = 0.9
"""Turning points further apart are not in a row."""
OVER_S = 1.0
"""After the last turning point it is over."""
KEPT = 8
"""Turning points remembered."""
MEET, PART = 0.30, 0.55
"""Torso lengths between wrists that meet, and between those that have parted."""
TRACKS = 7
"""Left and right wrist's x against the shoulder; the elbow; the shoulder, wide; and the wrists' distance."""
LIMITS = np.array((GAP_S, WINDOW_S, OVER_S, MEET))
LEAST = np.array((0.3, 0.3, 0.12, 0.12, 0.5, 0.5, PART - MEET))
"""Torso lengths between two turning points, at least."""
HIGH = np.array((-0.1, -0.1, 0.4, 0.4, -0.2, -0.2, -np.inf))
"""Torso lengths that the wrist is above its shoulder at a turning point; of the wide ones above its elbow."""


class Waves:
    """For each slot the tracks above."""

    def __init__(self) -> None:
        self._last = np.zeros((0, TRACKS, 3))
        """(S, tracks, 3) the extreme so far, torso lengths; how high the wrist was there; seconds."""
        self._way = np.zeros((0, TRACKS))
        """1 rising, -1 falling, 0 not known."""
        self._times = np.zeros((0, TRACKS, KEPT))
        """Seconds of the last turning points, newest first."""

    def grow(self, room: int) -> None:
        """Room for so many slots."""
        more = room - len(self._last)
        self._last = np.concatenate((self._last, np.full((more, TRACKS, 3), np.nan)))
        self._way = np.concatenate((self._way, np.zeros((more, TRACKS))))
        self._times = np.concatenate((self._times, np.full((more, TRACKS, KEPT), -np.inf)))

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self._last[slot], self._way[slot], self._times[slot] = np.nan, 0.0, -np.inf

    def update(self, body: Body) -> Floats:
        """(N, 4) in the order of WAVES."""
        made = np.empty((len(body), len(WAVES)))
        body.loops.waved(
            body.xy, body.size, body.slots, body.t, LIMITS, LEAST, HIGH, self._last, self._way, self._times, made
        )
        return made

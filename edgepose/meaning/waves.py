"""Hands that go to and fro: turning points of each wrist against its elbow, and of the wrists against each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

WAVES = {
    "left_wave": ("1", "turning points of the left forearm within 2.5 s, while it is held up"),
    "right_wave": ("1", "turning points of the right forearm within 2.5 s, while it is held up"),
    "claps": ("1", "times within 2.5 s that the hands met"),
}
WINDOW_S = 2.5
LEAST_TURN = 0.12
"""Torso lengths a wrist goes at least between two turning points."""
MEET, PART = 0.30, 0.55
"""Torso lengths between wrists that meet, and between those that have parted."""
KEPT = 8
"""Turning points remembered."""
FOREARM_UP = 0.10
"""Torso lengths that the wrist is above its elbow while waving."""
LEFT, RIGHT, BOTH = range(3)


class Waves:
    """For each slot three tracks: x of left and right wrist against the elbow, and the distance of both wrists."""

    def __init__(self) -> None:
        self._last = np.zeros((0, 3))
        """The extreme so far, torso lengths."""
        self._way = np.zeros((0, 3))
        """1 rising, -1 falling, 0 not known."""
        self._times = np.zeros((0, 3, KEPT))
        """Seconds of the last turning points, newest first."""

    def grow(self, room: int) -> None:
        """Room for so many slots."""
        more = room - len(self._last)
        self._last = np.concatenate((self._last, np.full((more, 3), np.nan)))
        self._way = np.concatenate((self._way, np.zeros((more, 3))))
        self._times = np.concatenate((self._times, np.full((more, 3, KEPT), -np.inf)))

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self._last[slot], self._way[slot], self._times[slot] = np.nan, 0.0, -np.inf

    def update(self, body: Body) -> Floats:
        """(N, 3) in the order of WAVES."""
        slots, t = body.slots, body.t
        forearm = (body.xy[:, 9:11] - body.xy[:, 7:9]) / body.size[:, None, None]
        apart = body.xy[:, 9] - body.xy[:, 10]
        track = np.empty((len(slots), 3))
        track[:, :2] = forearm[:, :, 0]
        track[:, BOTH] = np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2) / body.size
        up = forearm[:, :, 1] < -FOREARM_UP
        self._turn(slots, t, track, up)
        recent = (t - self._times[slots] <= WINDOW_S).sum(2).astype(np.float64)
        recent[:, :2][np.isnan(forearm[:, :, 0])] = np.nan
        return np.asarray(recent, np.float64)

    def _turn(self, slots: NDArray[np.intp], t: float, track: Floats, up: NDArray[np.bool_]) -> None:
        last, way = self._last[slots], self._way[slots]
        began = np.isnan(last)
        last = np.where(began, track, last)
        step = track - last
        least = np.array((LEAST_TURN, LEAST_TURN, PART - MEET))
        turns = (np.abs(step) >= least) & (np.sign(step) != way)
        onward = np.sign(step) == way
        moved = turns | onward
        counts = turns & (way != 0)
        counts[:, :2] &= up
        counts[:, BOTH] &= (step[:, BOTH] > 0) & (last[:, BOTH] <= MEET)  # parting after they met
        self._last[slots] = np.where(moved, track, last)
        self._way[slots] = np.where(turns, np.sign(step), way)
        if counts.any():
            times = self._times[slots]
            pushed = np.concatenate((np.full((*counts.shape, 1), t), times[:, :, :-1]), axis=2)
            self._times[slots] = np.where(counts[:, :, None], pushed, times)

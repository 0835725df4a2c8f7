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
SWING, SHAKE, SWEEP, CLAP = slice(0, 2), slice(2, 4), slice(4, 6), 6
"""Left and right wrist's x against the shoulder; the elbow; the shoulder, wide; and the wrists' distance."""
LEAST = np.array((0.3, 0.3, 0.12, 0.12, 0.5, 0.5, PART - MEET))
"""Torso lengths between two turning points, at least."""
HIGH = np.array((-0.1, -0.1, 0.4, 0.4, -0.2, -0.2, -np.inf))
"""Torso lengths that the wrist is above its shoulder at a turning point; of SWEEP above its elbow."""


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
        slots, t, size = body.slots, body.t, body.size[:, None, None]
        wrists = body.xy[:, 9:11]
        arm, forearm = (wrists - body.xy[:, 5:7]) / size, (wrists - body.xy[:, 7:9]) / size
        apart = wrists[:, 0] - wrists[:, 1]
        track, high = np.empty((2, len(slots), TRACKS))
        track[:, SWING] = track[:, SWEEP] = arm[:, :, 0]
        track[:, SHAKE] = forearm[:, :, 0]
        track[:, CLAP] = np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2) / body.size
        high[:, SWING] = high[:, SHAKE] = -arm[:, :, 1]
        high[:, SWEEP] = -forearm[:, :, 1]
        high[:, CLAP] = 0.0
        self._turn(slots, t, track, high)
        row = self._in_a_row(self._times[slots], t)
        told = np.empty((len(slots), 4))
        told[:, :2] = np.maximum(row[:, SWING], 0.75 * row[:, SHAKE])
        told[:, 2], told[:, 3] = row[:, SWEEP].min(1), row[:, CLAP]
        hidden = np.isnan(arm[:, :, 0])
        told[:, :2][hidden] = np.nan
        told[:, 2:][hidden.any(1)] = np.nan
        return told

    @staticmethod
    def _in_a_row(times: Floats, t: float) -> Floats:
        """(N, tracks) how many turning points end the row that is not over."""
        near = times[:, :, :-1] - times[:, :, 1:] <= GAP_S
        near &= t - times[:, :, 1:] <= WINDOW_S
        row = 1.0 + np.cumprod(near, axis=2).sum(2)
        return np.where(t - times[:, :, 0] <= OVER_S, row, 0.0)

    def _turn(self, slots: NDArray[np.intp], t: float, track: Floats, high: Floats) -> None:
        kept, way = self._last[slots], self._way[slots]
        last = kept[:, :, 0]
        began = np.isnan(last)
        step = np.where(began, 0.0, track - last)
        side = np.sign(step)
        turns = (np.abs(step) >= LEAST) & (side != way)
        counts = turns & (way != 0) & (kept[:, :, 1] >= HIGH)
        counts[:, CLAP] &= (step[:, CLAP] > 0) & (last[:, CLAP] <= MEET)  # parting after they met
        if counts.any():
            times = self._times[slots]
            pushed = np.concatenate((kept[:, :, 2:], times[:, :, :-1]), axis=2)
            self._times[slots] = np.where(counts[:, :, None], pushed, times)
        moved = turns | began | ((side == way) & (side != 0))
        fresh = np.stack((track, high, np.full(track.shape, t)), axis=2)
        self._last[slots] = np.where(moved[:, :, None], fresh, kept)
        self._way[slots] = np.where(turns, side, way)

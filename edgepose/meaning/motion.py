"""How a body moved within the last seconds: drops, speeds, stillness; a memory of two seconds for each station."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

MOTION = {
    "shoulder_drop": ("torso", "shoulders below where they were highest within 1.5 s"),
    "hip_drop": ("torso", "hips below where they were highest within 1.5 s"),
    "drop_speed": ("torso/s", "fastest that the shoulders sank over 0.25 s, within 1.5 s"),
    "turn_deg": ("deg", "how far the trunk tilted more than it did at least within 1.5 s"),
    "speed": ("torso/s", "of the body's middle, over half a second"),
    "speed_x": ("torso/s", "the same across the picture, to the right"),
    "sway": ("torso", "how far the body's middle went within 1.5 s, the longer way"),
    "rise": ("torso", "shoulders above where they were lowest within 1.5 s"),
}
DROP_S = 1.5
SPEED_S = 0.5
SINK_S = 0.25
STEP_S = 1 / 32
"""Frames nearer in time than this are not all remembered: the memory is one of seconds."""
LENGTH = 64
SHOULDER_Y, HIP_Y, TILT, X, Y = range(5)


class Motion:
    """A ring of samples for each slot."""

    def __init__(self) -> None:
        self._t = np.zeros((0, LENGTH))
        self._kept = np.zeros((0, LENGTH, 5))
        self._at = np.zeros(0, np.intp)
        self._sink = np.zeros((0, 2))
        """(S, 2) fastest sinking, and when."""

    def grow(self, room: int) -> None:
        """Room for so many slots."""
        more = room - len(self._at)
        self._t = np.concatenate((self._t, np.full((more, LENGTH), -np.inf)))
        self._kept = np.concatenate((self._kept, np.full((more, LENGTH, 5), np.nan)))
        self._at = np.concatenate((self._at, np.zeros(more, np.intp)))
        self._sink = np.concatenate((self._sink, np.full((more, 2), -np.inf)))

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self._t[slot], self._kept[slot], self._at[slot], self._sink[slot] = -np.inf, np.nan, 0, -np.inf

    def update(self, body: Body) -> Floats:
        """(N, 8) in the order of MOTION."""
        slots, t, size = body.slots, body.t, body.size
        centre = body.centre
        trunk = body.trunk
        tilt = np.degrees(np.arctan2(np.abs(trunk[:, 0]), -trunk[:, 1]))
        now = np.stack((body.shoulder[:, 1], body.hip[:, 1], tilt, centre[:, 0], centre[:, 1]), axis=1)
        at = self._at[slots]
        last = self._t[slots, at]
        at = np.where(t - last >= STEP_S, (at + 1) % LENGTH, at)
        fresh = t - last >= STEP_S
        self._at[slots] = at
        rows, spots = slots[fresh], at[fresh]
        self._t[rows, spots], self._kept[rows, spots] = t, now[fresh]

        ages = t - self._t[slots]
        kept = self._kept[slots]
        lately = (ages <= DROP_S)[:, :, None]
        shown = kept[:, :, :3]
        lowest = np.fmin.reduce(np.where(lately, shown, np.nan), axis=1)
        highest_y = np.fmax.reduce(np.where(lately[:, :, 0], shown[:, :, SHOULDER_Y], np.nan), axis=1)
        drops = (now[:, :2] - lowest[:, :2]) / size[:, None]
        turned = tilt - lowest[:, TILT]
        rise = (highest_y - now[:, SHOULDER_Y]) / size
        went = np.where(lately, kept[:, :, X:], np.nan)
        sway = (np.fmax.reduce(went, axis=1) - np.fmin.reduce(went, axis=1)).max(1) / size

        fast = self._over(ages, kept, now, SPEED_S)
        speed = np.sqrt(fast[:, X] ** 2 + fast[:, Y] ** 2) / size
        sinking = self._over(ages, kept, now, SINK_S)[:, SHOULDER_Y] / size
        best, when = self._sink[slots, 0], self._sink[slots, 1]
        best = np.where(t - when > DROP_S, -np.inf, best)
        newer = sinking >= best
        best, when = np.where(newer, sinking, best), np.where(newer, t, when)
        self._sink[slots, 0], self._sink[slots, 1] = best, when
        best = np.where(np.isinf(best), np.nan, best)
        return np.stack((drops[:, 0], drops[:, 1], best, turned, speed, fast[:, X] / size, sway, rise), axis=1)

    @staticmethod
    def _over(ages: Floats, kept: Floats, now: Floats, span_s: float) -> Floats:
        """(N, 5) change a second since the sample nearest to `span_s` ago."""
        spot = np.abs(ages - span_s).argmin(1)
        rows = np.arange(len(ages))
        age = ages[rows, spot]
        near = (age > span_s / 2) & (age < 3 * span_s)
        return np.asarray(
            np.where(near[:, None], (now - kept[rows, spot]) / np.where(near, age, 1.0)[:, None], np.nan), np.float64
        )

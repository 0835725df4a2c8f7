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
SPANS = np.array((DROP_S, SPEED_S, SINK_S, STEP_S))


class Motion:
    """A ring of samples for each slot."""

    def __init__(self) -> None:
        self._t = np.zeros((0, LENGTH))
        self._kept = np.zeros((0, LENGTH, 5))
        self._at = np.zeros(0, np.int64)
        self._sink = np.zeros((0, 2))
        """(S, 2) fastest sinking, and when."""

    def grow(self, room: int) -> None:
        """Room for so many slots."""
        more = room - len(self._at)
        self._t = np.concatenate((self._t, np.full((more, LENGTH), -np.inf)))
        self._kept = np.concatenate((self._kept, np.full((more, LENGTH, 5), np.nan)))
        self._at = np.concatenate((self._at, np.zeros(more, np.int64)))
        self._sink = np.concatenate((self._sink, np.full((more, 2), -np.inf)))

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self._t[slot], self._kept[slot], self._at[slot], self._sink[slot] = -np.inf, np.nan, 0, -np.inf

    def update(self, body: Body) -> Floats:
        """(N, 8) in the order of MOTION."""
        made = np.empty((len(body), len(MOTION)))
        body.loops.moved(
            body.middles,
            body.centre,
            body.size,
            body.slots,
            body.t,
            SPANS,
            self._t,
            self._kept,
            self._at,
            self._sink,
            made,
        )
        return made

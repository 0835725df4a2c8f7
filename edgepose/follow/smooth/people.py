"""Whose state lies where, and how long ago each was seen."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GAP_S = 0.5
"""A joint or person unseen for longer than this and a frame starts again; after less, the filters go on."""
PAUSE_S = 2.0
"""Between two frames further apart than this nothing is carried over."""
ROOM = 8
"""People there is room for at first."""


@dataclass(frozen=True)
class Seen:
    """The people of one frame."""

    slots: NDArray[np.int64]
    """(N,) rows of the state that belong to them."""
    steps: NDArray[np.float64]
    """(N,) seconds since each was seen; infinite for who is new or was away for too long."""
    new: NDArray[np.int64]
    """Slots of those: their state is somebody else's, or too old."""
    now: float
    """Seconds; rises from frame to frame whatever the time stamps do."""
    oldest: float
    """A joint last seen before this starts again."""


class Clock:
    """Time stamps made to rise.

    One that repeats or goes back a little counts as one frame later, one that goes back by more than a gap as a pause.
    """

    def __init__(self) -> None:
        self._t = self._now = 0.0
        self._step = 1 / 30
        self._started = False

    def tick(self, t: float) -> tuple[float, float]:
        """The time and the step to it, seconds."""
        step = t - self._t if self._started else PAUSE_S * 2
        if not isfinite(t):
            t, step = self._t, self._step
        elif step < -GAP_S:
            step = PAUSE_S * 2
        elif step <= 0:
            step = self._step
        elif step <= PAUSE_S:
            self._step = step
        self._t, self._started = t, True
        self._now += step
        return self._now, step


class People:
    """Gives every identity a slot of the state.

    Memory follows how many were seen within PAUSE_S, whether or not they are told to have left.
    """

    def __init__(self) -> None:
        self._slot: dict[int, int] = {}
        self._free: list[int] = []
        self._last = np.zeros(0)
        self._clock = Clock()

    def __len__(self) -> int:
        return len(self._slot)

    @property
    def room(self) -> int:
        """How many slots there are."""
        return len(self._last)

    def forget(self, identity: int) -> None:
        """They will not come back."""
        slot = self._slot.pop(identity, None)
        if slot is not None:
            self._free.append(slot)

    def tick(self, t: float) -> tuple[float, float]:
        """As Clock.tick; once a frame, even if nobody is there."""
        return self._clock.tick(t)

    def see(self, identities: list[int], now: float, step: float) -> Seen:
        """Find everybody's slot."""
        slots = np.array([self._slot.get(identity, -1) for identity in identities], np.int64)
        if slots.size and slots.min() < 0:
            self._take_in(identities, now)
            slots = np.array([self._slot[identity] for identity in identities], np.int64)
        steps = now - self._last[slots]
        limit = min(GAP_S + step, PAUSE_S)
        new = steps > limit
        steps[new] = np.inf
        self._last[slots] = now
        return Seen(slots, steps, slots[new], now, now - limit)

    def _take_in(self, identities: list[int], now: float) -> None:
        """Give newcomers slots, those of who is long gone first."""
        newcomers = {identity: None for identity in identities if identity not in self._slot}
        if len(self._free) < len(newcomers):
            for identity, slot in list(self._slot.items()):
                if self._last[slot] < now - PAUSE_S and identity not in identities:
                    self.forget(identity)
        if len(self._free) < len(newcomers):
            old = self.room
            self._last = np.concatenate((self._last, np.full(max(ROOM, old, len(newcomers)), -np.inf)))
            self._free += reversed(range(old, self.room))
        for identity in newcomers:
            slot = self._slot[identity] = self._free.pop()
            self._last[slot] = -np.inf


def grown(state: Array, people: int) -> Array:
    """The state with rows for that many people."""
    more = np.zeros((people - len(state), *state.shape[1:]), state.dtype)
    return np.concatenate((state, more))

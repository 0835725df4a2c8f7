"""Whose state it is: a station goes on where an identity was lost and another is found, at the same place, soon."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEEP_S = 3.0
"""A station without anybody waits so long for somebody."""
REACH = 1.0
"""How far from where it was left, in torso lengths."""
ROOM = 8
"""Slots to begin with, and each time there are too few."""


Anchor = tuple[float, float, float, float]
"""x and y of the shoulders' middle, then of the hips', pixels; NaN: not seen."""


@dataclass(slots=True)
class Station:
    """State that belongs to a person, or to whoever stands where that one was lost."""

    number: int
    """Its own for ever, from 1."""
    slot: int
    """Its row in every state array."""
    id: int
    """Who is there, or was last."""
    born_t: float
    seen_t: float
    anchor: Anchor = (math.nan, math.nan, math.nan, math.nan)
    """Where both were when seen last."""
    size: float = math.nan
    """Torso length, pixels."""
    place: str = ""
    """The polygon that owns it; empty: it owns itself."""
    there: bool = True


class Stations:
    """Gives each person of a frame a station; `on_new` and `on_end` are called with slots that begin and end."""

    def __init__(self, on_new: Callable[[Station], None], on_end: Callable[[Station, float], None]) -> None:
        self._on_new, self._on_end = on_new, on_end
        self.by_slot: dict[int, Station] = {}
        self._of_id: dict[int, Station] = {}
        self._ids: list[int] = []
        self._slots = np.zeros(0, np.int64)
        self._anchors = np.zeros((0, 4))
        """(S, 4) where each station was in the last frame, pixels."""
        self._free: list[int] = []
        self.room = 0
        self._next = 1

    @property
    def absent(self) -> list[Station]:
        """Those where nobody is now."""
        return [station for station in self.by_slot.values() if not station.there]

    def at(self, slot: int) -> Station:
        """The station of a slot."""
        return self.by_slot[slot]

    def slots(
        self,
        t: float,
        ids: Sequence[int],
        anchors: NDArray[np.float64],
        sizes: NDArray[np.float64],
        places: Callable[[], Sequence[str]],
    ) -> NDArray[np.int64]:
        """(N,) the slot of each person; `places` is called only where somebody came or went.

        anchors  (N, 4) as Anchor
        sizes    (N,) torso lengths, pixels
        places   (N,) the polygon with a station of its own in which each is; empty: none
        """
        if ids == self._ids:
            return self._slots
        here = set(ids)
        for identity, station in list(self._of_id.items()):
            if identity not in here:
                station.there = False
                del self._of_id[identity]
        if any(identity not in self._of_id for identity in ids):
            self._welcome(t, ids, anchors, sizes, places())
        self._merge(t)
        self._slots = np.array([self._of_id[identity].slot for identity in ids], np.int64)
        self._ids = list(ids)
        return self._slots

    def swapped(self, anchors: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
        """Give identities that changed places between two frames each other's station; whether any did."""
        last = self._anchors[self._slots]
        self._anchors[self._slots] = anchors
        leaps = np.fmin(*_legs(anchors - last)) > REACH * sizes
        if not leaps.any():
            return False
        rows = np.flatnonzero(leaps).tolist()
        found = False
        for at, row in enumerate(rows):
            for other in rows[at + 1 :]:
                there = np.fmin(*_legs(anchors[row] - last[other])) < REACH * sizes[row] / 2
                back = np.fmin(*_legs(anchors[other] - last[row])) < REACH * sizes[other] / 2
                if there and back:
                    self._exchange(row, other)
                    found = True
        self._anchors[self._slots] = anchors
        return found

    def _exchange(self, row: int, other: int) -> None:
        first, second = self._of_id[self._ids[row]], self._of_id[self._ids[other]]
        first.id, second.id = second.id, first.id
        self._of_id[first.id], self._of_id[second.id] = first, second
        self._slots[row], self._slots[other] = second.slot, first.slot

    def seen(self, t: float, anchors: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
        """Note where everybody of the frame is; before somebody is lost this must be recent."""
        for identity, anchor, size in zip(self._ids, anchors.tolist(), sizes.tolist(), strict=True):
            station = self._of_id[identity]
            station.seen_t = t
            station.anchor = _known(anchor, station.anchor)
            if size == size:
                station.size = size

    def expire(self, t: float) -> None:
        """End those that waited too long; a polygon's own waits for ever."""
        for station in [one for one in self.absent if not one.place and t - one.seen_t > KEEP_S]:
            self._end(station, t)

    def clear(self, t: float) -> None:
        """End all of them."""
        for station in list(self.by_slot.values()):
            self._end(station, t)
        self._of_id.clear()
        self._ids, self._slots = [], np.zeros(0, np.int64)

    def _welcome(
        self,
        t: float,
        ids: Sequence[int],
        anchors: NDArray[np.float64],
        sizes: NDArray[np.float64],
        places: Sequence[str],
    ) -> None:
        for index, identity in enumerate(ids):
            if identity in self._of_id:
                continue
            anchor, size = tuple(anchors[index].tolist()), float(sizes[index])
            station = self._left_at(t, anchor, size, places[index]) or self._new(t, places[index])
            station.id, station.there, station.seen_t = identity, True, t
            station.anchor, station.size = _known(anchor, station.anchor), size if size == size else station.size
            self._of_id[identity] = station

    def _left_at(self, t: float, anchor: Anchor, size: float, place: str) -> Station | None:
        """The station that waits there; of several the nearest."""
        waiting = self.absent
        if place:
            return next((one for one in waiting if one.place == place), None)
        near = [(apart(one, anchor, size), one) for one in waiting if not one.place and t - one.seen_t <= KEEP_S]
        distance, station = min(near, key=lambda pair: pair[0], default=(math.inf, None))
        return station if distance <= REACH else None

    def _merge(self, t: float) -> None:
        """Who was seen twice for a while, and then only under the new identity, is one person."""
        for old in self.absent:
            if old.place or t - old.seen_t > KEEP_S:
                continue
            twins = [
                one
                for one in self._of_id.values()
                if not one.place and old.born_t < one.born_t >= old.seen_t - KEEP_S and one.seen_t >= old.seen_t
                and apart(old, one.anchor, one.size) <= REACH / 2
            ]  # fmt: skip
            if twins:
                young = max(twins, key=lambda one: one.born_t)
                identity = young.id
                old.id, old.there, old.seen_t, old.anchor, old.size = identity, True, t, young.anchor, young.size
                self._end(young, t)
                self._of_id[identity] = old

    def _new(self, t: float, place: str) -> Station:
        if not self._free:
            self._free = list(range(self.room + ROOM - 1, self.room - 1, -1))
            self.room += ROOM
            self._anchors = np.concatenate((self._anchors, np.full((ROOM, 4), np.nan)))
        station = Station(self._next, self._free.pop(), -1, t, t, place=place)
        self._next += 1
        self._anchors[station.slot] = np.nan
        self.by_slot[station.slot] = station
        self._on_new(station)
        return station

    def _end(self, station: Station, t: float) -> None:
        self._on_end(station, t)
        del self.by_slot[station.slot]
        self._free.append(station.slot)


def apart(station: Station, anchor: Anchor, size: float) -> float:
    """Torso lengths from where a station was left, of shoulders or hips the nearer; infinite: neither is known."""
    sizes = [one for one in (station.size, size) if one == one and one > 0]
    if not sizes:
        return math.inf
    old = station.anchor
    spans = (math.hypot(old[at] - anchor[at], old[at + 1] - anchor[at + 1]) for at in (0, 2))
    return min((span / max(sizes) for span in spans if span == span), default=math.inf)


def _known(new: Sequence[float], old: Anchor) -> Anchor:
    """The new place, and the old one of what is not seen."""
    a, b, c, d = (one if one == one else before for one, before in zip(new, old, strict=True))
    return a, b, c, d


def _legs(span: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far shoulders and hips went, pixels, along x plus along y."""
    span = np.abs(span)
    return span[..., 0] + span[..., 1], span[..., 2] + span[..., 3]

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
    xy: tuple[float, float] = (math.nan, math.nan)
    """Middle of the body when seen last, pixels."""
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
        self._slots = np.zeros(0, np.intp)
        self._middles = np.zeros((0, 2))
        """(S, 2) where each station was in the last frame, pixels."""
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
        middles: NDArray[np.float64],
        sizes: NDArray[np.float64],
        places: Callable[[], Sequence[str]],
    ) -> NDArray[np.intp]:
        """(N,) the slot of each person; `places` is called only where somebody came or went.

        middles  (N, 2) pixels
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
            self._welcome(t, ids, middles, sizes, places())
        self._merge(t)
        self._slots = np.array([self._of_id[identity].slot for identity in ids], np.intp)
        self._ids = list(ids)
        return self._slots

    def swapped(self, middles: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
        """Give identities that changed places between two frames each other's station; whether any did."""
        last = self._middles[self._slots]
        self._middles[self._slots] = middles
        leaps = np.abs(middles - last).sum(1) > REACH * sizes
        if not leaps.any():
            return False
        rows = np.flatnonzero(leaps).tolist()
        found = False
        for at, row in enumerate(rows):
            for other in rows[at + 1 :]:
                there = np.abs(middles[row] - last[other]).sum() < REACH * sizes[row] / 2
                back = np.abs(middles[other] - last[row]).sum() < REACH * sizes[other] / 2
                if there and back:
                    self._exchange(row, other)
                    found = True
        self._middles[self._slots] = middles
        return found

    def _exchange(self, row: int, other: int) -> None:
        first, second = self._of_id[self._ids[row]], self._of_id[self._ids[other]]
        first.id, second.id = second.id, first.id
        self._of_id[first.id], self._of_id[second.id] = first, second
        self._slots[row], self._slots[other] = second.slot, first.slot

    def seen(self, t: float, middles: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
        """Note where everybody of the frame is; before somebody is lost this must be recent."""
        for identity, (x, y), size in zip(self._ids, middles.tolist(), sizes.tolist(), strict=True):
            station = self._of_id[identity]
            station.seen_t = t
            if x == x and y == y:
                station.xy = x, y
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
        self._ids, self._slots = [], np.zeros(0, np.intp)

    def _welcome(
        self,
        t: float,
        ids: Sequence[int],
        middles: NDArray[np.float64],
        sizes: NDArray[np.float64],
        places: Sequence[str],
    ) -> None:
        for index, identity in enumerate(ids):
            if identity in self._of_id:
                continue
            xy, size = (float(middles[index, 0]), float(middles[index, 1])), float(sizes[index])
            station = self._left_at(t, xy, size, places[index]) or self._new(t, places[index])
            station.id, station.there, station.seen_t = identity, True, t
            station.xy, station.size = xy, size
            self._of_id[identity] = station

    def _left_at(self, t: float, xy: tuple[float, float], size: float, place: str) -> Station | None:
        """The station that waits there; of several the nearest."""
        waiting = self.absent
        if place:
            return next((one for one in waiting if one.place == place), None)
        near = [(_apart(one, xy, size), one) for one in waiting if not one.place and t - one.seen_t <= KEEP_S]
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
                and _apart(old, one.xy, one.size) <= REACH / 2
            ]  # fmt: skip
            if twins:
                young = max(twins, key=lambda one: one.born_t)
                identity = young.id
                old.id, old.there, old.seen_t, old.xy, old.size = identity, True, t, young.xy, young.size
                self._end(young, t)
                self._of_id[identity] = old

    def _new(self, t: float, place: str) -> Station:
        if not self._free:
            self._free = list(range(self.room + ROOM - 1, self.room - 1, -1))
            self.room += ROOM
            self._middles = np.concatenate((self._middles, np.full((ROOM, 2), np.nan)))
        station = Station(self._next, self._free.pop(), -1, t, t, place=place)
        self._next += 1
        self._middles[station.slot] = np.nan
        self.by_slot[station.slot] = station
        self._on_new(station)
        return station

    def _end(self, station: Station, t: float) -> None:
        self._on_end(station, t)
        del self.by_slot[station.slot]
        self._free.append(station.slot)


def _apart(station: Station, xy: tuple[float, float], size: float) -> float:
    """Torso lengths between where a station was left and a place; infinite where either is not known."""
    sizes = [one for one in (station.size, size) if one == one and one > 0]
    if not sizes:
        return math.inf
    distance = math.hypot(station.xy[0] - xy[0], station.xy[1] - xy[1]) / max(sizes)
    return distance if distance == distance else math.inf

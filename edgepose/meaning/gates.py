"""Conditions with hysteresis and hold times, of all rules and everybody at once: off, maybe, on, maybe off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FORGET_S = 1.0
"""A condition that cannot be judged for this long has to be met anew; until then it counts as it was judged last."""
EPSILON_S = 1e-6
"""Stamps are not exact: a hold of 0.5 s is over after fifteen frames at 30 Hz."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A feature beyond a limit."""

    feature: str
    enter: float
    exit: float
    above: bool
    """True: met at `enter` and more, until below `exit`; False: at `enter` and less, until above `exit`."""


def above(feature: str, enter: float, exit_: float | None = None) -> Condition:
    """Met at `enter` and more, until below `exit_`."""
    return Condition(feature, enter, enter if exit_ is None else exit_, above=True)


def below(feature: str, enter: float, exit_: float | None = None) -> Condition:
    """Met at `enter` and less, until above `exit_`."""
    return Condition(feature, enter, enter if exit_ is None else exit_, above=False)


def beyond(feature: str, enter: float, exit_: float) -> Condition:
    """Above or below, whichever the two limits mean: one leaves on the side where one came from."""
    return Condition(feature, enter, exit_, above=enter > exit_)


@dataclass(frozen=True, slots=True)
class Gate:
    """Conditions that are all met for `hold_s`, until one is not for `release_s`."""

    name: str
    conditions: tuple[Condition, ...]
    hold_s: float = 0.0
    release_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Edges:
    """What changed in one frame."""

    person: list[int]
    gate: list[int]
    on: list[bool]
    onset_t: list[float]
    """When the conditions came to be as they are now."""


class Gates:
    """The state of every gate for every slot."""

    def __init__(self, gates: Sequence[Gate], columns: dict[str, int]) -> None:
        """`columns`: where each feature is in the values of `update`."""
        self.gates = tuple(gates)
        parts = [condition for gate in gates for condition in gate.conditions]
        sign = np.array([1.0 if part.above else -1.0 for part in parts])
        self._columns = np.array([columns[part.feature] for part in parts], np.intp)
        self._sign = sign
        self._enter = np.array([part.enter for part in parts]) * sign
        self._exit = np.array([part.exit for part in parts]) * sign
        counts = [len(gate.conditions) for gate in gates]
        self._starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.intp)
        self._owner = np.repeat(np.arange(len(gates)), counts)
        self._hold = np.array([gate.hold_s for gate in gates])
        self._release = np.array([gate.release_s for gate in gates])
        self.on = np.zeros((0, len(gates)), bool)
        """(S, G)."""
        self.onset_t = np.zeros((0, len(gates)))
        """(S, G) seconds; since when it is as it is."""
        self._since = np.zeros((0, len(gates)))
        """(S, G) since when it should be the other way; NaN: it should not."""
        self._dark = np.zeros((0, len(gates)))
        """(S, G) when it was judged last."""
        self.unknown: Mask = np.zeros((0, len(gates)), bool)
        """(N, G) of the last frame: cannot be judged."""
        self.margin: Floats = np.zeros((0, len(gates)))
        """(N, G) of the last frame: how far the worst condition is beyond its limit, in its own unit."""

    def grow(self, room: int) -> None:
        """Room for so many slots."""
        more = room - len(self.on), len(self.gates)
        self.on = np.concatenate((self.on, np.zeros(more, bool)))
        self.onset_t = np.concatenate((self.onset_t, np.full(more, np.nan)))
        self._since = np.concatenate((self._since, np.full(more, np.nan)))
        self._dark = np.concatenate((self._dark, np.full(more, np.nan)))

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self.on[slot] = False
        self.onset_t[slot] = self._since[slot] = self._dark[slot] = np.nan

    def update(self, slots: NDArray[np.int64], t: float, values: Floats) -> Edges | None:
        """What changes with the values (N, columns) of a frame; None: nothing."""
        on = self.on[slots]
        limit = np.where(on[:, self._owner], self._exit, self._enter)
        margins = values[:, self._columns] * self._sign - limit
        worst = np.minimum.reduceat(margins, self._starts, axis=1)
        known = worst == worst
        if not known.all():
            sure = np.fmin.reduceat(margins, self._starts, axis=1) < 0
            worst = np.where(sure & ~known, -np.inf, worst)
            known |= sure
            unknown = ~known
            dark = self._dark[slots]
            dark = np.where(known | np.isnan(dark), t, dark)
            self._dark[slots] = dark
            forgotten = unknown & (t - dark > FORGET_S)
            wanted = np.where(unknown, on, worst >= 0)
            since = self._since[slots]
            kept = unknown & ~forgotten & ~np.isnan(since)
            differ = (wanted != on) | kept
        else:
            unknown = ~known
            self._dark[slots] = t
            since = self._since[slots]
            wanted = worst >= 0
            differ = wanted != on
        self.unknown, self.margin = unknown, worst
        began = np.where(differ, np.where(since == since, since, t), np.nan)
        self._since[slots] = began
        if not differ.any():
            return None
        need = np.where(on, self._release, self._hold)
        changed = differ & ~unknown & (t - began >= need - EPSILON_S)
        if not changed.any():
            return None
        rows, gates = np.nonzero(changed)
        where = slots[rows], gates
        onset = began[rows, gates]
        self.on[where] = wanted[rows, gates]
        self.onset_t[where] = onset
        self._since[where] = np.nan
        return Edges(rows.tolist(), gates.tolist(), wanted[rows, gates].tolist(), onset.tolist())

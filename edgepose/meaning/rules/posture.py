"""Upright, sitting, lying, bent, kneeling or unknown, and how long each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from edgepose.core.config import says
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.features import LEGS, TRUNK
from edgepose.meaning.gates import Gate, above
from edgepose.meaning.posture import POSTURES
from edgepose.meaning.reasons import reason
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common

STALE_S = 1.0


class Settings(Common, frozen=True, kw_only=True):
    """The posture of each person."""

    hold_s: Annotated[float, says("a posture this long is told", "s", gt=0, le=60)] = 0.4


class Posture(Rule):
    """A gate for each posture; the one that opened last is how somebody is."""

    every_frame = True
    needs_joints = (*TRUNK, *LEGS[:4])
    features = ("tilt_deg", "thigh_down", "shank_down")

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self.gates = tuple(Gate(name, (above(name, 0.5),), settings.hold_s, 0.0) for name in POSTURES)
        self._now = np.zeros(0, np.intp)
        """(S,) place in POSTURES; len(POSTURES): unknown."""
        self._seconds = np.zeros((0, len(POSTURES) + 1))

    def grow(self, room: int) -> None:
        more = room - len(self._now)
        self._now = np.concatenate((self._now, np.full(more, len(POSTURES))))
        self._seconds = np.concatenate((self._seconds, np.zeros((more, len(POSTURES) + 1))))

    def reset(self, slot: int) -> None:
        self._now[slot], self._seconds[slot] = len(POSTURES), 0.0

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        slot = int(moment.slots[person])
        was = int(self._now[slot])
        if not on or gate == was:
            return
        self._now[slot] = gate
        names = (*POSTURES, "unknown")
        evidence = {name: (round(moment.value(person, name), 3), limit) for name, limit in _LIMITS.items()}
        yield self.event(
            moment, person, "changed", "once", onset_t, gate=gate, evidence=evidence,
            posture=names[gate], was=names[was],
        )  # fmt: skip

    def each(self, moment: Moment) -> Iterable[Event]:
        slots = moment.slots
        dark = np.isnan(moment.values[:, moment.columns["upright"]])
        code = np.where(dark, len(POSTURES), self._now[slots])
        self._seconds[slots, code] += moment.dt
        return ()

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        for person, slot in enumerate(moment.slots.tolist()):
            known = not np.isnan(moment.value(person, "upright"))
            names = (*POSTURES, "unknown")
            seconds = {f"{name}_s": int(self._seconds[slot, at]) for at, name in enumerate(names)}
            station = moment.stations[slot]
            why = "" if known else reason(moment, person, (*TRUNK, *LEGS[:4]))
            told = names[int(self._now[slot])]
            yield Gauge(self.name, self.kind, station.number, station.id, {"posture": told, **seconds}, why)


_LIMITS = {"tilt_deg": 55.0, "thigh_down": 0.5, "shank_down": 0.35}

"""Repetitions of an exercise: of a declared signal, or of whatever goes to and fro."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import says
from edgepose.meaning.angles import MEANS
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.features import FEATURES
from edgepose.meaning.gates import Gate, beyond
from edgepose.meaning.periodic import Periods
from edgepose.meaning.reasons import reason
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common, known
from edgepose.meaning.stations import Station, apart

Floats = NDArray[np.float64]
AUTO = "auto"
SHALLOW, SHALLOW_AFTER = 0.75, 4
"""After so many of a set, one that moves less than this part of what is usual in it is somebody who shifts about."""
USUAL = 0.3
"""How much each repetition counts in what is usual."""
LEAST_AUTO = 2
"""One that nobody declared is no exercise."""
LATE_S = 4.0
"""Without a repetition for so long, auto looks whether the set is over."""
TWIN_S, TWIN_TORSO = 0.7, 1.0
"""Two repetitions that near in time and place are one person's who is seen twice."""
BENDS = ("knee", "hip")
"""Signals that are counted as if seen from the side: a squat towards the camera shows little of its bend."""


class Settings(Common, frozen=True, kw_only=True):
    """An exercise that is counted."""

    signal: Annotated[str, says("a feature, such as knee, elbow, shoulder_over_wrist; auto looks for what repeats")] = (
        AUTO
    )
    enter: Annotated[float, says("the far end of a repetition; in the feature's unit; not for auto")] = math.nan
    exit: Annotated[float, says("back over this one the repetition is done; not for auto")] = math.nan
    min_period_s: Annotated[float, says("quicker ones do not count", "s", gt=0, le=60)] = 0.4
    max_period_s: Annotated[
        float, says("slower ones do not, and a pause this long ends the set", "s", gt=0, le=600)
    ] = 10.0
    min_range: Annotated[float, says("a repetition moves the signal at least so far; in its unit", ge=0)] = 0.0

    def check(self) -> str:
        """What contradicts itself."""
        if self.signal == AUTO:
            given = math.isfinite(self.enter) or math.isfinite(self.exit)
            return "enter and exit are for a declared signal; remove them or set signal" if given else ""
        if not (math.isfinite(self.enter) and math.isfinite(self.exit)):
            return f"signal {self.signal!r} needs enter and exit"
        if self.enter == self.exit:
            return "exit is enter; a repetition has to leave the far end, take another"
        if self.min_period_s >= self.max_period_s:
            return f"min_period_s is {self.min_period_s:g}, not below max_period_s {self.max_period_s:g}"
        return ""


class Reps(Rule):
    """A repetition begins beyond `enter` and is counted back over `exit`."""

    every_frame = True

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._cfg = settings
        self._auto = settings.signal == AUTO
        self._signal = settings.signal
        self._periods = Periods(settings.min_period_s, settings.max_period_s) if self._auto else None
        self._count = np.zeros(0, np.intp)
        self._total = 0
        self._last = np.zeros(0)
        """(S,) when the last repetition was done, seconds."""
        self._first = np.zeros(0)
        self._usual = np.zeros(0)
        """(S,) how far the signal goes in a repetition of this set."""
        self._low, self._high = np.zeros(0), np.zeros(0)
        """(S,) of the signal since then."""
        if not self._auto:
            known(settings.signal, list(FEATURES), f"{setting.path}.signal", "signal")
            self.needs_joints = FEATURES[settings.signal].needs
            self._signal = f"{settings.signal}_bend" if settings.signal in BENDS else settings.signal
            self.gates = (Gate("far", (beyond(self._signal, settings.enter, settings.exit),), 0.05, 0.05),)
            sides = [f"{settings.signal}_{side}" for side in ("left", "right")]
            self._sides = tuple(sides) if settings.signal in MEANS else ()
            self.features = self._sides

    def grow(self, room: int) -> None:
        more = room - len(self._count)
        self._count = np.concatenate((self._count, np.zeros(more, np.intp)))
        self._usual = np.concatenate((self._usual, np.zeros(more)))
        self._last, self._first = (np.concatenate((one, np.full(more, np.nan))) for one in (self._last, self._first))
        self._low, self._high = (np.concatenate((one, np.full(more, np.nan))) for one in (self._low, self._high))
        if self._periods:
            self._periods.grow(room)

    def reset(self, slot: int) -> None:
        self._count[slot] = 0
        self._last[slot] = self._first[slot] = self._low[slot] = self._high[slot] = np.nan
        if self._periods:
            self._periods.reset(slot)

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        slot = int(moment.slots[person])
        if on:
            return
        low, high = float(self._low[slot]), float(self._high[slot])
        self._low[slot] = self._high[slot] = np.nan
        since = float(self._last[slot])
        duration = onset_t - since if onset_t - since <= self._cfg.max_period_s else math.nan
        if duration < self._cfg.min_period_s or (self._cfg.min_range and not high - low >= self._cfg.min_range):
            self.tally.suppressed += 1
            return
        if self._count[slot] >= SHALLOW_AFTER and high - low < SHALLOW * self._usual[slot]:
            self.tally.suppressed += 1
            return
        twin = self._twin(moment, slot, onset_t)
        if twin is not None:
            self.tally.suppressed += 1
            self._count[slot] = self._count[twin] = max(self._count[slot], self._count[twin])
            self._last[slot] = self._last[twin]
            return
        usual = self._usual[slot] if self._count[slot] else high - low
        self._usual[slot] = usual + USUAL * (high - low - usual)
        facts: dict[str, Any] = {"range": [round(low, 2), round(high, 2)]}
        if self._sides:
            left, right = (moment.value(person, side) for side in self._sides)
            facts["left_right"] = None if math.isnan(left - right) else round(left - right, 1)
        yield self._counted(moment, person, slot, onset_t, duration, gate, facts)

    def _twin(self, moment: Moment, slot: int, done_t: float) -> int | None:
        """Another station at the same place that has counted this repetition: somebody who is seen twice."""
        mine = moment.stations[slot]
        for other, station in moment.stations.items():
            if other == slot or not abs(done_t - self._last[other]) < TWIN_S:
                continue
            if apart(station, mine.anchor, mine.size) <= TWIN_TORSO:
                return other
        return None

    def _counted(
        self, moment: Moment, person: int, slot: int, done_t: float, duration: float, gate: int | None,
        facts: dict[str, Any],
    ) -> Event:  # fmt: skip
        self._count[slot] += 1
        self._total += 1
        self._last[slot] = done_t
        if self._count[slot] == 1:
            self._first[slot] = done_t
        count = int(self._count[slot])
        tempo = 60 * (count - 1) / (done_t - float(self._first[slot])) if count > 1 else None
        return self.event(
            moment, person, "rep", "once", done_t, gate=gate, count=count,
            duration_s=None if math.isnan(duration) else round(duration, 3),
            per_minute=None if tempo is None else round(tempo, 1), **facts,
        )  # fmt: skip

    def each(self, moment: Moment) -> Iterable[Event]:
        if self._periods:
            return self._counts(moment, self._periods)
        value = moment.values[:, moment.columns[self._signal]]
        slots = moment.slots
        self._low[slots] = np.fmin(self._low[slots], value)
        self._high[slots] = np.fmax(self._high[slots], value)
        return ()

    def _counts(self, moment: Moment, periods: Periods) -> Iterable[Event]:
        for person, done_t, period, score in periods.update(moment.body):
            slot = int(moment.slots[person])
            evidence = {"periodicity": (round(score, 3), periods.least)}
            event = self._counted(moment, person, slot, done_t, period, None, {"signal": AUTO})
            yield Event(
                event.t, event.seq, event.kind, event.rule, event.what, event.phase, event.id, event.station,
                event.place, event.onset_t, round(min(1.0, score), 3), evidence, event.facts,
            )  # fmt: skip

    def idle(self, t: float, seq: int, stations: dict[int, Station]) -> Iterable[Event]:
        for slot, station in stations.items():
            quiet_s = t - self._last[slot] if self._count[slot] else 0.0
            over = quiet_s > self._cfg.max_period_s
            if self._periods and quiet_s > LATE_S:
                over = self._periods.still(slot, t)
            if over:
                yield from self._over(station, t, seq)

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        if self._count[station.slot] or self._periods:
            yield from self._over(station, t, -1)

    def _over(self, station: Station, t: float, seq: int) -> Iterable[Event]:
        """A set has ended; of auto, with the repetitions that only the last look found."""
        slot = station.slot
        told = count = int(self._count[slot])
        if self._periods:
            count = self._periods.final(slot)[0] or count
            count = count if count >= LEAST_AUTO else told
        self._count[slot] = 0
        if not count:
            return
        first, last = (float(one[slot]) if told else t for one in (self._first, self._last))
        for number in range(told + 1, count + 1):
            yield self._ending(station, t, seq, "rep", "once", t, {"count": number, "signal": self._cfg.signal})
        tempo = round(60 * (told - 1) / (last - first), 1) if told > 1 and last > first else None
        facts = {"count": count, "per_minute": tempo, "lasted_s": round(last - first, 2)}
        yield self._ending(station, t, seq, "set", "end", last, facts)

    def _ending(
        self, station: Station, t: float, seq: int, what: str, phase: str, onset_t: float, facts: dict[str, Any]
    ) -> Event:
        return Event(
            t, seq, self.kind, self.name, what, phase, station.id, station.number, station.place, onset_t, 1.0, {},
            facts,
        )  # fmt: skip

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        for person, slot in enumerate(moment.slots.tolist()):
            station = moment.stations[slot]
            why = ""
            if self._periods:
                why = "" if self._periods.score[slot] >= self._periods.least else "no period"
            elif math.isnan(moment.value(person, self._signal)):
                why = reason(moment, person, self.needs_joints)
            values = {"count": int(self._count[slot]), "total": self._total, "cannot_tell": bool(why)}
            yield Gauge(self.name, self.kind, station.number, station.id, values, why)

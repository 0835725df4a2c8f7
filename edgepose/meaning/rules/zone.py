"""Who enters, leaves and loiters in a zone, how many are there, and who crosses a line, which way."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import says
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.body import Body
from edgepose.meaning.gates import Gate, above
from edgepose.meaning.ground import feet
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common, Points, known
from edgepose.meaning.stations import Station

Floats = NDArray[np.float64]
CLEAR = 0.15
"""Torso lengths from a line, to have crossed it."""


class Settings(Common, frozen=True, kw_only=True):
    """A zone to be in, or a line to cross."""

    zone: Annotated[str, says("the zone; or set line_px")] = ""
    line_px: Annotated[Points, says("two points: a tripwire instead of a zone", "pixels")] = ()
    direction: Annotated[
        Literal["both", "left", "right"],
        says("crossings told of: to the left or right of somebody who looks along the line, from its first point"),
    ] = "both"
    enter_s: Annotated[float, says("so long inside, to have entered", "s", gt=0, le=3600)] = 0.3
    leave_s: Annotated[float, says("so long outside, to have left", "s", gt=0, le=3600)] = 0.5
    loiter_s: Annotated[float, says("so long inside is loitering; 0 is never", "s", ge=0, le=86400)] = 0.0

    def check(self) -> str:
        """What contradicts itself."""
        if bool(self.zone) == bool(self.line_px):
            return "needs either zone or line_px"
        if self.line_px and len(self.line_px) != 2:
            return f"line_px has {len(self.line_px)} points, expected 2"
        if self.line_px and math.dist(*self.line_px) < 1:
            return "line_px has no length"
        if self.loiter_s and self.loiter_s < self.enter_s:
            return f"loiter_s is {self.loiter_s:g}, less than enter_s {self.enter_s:g}"
        return ""


class ZoneRule(Rule):
    """Gates of a zone: inside, loitering. A line has a side for each slot instead."""

    every_frame = True

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._cfg = settings
        self._side = np.zeros(0)
        """(S,) which side of the line: -1 left, 1 right, 0 not known."""
        self._crossings = {"left": 0, "right": 0}
        self._loiterers = 0
        if settings.zone:
            known(settings.zone, [zone.name for zone in setting.zones], f"{setting.path}.zone", "zone")
            column = f"in:{settings.zone}"
            gates = [Gate("inside", (above(column, 0.5),), settings.enter_s, settings.leave_s)]
            if settings.loiter_s:
                gates.append(Gate("loitering", (above(column, 0.5),), settings.loiter_s, settings.leave_s))
            self.gates = tuple(gates)
        else:
            self.own = (f"line:{settings.called}",)
            (self._ax, self._ay), (self._bx, self._by) = settings.line_px
            self._length = math.dist(*settings.line_px)

    def grow(self, room: int) -> None:
        self._side = np.concatenate((self._side, np.zeros(room - len(self._side))))

    def reset(self, slot: int) -> None:
        self._side[slot] = 0.0

    def measure(self, body: Body, moment_t: float) -> Floats:
        """(N, 1) torso lengths to the right of the line, NaN beyond its ends."""
        point, _ = feet(body)
        along_x, along_y = self._bx - self._ax, self._by - self._ay
        x, y = point[:, 0] - self._ax, point[:, 1] - self._ay
        right = (along_x * y - along_y * x) / self._length
        share = (along_x * x + along_y * y) / self._length**2
        beside = (share >= -0.05) & (share <= 1.05)
        return np.where(beside, right / body.size, np.nan)[:, None]

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        what = ("entered" if on else "left", "loitering")[gate]
        yield self.event(
            moment, person, what, "begin" if on else "end", onset_t, gate=gate, place=self._cfg.zone,
            people=self._people(moment), by="hips" if moment.by_hips[person] else "ankles",
        )  # fmt: skip

    def each(self, moment: Moment) -> Iterable[Event]:
        if not self._cfg.line_px:
            return ()
        away = moment.values[:, moment.columns[self.own[0]]]
        slots = moment.slots
        was = self._side[slots]
        now = np.where(np.abs(away) >= CLEAR, np.sign(away), was)
        now = np.where(np.isnan(away), np.where(np.isnan(away), was * 0, was), now)
        self._side[slots] = now
        crossed = (was * now) < 0
        if not crossed.any():
            return ()
        return [event for person in np.flatnonzero(crossed).tolist() for event in self._cross(moment, person)]

    def _cross(self, moment: Moment, person: int) -> Iterable[Event]:
        away = moment.value(person, self.own[0])
        way = "right" if away > 0 else "left"
        if self._cfg.direction not in ("both", way):
            self.tally.suppressed += 1
            return
        self._crossings[way] += 1
        yield self.event(
            moment, person, "crossed", "once", moment.t, evidence={"past_line_torso": (round(away, 3), CLEAR)},
            direction=way, total=self._crossings[way], by="hips" if moment.by_hips[person] else "ankles",
        )  # fmt: skip

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        for gate, what in enumerate(("left", "loitering")[: len(self.gates)]):
            if self.on[station.slot, gate]:
                onset_t = float(self.onset_t[station.slot, gate])
                yield self.gone(station, t, what, onset_t, zone=self._cfg.zone)

    def _people(self, moment: Moment) -> int:
        slots = list(moment.stations)
        return int(self.on[slots, 0].sum()) if slots else 0

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        if self._cfg.line_px:
            yield Gauge(self.name, self.kind, -1, -1, dict(self._crossings))
            return
        loiterers = len(self.whose(moment, 1)) if len(self.gates) > 1 else 0
        people = self._people(moment)
        values = {"zone": self._cfg.zone, "count": people, "occupied": people > 0, "loitering": loiterers}
        yield Gauge(self.name, self.kind, -1, -1, values)

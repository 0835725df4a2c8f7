"""An angle, or any other feature, that crosses a limit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any

from edgepose.core.config import says
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.features import FEATURES
from edgepose.meaning.gates import Gate, beyond
from edgepose.meaning.reasons import reason
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common, known
from edgepose.meaning.stations import Station

LEAST_PLANE = 0.5


class Settings(Common, frozen=True, kw_only=True):
    """A feature beyond a limit."""

    signal: Annotated[str, says("a feature, such as knee, elbow_left, tilt_deg, hip_height")]
    enter: Annotated[float, says("the limit; in the feature's unit")]
    exit: Annotated[float, says("back over this one it ends; on the side of `enter` where it came from")]
    hold_s: Annotated[float, says("so long beyond, to begin", "s", gt=0, le=3600)] = 0.2
    release_s: Annotated[float, says("so long back, to end", "s", gt=0, le=3600)] = 0.2
    reliability: Annotated[
        float, says("angles: how much of the limb must lie in the picture's plane to be judged", "0..1", ge=0, le=1)
    ] = 0.0

    def check(self) -> str:
        """What contradicts itself."""
        if not (math.isfinite(self.enter) and math.isfinite(self.exit)):
            return "enter and exit are numbers"
        return "exit is enter; there is no way back, take another" if self.enter == self.exit else ""


class Angle(Rule):
    """One gate; two where a reliability is asked for."""

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        known(settings.signal, list(FEATURES), f"{setting.path}.signal", "signal")
        self._signal, self._unit = settings.signal, FEATURES[settings.signal].unit
        self.needs_joints = FEATURES[settings.signal].needs
        self._plane = f"{settings.signal}_plane" if f"{settings.signal}_plane" in FEATURES else ""
        conditions = [beyond(settings.signal, settings.enter, settings.exit)]
        if settings.reliability and self._plane:
            conditions.append(beyond(self._plane, settings.reliability, settings.reliability * 0.9))
        self.gates = (Gate("beyond", tuple(conditions), settings.hold_s, settings.release_s),)
        self.features = (self._plane,) if self._plane else ()

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        facts: dict[str, Any] = {
            "signal": self._signal,
            "value": round(moment.value(person, self._signal), 3),
            "unit": self._unit,
        }
        if self._plane:
            facts["reliability"] = round(moment.value(person, self._plane), 2)
        yield self.event(moment, person, "crossed", "begin" if on else "end", onset_t, gate=gate, **facts)

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        if self.on[station.slot, 0]:
            yield self.gone(station, t, "crossed", float(self.onset_t[station.slot, 0]))

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        for person, slot in enumerate(moment.slots.tolist()):
            value = moment.value(person, self._signal)
            plane = moment.value(person, self._plane) if self._plane else 1.0
            station = moment.stations[slot]
            values = {
                self._signal: None if math.isnan(value) else round(value, 1),
                "unit": self._unit,
                "reliability": None if math.isnan(plane) else round(plane, 2),
                "on": bool(self.on[slot, 0]),
            }
            why = reason(moment, person, self.needs_joints, plane) if math.isnan(value) else ""
            yield Gauge(self.name, self.kind, station.number, station.id, values, why)

"""Metres between people, or to a robot's zone, against the distance that standards ask for. Not safety rated."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import says
from edgepose.core.errors import ConfigError
from edgepose.meaning import safety
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.body import Body
from edgepose.meaning.gates import Gate, below
from edgepose.meaning.ground import contact
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common, Zone, known
from edgepose.meaning.stations import Station

Floats = NDArray[np.float64]
ERROR_PX = 4.0
"""Of the ankles, per 100 pixels of torso at most: what places are uncertain by."""
SPEED_S = 0.4
"""Time over which an approach is measured."""


class Settings(Common, frozen=True, kw_only=True):
    """Somebody is too near."""

    zone: Annotated[str, says("a zone of kind robot; empty is between people")] = ""
    warn_m: Annotated[float, says("nearer than this is a warning", "m", gt=0, le=100)] = 2.0
    stop_m: Annotated[
        float, says("nearer than this is a stop; 0 takes S_p, or S where no robot's speed is set", "m", ge=0, le=100)
    ] = 0.0
    clear_m: Annotated[float, says("so much further, to be clear again", "m", gt=0, le=10)] = 0.2
    human_m_s: Annotated[float, says("v_h: a walking human", "m/s", ge=0, le=10)] = 1.6
    robot_m_s: Annotated[float, says("v_r: the robot towards the human", "m/s", ge=0, le=10)] = 0.0
    reaction_s: Annotated[
        float, says("T_r: from capture to the stop signal; this device's age is added", "s", ge=0, le=10)
    ] = 0.15
    stop_s: Annotated[float, says("T_s: the robot's own stopping time", "s", ge=0, le=10)] = 0.3
    decelerates_m_s2: Annotated[float, says("a: how the robot brakes; 0 takes robot_stop_m", "m/s2", ge=0, le=100)] = (
        0.0
    )
    robot_stop_m: Annotated[float, says("S_s: its way while it stops", "m", ge=0, le=10)] = 0.0
    intrusion_m: Annotated[float, says("C: what may reach in before it is seen", "m", ge=0, le=5)] = 0.85
    robot_error_m: Annotated[float, says("Z_r: uncertainty of the robot's place", "m", ge=0, le=5)] = 0.0

    def check(self) -> str:
        """What contradicts itself."""
        if self.stop_m >= self.warn_m:
            return f"stop_m is {self.stop_m:g}, not below warn_m {self.warn_m:g}; nothing would be warned of"
        return ""

    def needed_m(self, human_error_m: float) -> float:
        """How far somebody must be at least, metres: stop_m, or as the standards have it."""
        if self.stop_m:
            return self.stop_m
        if not self.robot_m_s:
            return safety.protective_distance_m(self.reaction_s + self.stop_s, self.intrusion_m) + human_error_m
        a = self.decelerates_m_s2
        return safety.separation_m(
            human_m_s=self.human_m_s, robot_m_s=self.robot_m_s, reaction_s=self.reaction_s, stop_s=self.stop_s,
            robot_stop_m=safety.braking_m(self.robot_m_s, a) if a else self.robot_stop_m,
            intrusion_m=self.intrusion_m, human_error_m=human_error_m, robot_error_m=self.robot_error_m,
        )  # fmt: skip


class Near(Rule):
    """Two gates over the distance of each person: warn, stop."""

    every_frame = True

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._cfg = settings
        if setting.floor is None and not setting.room:
            raise ConfigError(f"{setting.path}: {settings.kind} needs metres; add [ground] with four points")
        self._floor = setting.floor
        self._edges: Floats | None = None
        if settings.zone:
            known(settings.zone, [zone.name for zone in setting.zones], f"{setting.path}.zone", "zone")
            zone = next(zone for zone in setting.zones if zone.name == settings.zone)
            if zone.kind != "robot":
                raise ConfigError(f"{setting.path}.zone: {zone.name!r} is of kind {zone.kind}, expected robot")
            corners = self._corners(zone, setting.path)
            self._edges = np.stack((corners, np.roll(corners, -1, axis=0)), axis=1)
        called = settings.called
        self.own = (f"distance:{called}", f"margin:{called}", f"z_d:{called}")
        self.gates = (
            Gate("warn", (below(self.own[0], settings.warn_m, settings.warn_m + settings.clear_m),), 0.0, 0.3),
            Gate("stop", (below(self.own[1], 0.0, settings.clear_m),), 0.0, 0.3),
        )
        self._was = np.zeros((0, 3))
        """(S, 3) distance, when, approach speed."""

    def _corners(self, zone: Zone, path: str) -> Floats:
        """(E, 2) metres."""
        if zone.polygon_m:
            return np.array(zone.polygon_m, np.float64)
        if self._floor is None:
            raise ConfigError(f"{path}.zone: {zone.name!r} is in pixels; a room needs its polygon_m")
        corners = self._floor.metres(np.array(zone.polygon_px, np.float64))
        if np.isnan(corners).any():
            raise ConfigError(f"{path}.zone: {zone.name!r} reaches above the horizon of [ground]")
        return corners

    def grow(self, room: int) -> None:
        self._was = np.concatenate((self._was, np.full((room - len(self._was), 3), np.nan)))

    def reset(self, slot: int) -> None:
        self._was[slot] = np.nan

    def measure(self, body: Body, moment_t: float) -> Floats:
        """(N, 3) metres to the nearest, margin over what is needed, uncertainty of the place; all metres."""
        place, error = self._place(body)
        distance = self._to_people(place) if self._edges is None else _to_edges(place, self._edges)
        needed = np.array([self._cfg.needed_m(one) for one in np.nan_to_num(error).tolist()])
        return np.stack((distance, distance - needed, error), axis=1)

    def _place(self, body: Body) -> tuple[Floats, Floats]:
        """(N, 2) where each stands, (N,) how sure that is, metres."""
        if body.place_m is not None and body.error_m is not None:
            return body.place_m, body.error_m
        if self._floor is None:  # nobody is there: an empty room
            return np.full((len(body), 2), np.nan), np.full(len(body), np.nan)
        pixels = contact(body)
        error = self._floor.uncertainty_m(pixels, 1.0) * np.maximum(body.size, 25.0) * (ERROR_PX / 100)
        return self._floor.metres(pixels), error

    @staticmethod
    def _to_people(place: Floats) -> Floats:
        if len(place) < 2:
            return np.full(len(place), np.inf)
        span = place[:, None] - place[None]
        apart = np.sqrt(np.einsum("abd,abd->ab", span, span))
        np.fill_diagonal(apart, np.inf)
        nearest = np.fmin.reduce(apart, axis=1)
        return np.where(np.isnan(place[:, 0]), np.nan, nearest)

    def each(self, moment: Moment) -> Iterable[Event]:
        now = moment.values[:, moment.columns[self.own[0]]]
        was = self._was[moment.slots]
        step = moment.t - was[:, 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            speed = (was[:, 0] - now) / step
        share = 1 - np.exp(-step / SPEED_S)
        calm = np.where(np.isnan(was[:, 2]), speed, was[:, 2] + (speed - was[:, 2]) * share)
        calm = np.where(np.isfinite(calm), calm, np.nan)
        fresh = (step > 0) | np.isnan(step)
        self._was[moment.slots] = np.where(
            fresh[:, None], np.column_stack((now, np.full(len(now), moment.t), calm)), was
        )
        return ()

    def _values(self, moment: Moment, person: int) -> dict[str, Any]:
        slot = int(moment.slots[person])
        distance, margin, error = (moment.value(person, name) for name in self.own)
        approach = float(self._was[slot, 2])

        def told(value: float, digits: int = 3) -> float | None:
            return round(value, digits) if math.isfinite(value) else None

        return {
            "distance_m": told(distance),
            "approach_m_s": told(approach),
            "needed_m": told(distance - margin),
            "margin_m": told(margin),
            "z_d_m": told(error),
            "safety_rated": False,
        }

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        what = ("warn", "stop")[gate] if on else ("clear", "stop cleared")[gate]
        facts = self._values(moment, person)
        # the age of what is told is added by whoever sends it
        yield self.event(
            moment, person, what, "begin" if on else "end", onset_t, gate=gate, place=self._cfg.zone, **facts
        )

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        for gate, what in enumerate(("clear", "stop cleared")):
            if self.on[station.slot, gate]:
                yield self.gone(station, t, what, float(self.onset_t[station.slot, gate]), safety_rated=False)

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        for person, slot in enumerate(moment.slots.tolist()):
            station = moment.stations[slot]
            values = self._values(moment, person)
            level = "stop" if self.on[slot, 1] else "warn" if self.on[slot, 0] else "clear"
            why = "hidden" if math.isnan(moment.value(person, self.own[0])) else ""
            yield Gauge(self.name, self.kind, station.number, station.id, {"level": level, **values}, why)


def _to_edges(place: Floats, edges: Floats) -> Floats:
    """(N,) metres to the nearest edge of a polygon, 0 inside it; edges (E, 2, 2)."""
    start, span = edges[:, 0], edges[:, 1] - edges[:, 0]
    away = place[:, None] - start
    share = np.clip((away * span).sum(2) / np.maximum((span**2).sum(1), 1e-12), 0, 1)
    rest = away - share[..., None] * span
    distance = np.sqrt((rest**2).sum(2)).min(1)
    x, y = place[:, :1], place[:, 1:]
    (x1, y1), (x2, y2) = edges[:, 0].T, edges[:, 1].T
    height = np.where(y2 == y1, 1.0, y2 - y1)
    inside = (((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * (x2 - x1) / height)).sum(1) % 2 == 1
    return np.where(inside, 0.0, np.where(np.isnan(place[:, 0]), np.nan, distance))

"""Falls: a drop, then low. Suspected, confirmed, helped, ended by getting up; not on surfaces. Not a medical device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import says
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.body import Body
from edgepose.meaning.features import LEGS, TRUNK
from edgepose.meaning.gates import Gate, above, below
from edgepose.meaning.posture import LYING, POSTURES, UPRIGHT, postures
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common
from edgepose.meaning.stations import Station

Floats = NDArray[np.float64]
NOTHING, SUSPECTED, CONFIRMED = range(3)
STATES = ("none", "suspected", "confirmed")
HELPED_TORSO, SELF_TORSO = 1.5, 0.5
"""Somebody else this near helps; still nearer it is the same one, seen twice."""
LOST_S = 0.4
"""Somebody lost in the middle of a drop for this long is suspected to have fallen."""
LOST_DROP, LOST_SPEED, LOST_TURN_DEG = 0.8, 1.5, 25.0
FASTEST_TORSO_S = 8.0
"""Nobody falls faster over a quarter of a second: another body was taken for this one."""
UP_BEFORE_S, UP_LEAST_S = 2.0, 1.0
"""Who falls was not down before: within so long; and who is lost in a drop was seen so for a while."""
UNSEEN_S = 1.0
"""So much longer than `down_s` after a suspicion nobody was seen getting up: confirmed."""


class Settings(Common, frozen=True, kw_only=True):
    """Somebody falls."""

    drop_torso: Annotated[float, says("shoulders sink so far within 1.5 s", "torso lengths", gt=0, le=4)] = 0.9
    hip_drop_torso: Annotated[float, says("hips sink so far", "torso lengths", gt=0, le=3)] = 0.35
    drop_torso_s: Annotated[float, says("shoulders sink so fast at least", "torso lengths / s", gt=0, le=20)] = 1.2
    tilt_deg: Annotated[
        float, says("trunk against the vertical, from which somebody is down", "degrees", gt=0, le=90)
    ] = 50.0
    down_s: Annotated[float, says("so long down: confirmed", "s", gt=0, le=600)] = 1.0
    up_s: Annotated[float, says("so long up again: ended", "s", gt=0, le=600)] = 1.0

    def check(self) -> str:
        """What contradicts itself."""
        return "hip_drop_torso is above drop_torso" if self.hip_drop_torso > self.drop_torso else ""


class Fall(Rule):
    """Three gates: dropped, down, up; and what became of each person."""

    every_frame = True
    needs_joints = (*TRUNK, *LEGS[:2])
    features = ("shoulder_drop", "hip_drop", "drop_speed", "turn_deg", "tilt_deg", "cut_off")

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._cfg = settings
        self._down = f"down:{settings.called}"
        self.own = (self._down,)
        self._surfaces = tuple(f"in:{zone.name}" for zone in setting.zones if zone.kind == "surface")
        self.gates = (
            Gate("dropped", (
                above("shoulder_drop", settings.drop_torso), above("hip_drop", settings.hip_drop_torso),
                above("drop_speed", settings.drop_torso_s),
                below("drop_speed", FASTEST_TORSO_S), above(self._down, 0.5),
            ), 0.1, 0.0),
            Gate("down", (above(self._down, 0.5),), settings.down_s, 0.5),
            Gate("up", (below(self._down, 0.5),), settings.up_s, 0.0),
        )  # fmt: skip
        self._state = np.zeros(0, np.intp)
        self._onset = np.zeros(0)
        self._helped = np.zeros(0, bool)
        self._lost = np.zeros(0, bool)
        """(S,) suspected because somebody was lost in a drop, and not seen since."""
        self._up = np.zeros((0, 2))
        """(S, 2) seconds that somebody was seen not down, and when last."""
        self._last_down = np.zeros(0)
        """(S,) of the last frame; NaN: cannot be told."""
        self._sinking = np.zeros((0, 4))
        """(S, 4) drop, speed, turn and when, of the last frame."""

    def grow(self, room: int) -> None:
        more = room - len(self._state)
        self._state = np.concatenate((self._state, np.zeros(more, np.intp)))
        self._onset = np.concatenate((self._onset, np.full(more, np.nan)))
        self._helped = np.concatenate((self._helped, np.zeros(more, bool)))
        self._lost = np.concatenate((self._lost, np.zeros(more, bool)))
        self._up = np.concatenate((self._up, np.zeros((more, 2))))
        self._last_down = np.concatenate((self._last_down, np.full(more, np.nan)))
        self._sinking = np.concatenate((self._sinking, np.full((more, 4), np.nan)))

    def reset(self, slot: int) -> None:
        self._state[slot], self._onset[slot], self._helped[slot] = NOTHING, np.nan, False
        self._last_down[slot] = self._sinking[slot] = np.nan
        self._up[slot], self._lost[slot] = (0.0, -np.inf), False

    def measure(self, body: Body, moment_t: float) -> Floats:
        """(N, 1) 1 where somebody is down, 0 where not."""
        told = postures(body)
        tilt, code = told[:, 0], told[:, 3]
        down = np.where(np.isnan(tilt), np.nan, tilt >= self._cfg.tilt_deg)
        upright = code == UPRIGHT
        bent = code == POSTURES.index("bent")
        down = np.where(upright | bent, 0.0, np.where(code == LYING, 1.0, down))
        return down[:, None]

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        slot = int(moment.slots[person])
        state = int(self._state[slot])
        if not on:
            return
        if gate == 0 and state == NOTHING:
            if moment.t - self._up[slot, 1] > UP_BEFORE_S or self._on_surface(moment, person):
                self.tally.suppressed += 1
                return
            self._state[slot], self._onset[slot], self._helped[slot] = SUSPECTED, onset_t, False
            self._lost[slot] = False
            yield self._event(moment, person, "suspected", "begin", 0)
            if self.on[slot, 1]:
                yield from self._confirm(moment, person, slot)
        elif gate == 1 and state == SUSPECTED:
            yield from self._confirm(moment, person, slot)
        elif gate == 2 and state != NOTHING:
            self._state[slot] = NOTHING
            what = "ended" if state == CONFIRMED else "dismissed"
            yield self._event(moment, person, what, "end", 2)

    def _confirm(self, moment: Moment, person: int, slot: int) -> Iterable[Event]:
        self._state[slot] = CONFIRMED
        yield self._event(moment, person, "confirmed", "begin", 1)

    def _event(self, moment: Moment, person: int, what: str, phase: str, gate: int) -> Event:
        limits = {"shoulder_drop": self._cfg.drop_torso, "hip_drop": self._cfg.hip_drop_torso}
        evidence = {name: (round(moment.value(person, name), 3), limit) for name, limit in limits.items()}
        evidence["tilt_deg"] = round(moment.value(person, "tilt_deg"), 1), self._cfg.tilt_deg
        onset_t = float(self._onset[int(moment.slots[person])])
        return self.event(moment, person, what, phase, onset_t, gate=gate, evidence=evidence)

    def _on_surface(self, moment: Moment, person: int) -> bool:
        return any(moment.value(person, name) == 1 for name in self._surfaces)

    def each(self, moment: Moment) -> Iterable[Event]:
        columns, slots = moment.columns, moment.slots
        self._sinking[slots, 0] = moment.values[:, columns["shoulder_drop"]]
        self._sinking[slots, 1] = moment.values[:, columns["drop_speed"]]
        self._sinking[slots, 2] = moment.values[:, columns["turn_deg"]]
        self._sinking[slots, 3] = moment.t
        down = moment.values[:, columns[self._down]]
        self._last_down[slots] = down
        up = down == 0.0
        self._up[slots, 0] += np.where(up, moment.dt, 0.0)
        self._up[slots[up], 1] = moment.t
        self._sinking[slots[moment.values[:, columns["cut_off"]] == 1], 0] = np.nan
        if not self._state[slots].any():
            return ()
        return self._helpers(moment)

    def _helpers(self, moment: Moment) -> Iterable[Event]:
        centre, size = moment.body.centre, moment.body.size
        for person in np.flatnonzero(self._state[moment.slots] == CONFIRMED).tolist():
            slot = int(moment.slots[person])
            span = centre - centre[person]
            away = np.sqrt((span**2).sum(1)) / np.fmax(size, size[person])
            away[person] = np.inf
            near = bool(((away <= HELPED_TORSO) & (away >= SELF_TORSO)).any())
            if near and not self._helped[slot]:
                self._helped[slot] = True
                evidence = {"other_torso": (round(float(np.nanmin(away)), 2), HELPED_TORSO)}
                yield self.event(moment, person, "helped", "once", moment.t, evidence=evidence)

    def idle(self, t: float, seq: int, stations: dict[int, Station]) -> Iterable[Event]:
        for slot, station in stations.items():
            if self._state[slot] == SUSPECTED and t - self._onset[slot] >= self._cfg.down_s + UNSEEN_S:
                if self._last_down[slot] != 0.0 and not self._lost[slot]:
                    yield self._unseen(station, t, seq)
                continue
            if station.there:
                continue
            drop, speed, turn, when = (float(one) for one in self._sinking[slot])
            fell = (
                drop >= LOST_DROP
                and turn >= LOST_TURN_DEG
                and LOST_SPEED <= speed <= FASTEST_TORSO_S
                and LOST_S <= t - when <= 2 * LOST_S + 1
            )
            fell = fell and self._up[slot, 0] >= UP_LEAST_S and when - self._up[slot, 1] <= UP_BEFORE_S
            if self._state[slot] == NOTHING and fell:
                self._state[slot], self._onset[slot], self._lost[slot] = SUSPECTED, when, True
                self._sinking[slot] = math.nan
                evidence = {"shoulder_drop": (round(drop, 3), LOST_DROP), "drop_speed": (round(speed, 3), LOST_SPEED)}
                yield Event(
                    t, seq, self.kind, self.name, "suspected", "begin", station.id, station.number, station.place,
                    when, 0.5, evidence, {"reason": "lost while dropping"},
                )  # fmt: skip

    def _unseen(self, station: Station, t: float, seq: int) -> Event:
        """Suspected, and since then nobody was seen getting up: hidden on the floor, or not found there."""
        slot = station.slot
        self._state[slot] = CONFIRMED
        since = float(self._onset[slot])
        return Event(
            t, seq, self.kind, self.name, "confirmed", "begin", station.id, station.number, station.place, since, 0.5,
            {"unseen_s": (round(t - since, 2), self._cfg.down_s + UNSEEN_S)}, {"reason": "not seen getting up"},
        )  # fmt: skip

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        if self._state[station.slot] != NOTHING:
            what = "ended" if self._state[station.slot] == CONFIRMED else "dismissed"
            yield self.gone(station, t, what, float(self._onset[station.slot]))

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        for slot, station in moment.stations.items():
            state = int(self._state[slot])
            dark = station.there and np.isnan(self._sinking[slot, 0])
            values = {"state": STATES[state], "on": state == CONFIRMED, "helped": bool(self._helped[slot])}
            yield Gauge(self.name, self.kind, station.number, station.id, values, "hidden" if dark else "")

"""Poses to events and gauges: the rules of one picture, frame after frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.core.errors import ConfigError
from edgepose.core.poses import Poses, Skeleton
from edgepose.meaning import joints
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.body import Body, Scale
from edgepose.meaning.features import FEATURES, Table
from edgepose.meaning.gates import Gate, Gates
from edgepose.meaning.ground import Floor, in_room
from edgepose.meaning.records import Event, Gauge, Meant, Tally
from edgepose.meaning.rules import KINDS
from edgepose.meaning.settings import Rules, known, outside
from edgepose.meaning.stations import Station, Stations
from edgepose.meaning.user import UserRule
from edgepose.meaning.zones import Zones

Floats = NDArray[np.float64]
GAUGES_S = 0.5
"""Gauges are told at most so often."""
IDLE_S = 0.1
"""How often rules are asked while nothing changes."""
NOTE_S = 0.1
"""How often it is noted where everybody is."""
LEAP_S = 60.0
"""A longer step in time, or one backwards, begins anew."""


class Meaning:
    """All rules of one picture. `update` takes every frame's poses, also those without people."""

    def __init__(
        self,
        rules: Rules,
        skeleton: Skeleton,
        size_wh: tuple[int, int],
        *,
        room: bool = False,
        loops: kernels.Choice = "auto",
    ) -> None:
        """Take the rules of a picture, or of a `room` whose people come in metres; `loops` as `decode.kernels`.

        Raises:
            ConfigError: a rule asks for what skeleton, picture or settings do not have.
        """
        self._loops = kernels.family("bodies", loops)
        for index, zone in enumerate(rules.zones):
            wrong = outside(zone, size_wh)
            if wrong:
                raise ConfigError(f"{rules.where}: zone[{index}].polygon_px ({zone.name}): {wrong}")
            if zone.polygon_m and not (room or rules.ground):
                raise ConfigError(
                    f"{rules.where}: zone[{index}].polygon_m ({zone.name}): one camera knows no metres; add [ground] "
                    "with four points, or give polygon_px"
                )
        where = joints.places(skeleton)
        self._joints = None if skeleton.joints == joints.NAMES else where
        self._room = room
        self.floor = Floor(rules.ground, size_wh) if rules.ground and not room else None
        self._zones = Zones(rules.zones, self.floor)
        self.rules = tuple(self._made(rules, skeleton, at) for at in range(len(rules.rules)))
        self._scale = Scale()
        gates, names, own = self._gates()
        self._table = Table([name for name in names if name in FEATURES], self._scale)
        zone_columns = [f"in:{zone.name}" for zone in rules.zones]
        self.columns = {name: at for at, name in enumerate((*self._table.names, *zone_columns, *own))}
        self._own = [rule for rule in self.rules if rule.own]
        self._each = [rule for rule in self.rules if rule.every_frame]
        self._gates_of = Gates(gates, self.columns) if gates else None
        self._owner = [rule for rule in self.rules for _ in rule.gates]
        self.stations = Stations(self._begin, self._end)
        self._pending: list[Event] = []
        self._t = math.nan
        self._noted_t = self._idle_t = self._gauged_t = -math.inf
        self._shown: tuple[Gauge, ...] = ()
        self.moment: Moment | None = None
        """The last frame, for whoever explains."""

    def _made(self, rules: Rules, skeleton: Skeleton, at: int) -> Rule:
        settings, path = rules.rules[at], rules.paths[at]
        rule = KINDS[settings.kind].rule(settings, Setting(rules, rules.zones, self.floor, path, self._room))
        lacking = joints.missing(skeleton, rule.needs_joints)
        if lacking:
            raise ConfigError(
                f"{path}: {settings.called!r} needs {', '.join(lacking)}, which the skeleton {skeleton.name} has not; "
                "use another model or remove the rule"
            )
        return rule

    def _gates(self) -> tuple[list[Gate], dict[str, None], list[str]]:
        """Every gate, with the zones in which its rule counts; every feature that is asked for; rules' own columns."""
        gates: list[Gate] = []
        own = [column for rule in self.rules for column in rule.own]
        names: dict[str, None] = {}
        for rule in self.rules:
            rule.first = len(gates)
            gates += rule.gates
            for name in (*rule.features, *(part.feature for gate in rule.gates for part in gate.conditions)):
                names[name] = None
        return gates, names, own

    # ------------------------------------------------------------------------------------------------ each frame

    def update(self, poses: Poses) -> Meant:
        """The events of a frame, and the gauges when they are due."""
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN is our "missing"
            return self._update(poses)

    def _update(self, poses: Poses) -> Meant:
        t = poses.t
        if not math.isfinite(t):
            return Meant()
        if not 0 <= t - self._t <= LEAP_S and self._t == self._t:
            self.stations.clear(t)
            self._noted_t = self._idle_t = self._gauged_t = -math.inf
            self._t = math.nan
        dt = 0.0 if self._t != self._t else t - self._t
        self._t = t
        moment = self._moment(poses, dt)
        events = self._pending
        self._pending = []
        events += self._judged(moment)
        for rule in self._each if len(moment.slots) else ():
            events += rule.each(moment)
        if t - self._idle_t >= IDLE_S:
            self._idle_t = t
            self.stations.expire(t)
            events += self._pending
            self._pending = []
            for rule in self.rules:
                events += rule.idle(t, poses.seq, moment.stations)
        for event in events:
            self._tally_of(event.rule).fired += 1
        return Meant(tuple(events), self._gauges(moment))

    def _moment(self, poses: Poses, dt: float) -> Moment:
        if len(poses) and poses.track_id.min() < 0:  # not followed: no state to go on with
            poses = poses.rows(poses.track_id >= 0)
        xy, ids = poses.xy, poses.track_id.tolist()
        placed = None
        if self._room and poses.space is not None and poses.xyz is not None:
            placed = in_room(poses.space, joints.taken(poses.xyz, self._joints))
        body = Body(joints.taken(xy, self._joints), poses.size_wh, poses.t, self._loops, placed)
        inside = self._zones.inside(body) if len(ids) and self._zones.zones else np.zeros((len(ids), 0))
        anchors, looks = np.concatenate((body.shoulder, body.hip), axis=1), body.looks
        slots = self.stations.slots(poses.t, ids, anchors, looks, lambda: self._places(inside, len(ids)))
        if len(ids) > 1 and self.stations.swapped(anchors, looks):
            slots = self.stations.slots(poses.t, ids, anchors, looks, lambda: self._places(inside, len(ids)))
        values = self._values(body, slots, dt, inside)
        if poses.t - self._noted_t >= NOTE_S or dt > NOTE_S:
            self._noted_t = poses.t
            self.stations.seen(poses.t, anchors, body.size)
        by_hips = self._zones.by_hips if self._zones.zones else np.zeros(len(ids), bool)
        moment = Moment(
            poses.t, dt, poses.seq, body, ids, slots, values, self.columns, self.stations.by_slot, self.floor, by_hips,
            poses.person_score,
        )  # fmt: skip
        self.moment = moment
        return moment

    def _places(self, inside: Floats, people: int) -> list[str]:
        return self._zones.names(inside) if inside.shape[1] else [""] * people

    def _values(self, body: Body, slots: NDArray[np.int64], dt: float, inside: Floats) -> Floats:
        values = np.empty((len(body), len(self.columns)))
        if not len(body):
            return values
        self._scale.update(body, slots, dt)
        ready = len(self._table.names)
        values[:, :ready] = self._table.values(body)
        values[:, ready : ready + inside.shape[1]] = inside
        at = ready + inside.shape[1]
        for rule in self._own:
            to = at + len(rule.own)
            if isinstance(rule, UserRule):
                values[:, at:to] = rule.measure_with(body, body.t, values, self.columns)
            else:
                values[:, at:to] = rule.measure(body, body.t)
            at = to
        return values

    def _judged(self, moment: Moment) -> Iterator[Event]:
        gates = self._gates_of
        if gates is None or not len(moment.slots):
            return
        edges = gates.update(moment.slots, moment.t, moment.values)
        if moment.dt:
            self._tally(gates, moment.dt)
        if edges is None:
            return
        for person, gate, on, onset_t in zip(edges.person, edges.gate, edges.on, edges.onset_t, strict=True):
            rule = self._owner[gate]
            if self._counts_here(rule, moment, person, on):
                yield from rule.changed(moment, person, gate - rule.first, on, onset_t)

    def _tally(self, gates: Gates, dt: float) -> None:
        if not gates.unknown.any():
            for rule in self.rules:
                rule.tally.judged_s += dt * len(gates.unknown)
            return
        dark = gates.unknown.sum(0)
        for rule in self.rules:
            if rule.gates:
                unjudged = int(dark[rule.first : rule.first + len(rule.gates)].max())
                rule.tally.unjudged_s += dt * unjudged
                rule.tally.judged_s += dt * (len(gates.unknown) - unjudged)

    def _counts_here(self, rule: Rule, moment: Moment, person: int, on: bool) -> bool:
        """Within the zones of the rule; what began there may end anywhere."""
        settings = rule.settings
        if not on or not (settings.within or settings.not_in):
            return True
        here = not settings.within or any(moment.value(person, f"in:{zone}") == 1 for zone in settings.within)
        here = here and not any(moment.value(person, f"in:{zone}") == 1 for zone in settings.not_in)
        rule.tally.suppressed += not here
        return here

    def _gauges(self, moment: Moment) -> tuple[Gauge, ...] | None:
        if moment.t - self._gauged_t < GAUGES_S:
            return None
        self._gauged_t = moment.t
        made = tuple(gauge for rule in self.rules for gauge in rule.gauges(moment))
        if made == self._shown:
            return None
        self._shown = made
        return made

    # ------------------------------------------------------------------------------------------------ stations

    def _begin(self, station: Station) -> None:
        room = self.stations.room
        if self._gates_of and room > len(self._gates_of.on):
            self._gates_of.grow(room)
            for rule in self.rules:
                span = slice(rule.first, rule.first + len(rule.gates))
                rule.on, rule.onset_t = self._gates_of.on[:, span], self._gates_of.onset_t[:, span]
        if room > len(self._scale.size):
            self._scale.grow(room)
            self._table.grow(room)
            for rule in self.rules:
                rule.grow(room)
        self._scale.reset(station.slot)
        self._table.reset(station.slot)
        if self._gates_of:
            self._gates_of.reset(station.slot)
        for rule in self.rules:
            rule.reset(station.slot)

    def _end(self, station: Station, t: float) -> None:
        for rule in self.rules:
            self._pending += rule.ended(station, t)

    def calibrate(self) -> None:
        """How everybody stands next is neutral, for axes."""
        for rule in self.rules:
            rule.calibrate()

    def close(self, seq: int) -> tuple[Event, ...]:
        """The end of the stream: what is on ends."""
        self.stations.clear(self._t)
        events = tuple(replace(event, seq=seq) for event in self._pending)
        self._pending = []
        return events

    # ------------------------------------------------------------------------------------------------ numbers

    @property
    def tallies(self) -> dict[str, Tally]:
        """Of each rule, by name."""
        return {rule.name: rule.tally for rule in self.rules}

    def _tally_of(self, name: str) -> Tally:
        return self.rule(name).tally

    def rule(self, name: str) -> Rule:
        """The rule of that name; raises ConfigError."""
        known(name, [rule.name for rule in self.rules], "rule", "rule")
        return next(rule for rule in self.rules if rule.name == name)


def all_of(meaning: Meaning, stream: Iterable[Poses]) -> Iterator[Event]:
    """The events of a whole stream, with the ends of what was on."""
    seq = -1
    for poses in stream:
        seq = poses.seq
        yield from meaning.update(poses).events
    yield from meaning.close(seq)

"""What a rule is: gates over features, and what it says when one opens or shuts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.gates import Gate
from edgepose.meaning.records import Event, Gauge, Tally
from edgepose.meaning.settings import Common, Rules, Zone

if TYPE_CHECKING:
    from edgepose.meaning.body import Body
    from edgepose.meaning.ground import Floor
    from edgepose.meaning.stations import Station

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Moment:
    """One frame, as rules see it."""

    t: float
    dt: float
    """Seconds since the frame before."""
    seq: int
    body: Body
    ids: list[int]
    slots: NDArray[np.int64]
    values: Floats
    """(N, columns)."""
    columns: dict[str, int]
    stations: dict[int, Station]
    """Slot -> station; also those where nobody is now."""
    floor: Floor | None
    by_hips: NDArray[np.bool_]
    """(N,) whose ankles are hidden: their zones are told by the hips."""
    score: NDArray[np.float32]
    """(N,) of each person."""
    place_m: Floats | None = None
    """(N, 2) metres on the floor, where there is [ground]."""

    def value(self, person: int, feature: str) -> float:
        """Of one person."""
        return float(self.values[person, self.columns[feature]])

    def station(self, person: int) -> Station:
        """Of one person."""
        return self.stations[int(self.slots[person])]

    def person_at(self, slot: int) -> int:
        """The row of whoever is there; -1: nobody."""
        where = np.flatnonzero(self.slots == slot)
        return int(where[0]) if len(where) else -1


@dataclass(slots=True)
class Setting:
    """What a rule is made with."""

    rules: Rules
    zones: tuple[Zone, ...]
    floor: Floor | None
    path: str
    """Of the rule, for errors."""
    room: bool = False
    """People come with metres, of several cameras."""
    joints: frozenset[str] = field(default_factory=frozenset)
    """Those of the skeleton."""


class Rule:
    """Base of every kind; state is in arrays by slot, which `grow` makes longer and `reset` clears."""

    gates: tuple[Gate, ...] = ()
    features: tuple[str, ...] = ()
    """Asked for besides those of the gates."""
    own: tuple[str, ...] = ()
    """Columns that `measure` makes."""
    every_frame: ClassVar[bool] = False
    """`each` is called with every frame, else never."""
    needs_joints: tuple[int, ...] = ()

    def __init__(self, settings: Common, setting: Setting) -> None:
        self.settings, self.setting = settings, setting
        self.name, self.kind = settings.called, settings.kind
        self.tally = Tally()
        self.first = 0
        """Number of its first gate among all."""
        self.on: NDArray[np.bool_] = np.zeros((0, 0), bool)
        """(S, gates of this rule) a view; set by the engine."""
        self.onset_t: Floats = np.zeros((0, 0))

    def grow(self, room: int) -> None:
        """Room for so many slots."""

    def reset(self, slot: int) -> None:
        """Somebody new has the slot."""

    def measure(self, body: Body, moment_t: float) -> Floats:
        """(N, len(own)) its own columns."""
        raise NotImplementedError

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        """A gate of this rule opened or shut for somebody."""
        return ()

    def each(self, moment: Moment) -> Iterable[Event]:
        """Every frame, where `every_frame` says so."""
        return ()

    def idle(self, t: float, seq: int, stations: dict[int, Station]) -> Iterable[Event]:
        """Called a few times a second, also while nobody is there."""
        return ()

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        """A station is given up: what is on ends."""
        return ()

    def calibrate(self) -> None:
        """Forget what was neutral."""

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        """How it stands now."""
        return ()

    # ------------------------------------------------------------------------------------------------ for all kinds

    def event(
        self, moment: Moment, person: int, what: str, phase: str, onset_t: float, *,
        gate: int | None = None, evidence: dict[str, tuple[float, float]] | None = None, place: str = "",
        confidence: float | None = None, **facts: Any,
    ) -> Event:  # fmt: skip
        """An event of one person, with the conditions of a gate as evidence."""
        shown = self.shown(moment, person, self.gates[gate], onset_t) if gate is not None else {}
        shown |= evidence or {}
        sure = self.sure(moment, person, shown, gate) if confidence is None else confidence
        station = moment.station(person)
        return Event(
            moment.t, moment.seq, self.kind, self.name, what, phase, station.id, station.number,
            place or station.place, min(onset_t, moment.t), round(sure, 3), shown, facts,
        )  # fmt: skip

    def gone(self, station: Station, t: float, what: str, onset_t: float, **facts: Any) -> Event:
        """The end of something whose station is given up."""
        return Event(
            t, -1, self.kind, self.name, what, "end", station.id, station.number, station.place, onset_t, 0.0,
            {}, {"reason": "left", **facts},
        )  # fmt: skip

    def shown(self, moment: Moment, person: int, gate: Gate, onset_t: float) -> dict[str, tuple[float, float]]:
        """Each condition's value and limit, and how long they have been met."""
        shown = {part.feature: (round(moment.value(person, part.feature), 3), part.enter) for part in gate.conditions}
        if gate.hold_s:
            shown["held_s"] = (round(moment.t - onset_t, 3), gate.hold_s)
        return shown

    def sure(self, moment: Moment, person: int, shown: dict[str, tuple[float, float]], gate: int | None) -> float:
        """0.5 at the limit up to 1 half of it beyond, by the worst condition, times what is seen of the person."""
        worst = 1.0
        if gate is not None:
            for part in self.gates[gate].conditions:
                value, span = shown[part.feature][0], max(abs(part.enter) / 2, abs(part.enter - part.exit), 1e-9)
                part_sure = abs(value - part.enter) / span if value == value else 0.0
                worst = min(worst, part_sure)
        seen = float(np.isfinite(moment.body.xy[person, 5:, 0]).mean())
        return (0.5 + 0.5 * min(worst, 1.0)) * (0.5 + 0.5 * seen)

    def whose(self, moment: Moment, gate: int) -> list[int]:
        """Rows of those for whom a gate is open."""
        return np.flatnonzero(self.on[moment.slots, gate]).tolist()

"""Gestures: waving, hands raised, pointing, T-pose, clapping, crossed arms; and poses taught by example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import says
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.body import Body
from edgepose.meaning.features import ARMS
from edgepose.meaning.gates import Condition, Gate, above, below
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common, known
from edgepose.meaning.stations import Station
from edgepose.meaning.taught import Taught, taught_of

Floats = NDArray[np.float64]


def _arm(side: str) -> tuple[Condition, ...]:
    """Straight and off the trunk, about level."""
    return (
        above(f"{side}_arm_reach", 0.85, 0.75),
        above(f"{side}_arm_rise_deg", -30.0, -40.0),
        below(f"{side}_arm_rise_deg", 40.0, 50.0),
    )


_AT_REST = (below("sway", 0.5, 0.8), below("tilt_deg", 35.0, 45.0))
"""Who waves stands or sits: dancers and walkers swing their arms too."""

BUILT_IN: dict[str, tuple[tuple[str, tuple[Condition, ...]], ...]] = {
    "wave": (
        ("both", (above("both_wave", 3.0, 1.0), *_AT_REST)),
        ("left", (above("left_wave", 3.0, 1.0), *_AT_REST)),
        ("right", (above("right_wave", 3.0, 1.0), *_AT_REST)),
    ),
    "raised": (
        ("both", (above("left_hand_up", 0.0, -0.15), above("right_hand_up", 0.0, -0.15))),
        ("left", (above("left_hand_up", 0.0, -0.15),)),
        ("right", (above("right_hand_up", 0.0, -0.15),)),
    ),
    "point": tuple((side, (*_arm(side), above("one_arm_out", 0.55, 0.45))) for side in ("left", "right")),
    "t_pose": (("both", (*_arm("left"), *_arm("right"), above("hands_apart", 1.9, 1.7))),),
    "clap": (("both", (above("claps", 2.0, 1.0),)),),
    "crossed": (("both", (above("crossed", 0.08, 0.0),)),),
}
"""Gesture -> side, and what is then true."""
AT_ONCE = ("wave", "clap")
"""Made of motion: they need no hold."""


class Settings(Common, frozen=True, kw_only=True):
    """What hands say."""

    gestures: Annotated[tuple[str, ...], says("which; empty is all that are built in")] = ()
    hold_s: Annotated[float, says("so long held", "s", gt=0, le=60)] = 0.5
    release_s: Annotated[float, says("so long given up, to end", "s", gt=0, le=60)] = 0.3
    taught: Annotated[str, says("file made by `edgepose meaning teach`: its gestures too")] = ""


class Gesture(Rule):
    """A gate for each gesture and side; another for each that was taught."""

    needs_joints = ARMS

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._taught: Taught | None = taught_of(settings.taught, f"{setting.path}.taught") if settings.taught else None
        learnt = self._taught.names if self._taught else ()
        for at, name in enumerate(settings.gestures):
            known(name, [*BUILT_IN, *learnt], f"{setting.path}.gestures[{at}]", "gesture")
        wanted = settings.gestures or (*BUILT_IN, *learnt)
        gates, self._says = [], []
        for name in wanted:
            for side, conditions in BUILT_IN.get(name, ()):
                hold_s = 0.0 if name in AT_ONCE else settings.hold_s
                gates.append(Gate(f"{name} {side}", conditions, hold_s, settings.release_s))
                self._says.append((name, side))
        self.own = tuple(f"like:{settings.called}:{name}" for name in learnt if name in wanted)
        for column in self.own:
            name = column.rpartition(":")[2]
            gates.append(Gate(name, (above(column, 0.6, 0.4),), settings.hold_s, settings.release_s))
            self._says.append((name, ""))
        self.gates = tuple(gates)
        self._told = np.zeros((0, len(gates)), bool)

    def grow(self, room: int) -> None:
        more = room - len(self._told)
        self._told = np.concatenate((self._told, np.zeros((more, len(self.gates)), bool)))

    def reset(self, slot: int) -> None:
        self._told[slot] = False

    def measure(self, body: Body, moment_t: float) -> Floats:
        """(N, taught) share of the nearest examples that show each."""
        names = [column.rpartition(":")[2] for column in self.own]
        return self._taught.votes(body, names) if self._taught else np.zeros((len(body), 0))

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        slot = int(moment.slots[person])
        name, side = self._says[gate]
        if on and self._covered(slot, name, side):
            self.tally.suppressed += 1
            return
        if not on and not self._told[slot, gate]:
            return
        self._told[slot, gate] = on
        facts: dict[str, Any] = {"gesture": name, "side": side} if side else {"gesture": name}
        if name == "point":
            facts["direction"] = self._direction(moment, person, side)
        yield self.event(moment, person, name, "begin" if on else "end", onset_t, gate=gate, **facts)

    def _covered(self, slot: int, name: str, side: str) -> bool:
        """One hand of a gesture that both make; pointing in a T-pose."""
        for gate, (other, both) in enumerate(self._says):
            if both == "both" and self.on[slot, gate] and other == name and side != "both":
                return True
            if name == "point" and other == "t_pose" and self.on[slot, gate]:
                return True
        return False

    @staticmethod
    def _direction(moment: Moment, person: int, side: str) -> str:
        first, last = (5, 9) if side == "left" else (6, 10)
        dx = moment.body.xy[person, last, 0] - moment.body.xy[person, first, 0]
        return "picture right" if dx > 0 else "picture left"

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        for gate in np.flatnonzero(self._told[station.slot]).tolist():
            name, side = self._says[gate]
            yield self.gone(station, t, name, float(self.onset_t[station.slot, gate]), gesture=name, side=side)

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        for slot in moment.slots.tolist():
            station = moment.stations[slot]
            shown = [" ".join(self._says[gate]).strip() for gate in np.flatnonzero(self._told[slot]).tolist()]
            yield Gauge(self.name, self.kind, station.number, station.id, {"gestures": shown})

"""Where a face looks, coarsely: facing, turned left or right, head down, hand at head. It says nothing of sleep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np

from edgepose.core.config import says
from edgepose.meaning import joints as j
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.gates import Gate, above, below
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common
from edgepose.meaning.stations import Station

STATES = ("hand at head", "hand at head", "head down", "turned left", "turned right", "facing")
"""By gate; of several that are open the first is told."""
NOBODY, UNKNOWN = "nobody", "unknown"


class Settings(Common, frozen=True, kw_only=True):
    """Whether somebody looks this way."""

    hold_s: Annotated[float, says("so long, to be told", "s", gt=0, le=600)] = 1.0
    turned: Annotated[
        float, says("nose so far from the middle of the ears: 0 in the middle, 1 at one", "1", gt=0, le=1)
    ] = 0.55
    head_down: Annotated[float, says("nose less than this above the shoulders", "torso lengths", ge=-1, le=1)] = 0.12
    hand_head: Annotated[float, says("a wrist this near to an ear", "torso lengths", gt=0, le=1)] = 0.35
    nobody_s: Annotated[float, says("nobody there for this long is told", "s", gt=0, le=86400)] = 2.0


class Attention(Rule):
    """A gate for each state."""

    needs_joints = (j.NOSE, j.LEFT_EYE, j.RIGHT_EYE, j.LEFT_SHOULDER, j.RIGHT_SHOULDER)

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._cfg = settings
        hold, t = settings.hold_s, settings.turned
        back = 0.8 * t
        self.gates = (
            Gate("left hand", (below("left_hand_head", settings.hand_head, 1.2 * settings.hand_head),), hold, 0.3),
            Gate("right hand", (below("right_hand_head", settings.hand_head, 1.2 * settings.hand_head),), hold, 0.3),
            Gate("down", (below("head_drop", settings.head_down, settings.head_down + 0.05),), hold, 0.3),
            Gate("left", (above("turned", t, back),), hold, 0.3),
            Gate("right", (below("turned", -t, -back),), hold, 0.3),
            Gate("facing", (above("turned", -back, -t), below("turned", back, t)), min(hold, 0.5), 0.3),
        )  # fmt: skip
        self._told: list[str] = []
        self._empty_t = np.nan
        self._nobody = False

    def grow(self, room: int) -> None:
        self._told += [UNKNOWN] * (room - len(self._told))

    def reset(self, slot: int) -> None:
        self._told[slot] = UNKNOWN

    def _state(self, slot: int) -> str:
        return next((STATES[gate] for gate in np.flatnonzero(self.on[slot]).tolist()), UNKNOWN)

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        slot = int(moment.slots[person])
        state, was = self._state(slot), self._told[slot]
        if state in (was, UNKNOWN):
            return
        self._told[slot] = state
        opened = STATES.index(state)
        if state == STATES[0] and not self.on[slot, 0]:
            opened = 1
        yield self.event(moment, person, "changed", "once", onset_t, gate=opened, attention=state, was=was)

    def idle(self, t: float, seq: int, stations: dict[int, Station]) -> Iterable[Event]:
        if any(station.there for station in stations.values()):
            self._empty_t, self._nobody = np.nan, False
            return
        self._empty_t = t if np.isnan(self._empty_t) else self._empty_t
        if not self._nobody and t - self._empty_t >= self._cfg.nobody_s:
            self._nobody = True
            shown = {"empty_s": (round(t - self._empty_t, 2), self._cfg.nobody_s)}
            yield Event(
                t, seq, self.kind, self.name, "changed", "once", -1, -1, "", self._empty_t, 1.0, shown,
                {"attention": NOBODY},
            )  # fmt: skip

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        if not len(moment.slots):
            yield Gauge(self.name, self.kind, -1, -1, {"attention": NOBODY})
        for person, slot in enumerate(moment.slots.tolist()):
            station = moment.stations[slot]
            why = "hidden" if np.isnan(moment.value(person, "turned")) else ""
            yield Gauge(self.name, self.kind, station.number, station.id, {"attention": self._told[slot]}, why)

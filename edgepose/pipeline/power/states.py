"""Empty, active, calm: which frames are looked at, from what the gate saw and who was found. All times are frames'."""

from __future__ import annotations

import math
from typing import NamedTuple

from edgepose.core import config
from edgepose.pipeline.power.gate import MOTION, SCENE, Signal

EMPTY, ACTIVE, CALM = "empty", "active", "calm"
STATES = (EMPTY, ACTIVE, CALM)
"""Nobody is known; somebody is followed and moves; everybody known keeps still."""

PATIENCE_S = 2.0
"""Something moves, or somebody may be there: for so long every frame is looked at though nobody is confirmed, ..."""
RECOVERY = 0.1
"""... which comes back at so many seconds a second, for the two apart: who comes is not late because of a ghost; ..."""
RESTED_S = 1.0
"""... somebody who may be there wakes from so much of it on: a ghost does so once in a while, and does not flap; ..."""
BUSY_S = 0.2
"""... after it, what still moves is looked at this often."""
SIGHTINGS = 2.0
"""Looks at somebody calm before they would count as having left."""


class Wake(NamedTuple):
    """Why it last began to follow somebody, or to look more often."""

    why: str
    """start, motion, scene, timer, people (one who was calm moved, came or left), command."""
    t: float
    at_xy: tuple[int, int] | None = None
    """Where something moved, pixels."""


class Look(NamedTuple):
    """What looking at a frame gave."""

    people: int
    """With an identity."""
    candidates: int
    """Found, with an identity or not."""
    still_s: float
    """For how long nobody has moved; 0 when somebody does, or is new."""


class States:
    """The state machine; who calls it looks at the frames that it wants."""

    def __init__(self, cfg: config.Power, memory_s: float) -> None:
        """`memory_s`: for how long somebody unseen is remembered."""
        self._cfg, self._memory_s = cfg, memory_s
        self.calm_every_s = min(1 / cfg.calm_fps, memory_s / SIGHTINGS) if memory_s else 0.0
        self.state = ACTIVE
        self.wake = Wake("start", math.nan)
        self.shares_s = dict.fromkeys(STATES, 0.0)
        """Seconds in each state so far."""
        self.wakes = 0
        """Times that it left empty or calm."""
        self.refuted = False
        """The last look found nobody."""
        self._signal = Signal("")
        self._motion_s = self._doubt_s = PATIENCE_S
        """What is left of the patience with what moves, and with who may be there."""
        self._t = self._awake_t = self._looked_t = self._moved_t = self._seen_t = -math.inf
        self._people = 0

    @property
    def t(self) -> float:
        """Of the latest frame, seconds."""
        return self._t

    @property
    def moves(self) -> bool:
        """Whether something moved a moment ago, or somebody is followed who moves: the camera should run as it can."""
        return self.state == ACTIVE or self._t - self._moved_t < self._cfg.awake_s

    def reason(self, signal: Signal, t: float) -> str:
        """Why a frame is to be looked at; empty where it is not."""
        self._pass(t)
        self._signal = signal
        if signal.kind in (MOTION, SCENE):
            self._moved_t = t
        if self.state == ACTIVE:
            return ACTIVE
        if self.state == CALM:
            return self._reason_calm(signal, t)
        if signal.kind in (MOTION, SCENE) and (self._motion_s > 0 or not 0 <= t - self._looked_t < BUSY_S):
            return signal.kind
        return "" if 0 <= t - self._looked_t < self._cfg.find_empty_s else "timer"

    def _reason_calm(self, signal: Signal, t: float) -> str:
        if signal.kind in (MOTION, SCENE):
            self._rise(signal.kind, t)
            return signal.kind
        return "" if 0 <= t - self._looked_t < self.calm_every_s else "timer"

    def looked(self, look: Look, reason: str, t: float) -> None:
        """Take in what a look gave; `reason` as returned for its frame."""
        self._looked_t, self.refuted = t, not look.candidates
        if look.people:
            self._seen_t, self._motion_s, self._doubt_s = t, PATIENCE_S, PATIENCE_S
        if self.state == EMPTY and (look.people or (look.candidates and self._doubt_s > RESTED_S)):
            self._rise(reason, t)
        elif self.state == CALM and (look.people != self._people or look.still_s < self._cfg.calm_after_s):
            self._rise("people", t)
        elif self.state == ACTIVE:
            self._rest(look, t)
        self._people = look.people

    def woken(self, t: float) -> None:
        """Somebody asked for it: every frame is looked at for a while."""
        self._motion_s = self._doubt_s = PATIENCE_S
        self._rise("command", t)

    def _rest(self, look: Look, t: float) -> None:
        """Become calm or empty where nothing speaks against it."""
        awake = t < self._awake_t
        if look.people:
            moves = t - self._moved_t < self._cfg.awake_s
            if look.still_s >= self._cfg.calm_after_s and not (awake or moves) and self.calm_every_s:
                self.state = CALM
        elif t - self._seen_t > self._memory_s and (self._doubt_s <= 0 or not (look.candidates or awake)):
            self.state = EMPTY

    def _rise(self, why: str, t: float) -> None:
        self.wakes += self.state != ACTIVE
        self.state, self._awake_t = ACTIVE, t + self._cfg.awake_s
        self.wake = Wake(why, t, self._signal.at_xy)

    def _pass(self, t: float) -> None:
        """Time goes on; a clock that jumped back starts anew."""
        step_s, moved = t - self._t, self._moved_t >= self._t
        if not 0 <= step_s < math.inf:
            step_s = 0.0
            if t < self._t or not math.isfinite(self._t):
                self._awake_t, self._looked_t, self._moved_t, self._seen_t = t + self._cfg.awake_s, -math.inf, t, t
                self.wake = self.wake._replace(t=t)
        self._t = t
        self.shares_s[self.state] += step_s
        nobody = t - self._seen_t > self._memory_s
        self._motion_s = _left(self._motion_s, step_s, moved and nobody)
        self._doubt_s = _left(self._doubt_s, step_s, self.state == ACTIVE and nobody)


def _left(patience_s: float, step_s: float, used: bool) -> float:
    """What is left of a patience after a time in which it was used, or came back."""
    return max(0.0, patience_s - step_s) if used else min(PATIENCE_S, patience_s + RECOVERY * step_s)

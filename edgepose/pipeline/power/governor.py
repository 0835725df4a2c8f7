"""Asked by the loop before each frame of a camera: is it worth a look? Told what a look gave."""

from __future__ import annotations

from typing import NamedTuple

from edgepose.core import config
from edgepose.core.poses import Frame, Poses
from edgepose.pipeline.power.gate import STILL, STUCK, Gate, Signal
from edgepose.pipeline.power.ignore import polygons_of
from edgepose.pipeline.power.states import Look, States
from edgepose.pipeline.power.stillness import Stillness


class Report(NamedTuple):
    """How it stands; replaced whole, so that any thread may read it."""

    state: str
    shares: dict[str, float]
    """State -> share of the time so far, 0..1."""
    why: str
    """Why it woke last, see states.Wake."""
    at_xy: tuple[int, int] | None
    wakes: int
    skipped: int
    """Frames not looked at because nothing called for it."""
    stuck: bool
    """The camera repeats one picture."""


class Governor:
    """Gate, states and stillness together; called by the loop's thread alone, `report` by any."""

    def __init__(self, cfg: config.Power, memory_s: float) -> None:
        """Take the settings.

        memory_s  for how long somebody unseen is remembered

        Raises:
            ConfigError: a polygon of `ignore` is none.
        """
        self.cfg = cfg
        self.gate = Gate(polygons_of(cfg.ignore), cfg.sensitivity)
        self.states = States(cfg, memory_s)
        self._stillness = Stillness()
        self._reason = ""
        self.skipped = 0
        self.signal = Signal(STILL)

    def wants(self, frame: Frame) -> bool:
        """Whether to look at a frame of a camera."""
        self.signal = self.gate.see(frame, self.states.refuted, self._stillness.moving)
        self._reason = self.states.reason(self.signal, frame.t)
        self.skipped += not self._reason
        return bool(self._reason)

    def saw(self, found: int, people: Poses) -> None:
        """What looking at the frame last wanted gave: how many were found, and those of them with an identity."""
        look = Look(len(people), found, self._stillness.update(people))
        self.states.looked(look, self._reason, people.t)

    def report(self) -> Report:
        """How it stands."""
        states = self.states
        total_s = sum(states.shares_s.values()) or 1.0
        shares = {state: seconds / total_s for state, seconds in states.shares_s.items()}
        return Report(
            states.state, shares, states.wake.why, states.wake.at_xy, states.wakes, self.skipped,
            self.signal.kind == STUCK,
        )  # fmt: skip

"""Asked by the loop before each frame of a camera whether it is worth a look; hears what a look gave."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from edgepose.core import config
from edgepose.core.poses import Frame, Poses
from edgepose.pipeline.pace import Pace
from edgepose.pipeline.power.gate import MOTION, SCENE, STILL, STUCK, Gate, Signal
from edgepose.pipeline.power.ignore import polygons_of
from edgepose.pipeline.power.limits import Board, Limits
from edgepose.pipeline.power.schedule import Hours, hours_of, limit, now_in_force
from edgepose.pipeline.power.states import CALM, Look, States
from edgepose.pipeline.power.stillness import Stillness
from edgepose.sink.base import GateView

log = logging.getLogger("edgepose.pipeline")

STUCK_SAYS = "the camera repeats one picture"


class Report(NamedTuple):
    """How it stands."""

    state: str
    shares: dict[str, float]
    """State -> share of the time so far, 0..1."""
    why: str
    """Why it woke last, see states.Wake."""
    at_xy: tuple[int, int] | None
    """Where something moved then, pixels."""
    wakes: int
    """Times that it left empty or calm."""
    skipped: int
    """Frames not looked at because nothing called for it."""
    limited: str
    """What holds the rate down: cpu, temperature, throttled, schedule; empty: nothing."""
    max_fps: float
    """Most frames looked at in a second; inf: all."""
    under_voltage: bool | None


class Governor:
    """Gate, states, stillness, limits and hours together; called by the loop's thread, `report` and `board` by any.

    memory_s     for how long the tracker remembers somebody unseen
    camera       called with the rate, Hz, that would do for now where it changes; 0: as fast as set
    limits       the board's
    minute       the minute of the day, the board's time

    Raises:
        ConfigError: a polygon of `ignore` or a line of `schedule` is none.
    """

    def __init__(
        self,
        cfg: config.Power,
        memory_s: float,
        camera: Callable[[float], None] = lambda _fps: None,
        limits: Limits | None = None,
        minute: Callable[[], int] | None = None,
    ) -> None:
        self.cfg = cfg
        self.gate = Gate(polygons_of(cfg.ignore), cfg.sensitivity)
        self.states = States(cfg, memory_s)
        self.limits = limits or Limits(cfg)
        self.skipped = 0
        self.waiting = ""
        """Why nothing at all is looked at now; empty: it is, where something calls for it."""
        self.held = False
        """The frame last left out shows the people of the last look, and it is time to say so."""
        self._schedule = hours_of(cfg.schedule)
        self._minute = minute or _minute
        self._hours: Hours | None = None
        self._hours_t = -math.inf
        self._camera, self._camera_fps = camera, 0.0
        self._pace, self._hold_pace = Pace(), Pace(cfg.hold)
        self._stillness = Stillness()
        self._reason = ""
        self._signal = Signal(STILL)

    def wants(self, frame: Frame) -> bool:
        """Whether to look at a frame of a camera."""
        self.limits.tick(frame.t)
        self._keep_hours(frame.t)
        self._signal = self.gate.see(frame, self.states.refuted, self._stillness.moving)
        self._reason = self.states.reason(self._signal, frame.t)
        self._fault()
        wanted = bool(self._reason) and not self.waiting and self._pace.wants(frame.t)
        self.skipped += not wanted
        due = bool(self.cfg.hold) and self._hold_pace.wants(frame.t)  # a look publishes too
        self.held = due and not wanted and not self.waiting and self.states.state == CALM
        self._run_camera()
        return wanted

    def saw(self, found: Poses, poses: Poses) -> None:
        """What looking at the frame last wanted gave: who was found, and those of them with an identity."""
        self.limits.looked()
        look = Look(len(poses), len(found), self._stillness.update(poses))
        self.states.looked(look, self._reason, poses.t)

    def wake(self) -> None:
        """Somebody asks for a look; in the loop's thread."""
        self.states.woken(self.states.t)

    def board(self, temperature_c: float | None, throttled: int | None) -> None:
        """How the board is doing."""
        self.limits.board(Board(temperature_c, throttled))

    def report(self) -> Report:
        """How it stands."""
        states, scheduled = self.states, limit(self._hours)
        seconds = dict(states.shares_s)
        total_s = sum(seconds.values()) or 1.0
        fps = min(scheduled, self.limits.max_fps)
        return Report(
            state=states.state,
            shares={state: share / total_s for state, share in seconds.items()},
            why=states.wake.why,
            at_xy=states.wake.at_xy,
            wakes=states.wakes,
            skipped=self.skipped,
            limited="" if math.isinf(fps) else "schedule" if fps == scheduled else self.limits.why,
            max_fps=fps,
            under_voltage=self.limits.under_voltage,
        )

    def view(self) -> GateView:
        """What the gate made of the frame last asked about, to be drawn."""
        signal, wake = self._signal, self.states.wake
        moves = signal.kind in (MOTION, SCENE)
        woken = wake.why + (f" at {wake.at_xy[0]},{wake.at_xy[1]}" if wake.at_xy else "")
        text = f"{self.states.state}: {self.waiting or signal.kind}; woken by {woken}"
        changed = self.gate.changed if moves else None
        return GateView(self.gate.cell_px, changed, self.gate.ignored, signal.at_xy, text)

    def _keep_hours(self, t: float) -> None:
        """See now and then which hours it is, and how fast that and the board let it go."""
        if self._schedule and not 0 <= t - self._hours_t < 1.0:
            before, self._hours, self._hours_t = self._hours, now_in_force(self._schedule, self._minute()), t
            if before != self._hours:
                log.info("power: %s", f"quiet hours {self._hours.text}" if self._hours else "quiet hours are over")
        fps = min(limit(self._hours), self.limits.max_fps)
        wanted = 0.0 if math.isinf(fps) else fps
        if wanted != self._pace.max_fps:
            self._pace = Pace(wanted)

    def _fault(self) -> None:
        """Say what keeps it from looking at all; log a stuck camera once."""
        paused = self._hours is not None and not self._hours.max_fps
        stuck = self._signal.kind == STUCK
        if stuck and self.waiting != STUCK_SAYS:
            log.warning("power: %s; that is a fault, not an empty room: restart it, look at its cable", STUCK_SAYS)
        elif self.waiting == STUCK_SAYS and not stuck:
            log.info("power: the camera gives new pictures again")
        self.waiting = STUCK_SAYS if stuck else f"quiet hours, {self._hours.text}" if paused and self._hours else ""

    def _run_camera(self) -> None:
        idle_fps = self.cfg.idle_fps
        if idle_fps and self.states.state == CALM:
            idle_fps = max(idle_fps, self.cfg.hold)
        fps = 0.0 if self.states.moves and not self.waiting else idle_fps
        if fps != self._camera_fps:
            self._camera_fps = fps
            self._camera(fps)


def _minute() -> int:
    now = time.localtime()
    return 60 * now.tm_hour + now.tm_min

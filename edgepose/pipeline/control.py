"""What may be asked of a running loop, and its signs of life."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from edgepose.pipeline.pace import Pace

if TYPE_CHECKING:
    from edgepose.core.poses import Frame, Poses
    from edgepose.pipeline.stages import Stages


SELDOM_S = 60.0
"""Seconds without a frame looked at after which nobody can say who is there."""


class Governor(Protocol):
    """Saves power: leaves out frames of a camera that would tell nothing new. Called by the loop's thread."""

    waiting: str
    """Why nothing at all is looked at; empty: it is, where something calls for it."""
    held: bool
    """The frame last left out shows the same people, and it is time to say so."""

    def wants(self, frame: Frame) -> bool:
        """Whether to look at this one, which neither a pause nor max_fps left out."""

    def saw(self, found: Poses, poses: Poses) -> None:
        """Who was found in a frame that was looked at, and those of them with ids."""


class Control:
    """Which stages are in force and which frames they get; what is asked for is done between two frames.

    live  frames come by themselves: those that are not wanted are skipped. A recording waits instead.
    """

    def __init__(self, stages: Stages, live: bool, governor: Governor | None = None) -> None:
        self._stages, self._live, self._governor = stages, live, governor
        self._pace = Pace(stages.cfg.service.max_fps)
        self._asked: deque[Callable[[], object]] = deque()
        self.paused = self.holds = False
        """`holds`: the frame last left out shows the people of the last look, and it is time to say so."""
        self._looked_t = time.monotonic()
        self.looked = self.skipped = 0
        """Frames looked at, and those left out, so far."""
        self.waiting = ""
        """Why no frame is looked at right now, as far as that is meant to be; empty while they come."""
        self.progress_t = time.monotonic()
        """Monotonic seconds of the loop's last sign of life: a frame done, or a wait with a reason."""

    def stages(self) -> Stages:
        """Those in force."""
        return self._stages

    def ask(self, action: Callable[[], object]) -> None:
        """Let the loop's thread do something before the next frame, or soon while none comes; from any thread."""
        self._asked.append(action)

    # ------------------------------------------------------------------------------------- within what is asked for

    def put(self, stages: Stages) -> None:
        """Put others in force; an estimate that they replace is closed."""
        replaced, self._stages = self._stages, stages
        if replaced.cfg.service.max_fps != stages.cfg.service.max_fps:
            self._pace = Pace(stages.cfg.service.max_fps)
        if replaced.estimate is not stages.estimate:
            replaced.estimate.close()

    def govern(self, governor: Governor | None) -> None:
        """Leave out frames by another rule from now on; None: none for want of anything new."""
        self._governor = governor

    def pause(self, paused: bool) -> None:
        """Skip a camera's frames, let a recording wait; or go on."""
        self.paused = paused

    # ------------------------------------------------------------------------------------------- in the loop's thread

    def idle(self, why: str) -> None:
        """The loop waits, and does what it is asked for meanwhile."""
        self.waiting, self.progress_t = "paused" if self.paused else why, time.monotonic()
        self.serve()

    def serve(self) -> None:
        """Do what was asked for."""
        while self._asked:
            self._asked.popleft()()

    def wants(self, frame: Frame) -> bool:
        """Whether to look at a frame; counts it."""
        self.progress_t, self.holds = time.monotonic(), False
        if self._live and not self._lets(frame):
            self.skipped += 1
            return False
        self.waiting = ""
        self._looked_t = self.progress_t
        self.looked += 1
        return True

    def saw(self, found: Poses, poses: Poses) -> None:
        """Who was found in it, and those of them with ids."""
        if self._governor is not None:
            self._governor.saw(found, poses)

    def _lets(self, frame: Frame) -> bool:
        if self.paused:
            self.waiting = "paused"
            return False
        if (self._governor is None or self._governor.wants(frame)) and self._pace.wants(frame.t):
            return True
        self.waiting = "" if self._governor is None else self._governor.waiting
        self.holds = self._governor is not None and self._governor.held
        if not self.waiting and time.monotonic() - self._looked_t > SELDOM_S:
            self.waiting = "service.max_fps or power leaves out all frames for now"
        return False

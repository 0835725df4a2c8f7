"""What a service is doing, in one word and a reason."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgepose.pipeline import Pipeline

State = Literal["starting", "running", "paused", "waiting", "stopping"]

PATIENCE_S = 3.0
"""No frame for this long is a state; for less it is a slow camera."""


class ServiceState:
    """Looks at a pipeline now and then."""

    def __init__(self, pipeline: Pipeline, stall_s: float) -> None:
        self._pipeline, self._stall_s = pipeline, stall_s
        self._looked, self._looked_t = 0, time.monotonic()
        self.stopping = False

    def look(self) -> tuple[State, str]:
        """What it does now, and why where it is not running; to be called at least once a second."""
        control, now = self._pipeline.control, time.monotonic()
        if control.looked != self._looked:
            self._looked, self._looked_t = control.looked, now
        if self.stopping:
            return "stopping", ""
        if control.paused:
            return "paused", "asked to"
        if now - control.progress_t > self._stall_s:
            return "waiting", "the loop gives no sign of life"
        if control.waiting and now - self._looked_t > PATIENCE_S:
            return "waiting", control.waiting
        return ("running" if self._looked else "starting"), ""

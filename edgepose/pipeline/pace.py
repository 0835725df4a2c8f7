"""Which frames of a camera are looked at when not all of them are."""

from __future__ import annotations

import math

EARLY = 0.1
"""Of a period by which a frame may come too early: cameras waver."""
OF_A_STEP = 0.25
"""Of the camera's own step, the same: a camera much faster than what is wanted has a better frame soon."""
FORGETS = 0.2
"""Share of the latest step in what is known of the camera's."""


class Pace:
    """Chooses frames so that `max_fps` of them come in a second, as evenly as the camera's own rate allows.

    In any window of W seconds there are at most W * max_fps + 1, and one step of the camera's more, by which a frame
    that came late may be followed sooner.
    """

    def __init__(self, max_fps: float = 0.0) -> None:
        self.max_fps = max_fps
        """0 is all."""
        self._due_t = -math.inf
        self._t = math.inf
        self._step_s = 0.0

    def wants(self, t: float) -> bool:
        """Whether to look at a frame of this time, seconds, rising."""
        if not self.max_fps:
            return True
        period_s = 1 / self.max_fps
        self._learn(t, period_s)
        if t < self._due_t - min(EARLY * period_s, OF_A_STEP * self._step_s):
            return False
        self._due_t = max(self._due_t, t - self._step_s) + period_s
        return True

    def _learn(self, t: float, period_s: float) -> None:
        """The camera's step, where it is faster than what is wanted; a clock that went back starts anew."""
        step_s, self._t = t - self._t, t
        if step_s < 0:  # also before the first
            self._due_t = t
        elif step_s <= period_s:
            self._step_s += (FORGETS if self._step_s else 1.0) * (step_s - self._step_s)

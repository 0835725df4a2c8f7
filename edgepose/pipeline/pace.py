"""Which frames of a camera are looked at when not all of them are."""

from __future__ import annotations

EARLY = 0.1
"""Of a period by which a frame may come too early: cameras waver."""


class Pace:
    """Chooses frames so that `max_fps` of them come in a second, as evenly as the camera's own rate allows."""

    def __init__(self, max_fps: float = 0.0) -> None:
        self.max_fps = max_fps
        """0 is all."""
        self._due_t = float("-inf")

    def wants(self, t: float) -> bool:
        """Whether to look at a frame of this time, seconds, rising."""
        if not self.max_fps:
            return True
        period_s = 1 / self.max_fps
        if self._due_t > t + period_s:  # another rate was in force
            self._due_t = t
        if t < self._due_t - EARLY * period_s:
            return False
        self._due_t = max(self._due_t, t - period_s) + period_s
        return True

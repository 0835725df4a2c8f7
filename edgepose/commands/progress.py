"""How a run is doing, for a person at a terminal or a line in the log now and then."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping

from edgepose.core.poses import Frame, Poses
from edgepose.core.timing import Histogram, percentiles_ms
from edgepose.service.journal import in_journal

log = logging.getLogger("edgepose")

TERMINAL_S, LOG_S, JOURNAL_S = 0.2, 30.0, 3600.0
"""Between two lines. The journal of a year is not for that: `systemctl status` has the line of the moment."""


class Progress:
    """Counts frames and people; rewrites one line on a terminal, else logs now and then: in the journal hourly."""

    def __init__(self, total: int | None, live: bool) -> None:
        self.total = total
        """Frames to come, where known."""
        self.begins = "captured" if live else "read"
        self.frames = self.people = 0
        self.started_t = self.told_t = time.monotonic()
        self.terminal = sys.stderr.isatty() and not sys.stdout.isatty()
        self.every_s = TERMINAL_S if self.terminal else JOURNAL_S if in_journal() else LOG_S

    def saw(self, poses: Poses, _frame: Frame) -> None:
        """One more frame is done."""
        self.frames += 1
        self.people += len(poses)
        now = time.monotonic()
        if now - self.told_t < self.every_s:
            return
        self.told_t = now
        if self.terminal:
            sys.stderr.write(f"\r{self._line(now)}, {len(poses)} in view \033[K")
            sys.stderr.flush()
        else:
            log.info("%s", self._line(now))

    def finish(self, counts: Mapping[str, int], latency: Histogram) -> None:
        """Say what was done, how long a frame took from capture to sent, and what was lost on the way."""
        if self.terminal:
            sys.stderr.write("\r\033[K")
        told = {name: count for name, count in counts.items() if count and name != "frames"}
        lost = "".join(f", {count} {name}" for name, count in told.items())
        p50, p95, *_ = percentiles_ms(latency)
        took = f"; {p50:.1f} ms from {self.begins} to sent, 95 % within {p95:.1f}" if latency.count else ""
        log.info("done: %s%s%s", self._line(time.monotonic()), lost, took)

    def _line(self, now: float) -> str:
        of = f"/{self.total}" if self.total else ""
        rate = self.frames / max(now - self.started_t, 1e-6)
        return f"{self.frames}{of} frames, {rate:.1f} per second, {self.people} people"

"""How far a command is: one line on a terminal that is written anew, or one in the log now and then."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from edgepose.service.journal import in_journal

if TYPE_CHECKING:
    from edgepose.core.poses import Frame, Poses
    from edgepose.core.timing import Histogram
    from edgepose.pipeline import Pipeline

log = logging.getLogger("edgepose")

TERMINAL_S, LOG_S, JOURNAL_S = 0.2, 30.0, 3600.0
"""Between two lines. The journal of a year is not for that: `systemctl status` has the line of the moment."""


class Line:
    """The line of a terminal on standard error that is written anew; nothing where there is no terminal."""

    def __init__(self, *, beside_stdout: bool = True) -> None:
        self.on = sys.stderr.isatty() and (beside_stdout or not sys.stdout.isatty())

    def show(self, text: str) -> None:
        """Write it in place of what was there."""
        if self.on:
            sys.stderr.write(f"\r{text} \033[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take it back."""
        if self.on:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


class Progress:
    """Counts things that are done.

    things  what is counted: "pictures"
    total   how many there will be, where known
    name    of the work
    """

    beside_stdout = True
    """Whether standard output has nothing to say meanwhile."""

    def __init__(self, things: str, total: int | None, name: str = "") -> None:
        self.things, self.total, self.name = things, total, name
        self.done = 0
        self.started_t = self.shown_t = time.monotonic()
        self.terminal = Line(beside_stdout=self.beside_stdout)
        self.every_s = TERMINAL_S if self.terminal.on else JOURNAL_S if in_journal() else LOG_S

    def step(self, note: str = "") -> None:
        """One more is done; a terminal shows `note` beside it."""
        self.done += 1
        now = time.monotonic()
        if now - self.shown_t < self.every_s:
            return
        self.shown_t = now
        if self.terminal.on:
            self.terminal.show(self.line(now) + note)
        else:
            log.info("%s", self.line(now))

    def clear(self) -> None:
        """Leave nothing of it on the terminal."""
        self.terminal.clear()

    def line(self, now: float) -> str:
        """How far it is."""
        head = f"{self.name}: {self.counted(now)}"
        if not self.total or not self.done:
            return head
        return f"{head}, {(now - self.started_t) / self.done * (self.total - self.done):.0f} s to go"

    def counted(self, now: float) -> str:
        """What is done, and how fast."""
        rate = self.done / max(now - self.started_t, 1e-6)
        return f"{self.done}{f'/{self.total}' if self.total else ''} {self.things}, {rate:.1f} per second"


class FrameProgress(Progress):
    """Counts frames and the people in them; poses may go to standard output meanwhile."""

    beside_stdout = False

    def __init__(self, total: int | None, *, live: bool) -> None:
        super().__init__("frames", total)
        self.begins = "captured" if live else "read"
        self.people = 0

    def saw(self, poses: Poses, _frame: Frame) -> None:
        """One more frame is done."""
        self.people += len(poses)
        self.step(f", {len(poses)} in view")

    def finish(self, counts: Mapping[str, int], latency: Histogram | None = None) -> None:
        """Say what was done, how long a frame took from capture to sent, and what was lost on the way."""
        from edgepose.core.timing import percentiles_ms

        self.clear()
        counted = {name: count for name, count in counts.items() if count and name != "frames"}
        lost = "".join(f", {count} {name}" for name, count in counted.items())
        took = ""
        if latency is not None and latency.count:
            p50, p95, *_ = percentiles_ms(latency)
            took = f"; {p50:.1f} ms from {self.begins} to sent, 95 % within {p95:.1f}"
        log.info("done: %s%s%s", self.line(time.monotonic()), lost, took)

    def line(self, now: float) -> str:
        """How far it is."""
        return f"{self.counted(now)}, {self.people} people"


def watched(pipeline: Pipeline, *watchers: Callable[[Poses, Frame], object]) -> None:
    """Take every frame to the sinks, and show how far it is."""
    progress = FrameProgress(pipeline.source.total, live=pipeline.source.live)
    try:
        pipeline.run(progress.saw, *watchers)
    finally:
        progress.finish(pipeline.counts, pipeline.times.stages["latency"])

"""A recording played as a camera would give it: each frame at its time, the newest wins."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from edgepose.source.base import IDLE_S, BaseSource

if TYPE_CHECKING:
    from edgepose.core.poses import Frame
    from edgepose.source.base import Source

JOIN_S = 2.0
"""Longest wait for the thread that reads."""


class PacedSource(BaseSource):
    """Plays a source that waits, a file or a folder, at its own pace; owns it.

    Frames are stamped when they are due. Who takes them more slowly misses some, counted as dropped.
    """

    live = True

    def __init__(self, recording: Source, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.still, self.total = recording.still, recording.total
        self._recording, self._clock = recording, clock
        self._newest: Frame | None = None
        self._ended = False
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[Frame]:
        thread = threading.Thread(target=self._play, name="edgepose play", daemon=True)
        thread.start()
        try:
            while (frame := self._next()) is not None:
                self.counts["frames"] += 1
                yield frame
        finally:
            self.close()
            thread.join(JOIN_S)
        if self._error is not None:
            raise self._error

    def _next(self) -> Frame | None:
        """The newest frame not yet handed out; None at the end."""
        while not self.closed:
            with self.changed:
                if self._newest is None and not self._ended:
                    self.changed.wait(IDLE_S)
                frame, self._newest = self._newest, None
                if frame is not None or self._ended:
                    return frame
            self.idle("waits for a frame")
        return None

    def _play(self) -> None:
        """Read, and show each frame when it is due."""
        first: tuple[float, float] | None = None
        try:
            for frame in self._recording:
                now = self._clock()
                first = first or (now, frame.t)
                due_t = first[0] + frame.t - first[1]
                if not self._wait_until(due_t):
                    break
                self._show(replace(frame, t=due_t, taken_t=due_t))
        except Exception as error:  # noqa: BLE001  raised again in the thread that iterates
            self._error = error
        with self.changed:
            self._ended = True
            self.changed.notify_all()

    def _wait_until(self, due_t: float) -> bool:
        """False: it was closed before."""
        with self.changed:
            while not self.closed and (left_s := due_t - self._clock()) > 0:
                self.changed.wait(left_s)
            return not self.closed

    def _show(self, frame: Frame) -> None:
        with self.changed:
            self.counts["dropped"] += self._newest is not None
            self.counts["unreadable"] = self._recording.counts["unreadable"]
            self._newest = frame
            self.changed.notify_all()

    def close(self) -> None:
        """As Source.close."""
        super().close()
        self._recording.close()

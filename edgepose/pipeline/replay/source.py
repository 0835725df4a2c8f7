"""What a recording kept of one run, again as frames: as fast as it happened, slower, faster, or at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from edgepose.core.poses import Frame
from edgepose.source.base import IDLE_S, BaseSource
from edgepose.wire.recording import Kept, frame_of


class ReplaySource(BaseSource):
    """Hands out KeptFrames; nothing is dropped.

    frames  each with its place in the recording, seconds
    speed   1 as it happened, 2 twice as fast; 0 at once
    """

    def __init__(
        self, frames: Iterable[tuple[float, Kept]], *, still: bool, followed: bool = False, speed: float = 0.0
    ) -> None:
        super().__init__()
        self.still, self.followed = still, followed
        self._frames, self._speed = frames, speed

    def __iter__(self) -> Iterator[Frame]:
        start_t, first = time.monotonic(), None
        for place, kept in self._frames:
            first = place if first is None else first
            if self._speed:
                self._wait_until(start_t + (place - first) / self._speed)
            if self.closed:
                return
            self.counts["frames"] += 1
            yield frame_of(kept, time.monotonic())

    def _wait_until(self, due_t: float) -> None:
        with self.changed:
            while not self.closed and (left_s := due_t - time.monotonic()) > 0:
                self.changed.wait(min(left_s, IDLE_S))
                self.idle("waits as long as it took")

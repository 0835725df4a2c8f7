"""What becomes of poses once the loop is done with them: smoothed, lifted, handed to the sinks; never in its way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from edgepose.pipeline.threads import Consumer

if TYPE_CHECKING:
    from types import TracebackType

    from edgepose.core.poses import Frame, Poses
    from edgepose.core.timing import StageTimes
    from edgepose.pipeline.stages import Stages
    from edgepose.sink import Sink
    from edgepose.sink.base import GateView

LIVE_AHEAD, AHEAD = 1, 4
"""Poses that may wait for a sink: of a camera, then the newest wins; of a recording, then the loop waits."""

Watch = Callable[["Poses", "Frame"], object]
"""Sees what the sinks do, after them."""


class Seen(NamedTuple):
    """A frame that the loop is done with."""

    poses: Poses
    frame: Frame
    stages: Stages
    """In force when it was looked at: others may follow, with another model."""
    gate: GateView | None = None
    """What the motion gate made of it; None: nobody wants to know."""


class Finished(NamedTuple):
    """A frame on its way to the sinks."""

    poses: Poses
    frame: Frame
    meaning: Any
    gate: GateView | None = None


class Unseen(NamedTuple):
    """A frame that nobody looked at."""

    frame: Frame
    holds: bool
    """Those published last are in it too, for they keep still: all sinks get them again."""
    gate: GateView | None
    """As in Seen: those that want it get the frame too."""


T = TypeVar("T", Seen, Finished)


def overtaken(dropped: T, following: T) -> T:
    """What follows, with who entered and left in those that never arrive."""
    return following._replace(poses=following.poses.after(dropped.poses))


def _overtaken(dropped: Seen | Unseen, following: Seen | Unseen) -> Seen | Unseen:
    """The same; nothing is ever dropped for what nobody looked at, which tells nothing either."""
    return following if isinstance(dropped, Unseen) or isinstance(following, Unseen) else overtaken(dropped, following)


class Publisher:
    """A context manager: threads that finish what they are given and hand it to the sinks; at its end all is done.

    live    poses of a camera may be overtaken; of a recording they wait, and so does the loop
    failed  called by a thread that fails; what it failed of is raised at the end
    idle    called with a reason while the loop waits
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        live: bool,
        times: StageTimes,
        watchers: Sequence[Watch] = (),
        failed: Callable[[], None] = lambda: None,
        idle: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._live, self._times, self._watchers = live, times, watchers
        self._sinks = sinks
        self._carried: Seen | None = None
        """Too old to be published; who entered and left in it is told with the next."""
        self._stopped_late = 0
        self._least_lag_s = float("inf")
        self._failed, self._idle = failed, partial(idle, "waits for the sinks")
        # a sink that may keep its caller waiting gets a thread, so that no other waits with it
        slow = {sink: self._consumer(self._writing(sink), type(sink).__name__) for sink in sinks[1:] if sink.waits}
        self._writes = [slow[sink].put if sink in slow else self._writing(sink) for sink in sinks]
        self._latest: Poses | None = None
        """Published last; what is held."""
        size, merge = (LIVE_AHEAD, _overtaken) if live else (AHEAD, None)
        self._gated = [write for sink, write in zip(sinks, self._writes, strict=True) if sink.wants_gate]
        self._first: Consumer[Seen | Unseen] = Consumer(self._publish, failed, "edgepose publish", size, merge)
        self._consumers: list[Consumer[Any]] = [self._first, *slow.values()]  # in the order in which poses pass them

    @property
    def late(self) -> int:
        """Poses of a camera overtaken on the way to a sink, or too old when they got there."""
        return self._stopped_late + sum(consumer.queue.dropped for consumer in self._consumers)

    def __call__(self, seen: Seen) -> None:
        """Take one more; of a recording, wait for room."""
        self._first.put(seen, self._idle)

    @property
    def wants_gate(self) -> bool:
        """Whether a sink shows what the motion gate sees."""
        return bool(self._gated)

    def leave_out(self, unseen: Unseen) -> None:
        """Take a frame that nobody looked at; left out where something newer is on its way."""
        self._first.queue.put_if_empty(unseen)

    def _publish(self, item: Seen | Unseen) -> None:
        if isinstance(item, Seen):
            self._publish_seen(item)
        elif self._latest is not None:
            for write in self._writes if item.holds else self._gated:
                write(Finished(self._latest.again(), item.frame, None, item.gate))

    def _publish_seen(self, seen: Seen) -> None:
        if self._carried is not None:
            seen, self._carried = overtaken(self._carried, seen), None
        if self._live and self._stale(seen):
            self._stopped_late += 1
            self._carried = seen
            return
        stages = seen.stages
        poses = self._latest = stages.finish(seen.poses)
        meaning = None if stages.meaning is None else stages.meaning.update(poses)
        finished = Finished(poses, seen.frame, meaning, seen.gate)
        for write in self._writes:
            write(finished)
        for watch in self._watchers:
            watch(poses, seen.frame)

    def _stale(self, seen: Seen) -> bool:
        """The process stood still meanwhile; what it always takes from a capture to here does not count."""
        lag_s = time.monotonic() - seen.frame.taken_t
        self._least_lag_s = min(self._least_lag_s, lag_s)
        return lag_s - self._least_lag_s > seen.stages.cfg.sink.mqtt.expiry_s

    def _consumer(self, does: Callable[[T], object], name: str) -> Consumer[T]:
        size, merge = (LIVE_AHEAD, overtaken) if self._live else (AHEAD, None)
        return Consumer(does, self._failed, f"edgepose {name}", size, merge)

    def _writing(self, sink: Sink) -> Callable[[Finished], object]:
        """Write to one sink."""

        def write(finished: Finished) -> None:
            if finished.gate is not None and sink.wants_gate:
                sink.take_gate(finished.gate)
            sink.write(finished.poses, finished.frame)
            if finished.meaning is not None:
                sink.write_meaning(finished.meaning, finished.poses)
            if sink is self._sinks[0] and not sink.tells_later and not finished.poses.held:
                self._times.sent(finished.frame.seq, finished.frame.taken_t, time.monotonic())

        return write

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait until everything is handed on.

        Raises:
            Exception: what a sink or a watcher failed of, where nothing else ended the run.
        """
        if isinstance(error, KeyboardInterrupt):
            for consumer in self._consumers:
                consumer.abandon()
            return
        for consumer in self._consumers:
            consumer.close()
        failures = [consumer.error for consumer in self._consumers if consumer.error is not None]
        if failures and error is None:
            raise failures[0]

"""Poses of a source as they come: identities, smoothed."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

from edgepose.core.config import Config
from edgepose.core.poses import Frame, Poses
from edgepose.face.settings import made
from edgepose.face.stream import Stream
from edgepose.sink.base import Sink

if TYPE_CHECKING:
    from edgepose.pipeline import Pipeline
    from edgepose.pipeline.threads import BoundedQueue
    from edgepose.source import Source

JOIN_S = 5.0
"""Longest wait for a source that hangs in a driver."""


class Seen(NamedTuple):
    """A frame and the people in it."""

    poses: Poses
    frame: Frame


class Handover(Sink):
    """Hands what a pipeline found to whoever iterates: the newest of a camera, everything of a recording."""

    def __init__(self, live: bool) -> None:
        from edgepose.pipeline.threads import BoundedQueue

        self.queue: BoundedQueue[Seen] = BoundedQueue(1, overtaken if live else None)
        self._sent = 0

    @property
    def counts(self) -> dict[str, int]:
        """sent: poses taken."""
        return {"sent": self._sent}

    def write(self, poses: Poses, frame: Frame) -> None:
        """As Sink; waits for the reader of a recording."""
        self._sent += self.queue.put(Seen(poses, frame))

    def close(self) -> None:
        """What was written is still taken."""


def overtaken(dropped: Seen, following: Seen) -> Seen:
    """What follows, with who entered and left in those that nobody took."""
    return following._replace(poses=following.poses.after(dropped.poses))


class Running:
    """A pipeline in a thread of its own."""

    def __init__(self, cfg: Config, source: Source | None) -> None:
        from edgepose.pipeline import build
        from edgepose.sink import open_sinks
        from edgepose.source import open_source

        with ExitStack() as opened:
            source = opened.enter_context(open_source(cfg.source) if source is None else source)
            handover = Handover(source.live)
            sinks: list[Sink] = [handover]
            if cfg.sink.mqtt.broker or cfg.sink.jsonl.path or cfg.sink.overlay.path:
                sinks = [*(opened.enter_context(sink) for sink in open_sinks(cfg, source.live)), handover]
            self.pipeline: Pipeline = build(cfg, source, sinks)
            opened.pop_all()
        self.queue: BoundedQueue[Seen] = handover.queue
        self.taken = iter(self.queue)
        self._thread = threading.Thread(target=self._run, name="edgepose watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.pipeline.run()
        except BaseException as error:  # noqa: BLE001 (raised again in the thread that iterates)
            self.queue.end(error)
        else:
            self.queue.end()

    def close(self) -> None:
        """End it and let go of everything."""
        self.queue.cut()
        self.pipeline.stop()
        self._thread.join(JOIN_S)
        self.pipeline.close()


class Watch(Stream[Poses]):
    """Poses of a source; see `edgepose.watch`."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @property
    def counts(self) -> dict[str, int]:
        """Frames by what became of them, as the service counts them."""
        return self._running.pipeline.counts

    def take(self) -> Poses | None:
        """As Stream."""
        seen = next(self._running.taken, None)
        return None if seen is None else seen.poses

    def close(self) -> None:
        """As Stream."""
        self._running.close()


class WatchFrames(Stream[Seen]):
    """Poses and frames of a source; see `edgepose.watch`."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def take(self) -> Seen | None:
        """As Stream."""
        return next(self._running.taken, None)

    def close(self) -> None:
        """As Stream."""
        self._running.close()


@overload
def watch(
    source: Any = None, *, config: Config | str | os.PathLike[str] | None = None, frames: Literal[False] = False,
    **settings: Any,
) -> Watch: ...  # fmt: skip


@overload
def watch(
    source: Any = None, *, config: Config | str | os.PathLike[str] | None = None, frames: Literal[True],
    **settings: Any,
) -> WatchFrames: ...  # fmt: skip


def watch(
    source: Any = None,
    *,
    config: Config | str | os.PathLike[str] | None = None,
    frames: bool = False,
    **settings: Any,
) -> Watch | WatchFrames:
    """Poses of a source, one after the other, with identities and smoothed, as `edgepose run` publishes them.

    A camera brings the newest: what you were too slow for is dropped. A recording waits for you.

    source    an address as `edgepose run --source` takes it, a camera's number, a list of pictures, a Source;
              None: as set
    config    settings, or a file of them
    frames    (poses, frame) instead of poses
    settings  any setting on top: model="light", fps=15, broker="mqtt://localhost" to publish besides

    Raises:
        ConfigError: a setting, a model or the source's address is wrong.
        SourceError, EngineError, SinkError: from the loop, where something fails while it runs.
    """
    given, opened = settings, None
    if isinstance(source, (str, int, os.PathLike)):
        given = {"source": os.fspath(source) if isinstance(source, os.PathLike) else str(source), **settings}
    elif source is not None:
        from edgepose.source import ListSource

        opened = source if hasattr(source, "live") else ListSource(_frames(source))
    running = Running(made(config, given), opened)
    return WatchFrames(running) if frames else Watch(running)


def _frames(pictures: Sequence[Any]) -> list[Any]:
    """Paths and PIL images read; arrays become frames at the source's rate."""
    from edgepose.face.picture import bgr_of

    return [picture if isinstance(picture, Frame) else bgr_of(picture) for picture in pictures]

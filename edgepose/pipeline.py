"""The loop, and what builds it from settings; the only module that knows all stages."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from edgepose import config
from edgepose.engine import Engine
from edgepose.errors import FrameLostError
from edgepose.estimate import Estimate, Step, Stepwise, open_estimate
from edgepose.overlap import Aside, Outlet, read_ahead
from edgepose.poses import Frame, Poses
from edgepose.timing import StageTimes

if TYPE_CHECKING:
    from edgepose.sink import Sink
    from edgepose.smooth import Smoother
    from edgepose.source import Source
    from edgepose.track import Tracker

log = logging.getLogger("edgepose.pipeline")

LIVE_AHEAD, AHEAD = 1, 4
"""Frames that may wait for a sink: of a camera, then the newest wins; of a recording, then the loop waits."""


class Seen(NamedTuple):
    """A frame on its way to the sinks."""

    poses: Poses
    frame: Frame


class Pipeline:
    """source -> estimate -> tracker -> smoother -> sinks; owns them and closes them.

    The thread that calls `run` finds people and knows them again. Beside it frames of a recording are read ahead
    (cameras have a thread of their own) and inferred, and poses are smoothed and published, all at once.
    """

    def __init__(
        self,
        source: Source,
        estimate: Estimate,
        sinks: Sequence[Sink],
        tracker: Tracker | None = None,
        smoother: Smoother | None = None,
    ) -> None:
        self.source, self.estimate, self.sinks = source, estimate, sinks
        self.tracker, self.smoother = tracker, smoother
        self.times = StageTimes()
        """How long each stage took so far; "sent" is when the first sink let go of the poses."""
        self._lost = self._late = 0
        self._outlets: list[Outlet[Seen]] = []
        self._stopping = threading.Event()

    @property
    def engine(self) -> Engine:
        """The one that sees whole frames."""
        return self.estimate.engines[0]

    @property
    def counts(self) -> dict[str, int]:
        """The source's; "lost": frames without a result; "late": poses of a camera overtaken on the way to a sink."""
        late = self._late + sum(outlet.line.dropped for outlet in self._outlets)
        return {**self.source.counts, "lost": self._lost, "late": late}

    def run(self, watch: Callable[[Poses, Frame], None] | None = None) -> None:
        """Take every frame the source gives to the sinks; `watch` sees the same as they do, after them.

        Raises:
            Exception: what ended the run, from whichever thread, once what was found before it is handed on.
        """
        with self._publishing(watch) as publish, self._reading() as frames, closing(self._looks(frames)) as looks:
            for frame, poses in looks:
                if self.tracker is not None:
                    poses = self.tracker.update(poses)
                publish(Seen(poses, frame))
                if self._stopping.is_set():
                    break

    def _looks(self, frames: Iterator[Frame]) -> Generator[tuple[Frame, Poses], None, None]:
        """Each frame with the people in it; those of a recording at the engine's own pace, of a camera one by one."""
        estimate = self.estimate
        if isinstance(estimate, Stepwise) and not self.source.live:
            yield from self._looks_ahead(frames, estimate)
            return
        for frame in frames:
            taken_t = time.monotonic()
            try:
                poses = estimate(frame, self._expected(frame))
            except FrameLostError as error:
                self._lose(error)
                continue
            self._stamp(frame, taken_t)
            yield frame, poses

    def _looks_ahead(self, frames: Iterator[Frame], estimate: Stepwise) -> Generator[tuple[Frame, Poses], None, None]:
        """The engine always has a frame: while one is in it, the one before is finished and the next prepared.

        So who is expected in a frame is known from the last but one before it, whatever the timing.
        """
        engine, step = Aside(estimate.infer, "edgepose infer"), None
        try:
            for frame in frames:
                following = estimate.prepare(frame, self._expected(frame))
                engine.start(following)  # it begins without a word from here when the one before is done
                if step:
                    yield from self._finished(estimate, step, engine.wait())
                step = following
            if step:
                yield from self._finished(estimate, step, engine.wait())
        finally:
            engine.close()

    def _finished(self, estimate: Stepwise, step: Step, error: Exception | None) -> Iterator[tuple[Frame, Poses]]:
        if isinstance(error, FrameLostError):
            self._lose(error)
            return
        if error is not None:
            raise error
        poses = estimate.finish(step)
        self._stamp(step.frame, step.began_t)
        yield step.frame, poses

    def _expected(self, frame: Frame) -> Poses | None:
        return None if self.tracker is None or self.source.still else self.tracker.expected(frame.t)

    def _stamp(self, frame: Frame, taken_t: float) -> None:
        self.times.decoded(frame.seq, frame.taken_t, taken_t, self.estimate.inferred_t, time.monotonic())

    def _reading(self) -> AbstractContextManager[Iterator[Frame]]:
        """The frames; those of a recording some way ahead, those of a camera as they are now."""
        if self.source.live:
            return nullcontext(iter(self.source))
        return read_ahead(self.source, "edgepose read")

    @contextmanager
    def _publishing(self, watch: Callable[[Poses, Frame], None] | None) -> Iterator[Callable[[Seen], bool]]:
        """A thread that smooths what it is given and hands it to the sinks; at the end all of it is done."""
        # a sink that may keep its caller waiting gets a thread, so that no other waits with it
        slow = {sink: self._outlet(self._writing(sink), type(sink).__name__) for sink in self.sinks[1:] if sink.waits}
        writes = [slow[sink].put if sink in slow else self._writing(sink) for sink in self.sinks]

        def publish(seen: Seen) -> None:
            if self.smoother is not None:
                seen = Seen(self.smoother.update(seen.poses), seen.frame)
            for write in writes:
                write(seen)
            if watch:
                watch(*seen)

        self._outlets = [self._outlet(publish, "publish"), *slow.values()]  # in the order in which poses pass them
        try:
            yield self._outlets[0].put
        except KeyboardInterrupt:
            for outlet in self._outlets:
                outlet.abandon()
            raise
        except BaseException:
            self._flush()
            raise
        for error in self._flush():
            raise error

    def _outlet(self, does: Callable[[Seen], object], name: str) -> Outlet[Seen]:
        live = self.source.live
        return Outlet(does, self.stop, f"edgepose {name}", LIVE_AHEAD if live else AHEAD, overtaken if live else None)

    def _writing(self, sink: Sink) -> Callable[[Seen], object]:
        """Write to one sink; the first one's times are told."""
        if sink is not self.sinks[0]:
            return lambda seen: sink.write(*seen)
        if sink.tells_later:
            sink.on_sent = lambda poses, t: self.times.sent(poses.seq, poses.taken_t, t)
            return lambda seen: sink.write(*seen)

        def write(seen: Seen) -> None:
            sink.write(*seen)
            self.times.sent(seen.frame.seq, seen.frame.taken_t, time.monotonic())

        return write

    def _flush(self) -> list[BaseException]:
        """Wait until everything found so far is handed on; what went wrong with it."""
        for outlet in self._outlets:
            outlet.close()
        ended, self._outlets = self._outlets, []
        self._late += sum(outlet.line.dropped for outlet in ended)
        return [outlet.error for outlet in ended if outlet.error is not None]

    def _lose(self, error: FrameLostError) -> None:
        self._lost += 1
        log.log(logging.WARNING if self._lost == 1 else logging.DEBUG, "%s; frames like it are counted", error)

    def stop(self) -> None:
        """End `run` after the frame it is at; safe from a signal handler and from any thread."""
        self._stopping.set()
        # closing takes locks that the interrupted thread may hold, so another thread does it
        threading.Thread(target=self.source.close, name="edgepose-stop", daemon=True).start()

    def close(self) -> None:
        """Close everything, source first, so that sinks see the end and flush."""
        with ExitStack() as stack:
            stack.callback(self.estimate.close)
            for sink in reversed(self.sinks):
                stack.callback(sink.close)
            stack.callback(self.source.close)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def described(engine: Engine) -> str:
    """The model and what runs it, for a person."""
    from edgepose import tuned

    best = " (as tuned)" if engine.threads == tuned.threads(engine.manifest.name) else ""
    where = f"{engine.runtime.name} {engine.runtime.version}, {engine.threads} thread(s){best}"
    return f"{engine.manifest.name} on {where}{f', {engine.ran_on}' if engine.ran_on else ''}"


def overtaken(dropped: Seen, following: Seen) -> Seen:
    """What follows, with who entered and left in those that never arrive."""
    return Seen(following.poses.after(dropped.poses), following.frame)


def build(cfg: config.Config, source: Source | None = None, sinks: Sequence[Sink] | None = None) -> Pipeline:
    """Open every stage that `cfg` describes; `source` and `sinks` replace its own.

    Raises:
        ConfigError: a setting or a model is wrong; what was opened before it is closed again.
        SourceError: the source gives nothing.
    """
    from edgepose.sink import open_sinks
    from edgepose.source import open_source

    with ExitStack() as opened:
        estimate = open_estimate(cfg)
        opened.callback(estimate.close)
        source = opened.enter_context(open_source(cfg.source) if source is None else source)
        if sinks is None:
            sinks = [opened.enter_context(sink) for sink in open_sinks(cfg, source.live)]
        tracker = smoother = None
        if cfg.track.mode == "on" or (cfg.track.mode == "auto" and not source.still):
            from edgepose.smooth import Smoother
            from edgepose.track import Tracker

            tracker = Tracker(
                cfg.track,
                estimate.skeleton,
                enter=estimate.enter_score,
                stay=estimate.stay_score,
                kernels=cfg.decode.kernels,
            )
            if cfg.smooth.preset != "off" or cfg.smooth.predict != "off":
                smoother = Smoother(cfg.smooth, estimate.skeleton, source.live, kernels=cfg.decode.kernels)
        pipeline = Pipeline(source, estimate, sinks, tracker, smoother)
        opened.pop_all()
        return pipeline

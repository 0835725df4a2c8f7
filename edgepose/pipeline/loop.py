"""The loop, and what builds it from settings; the only module that knows all stages."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from edgepose.core import config
from edgepose.core.errors import FrameLostError
from edgepose.core.poses import Frame, Poses
from edgepose.core.timing import StageTimes
from edgepose.engine import Engine
from edgepose.estimate import Estimate, InFlight, Staged, open_estimate
from edgepose.pipeline.pace import Pace
from edgepose.pipeline.stages import Following
from edgepose.pipeline.threads import IDLE_S, Consumer, Worker, read_ahead

if TYPE_CHECKING:
    from edgepose.follow.smooth import Smoother
    from edgepose.follow.track import Tracker
    from edgepose.pipeline.recorder import Recorder
    from edgepose.sink import Sink
    from edgepose.source import Source

log = logging.getLogger("edgepose.pipeline")

LIVE_AHEAD, AHEAD = 1, 4
"""Frames that may wait for a sink: of a camera, then the newest wins; of a recording, then the loop waits."""


class Found(NamedTuple):
    """A frame that was looked at."""

    poses: Poses
    frame: Frame
    smoother: Smoother | None
    """In force when it was: another one may follow, with another model."""


class Seen(NamedTuple):
    """A frame on its way to the sinks."""

    poses: Poses
    frame: Frame


T = TypeVar("T", Found, Seen)


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
        following: Following | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """Take what `build` opened; `following` makes the next tracker and smoother where these are replaced."""
        self.source, self.estimate, self.sinks = source, estimate, sinks
        self.tracker, self.smoother, self.following = tracker, smoother, following
        self.recorder = recorder
        """Keeps what the estimate found."""
        self.times = StageTimes()
        """How long each stage took so far; "sent" is when the first sink let go of the poses."""
        self.looked = 0
        """Frames looked at so far."""
        self.paused = False
        """Set by `ask`: a camera's frames are skipped, a recording waits."""
        self.pace = Pace()
        self.waiting = ""
        """Why no frame is looked at right now, as far as that is meant to be; empty while they come."""
        self.progress_t = time.monotonic()
        """Monotonic seconds of the loop's last sign of life: a frame done, or a wait with a reason."""
        self._asked: deque[Callable[[Pipeline], object]] = deque()
        self._at_work = estimate
        """Whose frames are on their way; not `estimate` between a swap and the next frame."""
        self._lost = self._late = self._skipped = 0
        self._outlets: list[Consumer[Any]] = []
        self._stopping = threading.Event()

    @property
    def engine(self) -> Engine:
        """The one that sees whole frames."""
        return self.estimate.engines[0]

    @property
    def counts(self) -> dict[str, int]:
        """The source's, and what became of its frames.

        lost     without a result
        late     poses of a camera overtaken on the way to a sink
        skipped  a camera's, while paused or because of max_fps
        and the recorder's
        """
        late = self._late + sum(outlet.line.dropped for outlet in self._outlets)
        counts = {**self.source.counts, "lost": self._lost, "late": late, "skipped": self._skipped}
        return counts if self.recorder is None else {**counts, **self.recorder.counts}

    @property
    def max_fps(self) -> float:
        """Most frames of a camera looked at in a second; 0 is all. Set by `ask`."""
        return self.pace.max_fps

    @max_fps.setter
    def max_fps(self, max_fps: float) -> None:
        self.pace.max_fps = max_fps

    def run(self, watch: Callable[[Poses, Frame], None] | None = None) -> None:
        """Take every frame the source gives to the sinks; `watch` sees the same as they do, after them.

        Raises:
            Exception: what ended the run, from whichever thread, once what was found before it is handed on.
        """
        with self._publishing(watch) as publish, self._reading() as frames, closing(self._looks(frames)) as looks:
            for frame, poses in looks:
                if self.recorder is not None:
                    poses = self.recorder.keep(poses, self._at_work)
                if self.tracker is not None:
                    poses = self.tracker.update(poses)
                publish(Found(poses, frame, self.smoother))
                if self._stopping.is_set():
                    break

    # ------------------------------------------------------------------------------------------- while it runs

    def ask(self, action: Callable[[Pipeline], object]) -> None:
        """Let the loop's thread do something before the next frame, or soon while none comes; from any thread."""
        self._asked.append(action)

    def swap(self, estimate: Estimate) -> None:
        """Find people with another estimate from the next frame on; to be called within `ask`.

        The old one is closed when its last frame is done. With the same skeleton everybody keeps their id, else all of
        them have left with the next frame.
        """
        replaced, self.estimate = self.estimate, estimate
        if replaced is not self._at_work:
            replaced.close()

    def smooth(self, smooth: config.Smooth) -> None:
        """Calm joints by other settings from now on; to be called within `ask`. Without ids nothing is calmed."""
        if self.following is not None:
            self.following.smooth = smooth
            if self.tracker is not None and self.estimate is self._at_work:
                self.smoother = self.following.smoother(self.estimate.skeleton)

    def _wanted(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Those to look at; what was asked for is done before each."""
        for frame in frames:
            self._serve()
            while self.paused and not self.source.live and not self._stopping.wait(IDLE_S):
                self._idle("paused")
            self.progress_t = time.monotonic()
            if self.source.live and (self.paused or not self.pace.wants(frame.t)):
                self.waiting = "paused" if self.paused else self.waiting
                self._skipped += 1
                continue
            self.waiting = ""
            self.looked += 1
            yield frame

    def _idle(self, why: str) -> None:
        """The loop waits, and does what it is asked for meanwhile."""
        self.waiting, self.progress_t = "paused" if self.paused else why, time.monotonic()
        self._serve()

    def _serve(self) -> None:
        while self._asked:
            self._asked.popleft()(self)

    # ------------------------------------------------------------------------------------------- frames to people

    def _looks(self, frames: Iterator[Frame]) -> Generator[tuple[Frame, Poses], None, None]:
        """Each frame with the people in it; those of a recording at the engine's own pace, of a camera one by one."""
        for estimate, part in groupby(self._wanted(frames), lambda _: self.estimate):  # in force when it was taken
            if estimate is not self._at_work:
                self._at_work = estimate
                self._follow_on(estimate)
            try:
                if isinstance(estimate, Staged) and not self.source.live:
                    yield from self._looks_ahead(part, estimate)
                else:
                    yield from self._looks_now(part, estimate)
            finally:
                if estimate is not self.estimate:
                    estimate.close()

    def _follow_on(self, estimate: Estimate) -> None:
        """People as another estimate tells of them."""
        if self.tracker is not None and self.following is not None:
            before, self.tracker = self.tracker, self.following.tracker(estimate)
            self.tracker.goes_on_from(before)
            self.smoother = self.following.smoother(estimate.skeleton)

    def _looks_now(self, frames: Iterator[Frame], estimate: Estimate) -> Generator[tuple[Frame, Poses], None, None]:
        for frame in frames:
            taken_t = time.monotonic()
            try:
                poses = estimate(frame, self._expected(frame))
            except FrameLostError as error:
                self._lose(error)
                continue
            self._stamp(estimate, frame, taken_t)
            yield frame, poses

    def _looks_ahead(self, frames: Iterator[Frame], estimate: Staged) -> Generator[tuple[Frame, Poses], None, None]:
        """The engine always has a frame: while one is in it, the one before is finished and the next prepared.

        So who is expected in a frame is known from the last but one before it, whatever the timing.
        """
        engine, step = Worker(estimate.infer, "edgepose infer"), None
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

    def _finished(self, estimate: Staged, step: InFlight, error: Exception | None) -> Iterator[tuple[Frame, Poses]]:
        if isinstance(error, FrameLostError):
            self._lose(error)
            return
        if error is not None:
            raise error
        poses = estimate.finish(step)
        self._stamp(estimate, step.frame, step.began_t)
        yield step.frame, poses

    def _expected(self, frame: Frame) -> Poses | None:
        return None if self.tracker is None or self.source.still else self.tracker.expected(frame.t)

    def _stamp(self, estimate: Estimate, frame: Frame, taken_t: float) -> None:
        self.times.decoded(frame.seq, frame.taken_t, taken_t, estimate.inferred_t, time.monotonic())

    def _reading(self) -> AbstractContextManager[Iterator[Frame]]:
        """The frames; those of a recording some way ahead, those of a camera as they are now."""
        self.progress_t = time.monotonic()
        if self.source.live:
            self.source.idle = self._idle
            return nullcontext(iter(self.source))
        return read_ahead(self.source, "edgepose read", partial(self._idle, "waits for the recording"))

    @contextmanager
    def _publishing(self, watch: Callable[[Poses, Frame], None] | None) -> Iterator[Callable[[Found], bool]]:
        """A thread that smooths what it is given and hands it to the sinks; at the end all of it is done."""
        # a sink that may keep its caller waiting gets a thread, so that no other waits with it
        slow = {sink: self._outlet(self._writing(sink), type(sink).__name__) for sink in self.sinks[1:] if sink.waits}
        writes = [slow[sink].put if sink in slow else self._writing(sink) for sink in self.sinks]

        def publish(found: Found) -> None:
            poses, frame, smoother = found
            seen = Seen(poses if smoother is None else smoother.update(poses), frame)
            for write in writes:
                write(seen)
            if watch:
                watch(*seen)

        first = self._outlet(publish, "publish")
        self._outlets = [first, *slow.values()]  # in the order in which poses pass them
        try:
            yield partial(first.put, idle=partial(self._idle, "waits for the sinks"))
        except KeyboardInterrupt:
            for outlet in self._outlets:
                outlet.abandon()
            raise
        except BaseException:
            self._flush()
            raise
        for error in self._flush():
            raise error

    def _outlet(self, does: Callable[[T], object], name: str) -> Consumer[T]:
        live = self.source.live
        return Consumer(does, self.stop, f"edgepose {name}", LIVE_AHEAD if live else AHEAD, overtaken if live else None)

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
            if self.recorder is not None:
                stack.callback(self.recorder.close)
            for sink in reversed(self.sinks):
                stack.callback(sink.close)
            stack.callback(self.source.close)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def described(engine: Engine) -> str:
    """The model and what runs it, for a person."""
    from edgepose.engine import tuned

    best = " (as tuned)" if engine.threads == tuned.threads(engine.manifest.name) else ""
    where = f"{engine.runtime.name} {engine.runtime.version}, {engine.threads} thread(s){best}"
    return f"{engine.manifest.name} on {where}{f', {engine.ran_on}' if engine.ran_on else ''}"


def overtaken(dropped: T, following: T) -> T:
    """What follows, with who entered and left in those that never arrive."""
    return following._replace(poses=following.poses.after(dropped.poses))


def build(cfg: config.Config, source: Source | None = None, sinks: Sequence[Sink] | None = None) -> Pipeline:
    """Open every stage that `cfg` describes; `source` and `sinks` replace its own.

    Raises:
        ConfigError: a setting or a model is wrong; what was opened before it is closed again.
        SourceError: the source gives nothing.
    """
    from edgepose.sink import open_sinks
    from edgepose.sink.apart import inputs_of, outputs_of, require_apart
    from edgepose.source import open_source

    require_apart(outputs_of(cfg), inputs_of(cfg))
    with ExitStack() as opened:
        estimate = open_estimate(cfg)
        opened.callback(estimate.close)
        source = opened.enter_context(open_source(cfg.source) if source is None else source)
        if sinks is None:
            sinks = [opened.enter_context(sink) for sink in open_sinks(cfg, source.live)]
        recorder = None
        if cfg.sink.record.path:
            from edgepose.pipeline.recorder import Recorder

            recorder = Recorder(cfg, source.live, source.still, estimate)
            opened.callback(recorder.close)
        following = Following(cfg, source)
        tracker = following.tracker(estimate) if following.on else None
        smoother = following.smoother(estimate.skeleton) if following.on else None
        pipeline = Pipeline(source, estimate, sinks, tracker, smoother, following, recorder)
        pipeline.max_fps = cfg.service.max_fps
        opened.pop_all()
        return pipeline

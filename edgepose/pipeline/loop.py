"""The loop: every frame a source gives, with the people in it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from edgepose.core import config
from edgepose.core.errors import FrameLostError
from edgepose.core.timing import StageTimes
from edgepose.pipeline.control import Control
from edgepose.pipeline.power.opening import governor_of
from edgepose.pipeline.publish import Publisher, Seen, Unseen, Watch
from edgepose.pipeline.stages import Stages, stages_of
from edgepose.pipeline.threads import IDLE_S, read_ahead

if TYPE_CHECKING:
    from edgepose.core.poses import Frame
    from edgepose.engine import Engine
    from edgepose.estimate import Estimate, Found
    from edgepose.pipeline.power.governor import Governor
    from edgepose.pipeline.recorder import Recorder
    from edgepose.sink import Sink
    from edgepose.sink.base import GateView
    from edgepose.source import Source

log = logging.getLogger("edgepose.pipeline")


class Pipeline:
    """source -> estimate -> tracker -> smoother -> sinks; owns them and closes them.

    Iterate it once: the thread that does finds people and knows them again. Beside it frames of a recording are read
    ahead (cameras have a thread of their own), and what `publishing` is given is smoothed and handed to the sinks.
    """

    def __init__(
        self,
        source: Source,
        stages: Stages,
        sinks: Sequence[Sink] = (),
        *,
        recorder: Recorder | None = None,
        governor: Governor | None = None,
        times: StageTimes | None = None,
        patient: bool = False,
    ) -> None:
        """Take what `build` opened.

        recorder  keeps what the estimate finds
        governor  leaves out frames of a camera
        patient   a camera that is away at the start is waited for
        """
        self.source, self.sinks, self.recorder = source, sinks, recorder
        self.control, self.governor = Control(stages, source.live, governor), governor
        self.times = times or StageTimes()
        """How long each stage took so far; "sent" is when the first sink let go of the poses."""
        self._patient = patient
        self._lost = 0
        self._publisher: Publisher | None = None
        self._stopping = threading.Event()

    def __iter__(self) -> Generator[Seen, None, None]:
        """Each frame that is looked at, with the people in it, as the tracker knows them.

        Raises:
            SourceError: no more frames can be read.
            EngineError: inference failed for good.
        """
        with closing(self.frames()) as frames:
            for frame in frames:
                stages = self.control.stages()
                if not self.control.wants(frame):
                    self._leave_out(frame)
                    continue
                try:
                    found = stages.estimate(frame, stages.expected(frame))
                except FrameLostError as error:
                    self._lose(error)
                    continue
                found = self.tap(found, stages)
                poses = stages.follow(found.poses)
                self.control.saw(found.poses, poses)
                yield Seen(poses, frame, stages, self._gate())

    def run(self, *watchers: Watch) -> None:
        """Take every frame to the sinks; watchers see the same as they do, after them.

        Raises:
            Exception: what ended the run, from whichever thread, once what was found before it is handed on.
        """
        with self.publishing(*watchers) as publish:
            for seen in self:
                publish(seen)

    def publishing(self, *watchers: Watch) -> Publisher:
        """What takes what the loop gives to the sinks; watchers see the same as they do, after them."""
        live, control = self.source.live, self.control
        self._publisher = Publisher(self.sinks, live, self.times, watchers, failed=self.stop, idle=control.idle)
        return self._publisher

    def frames(self) -> Generator[Frame, None, None]:
        """Those of the source, until it ends or `stop`; what is asked for is done before each and while none comes."""
        control = self.control
        with self._reading() as frames:
            for frame in frames:
                control.serve()
                while control.paused and not self.source.live and not self._stopping.wait(IDLE_S):
                    control.idle("paused")
                yield frame
                if self._stopping.is_set():
                    return

    def tap(self, found: Found, stages: Stages) -> Found:
        """Count what a frame took; the recorder, if there is one, keeps what was found."""
        poses = found.poses
        self.times.decoded(poses.seq, poses.taken_t, found.began_t, found.inferred_t, found.decoded_t)
        return found if self.recorder is None else replace(found, poses=self.recorder.keep(found, stages.estimate))

    def change(self, cfg: config.Config, estimate: Estimate | None = None) -> None:
        """Go on by other settings, and with another estimate if one is given; to be called within `control.ask`.

        With the same skeleton everybody keeps their id, else all of them have left with the next frame.
        """
        before = self.control.stages()
        if before.cfg.power != cfg.power or before.cfg.track != cfg.track:
            self.governor = governor_of(cfg, self.source)
            self.control.govern(self.governor)
        self.control.put(stages_of(cfg, self.source, estimate or before.estimate, before))

    def _reading(self) -> AbstractContextManager[Iterator[Frame]]:
        """The frames; those of a recording some way ahead, those of a camera as they are now."""
        if self.source.live:
            return nullcontext(self.source.each(self.control.idle, patient=self._patient))
        return read_ahead(self.source, "edgepose read", partial(self.control.idle, "waits for the recording"))

    def _leave_out(self, frame: Frame) -> None:
        """Publish the people of the last look again where they keep still and that is asked for, and what moves."""
        holds, gate = self.control.holds, self._gate()
        if self._publisher is not None and (holds or gate is not None):
            self._publisher.leave_out(Unseen(frame, holds, gate))

    def _gate(self) -> GateView | None:
        """What the motion gate made of the frame at hand, where a sink shows it."""
        if self.governor is None or self._publisher is None or not self._publisher.wants_gate:
            return None
        return self.governor.view()

    def _lose(self, error: FrameLostError) -> None:
        self._lost += 1
        log.log(logging.WARNING if self._lost == 1 else logging.DEBUG, "%s; frames like it are counted", error)

    # ---------------------------------------------------------------------------------------------- for who looks on

    @property
    def estimate(self) -> Estimate:
        """In force."""
        return self.control.stages().estimate

    @property
    def engine(self) -> Engine:
        """The one that sees whole frames."""
        return self.estimate.engines[0]

    @property
    def counts(self) -> dict[str, int]:
        """The source's, and what became of its frames.

        lost     without a result
        late     poses of a camera overtaken on the way to a sink
        skipped  a camera's, while paused, because of max_fps, or because nothing called for a look
        and the recorder's
        """
        late = 0 if self._publisher is None else self._publisher.late
        counts = {**self.source.counts, "lost": self._lost, "late": late, "skipped": self.control.skipped}
        return counts if self.recorder is None else {**counts, **self.recorder.counts}

    # ------------------------------------------------------------------------------------------------------- the end

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End the loop after the frame it is at; safe from a signal handler and from any thread."""
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

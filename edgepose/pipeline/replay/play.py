"""A recording through tracker, smoother and sinks: a pipeline for each session, as each run had its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.pipeline.loop import Pipeline
from edgepose.pipeline.publish import Watch
from edgepose.pipeline.replay.estimate import Redecoded, Replayed
from edgepose.pipeline.replay.source import ReplaySource
from edgepose.pipeline.stages import Stages, stages_of
from edgepose.wire.recording import Kept, Recording, Session

if TYPE_CHECKING:
    from edgepose.core.poses import Frame, Poses
    from edgepose.sink import Sink

FOREVER = float("inf")


Around = Callable[[Pipeline], "AbstractContextManager[Watch]"]
"""What lives around the pipeline of one session."""


def _ignore(_poses: Poses, _frame: Frame) -> None:
    pass


@dataclass(frozen=True)
class Plan:
    """What of a recording is played, and how."""

    speed: float = 0.0
    """1 as it happened; 0 at once."""
    from_s: float = 0.0
    to_s: float = FOREVER
    """Seconds from the recording's start; runs that were appended count on from the one before."""
    decode: bool = False
    """Raw heads anew, instead of the poses that were found."""
    as_recorded: bool = False
    """With the tracker's and the smoother's settings of the recording."""

    @property
    def whole(self) -> bool:
        """Nothing is left out."""
        return self.from_s <= 0 and self.to_s == FOREVER


class Replay:
    """Plays a recording; `run` once. The sinks stay open."""

    def __init__(self, recording: Recording, cfg: config.Config, sinks: Sequence[Sink], plan: Plan) -> None:
        self._recording, self._cfg, self._sinks, self._plan = recording, cfg, sinks, plan
        self._stopping = False
        self._pipeline: Pipeline | None = None
        self.frames = 0
        """Played so far."""
        self.session: Session | None = None
        """That is played right now."""
        self.sessions = 0
        """So far, that one included."""

    def run(self, *watchers: Watch, around: Around | None = None) -> None:
        """Play all of it; watchers see what the sinks do, and so does what `around` makes of each session's pipeline.

        Raises:
            SourceError: there is nothing in it.
            Exception: as Pipeline.run.
        """
        before: Stages | None = None
        placed = within(places(self._recording), self._plan)
        for _, frames in groupby(placed, lambda one: id(one[1].session)):
            if self._stopping:
                return
            before = self._play(frames, before, watchers, around)
        if not self.frames and not self._stopping:
            raise SourceError(self._recording.warning or f"{self._recording.name}: has no frames there")

    def _play(
        self,
        frames: Iterator[tuple[float, Kept]],
        before: Stages | None,
        watchers: Sequence[Watch],
        around: Around | None,
    ) -> Stages | None:
        first = next(frames)
        self.session = session = first[1].session
        self.sessions += 1
        cfg = as_recorded(self._cfg, session) if self._plan.as_recorded else self._cfg
        estimate = Redecoded(cfg, session, self._recording.name) if self._plan.decode else Replayed(session)
        followed = session.followed and not self._plan.decode
        placed = _rest(first, frames)
        source = ReplaySource(placed, still=session.still, followed=followed, speed=self._plan.speed)
        stages = stages_of(cfg, source, estimate, before if session.continues else None)
        with source:
            self._pipeline = Pipeline(source, stages, self._sinks)
            if self._stopping:
                return None
            with around(self._pipeline) if around else nullcontext(_ignore) as watch:
                self._pipeline.run(*watchers, watch)
            self.frames += source.counts["frames"]
        return stages

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping

    def stop(self) -> None:
        """End `run` soon; safe from a signal handler."""
        self._stopping = True
        if self._pipeline is not None:
            self._pipeline.stop()


def _rest(first: tuple[float, Kept], others: Iterator[tuple[float, Kept]]) -> Iterator[tuple[float, Kept]]:
    yield first
    yield from others


def places(kept: Iterable[Kept]) -> Iterator[tuple[float, Kept]]:
    """Each frame with its place, seconds from the start of all."""
    session: Session | None = None
    place = start_t = began = 0.0
    for one in kept:
        if one.session is not session:
            if session is None or not one.session.continues:
                start_t, began = one.poses.t, place
            session = one.session
        place = began + one.poses.t - start_t
        yield place, one


def within(placed: Iterable[tuple[float, Kept]], plan: Plan) -> Iterator[tuple[float, Kept]]:
    """Those that are played."""
    return (one for one in placed if plan.from_s <= one[0] <= plan.to_s)


def named_by(cfg: config.Config, session: Session) -> config.Config:
    """With the recording's device and camera, where the settings name none."""
    camera = session.camera if cfg.camera == config.Config().camera else cfg.camera
    return msgspec.structs.replace(cfg, device=cfg.device or session.device, camera=camera)


def as_recorded(cfg: config.Config, session: Session) -> config.Config:
    """With the tracker's and the smoother's settings of the recording.

    Raises:
        ConfigError: it was recorded by another version that has others.
    """
    where = "the recording's settings"
    track = config.convert(session.settings.get("track", {}), config.Track, f"{where} track")
    smooth = config.convert(session.settings.get("smooth", {}), config.Smooth, f"{where} smooth")
    return msgspec.structs.replace(cfg, track=track, smooth=smooth)

"""Estimates that find in a frame what a recording says was found; or decode its raw heads anew."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, cast

import msgspec
import numpy as np

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Frame, HeadSpec, InputSpec, Poses
from edgepose.engine import Engine
from edgepose.engine.manifest import Manifest, OwnSkeleton
from edgepose.estimate import Found
from edgepose.estimate.opening import single_model
from edgepose.wire.recording import Kept, KeptFrame, RawHeads, Session, skeleton_of


class Replayed:
    """Of KeptFrames only; as Estimate."""

    def __init__(self, session: Session) -> None:
        self.skeleton = skeleton_of(session)
        self.engines: tuple[Engine, ...] = ()
        self.counts = {"invokes": 0, "crops": 0}
        self.enter_score, self.stay_score = session.enter_score, session.stay_score
        self.believe_score = session.believe_score

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:  # noqa: ARG002 (was known when it was looked at)
        """As Estimate."""
        kept, now = _kept(frame), time.monotonic()
        return Found(_at_its_time(kept.poses, kept, frame), now, now, now)

    def close(self) -> None:
        """Nothing is open."""


class Redecoded:
    """Decodes the heads that were kept, by the settings in force now; as Estimate."""

    def __init__(self, cfg: config.Config, session: Session, name: str) -> None:
        """Raises ConfigError: `name`, the recording, has no raw heads, or of a model that is none."""
        if not session.heads or not session.models:
            raise ConfigError(f"{name}: has no raw heads to decode; record it with sink.record.heads")
        manifest = config.convert(session.models[0], Manifest, f"{name}: its model")
        own = session.skeleton
        manifest = msgspec.structs.replace(
            manifest, skeleton=OwnSkeleton(name=own.name, joints=own.joints, bones=own.bones, sigmas=own.sigmas)
        )
        engine = cast(Engine, _NoEngine(manifest, session))
        self._one = single_model(cfg, engine)
        self.skeleton, self.counts = self._one.skeleton, self._one.counts
        self.engines: tuple[Engine, ...] = ()
        self.enter_score, self.stay_score = self._one.enter_score, self._one.stay_score
        self.believe_score = self._one.believe_score

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:  # noqa: ARG002 (was known when it was looked at)
        """As Estimate."""
        kept, raw, now = _kept(frame), _raw(frame), time.monotonic()
        poses = self._one.judged(self._one.look.poses(raw.heads, raw.crop, frame), raw.nothing_expected)
        poses = replace(_at_its_time(poses, kept, frame), ran_on=kept.poses.ran_on, taken_wall=kept.poses.taken_wall)
        return Found(poses, now, now, time.monotonic())

    def close(self) -> None:
        """Nothing is open."""


class _NoEngine:
    """What a decoder must know of the engine whose heads were kept."""

    ran_on = ""

    def __init__(self, manifest: Manifest, session: Session) -> None:
        self.manifest = manifest
        self.heads = {
            head.role: HeadSpec(head.role, head.shape, np.dtype(head.dtype), head.scale, head.zero_point)
            for head in session.heads
        }
        nothing: np.ndarray[Any, Any] = np.zeros((16, 16, 3), np.uint8)
        self.input = InputSpec(nothing, "rgb", "linear", "letterbox", 0, "same")

    def close(self) -> None:
        """Nothing is open."""


def _kept(frame: Frame) -> Kept:
    if not isinstance(frame, KeptFrame):
        raise TypeError("a replay takes frames of a recording only")
    return frame.kept


def _raw(frame: Frame) -> RawHeads:
    raw = _kept(frame).raw
    if raw is None:
        raise SourceError(f"frame {frame.seq} has no raw heads, others have; the recording is another program's")
    return raw


def _at_its_time(poses: Poses, kept: Kept, frame: Frame) -> Poses:
    """A camera's on the clock of the run that saw them; a file's are read now."""
    return replace(poses, taken_t=kept.poses.taken_t if kept.session.live else frame.taken_t)

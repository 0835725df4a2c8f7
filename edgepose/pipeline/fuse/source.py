"""Moments of the room as frames, and the estimate that finds in them who was fused."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.engine import Engine
from edgepose.estimate import Found
from edgepose.lift.fuse import Room, alone_of, read_calibration
from edgepose.pipeline.fuse.clocks import Clocks
from edgepose.pipeline.fuse.listener import Listener
from edgepose.source.base import IDLE_S, BaseSource

log = logging.getLogger("edgepose.fuse")

BLACK = np.zeros((1, 1, 3), np.uint8)
ASK_S = 5.0
"""Between looks at the room's troubles."""


@dataclass(frozen=True, slots=True, eq=False)
class FusedFrame(Frame):
    """A moment of the room: who was there, and an empty picture of the first camera's size."""

    poses: Poses = field(kw_only=True)


class FuseSource(BaseSource):
    """Hears the room's cameras and hands out a frame for each moment that all of them have seen."""

    live = True
    followed = True

    def __init__(self, cfg: config.Config, calibration: Path) -> None:
        """Read the calibration.

        Raises:
            ConfigError: it is wrong, has one camera only, or the broker's settings are wrong.
        """
        super().__init__()
        cameras = read_calibration(calibration)
        if len(cameras) < 2:
            raise ConfigError(f"{calibration}: has one camera; a room needs two that see the same people")
        self.room = Room(cameras, COCO17, alone_of(cfg.lift))
        self.listener = Listener(cfg, self.room.cameras)
        self._clocks = Clocks(self.room.cameras)
        self._told: set[str] = set()
        self._asked_s, self._early = -math.inf, 0

    @property
    def troubles(self) -> list[str]:
        """Cameras that were moved, and clocks that are not like the others'."""
        return [*self.room.trust.troubles, *self._clocks.troubles]

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the source is closed.

        Raises:
            SourceError: the broker cannot be reached at the start.
        """
        self.listener.open()
        while not self.closed:
            came = self.listener.next(IDLE_S)
            if came is None:
                self.idle("waits for poses of the room's cameras")
                continue
            name, heard = came
            usable = self._clocks.heard(name, heard.taken_s, time.time())
            fused = self.room.add(name, heard.taken_s, heard.poses) if usable else None
            self._early += not usable
            self.counts["dropped"] = sum(self.room.dropped.values()) + self.listener.counts["overtaken"] + self._early
            if fused is not None:
                self.counts["frames"] += 1
                self._tell(fused.t)
                yield self._frame(fused)

    def _tell(self, moment_s: float) -> None:
        """Log what is new among the troubles, now and then."""
        if 0 <= moment_s - self._asked_s < ASK_S:
            return
        self._asked_s = moment_s
        now = {trouble.split(":")[0].split(" by ")[0]: trouble for trouble in self.troubles}
        for what in now.keys() - self._told:
            log.warning("%s", now[what])
        self._told = set(now)

    def _frame(self, fused: Poses) -> FusedFrame:
        """On the clock of this machine, as old as it is by the cameras' clocks."""
        now, age_s = time.monotonic(), max(0.0, time.time() - fused.t)
        taken_t = now - age_s if math.isfinite(age_s) else now
        width, height = fused.size_wh
        picture = np.broadcast_to(BLACK, (height, width, 3))
        poses = replace(fused, t=taken_t, taken_t=taken_t)
        return FusedFrame(picture, "bgr", taken_t, taken_t, fused.seq, poses=poses)

    def close(self) -> None:
        """As Source.close."""
        super().close()
        self.listener.close()


class Fused:
    """Of FusedFrames only; as Estimate."""

    def __init__(self) -> None:
        self.skeleton = COCO17
        self.engines: tuple[Engine, ...] = ()
        self.counts = {"invokes": 0, "crops": 0}
        self.enter_score = self.stay_score = 0.0
        self.believe_score: float | None = None

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:  # noqa: ARG002 (people are known already)
        """As Estimate."""
        if not isinstance(frame, FusedFrame):
            raise TypeError("a room's frames come from its own source")
        now = time.monotonic()
        return Found(frame.poses, now, now, now)

    def close(self) -> None:
        """Nothing is open."""

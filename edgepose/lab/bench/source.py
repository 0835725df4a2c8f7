"""Frames to measure with, where no camera is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import count, islice

from edgepose.core import config
from edgepose.core.poses import Frame
from edgepose.lab.demo.scene import FPS, SceneSource
from edgepose.source import open_source
from edgepose.source.base import BaseSource

VIEWS = 60
"""Frames of the demo's scene that are drawn beforehand: two seconds, played there and back again."""
KEPT_BYTES = 64 << 20
"""Memory for frames that are shown again and again."""


def scene_frames() -> list[Frame]:
    """Two seconds of a camera that moves over a photograph, and the same backwards."""
    scene = SceneSource(1.0)
    there = []
    for seq in range(VIEWS):
        scene.see(seq)
        there.append(Frame(scene.image(seq), "bgr", 0.0, 0.0, seq))
    return there + there[::-1]


def first_frames(cfg: config.Source) -> tuple[list[Frame], bool]:
    """The first frames of a recording, as many as may be kept, and whether they are pictures of their own."""
    with open_source(cfg) as source:
        frames: list[Frame] = []
        for frame in islice(source, 300):
            frames.append(frame)
            if (len(frames) + 1) * frame.image.nbytes > KEPT_BYTES:
                break
        return frames, source.still


class Again(BaseSource):
    """A recording of `frames`, again and again, at `fps` by its stamps; nothing is dropped."""

    def __init__(self, frames: Sequence[Frame], fps: float = FPS, *, still: bool = False, number: int = 0) -> None:
        super().__init__()
        self.still = still
        self.frames, self.fps, self.number = frames, fps, number
        self.kept_mib = (
            sum(frame.image.nbytes for frame in {id(frame.image): frame for frame in frames}.values()) / 2**20
        )

    def __iter__(self) -> Iterator[Frame]:
        for seq in range(self.number) if self.number else count():
            if self.closed:
                return
            frame = self.frames[seq % len(self.frames)]
            self.counts["frames"] += 1
            yield Frame(frame.image, frame.layout, seq / self.fps, time.monotonic(), seq, frame.name)


class AsCamera(Again):
    """The same as a camera would bring them: one every 1 / `fps` seconds, the newest wins."""

    live = True

    def __iter__(self) -> Iterator[Frame]:
        began_t, seq = time.monotonic(), -1
        while True:
            due = max(seq + 1, int((time.monotonic() - began_t) * self.fps))
            due_t = began_t + due / self.fps
            with self.changed:
                self.changed.wait_for(lambda: self.closed, max(0.0, due_t - time.monotonic()))
                if self.closed:
                    return
            self.counts["frames"] += 1
            self.counts["dropped"] += due - seq - 1
            seq = due
            frame = self.frames[seq % len(self.frames)]
            yield Frame(frame.image, frame.layout, due_t, due_t, seq)

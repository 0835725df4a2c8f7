"""Frames that are already in memory: for tests, and for programs that bring their own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Frame, Layout
from edgepose.source.base import BaseSource

LAYOUTS: dict[int, Layout] = {2: "gray", 3: "bgr"}
"""Dimensions of a bare picture -> what it is taken for."""


class ListSource(BaseSource):
    """Hands out Frames as they are; bare pictures, (H, W, 3) bgr or (H, W) grey, become frames at `fps`."""

    def __init__(
        self,
        frames: Sequence[Frame | NDArray[np.uint8]],
        *,
        live: bool = False,
        still: bool = False,
        fps: float = 30.0,
    ) -> None:
        super().__init__()
        for index, frame in enumerate(frames):
            if not isinstance(frame, Frame) and (frame.dtype != np.uint8 or frame.ndim not in LAYOUTS):
                raise ValueError(
                    f"frames[{index}] is {frame.dtype} {frame.shape}, expected uint8 (H, W, 3) or (H, W), or a Frame"
                )
        if fps <= 0:
            raise ValueError(f"fps is {fps}, expected more than 0")
        self.live, self.still = live, still
        self.total = len(frames)
        self._frames = tuple(frames)
        self._fps = fps

    def __iter__(self) -> Iterator[Frame]:
        for seq, frame in enumerate(self._frames):
            if self.closed:
                return
            self.counts["frames"] += 1
            yield frame if isinstance(frame, Frame) else self._wrapped(frame, seq)

    def _wrapped(self, image: NDArray[np.uint8], seq: int) -> Frame:
        now = time.monotonic()
        return Frame(image, LAYOUTS[image.ndim], now if self.live else seq / self._fps, now, seq)

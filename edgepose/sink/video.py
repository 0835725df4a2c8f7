"""A video file, written beside its place and moved into it; each picture is shown when it was taken."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Protocol

import numpy as np

from edgepose.core.errors import SinkError, not_opened
from edgepose.core.opencv import Openable, cv2
from edgepose.core.poses import Frame
from edgepose.core.secret import private
from edgepose.sink.draw import Image
from edgepose.sink.whole import beside

SPARE_BYTES = 4 << 20
"""Free space below which a video is not written on: its writer does not report a full disk."""
WAITING, WAITING_BYTES = 5, 64 << 20
"""Pictures of a file that are kept until its rate is known."""


class Pace(Protocol):
    """How often each picture is written, so that it is shown when it was taken."""

    fps: float
    """Of the video; known when `ready`."""

    def ready(self, ts: list[float], end: bool) -> bool:
        """Whether the times of the first pictures, seconds, tell the rate; `end`: there are no more."""

    def copies(self, since_s: float) -> int:
        """How often the picture taken that long after the first is written; 0: the one before it stays."""


class LivePace:
    """A camera's: frames come at `fps`, one that is missed is a still."""

    GAP_MAX_S = 5.0
    """Longest silence of a camera that a video shows as a still."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._written = 0

    def ready(self, ts: list[float], end: bool) -> bool:  # noqa: ARG002 (every pace gets it)
        """At once."""
        return bool(ts)

    def copies(self, since_s: float) -> int:
        """At least one."""
        due = round(since_s * self.fps) + 1
        copies = min(max(due - self._written, 1), round(self.GAP_MAX_S * self.fps) + 1)
        self._written += copies
        return copies


class FilePace:
    """A recording's: every frame once where they come evenly; else, or where they do no longer, each at its time."""

    FASTEST, SLOWEST = 240.0, 1.0
    """Hz, of a video."""
    EVEN = 0.1
    """The first step may be off from the others by that share: formats round to milliseconds."""
    DRIFT, DRIFT_FRAMES = 0.05, 2
    """How far times may be from the rate of the first step, as a share and in frames at least, before they count."""
    UNEVEN_HZ = (10.0, 60.0)
    GAP_MAX_S = 600.0
    """Longest still."""

    def __init__(self, fps: float) -> None:
        """`fps` of a video of one frame."""
        self.fps = fps
        self._even = True
        self._written = 0

    def ready(self, ts: list[float], end: bool) -> bool:
        """With WAITING pictures, or all there are."""
        if len(ts) < WAITING and not end:
            return False
        steps = [after - before for before, after in pairwise(ts)]
        first, usual = (steps[0], median(steps)) if steps else (0.0, 0.0)
        self._even = abs(first - usual) <= self.EVEN * usual
        low, high = (self.SLOWEST, self.FASTEST) if self._even else self.UNEVEN_HZ
        if usual > 0:  # uneven: on a finer grid
            self.fps = min(max(1 / first if self._even else 2 / usual, low), high)
        return True

    def copies(self, since_s: float) -> int:
        """One, as long as that shows it at its time."""
        due = round(since_s * self.fps) + 1
        late = due - self._written - 1
        if self._even and abs(late) <= max(self.DRIFT * due, self.DRIFT_FRAMES):
            self._written += 1
            return 1
        self._even = False
        copies = min(max(late + 1, 0), round(self.GAP_MAX_S * self.fps) + 1)
        self._written += copies
        return copies


class Video:
    """A video of the first frame's size; frames of another size are letterboxed."""

    def __init__(self, path: Path, pace: Pace, fourcc: str) -> None:
        self._path = Path(os.path.realpath(path))  # a link stays one
        self._part = beside(self._path)
        self._pace, self._fourcc = pace, fourcc
        self._video: cv2.VideoWriter | None = None
        self._waiting: list[tuple[Image, float]] = []
        self._start_t = 0.0
        self._size_wh = (0, 0)

    def add(self, image: Image, frame: Frame) -> None:
        """Write it, or keep it until the rate is known.

        Raises:
            SinkError: the disk is full, or OpenCV writes no such video.
        """
        if self._video is not None:
            self._put(self._video, image, frame.t)
            return
        self._waiting.append((image, frame.t))
        full = len(self._waiting) * image.nbytes > WAITING_BYTES
        if self._pace.ready([t for _, t in self._waiting], end=full):
            self._begin()

    def _begin(self) -> None:
        """Open it, and write what waits, which is let go of if that fails."""
        waiting, self._waiting = self._waiting, []
        image, self._start_t = waiting[0]
        self._size_wh = image.shape[1], image.shape[0]
        self._video = self._opened()
        for each, t in waiting:
            self._put(self._video, each, t)

    def _opened(self) -> cv2.VideoWriter:
        try:
            os.close(private(self._part, os.O_CREAT | os.O_WRONLY))
            place = Openable(self._part, inside=True)
        except OSError as error:
            what = f"{self._path}: cannot be written: {error.strerror}; check the folder, or set another"
            raise not_opened(f"{what} sink.overlay.path", error) from None
        video = cv2.VideoWriter(place.name, cv2.VideoWriter.fourcc(*self._fourcc), self._pace.fps, self._size_wh)
        place.close()
        if not video.isOpened():
            self._part.unlink(missing_ok=True)
            raise SinkError(
                f"{self._path}: cannot be written as a {self._size_wh[0]}x{self._size_wh[1]} video of codec "
                f"{self._fourcc} by this OpenCV; set sink.overlay.codec, or sink.overlay.path to a folder of pictures",
                retryable=False,
            )
        return video

    def _put(self, video: cv2.VideoWriter, image: Image, t: float) -> None:
        if shutil.disk_usage(self._path.parent).free < SPARE_BYTES:
            raise SinkError(f"{self._path}: the disk is full; free some space or set another sink.overlay.path")
        fitted = _fitted(image, self._size_wh)
        for _ in range(self._pace.copies(t - self._start_t)):
            video.write(fitted)

    def close(self) -> None:
        """Finish it and put it in its place; nothing was written: what was there stays.

        Raises:
            SinkError: it stays beside its place.
        """
        if self._video is None and self._waiting:
            self._pace.ready([t for _, t in self._waiting], end=True)
            self._begin()
        video, self._video = self._video, None
        if video is None:
            return
        video.release()
        try:
            self._part.replace(self._path)
        except OSError as error:
            raise SinkError(f"{self._path}: {error.strerror}; the video is in {self._part.name}") from None


def _fitted(image: Image, size_wh: tuple[int, int]) -> Image:
    """The picture scaled into `size_wh`, centred on black."""
    height, width = image.shape[:2]
    if (width, height) == size_wh:
        return image
    scale = min(size_wh[0] / width, size_wh[1] / height)
    inner_wh = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size_wh[0] - inner_wh[0]) // 2, (size_wh[1] - inner_wh[1]) // 2
    fitted = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    fitted[top : top + inner_wh[1], left : left + inner_wh[0]] = cv2.resize(
        image, inner_wh, interpolation=cv2.INTER_AREA
    )
    return fitted

"""Video files: every frame, in order, with the time stamps of the file."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.source.detect import address, existing, masked
from edgepose.source.recording import Picture, Recording

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)

MISSES = 64
"""Frames in a row that may fail to decode before the video counts as ended."""

OPEN_S = 30
"""Longest wait for a video at an address to open, and for more of it."""

TEXTS = frozenset((".txt", ".asc", ".ans", ".nfo", ".diz", ".ice", ".art", ".vt"))
"""FFmpeg plays these as text art; nobody means that."""


class VideoSource(Recording):
    """A video file; it may also be the address of one, where every frame matters more than the newest."""

    def __init__(self, cfg: config.Source) -> None:
        super().__init__(cfg)
        self._label = masked(cfg.uri)
        self._address = address(cfg) if "://" in cfg.uri else ""
        self._path = None if self._address else _checked(existing(cfg.uri))
        self._name = self._label.rpartition("/")[2]
        self._capture: cv2.VideoCapture | None = self._open()
        self._frames = self._count(self._capture)
        self._fps = self._rate(self._capture, cfg.fps)
        self._period_s = 1 / self._fps
        self.total = None if cfg.loop else self._frames

    def _open(self) -> cv2.VideoCapture:
        capture = self._opened()
        if not capture.isOpened():
            raise SourceError(f"{self._label}: damaged from its start, or no video that OpenCV can read")
        return capture

    def _opened(self) -> cv2.VideoCapture:
        from edgepose.core.opencv import Openable, cv2

        if self._path is None:
            limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 1000 * OPEN_S, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1000 * OPEN_S)
            return cv2.VideoCapture(self._address, cv2.CAP_FFMPEG, limits)
        try:
            place = Openable(self._path)
        except OSError as error:
            raise SourceError(f"{self._label}: cannot be read: {error.strerror}") from None
        try:
            return cv2.VideoCapture(place.name)
        finally:
            place.close()

    @staticmethod
    def _count(capture: cv2.VideoCapture) -> int | None:
        from edgepose.core.opencv import cv2

        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if 0 < count < 1e9 else None

    @staticmethod
    def _rate(capture: cv2.VideoCapture, otherwise: float) -> float:
        from edgepose.core.opencv import cv2

        fps = capture.get(cv2.CAP_PROP_FPS)
        return fps if math.isfinite(fps) and 0 < fps <= 1000 else otherwise

    def _pictures(self) -> Generator[Picture, None, None]:
        from edgepose.core.opencv import cv2

        capture = self._taken() or self._open()
        index, misses, read, t = 0, 0, 0, 0.0
        try:
            while misses < MISSES and not self.closed:
                good, image = capture.read()
                if not good:
                    misses += 1
                    continue
                index, misses = index + misses, 0
                stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                t = max(t, stamp if stamp > 0 else index / self._fps)
                yield Picture(np.asarray(image, np.uint8), t, self._name)
                index, read = index + 1, read + 1
        finally:
            capture.release()
        if not self.closed:
            self._report(read, t)

    def _report(self, read: int, t: float) -> None:
        """Say so if the file promised more than it held; the count of some formats is an estimate, 1 % is no news."""
        if not read:
            raise SourceError(f"{self._label}: not one frame can be decoded; the video is damaged")
        missing = (self._frames or read) - read
        if missing > max(1, read // 100):
            self.counts["unreadable"] += missing
            log.warning(
                "%s: ended at frame %d (%.2f s) of the %d its header promises; it is cut short or damaged",
                self._label, read, t, self._frames,
            )  # fmt: skip

    def _taken(self) -> cv2.VideoCapture | None:
        """The capture opened beforehand, once: from then on it belongs to the caller."""
        with self.changed:
            capture, self._capture = self._capture, None
        return capture

    def close(self) -> None:
        """As Source.close."""
        super().close()
        capture = self._taken()
        if capture is not None:
            capture.release()


def _checked(path: Path) -> Path:
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; source.kind folder or auto reads it")
    try:
        if not path.is_file():
            raise SourceError(f"{path}: is a pipe or device, and videos are read from files")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    if empty:
        raise SourceError(f"{path}: is empty, zero bytes")
    if path.suffix.lower() in TEXTS:
        raise SourceError(f"{path}: is a text, not a video")
    return path

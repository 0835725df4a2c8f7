"""Poses drawn on their frames: a folder of pictures, or a video."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Protocol

import numpy as np

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.opencv import cv2
from edgepose.core.poses import Frame, Poses
from edgepose.core.secret import private
from edgepose.sink.base import Sink
from edgepose.sink.draw import Image, bgr, draw_on

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
JPEG_QUALITY = 92
SPARE_BYTES = 4 << 20
"""Free space below which a video is not written on: its writer does not report a full disk."""
GAP_MAX_S = 5.0
"""Longest silence of a camera that a video shows as a still."""


class _Writer(Protocol):
    def add(self, image: Image, frame: Frame) -> None: ...

    def close(self) -> None: ...


class OverlaySink(Sink):
    """Writes to a folder, or to a video file if `path` ends in .mp4, .avi or .mkv.

    live  frames come at `fps` with gaps, and the video shows them at their time; else at the distance of the first two
    """

    def __init__(self, path: str, *, live: bool, fps: float) -> None:
        self._writer = _writer(Path(path), live, fps)
        self._sent = 0
        self._closed = False

    @property
    def counts(self) -> dict[str, int]:
        """sent: pictures drawn and written."""
        return {"sent": self._sent}

    def write(self, poses: Poses, frame: Frame) -> None:
        """Draw on a copy of the frame.

        Raises:
            SinkError: the picture or video cannot be written.
        """
        if self._closed:
            raise ValueError("OverlaySink is closed")
        image = bgr(frame)
        draw_on(image, poses)
        self._writer.add(image, frame)
        self._sent += 1

    def close(self) -> None:
        """Finish the video."""
        if not self._closed:
            self._closed = True
            self._writer.close()


def _writer(path: Path, live: bool, fps: float) -> _Writer:
    is_video = path.suffix.lower() in CODECS and not path.is_dir()
    if path.suffix and not is_video and not path.is_dir():
        raise ConfigError(f"sink.overlay.path {path}: {path.suffix} is neither a folder nor one of {', '.join(CODECS)}")
    folder = path.parent if is_video else path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"sink.overlay.path {path}: cannot make the folder {folder}: {error.strerror}") from None
    return _Video(path, live, fps) if is_video else _Folder(path)


class _Folder:
    """One JPEG a frame: photo.png becomes photo_poses.jpg; frames of a camera or video carry their number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}

    def add(self, image: Image, frame: Frame) -> None:
        path = self._folder / f"{self._stem(frame)}_poses.jpg"
        try:
            done, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
        except cv2.error as error:
            raise SinkError(f"{path}: cannot be encoded: {error.err}; use smaller frames") from None
        if not done:
            raise SinkError(f"{path}: cannot be encoded; use smaller frames")
        try:
            with open(path, "wb", opener=private) as file:
                file.write(data.tobytes())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise SinkError(f"{path}: {error.strerror}; free some space or set another sink.overlay.path") from None

    def close(self) -> None:
        pass

    def _stem(self, frame: Frame) -> str:
        name = Path(frame.name)
        number = f"{frame.seq:06d}"
        if not frame.name:
            return number
        if name.suffix.lower() not in PICTURES:
            return f"{name.stem}_{number}"
        first = self._names.setdefault(name.stem, frame.name)
        return name.stem if first == frame.name else f"{name.stem}_{number}"


class _Video:
    """A video of the first frame's size; frames of another size are letterboxed."""

    def __init__(self, path: Path, live: bool, fps: float) -> None:
        self._path, self._live, self._fps = path, live, fps
        self._video: cv2.VideoWriter | None = None
        self._first: tuple[Image, Frame] | None = None
        self._size_wh = (0, 0)
        self._start_t = 0.0
        self._written = 0

    def add(self, image: Image, frame: Frame) -> None:
        if self._video is None and self._first is None and not self._live:
            self._first = image, frame  # the distance to the second gives the frame rate
            return
        video = self._video or self._open(image, frame)
        if shutil.disk_usage(self._path.parent).free < SPARE_BYTES:
            raise SinkError(f"{self._path}: the disk is full; free some space or set another sink.overlay.path")
        self._put(video, image, frame.t)

    def _open(self, image: Image, frame: Frame) -> cv2.VideoWriter:
        first_image, first = self._first or (image, frame)
        step_s = frame.t - first.t
        if not self._live and step_s > 0:
            self._fps = min(max(1 / step_s, 1.0), 240.0)
        self._size_wh = first_image.shape[1], first_image.shape[0]
        self._start_t = first.t
        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        with contextlib.suppress(OSError):  # which the writer will tell of
            os.close(private(self._path, os.O_CREAT | os.O_WRONLY))
        self._video = video = cv2.VideoWriter(str(self._path), codec, self._fps, self._size_wh)
        if not video.isOpened():
            raise SinkError(
                f"{self._path}: cannot be written as a {self._size_wh[0]}x{self._size_wh[1]} video; "
                "check the folder, or set sink.overlay.path to a folder of pictures"
            )
        if self._first:
            self._first = None
            self._put(video, first_image, first.t)
        return video

    def _put(self, video: cv2.VideoWriter, image: Image, t: float) -> None:
        copies = 1
        if self._live:
            due = round((t - self._start_t) * self._fps) + 1
            copies = min(max(due - self._written, 1), round(GAP_MAX_S * self._fps) + 1)
        for _ in range(copies):
            video.write(_fitted(image, self._size_wh))
        self._written += copies

    def close(self) -> None:
        if self._first:
            self._open(*self._first)
        if self._video is not None:
            self._video.release()


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

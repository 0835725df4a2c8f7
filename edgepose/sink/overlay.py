"""Poses drawn on their frames: a folder of pictures, or a video."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any, Protocol

from edgepose.core.errors import ConfigError, SinkError, not_opened
from edgepose.core.opencv import cv2
from edgepose.core.poses import Frame, Poses
from edgepose.sink.base import GateView, Sink
from edgepose.sink.draw import Image, bgr, draw_on
from edgepose.sink.gate import draw_gate
from edgepose.sink.rules import RulesOnPicture
from edgepose.sink.video import FilePace, LivePace, Video
from edgepose.sink.whole import put_whole, stem_of

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v", ".webm": "VP80"}
"""Ending -> what OpenCV calls its codec, unless another is asked for."""
ASKED = {"mp4v": "mp4v", "mjpeg": "MJPG", "vp8": "VP80", "vp9": "VP90", "h264": "avc1"}
"""sink.overlay.codec -> the same."""
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
JPEG_QUALITY = 92


class _Writer(Protocol):
    def add(self, image: Image, frame: Frame) -> None: ...

    def close(self) -> None: ...


class OverlaySink(Sink):
    """Writes to a folder, or to a video file if `path` ends in .mp4, .avi, .mkv or .webm.

    live   frames come at `fps` with gaps, and the video shows them at their time; else at a rate made of the first few
    codec  a key of ASKED; empty: what goes with the ending
    gate   draw what the motion gate sees too

    Raises:
        ConfigError: `path` can never be such a place.
        SinkError: it cannot be written to now.
    """

    def __init__(self, path: str, *, live: bool, fps: float, codec: str = "", gate: bool = False) -> None:
        self._gate: GateView | None = None
        self._wants_gate = gate
        self._writer = _writer(path, live, fps, codec)
        self._rules = RulesOnPicture()
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
        if self._gate is not None:
            draw_gate(image, self._gate)
        self._rules.draw(image, poses.t)
        self._writer.add(image, frame)
        self._sent += 1

    @property
    def wants_gate(self) -> bool:
        """As Sink."""
        return self._wants_gate

    def take_gate(self, view: GateView) -> None:
        """As Sink."""
        self._gate = view

    def write_meaning(self, meaning: Any, poses: Poses) -> None:
        """What rules say of a picture is on the next one."""
        self._rules.take(meaning, poses)

    def close(self) -> None:
        """Finish the video."""
        if not self._closed:
            self._closed = True
            self._writer.close()


def _writer(name: str, live: bool, fps: float, codec: str) -> _Writer:
    if "\0" in name:
        raise ConfigError(f"sink.overlay.path {name!r}: no name of a file")
    path = Path(name)
    is_video = path.suffix.lower() in CODECS and not path.is_dir()
    if path.suffix and not is_video and not path.is_dir():
        raise ConfigError(f"sink.overlay.path {path}: {path.suffix} is neither a folder nor one of {', '.join(CODECS)}")
    folder = path.parent if is_video else path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"sink.overlay.path {path}: cannot make the folder {folder}: {error.strerror}"
        raise not_opened(what, error) from None
    if not is_video:
        return _Folder(path)
    fourcc = ASKED[codec] if codec else CODECS[path.suffix.lower()]
    return Video(path, LivePace(fps) if live else FilePace(fps), fourcc)


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
            put_whole(path, data.tobytes())
        except OSError as error:
            raise SinkError(f"{path}: {error.strerror}; free some space or set another sink.overlay.path") from None

    def close(self) -> None:
        pass

    def _stem(self, frame: Frame) -> str:
        number, stem = f"{frame.seq:06d}", stem_of(frame.name)
        if not frame.name:
            return number
        if PurePath(frame.name).suffix.lower() not in PICTURES:
            return f"{stem}_{number}"
        first = self._names.setdefault(stem, frame.name)
        return stem if first == frame.name else f"{stem}_{number}"

"""OpenCV, told to keep its own messages off the terminal: failures are reported by who met them, in one line.

Imported only where a picture is touched. OPENCV_LOG_LEVEL and OPENCV_FFMPEG_LOGLEVEL bring the messages back.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")  # seconds; read once, when the library is loaded

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(200_000_000))  # a picture claims what it likes

import cv2

if "OPENCV_LOG_LEVEL" not in os.environ:
    silence = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, OpenCV 5
    silence(0)

__all__ = ["Openable", "cv2"]


class Openable:
    """A file's name as FFmpeg takes it: absolute, as `10:30.mp4` is a protocol to it.

    Where the name is no UTF-8, which OpenCV crashes on, it leads over a descriptor: close it when the file is open.

    inside  a file to be made, whose own name is text: its folder is what is opened

    Raises:
        OSError: there is no such file, or folder.
    """

    def __init__(self, path: Path, *, inside: bool = False) -> None:
        self._descriptor: int | None = None
        self.name = str(Path(os.path.abspath(path)))  # noqa: PTH100  (a link's name must not be resolved)
        try:
            self.name.encode()
        except UnicodeEncodeError:
            flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_DIRECTORY if inside else 0)
            self._descriptor = os.open(path.parent if inside else path, flags)
            self.name = f"/proc/self/fd/{self._descriptor}" + (f"/{path.name}" if inside else "")

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

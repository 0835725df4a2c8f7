"""USB and other V4L2 cameras, through OpenCV."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.source.files import natural
from edgepose.source.live import Grab, LiveSource, capture_time

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)

DEV = Path("/dev")

YUYV_UP_TO = 640 * 480
"""Pixels up to which USB 2 carries uncompressed frames at full rate; above, the camera sends JPEGs."""


def v4l2_source(cfg: config.Source) -> LiveSource:
    """The camera /dev/videoN; its number alone will do."""
    path = DEV / f"video{int(cfg.uri)}" if cfg.uri.isdecimal() else Path(cfg.uri)
    return LiveSource(cfg, partial(V4l2Grabber, cfg, path), str(path))


class V4l2Grabber:
    """As live.Grabber."""

    def __init__(self, cfg: config.Source, path: Path) -> None:
        self._cfg = cfg
        self._path = path
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        """As Grabber.open."""
        from edgepose.core.opencv import Openable, cv2

        if not self._path.exists():
            raise SourceError(f"{self._path}: no such camera; {_cameras()}")
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise SourceError(
                f"{self._path}: permission denied; add yourself to the group video "
                "(`sudo usermod -aG video $USER`) and log in again"
            )
        place = Openable(self._path)
        self._capture = capture = cv2.VideoCapture(place.name, cv2.CAP_V4L2)
        place.close()
        if not capture.isOpened():
            raise SourceError(
                f"{self._path}: cannot be opened as a camera; another program may use it, or it is not one: "
                "see `v4l2-ctl --list-devices`"
            )
        width, height = self._cfg.size_wh
        code = "YUYV" if width * height <= YUYV_UP_TO else "MJPG"
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        capture.set(cv2.CAP_PROP_FPS, self._cfg.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        got = [capture.get(each) for each in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)]
        log.info(
            "%s: gives %.0fx%.0f at %g Hz; asked for %dx%d at %g Hz", self._path, *got, width, height, self._cfg.fps
        )

    def grab(self) -> Grab | None:
        """As Grabber.grab; the time is the driver's where it uses the monotonic clock."""
        from edgepose.core.opencv import cv2
        from edgepose.source.opencv import colour, read_live

        if self._capture is None or (image := read_live(self._capture)) is None:
            return None
        now = time.monotonic()
        return Grab(*colour(image), capture_time(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, now))

    def skip(self) -> bool:
        """As Skipping.skip: the buffer is handed back undecoded."""
        return self._capture is not None and self._capture.grab()

    def close(self) -> None:
        """As Grabber.close."""
        if self._capture is not None:
            self._capture.release()


def _cameras() -> str:
    found = sorted((path.name for path in DEV.glob("video*")), key=natural)
    return f"there are {', '.join(str(DEV / name) for name in found)}" if found else f"no {DEV}/video* is connected"

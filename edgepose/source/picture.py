"""Pictures: one file, or a folder of them in the natural order of their names."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.source.detect import PICTURES, existing
from edgepose.source.recording import Picture, Recording

log = logging.getLogger(__name__)

TOO_LARGE = "is too large for OpenCV, which reads up to 2^30 pixels and 2^20 a side; scale it down"

DECODE_ERRORS = {
    "CV_IO_MAX_IMAGE": TOO_LARGE,
    "Insufficient memory": "does not fit into memory; scale it down",
}
"""Part of OpenCV's message -> what it means."""


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) bgr, upright by its EXIF orientation; grey, 16-bit and alpha pictures are turned into it.

    Raises:
        SourceError: naming the file and what is wrong with it.
    """
    from edgepose.core.opencv import cv2

    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    if not data.size:
        raise SourceError(f"{path}: is empty, zero bytes")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        known = (meaning for part, meaning in DECODE_ERRORS.items() if part in str(error))
        raise SourceError(f"{path}: {next(known, f'cannot be decoded: {error.err}')}") from None
    if image is None:
        raise SourceError(f"{path}: is damaged or no picture that OpenCV can read")
    return np.asarray(image, np.uint8)


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A sort key that puts img2 before img10."""
    parts: list[tuple[str, str]] = re.findall(r"([0-9]+)|([^0-9]+)", name)
    return [(not digits, int(digits or 0), text.lower()) for digits, text in parts]


class ImageSource(Recording):
    """One picture; with `loop` the same again and again, time advancing by 1 / fps."""

    still = True

    def __init__(self, cfg: config.Source) -> None:
        super().__init__(cfg)
        self._path = existing(cfg.uri)
        if self._path.is_dir():
            raise ConfigError(f"{cfg.uri}: is a folder; source.kind folder or auto reads it")
        self._image: NDArray[np.uint8] | None = None
        self.total = None if cfg.loop else 1

    def _pictures(self) -> Generator[Picture, None, None]:
        if self._image is None:
            self._image = read_picture(self._path)
        yield Picture(self._image, 0.0, self._path.name)


class FolderSource(Recording):
    """All pictures of one folder as if `fps` of them were taken a second; unreadable ones are counted and skipped."""

    still = True

    def __init__(self, cfg: config.Source) -> None:
        super().__init__(cfg)
        folder = existing(cfg.uri)
        if not folder.is_dir():
            raise ConfigError(f"{cfg.uri}: is no folder; source.kind auto finds what reads it")
        try:
            files = [entry for entry in folder.iterdir() if entry.suffix.lower() in PICTURES and entry.is_file()]
        except OSError as error:
            raise ConfigError(f"{cfg.uri}: cannot be listed: {error.strerror}") from None
        self._paths = sorted(
            (path for path in files if not path.name.startswith(".")), key=lambda path: natural(path.name)
        )
        if not self._paths:
            raise ConfigError(f"{cfg.uri}: no picture in this folder; looked for {' '.join(sorted(PICTURES))}")
        self._uri = cfg.uri
        self._told: set[Path] = set()
        self.total = None if cfg.loop else len(self._paths)

    def _pictures(self) -> Generator[Picture, None, None]:
        readable = 0
        for index, path in enumerate(self._paths):
            try:
                image = read_picture(path)
            except SourceError as error:
                self.counts["unreadable"] += 1
                if path not in self._told:
                    self._told.add(path)
                    log.warning("%s; skipped", error)
                continue
            readable += 1
            yield Picture(image, index * self._period_s, path.name)
        if not readable:
            raise SourceError(f"{self._uri}: none of its {len(self._paths)} pictures can be read")

"""Pictures: one file, several, or a folder of them in the natural order of their names."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.source.detect import existing
from edgepose.source.files import PICTURES, file_kind, matches, natural
from edgepose.source.header import FOREIGN, picture_kind, picture_size
from edgepose.source.recording import Picture, Recording

log = logging.getLogger(__name__)

MOST_BYTES = 256 << 20
"""Of a picture's file."""
MOST_PIXELS = 200_000_000
"""Of a picture that is decoded: 600 MB; as many as telephones make."""

TOO_LARGE = "is too large for OpenCV, which reads up to 2^30 pixels and 2^20 a side; scale it down"

DECODE_ERRORS = {
    "CV_IO_MAX_IMAGE": TOO_LARGE,
    "Insufficient memory": "does not fit into memory; scale it down",
}
"""Part of OpenCV's message -> what it means."""
DARK = 1 << 4
"""An 8-bit picture that nowhere reaches this may be one of 10 or 12 bits in 16."""
DEPTHS = (8, 10, 12)
"""Bits of a camera that writes 16."""
SHOWN = 5
"""File names in one line of the log."""


def read_picture(path: Path, *, upright: bool = True) -> NDArray[np.uint8]:
    """(H, W, 3) bgr, upright by its EXIF orientation; grey, 16-bit and alpha pictures are turned into it.

    upright  False: as it is stored

    Raises:
        SourceError: naming the file and what is wrong with it.
    """
    return decode_picture(_content(path), str(path), upright=upright)


def decode_picture(content: bytes, where: str, *, upright: bool = True) -> NDArray[np.uint8]:
    """The same of a file's content; `where` is it from, for a message."""
    from edgepose.core.opencv import cv2

    require_size(content, where)
    how = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    data = np.frombuffer(content, np.uint8)
    try:
        image = cv2.imdecode(data, how)
        if image is not None and image.max() < DARK:
            deep = cv2.imdecode(data, how | cv2.IMREAD_ANYDEPTH)
            image = _shallow(np.asarray(deep)) if deep is not None and deep.dtype == np.uint16 else image
    except cv2.error as error:
        known = (meaning for part, meaning in DECODE_ERRORS.items() if part in str(error))
        raise SourceError(f"{where}: {next(known, f'cannot be decoded: {error.err}')}") from None
    if image is None:
        kind = picture_kind(content[:64])
        rather = f", or a {kind} picture, which OpenCV {cv2.__version__} cannot read" * bool(kind)
        raise SourceError(f"{where}: is damaged{rather or ' or no picture that OpenCV can read'}")
    return np.asarray(image, np.uint8)


def _content(path: Path) -> bytes:
    """What is in a file; a pipe, a device or a file that is no picture by its size is not read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(f"{path}: is a pipe, a device or a folder, and no file")
            if status.st_size > MOST_BYTES:
                raise SourceError(
                    f"{path}: has {status.st_size >> 20} MiB, more than any picture (at most {MOST_BYTES >> 20})"
                )
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # a null byte
        raise SourceError(f"{str(path)!r}: cannot be read: no name of a file") from None
    if not content:
        raise SourceError(f"{path}: is empty, zero bytes")
    return content


def require_size(content: bytes, where: str) -> None:
    """Before anything is decoded: a small file may claim a picture that fills the memory.

    Raises:
        SourceError: it does, or is of a kind that nothing here decodes.
    """
    kind = picture_kind(content[:64])
    if kind in FOREIGN:
        raise SourceError(f"{where}: is a {kind} picture, which OpenCV does not read; convert it to JPEG or PNG")
    size_wh = picture_size(content)
    if size_wh is None:
        return
    width, height = size_wh
    if width * height > 1 << 30 or max(size_wh) > 1 << 20:
        raise SourceError(f"{where}: {TOO_LARGE}")
    if width * height > MOST_PIXELS:
        raise SourceError(
            f"{where}: is {width}x{height}, {width * height / 1e6:.0f} megapixels; at most {MOST_PIXELS / 1e6:.0f} are "
            "decoded: scale it down"
        )


def _shallow(deep: NDArray[Any]) -> NDArray[np.uint8]:
    """8 bits of a picture that uses the lowest 8, 10 or 12 of its 16."""
    bits = next((bits for bits in DEPTHS if int(deep.max()) < 1 << bits), 16)
    shallow: NDArray[np.uint8] = (deep >> (bits - 8)).astype(np.uint8)
    return shallow


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
    """All pictures of one folder as if `fps` of them were taken a second; unreadable ones are counted and skipped.

    Also those that a pattern such as pics/*.jpg matches, or that are listed in source.also.
    """

    still = True

    def __init__(self, cfg: config.Source) -> None:
        super().__init__(cfg)
        self._paths, self._left_out = _listed(cfg) if cfg.also or matches(cfg.uri) else _in_folder(cfg.uri)
        self._uri = cfg.uri
        self._told: set[Path] = set()
        self.counts["unreadable"] += len(self._left_out)
        if self._left_out:
            log.warning("%s: left out, as OpenCV does not read them: %s", cfg.uri, _some(self._left_out))
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


def _in_folder(uri: str) -> tuple[list[Path], list[str]]:
    """The pictures of a folder in their order, and what looks like some and is none that is read."""
    folder = existing(uri)
    if not folder.is_dir():
        raise ConfigError(f"{uri}: is no folder; source.kind auto finds what reads it")
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        kinds = {entry: file_kind(entry) if entry.is_file() else "" for entry in entries}
    except OSError as error:
        raise ConfigError(f"{uri}: cannot be listed: {error.strerror}") from None
    paths = [path for path, kind in kinds.items() if kind == "image"]
    foreign = sorted(path.name for path, kind in kinds.items() if kind == "foreign")
    others = sorted(path.name for path, kind in kinds.items() if not kind or kind == "video")
    if not paths:
        also = f"; it holds {_some([*foreign, *others])}" if kinds else ""
        raise ConfigError(f"{uri}: no picture in this folder; looked for {' '.join(sorted(PICTURES))}{also}")
    if others:
        log.info("%s: left out, as they are no pictures: %s", uri, _some(others))
    return sorted(paths, key=lambda path: natural(path.name)), foreign


def _listed(cfg: config.Source) -> tuple[list[Path], list[str]]:
    """The pictures that a pattern or a list names."""
    uris = [name for uri in (cfg.uri, *cfg.also) for name in (matches(uri) or [uri])]
    paths = [existing(uri) for uri in uris]
    for path in paths:
        if file_kind(path) not in ("image", "foreign"):
            raise ConfigError(f"{path}: is no picture, and only pictures can be read one after another; give it alone")
    return paths, []


def _some(names: Sequence[str]) -> str:
    """A few of the names, and how many more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

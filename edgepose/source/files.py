"""Files as sources see them: what each is by its content, which a pattern stands for, and in which order they come."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from edgepose.source.header import ENOUGH, FOREIGN, MOVING, picture_kind

PICTURES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".bmp", ".dib", ".webp", ".avif", ".tif", ".tiff",
        ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".sr", ".ras", ".hdr", ".gif",
    )
)  # fmt: skip
"""Suffixes of pictures, lower case: what a file is whose first bytes do not tell."""

FOREIGN_PICTURES = frozenset(
    (
        ".heic", ".heif", ".hif", ".jxl", ".exr", ".psd", ".ico", ".svg",
        ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".dng", ".pef", ".srw",
    )
)  # fmt: skip
"""Those of pictures that OpenCV does not read."""

VIDEOS = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv", ".mts", ".m2ts")
)
"""Endings of addresses that are files: read from start to end, every frame of it."""

MOST_GIF_BYTES = 64 << 20
"""Of a GIF that is looked through for a second picture."""


def matches(uri: str) -> list[str]:
    """The files that a pattern such as pics/*.jpg stands for, in their natural order; none: it is no pattern."""
    if not glob.has_magic(uri) or "://" in uri or "\0" in uri or os.path.lexists(uri):
        return []
    found = glob.glob(os.path.expanduser(uri))  # noqa: PTH111, PTH207 (names as they were given)
    return sorted((name for name in found if not os.path.isdir(name)), key=natural)  # noqa: PTH112


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A sort key that puts img2 before img10."""
    parts: list[tuple[str, str]] = re.findall(r"([0-9]+)|([^0-9]+)", name)
    return [(not digits, int(digits or 0), text.lower()) for digits, text in parts]


def file_kind(path: Path) -> str:
    """What a file is: "image", "foreign" (a picture that OpenCV does not read), "video", or "" for none of them.

    Its first bytes say so, and where they do not, its suffix. What cannot be read is taken by its suffix.
    """
    kind, suffix = _kind_by_content(path), path.suffix.lower()
    if kind in FOREIGN:
        return "foreign"
    if kind in MOVING:
        return "video"
    if kind or suffix in PICTURES:
        return "image"
    if suffix in FOREIGN_PICTURES:
        return "foreign"
    return "video" if suffix in VIDEOS else ""


def _kind_by_content(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            head = file.read(ENOUGH)
            return picture_kind(head + file.read(MOST_GIF_BYTES) if head.startswith(b"GIF8") else head)
    except (OSError, ValueError):
        return ""

"""Files that are there when they are whole: written beside their place, then moved into it."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path, PurePath

from edgepose.core.places import utf8
from edgepose.core.secret import private

LONGEST_NAME = 180
"""Bytes of a name that others are made of; file systems take 255."""


def beside(path: Path) -> Path:
    """Where a file is written until it is whole: the same folder, the same ending, a name that is text."""
    return path.with_name(utf8(f"{short(path.name)}.part{path.suffix if len(path.suffix) < 8 else ''}"))


def short(name: str) -> str:
    """The name, cut to what leaves room for an ending."""
    raw = os.fsencode(name)
    return name if len(raw) <= LONGEST_NAME else raw[:LONGEST_NAME].decode(errors="ignore")


def stem_of(name: str) -> str:
    """What files are called that are made of a frame's file, whatever a recording says that it was called."""
    stem = re.sub(r"[\x00-\x1f\x7f/]", "_", PurePath(name).stem)
    try:
        return short(stem)
    except UnicodeEncodeError:
        return short(stem.encode(errors="replace").decode())


def put_whole(path: Path, data: bytes) -> None:
    """Write a file; what was there, and what links lead to it, stays as it is until all of the new is on the disk.

    Raises:
        OSError: it cannot be written.
    """
    part = beside(path)
    try:
        with open(part, "wb", opener=private) as file:
            file.write(data)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def unused(path: str) -> str:
    """A name like it of which there is no file yet: out.mp4, out_2.mp4, ...; a folder stays what it is."""
    name, number = Path(path), 1
    while name.is_file():
        number += 1
        name = Path(path).with_name(f"{Path(path).stem}_{number}{Path(path).suffix}")
    return str(name) if number > 1 else path

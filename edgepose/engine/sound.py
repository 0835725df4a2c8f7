"""Which model files were found to be what their manifests say since this machine started: they are not hashed again.

A note is an empty file whose name says which file it was, by what any write to it changes, and which hash it has.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgepose.engine import notes

BOOT = Path("/proc/sys/kernel/random/boot_id")
KIND = "sound"


def note(status: os.stat_result, sha256: str) -> str:
    """Name of the note on a file, from `fstat` of it before it was read; empty where boots cannot be told apart."""
    try:
        boot = BOOT.read_text(encoding="ascii")[:13]
    except (OSError, ValueError):
        return ""
    told = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return "-".join((boot, *(f"{number:x}" for number in told), sha256[:32]))


def known(name: str) -> bool:
    """Whether there is such a note."""
    return bool(name) and notes.known(KIND, name)


def remember(name: str) -> None:
    """Keep a note; those from before this start go."""
    if name:
        notes.remember(KIND, name, prefix=name[:13])

"""Which model files were found to be what their manifests say since this machine started: they are not hashed again.

A note is an empty file whose name says which file it was, by what any write to it changes, and which hash it has.
EDGEPOSE_REMEMBER_TRIALS=no does without.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from edgepose.core import places

BOOT = Path("/proc/sys/kernel/random/boot_id")
FOLDER = "sound"


def note(status: os.stat_result, sha256: str) -> str:
    """Name of the note on a file, from `fstat` of it before it was read; empty where none is to be kept."""
    if os.environ.get("EDGEPOSE_REMEMBER_TRIALS") == "no":
        return ""
    try:
        boot = BOOT.read_text(encoding="ascii")[:13]
    except (OSError, ValueError):
        return ""
    told = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return "-".join((boot, *(f"{number:x}" for number in told), sha256[:32]))


def known(name: str) -> bool:
    """Whether there is such a note."""
    return bool(name) and any((cache / FOLDER / name).is_file() for cache in places.caches())


def remember(name: str) -> None:
    """Keep a note; those from before this start go. Where nothing can be written files are hashed each time."""
    for cache in places.caches() if name else ():
        with contextlib.suppress(OSError):
            folder = cache / FOLDER
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in os.scandir(folder):
                if not old.name.startswith(name[:13]):
                    Path(old.path).unlink(missing_ok=True)
            (folder / name).touch()
            return

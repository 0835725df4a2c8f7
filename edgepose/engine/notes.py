"""What was found out about a model and need not be found out again: empty files in the cache whose names say it.

EDGEPOSE_REMEMBER_TRIALS=no does without; where nothing can be read or written it is found out each time.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from edgepose.core import places


def _folders(kind: str) -> list[Path]:
    if os.environ.get("EDGEPOSE_REMEMBER_TRIALS") == "no":
        return []
    return [cache / kind for cache in places.caches()]


def known(kind: str, name: str) -> bool:
    """Whether there is such a note."""
    for folder in _folders(kind):
        with contextlib.suppress(OSError):
            if (folder / name).is_file():
                return True
    return False


def remember(kind: str, name: str, prefix: str = "") -> None:
    """Keep a note; those of its kind that do not begin with `prefix` go."""
    for folder in _folders(kind):
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in os.scandir(folder) if prefix else ():
                if not old.name.startswith(prefix):
                    Path(old.path).unlink(missing_ok=True)
            (folder / name).touch()
            return

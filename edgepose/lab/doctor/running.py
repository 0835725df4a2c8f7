"""Whether an edgepose runs on this board already."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

PROC = Path("/proc")


def running(proc: Path = PROC) -> list[int]:
    """Process numbers of every `edgepose run` that can be seen, ours left out."""
    found = []
    for folder in proc.glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it ended, or is not ours to look at
        if int(folder.name) != os.getpid() and _is_run(words):
            found.append(int(folder.name))
    return sorted(found)


def _is_run(words: list[str]) -> bool:
    """A command line such as `python /usr/bin/edgepose run`, `python -m edgepose run`."""
    names = [Path(word).name for word in words]
    return any(name == "edgepose" and after == "run" for name, after in pairwise(names))

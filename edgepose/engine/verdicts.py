"""Remembers which models ran well here, so that a service that is started again need not try its model again.

A verdict is an empty file whose name is a hash of all that could change it: the model, the runtime, this processor.
Only success is remembered. EDGEPOSE_REMEMBER_TRIALS=no does without.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from pathlib import Path

from edgepose.core import places
from edgepose.engine.runtime import Runtime

VERSION = 1
"""Of the trial: a stricter one forgets the old verdicts."""
PROCESSOR = ("model name", "flags", "Features", "CPU implementer", "CPU part", "Hardware", "Model")
"""Lines of /proc/cpuinfo that tell one kind of processor from another."""


def key(content: bytes, runtime: Runtime) -> str:
    """Name of the verdict on a model."""
    told = hashlib.sha256(content)
    told.update(f"{VERSION} {runtime.name} {runtime.version} {processor()}".encode())
    return told.hexdigest()[:40]


def processor() -> str:
    """What kind of processor this is, as its first core says."""
    try:
        core = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        core = ""
    lines = [line for line in core.splitlines() if line.partition(":")[0].strip() in PROCESSOR]
    return "\n".join([platform.machine(), *lines])


def _folders() -> list[Path]:
    if os.environ.get("EDGEPOSE_REMEMBER_TRIALS") == "no":
        return []
    return [cache / "trials" for cache in places.caches()]


def known_good(name: str) -> bool:
    """Whether that model ran well here before."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            if (folder / name).is_file():
                return True
    return False


def remember(name: str) -> None:
    """It ran well; where nothing can be written it is tried again next time."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / name).touch()
            return

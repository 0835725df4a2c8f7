"""Remembers which models ran well here, so that a service that is started again need not try its model again.

A verdict is an empty file whose name is a hash of all that could change it: the model, the runtime, this processor.
Only success is remembered.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from edgepose.engine import notes
from edgepose.engine.runtime import Runtime

KIND = "trials"
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


def known_good(name: str) -> bool:
    """Whether that model ran well here before."""
    return notes.known(KIND, name)


def remember(name: str) -> None:
    """It ran well."""
    notes.remember(KIND, name)

"""Threads that `edgepose bench --tune` found best on this board; read wherever engine.threads is 0.

One small TOML file, `edgepose/tuned.toml` in EDGEPOSE_CONFIG_DIR, systemd's ConfigurationDirectory or the user's
configuration folder: a table for each model, with the processor it was measured on. Another processor ignores it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from edgepose.core import places
from edgepose.core.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "tuned.toml"


class Tuned(Struct, frozen=True):
    """What was measured best for one model."""

    threads: int
    cpu: str
    """Of `this_cpu`."""
    frame_ms: float
    """Time of one frame with it, from taken to decoded."""
    measured: str
    """Day, ISO 8601."""


def this_cpu() -> str:
    """The processor and how many of its cores this process may use, on one line."""
    cores = len(os.sched_getaffinity(0))
    return f"{_name()}, {cores} core{'s' * (cores > 1)}"


def _name() -> str:
    for path in ("/proc/device-tree/model", "/proc/cpuinfo"):  # a board's name says more than its processor's
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path.endswith("model"):
            return text.rstrip("\0\n")
        for line in text.splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine


def read() -> dict[str, Tuned]:
    """Model -> what was found best on this processor; empty where nothing was, or the file cannot be read."""
    for folder in places.settings():
        try:
            text = (folder / FILE).read_text(encoding="utf-8")
            rows = msgspec.convert(tomllib.loads(text), dict[str, Tuned])
        except (OSError, ValueError, msgspec.ValidationError):
            continue
        cpu = this_cpu()
        return {model: row for model, row in rows.items() if row.cpu == cpu and row.threads > 0}
    return {}


def threads(model: str) -> int:
    """The best for `model` on this processor; 0: nothing is known."""
    row = read().get(model)
    return row.threads if row else 0


def write(rows: dict[str, Tuned]) -> Path:
    """Keep `rows`, beside those of other models, in the first folder that can be written; where that is.

    Raises:
        ConfigError: none can.
    """
    rows = {**read(), **rows}
    lines = ["# Written by `edgepose bench --tune`, read where engine.threads is 0; delete it to forget."]
    for model, row in sorted(rows.items()):
        lines += ["", f"[{msgspec.json.encode(model).decode()}]"]
        lines += [
            f"{key} = {msgspec.json.encode(value).decode()}" for key, value in msgspec.structs.asdict(row).items()
        ]
    said = ""
    for folder in places.settings():
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".new").write_text("\n".join(lines) + "\n", encoding="utf-8")
            path.with_suffix(".new").replace(path)
        except OSError as error:
            said = said or f"{path}: {error.strerror}"
            continue
        return path
    raise ConfigError(f"{said or 'there is no HOME'}; set EDGEPOSE_CONFIG_DIR to a folder that can be written")

"""No output is an input: compared before the first byte is written, by whatever link a file is reached."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgepose.core import config, places
from edgepose.core.errors import ConfigError

Named = tuple[str, str]
"""A setting or flag, and the file or folder it names; empty: none."""

READ = (
    "source.uri", "source.password_file", "engine.model", "engine.delegate_library",
    "sink.mqtt.password_file", "sink.mqtt.ca_file", "sink.mqtt.cert_file", "sink.mqtt.key_file",
)  # fmt: skip
"""Settings of files that are read."""
WRITTEN = ("sink.jsonl.path", "sink.overlay.path", "sink.record.path")


def require_apart(outputs: Iterable[Named], inputs: Iterable[Named]) -> None:
    """Refuse an output that is an input, or another output.

    Raises:
        ConfigError: naming both.
    """
    taken = [one for one in inputs if _is_path(one[1])]
    for key, path in outputs:
        if not _is_path(path):
            continue
        for other, its in taken:
            if places.same(path, Path(its).expanduser()):
                raise ConfigError(
                    f"{key} {path}: is the same as {other} {its}, which it would destroy; set another one"
                )
        taken.append((key, path))


def inputs_of(cfg: config.Config) -> list[Named]:
    """What a run with these settings reads."""
    return [(key, value_of(cfg, key)) for key in READ]


def outputs_of(cfg: config.Config) -> list[Named]:
    """What its sinks write to."""
    return [(key, value_of(cfg, key)) for key in WRITTEN]


def value_of(cfg: config.Config, key: str) -> str:
    """A setting by its dotted name."""
    value: object = cfg
    for part in key.split("."):
        value = getattr(value, part)
    return str(value)


def _is_path(text: str) -> bool:
    """Neither an address nor standard output nor a device, which all may share."""
    if not text or text == "-" or "://" in text or " ! " in text or "\0" in text:
        return False
    path = Path(text).expanduser()
    try:
        return not path.exists() or path.is_file() or path.is_dir()
    except OSError:
        return False

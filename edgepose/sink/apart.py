"""No output is an input: compared before the first byte is written, by whatever link a file is reached."""

from __future__ import annotations

import glob
from collections.abc import Iterable

from edgepose.core import config, places
from edgepose.core.errors import ConfigError

Named = tuple[str, str]
"""A setting or flag, and the file or folder it names; empty: none."""

DRAWN = "_poses.jpg"
"""How the names of drawn pictures end."""
READ = (
    "source.uri", "source.password_file", "source.network", "engine.model", "engine.delegate_library", "meaning.rules",
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
        _require_not_drawn_over(key, path, taken)
        for other, its in taken:
            if places.same(path, places.at_home(its)):
                raise ConfigError(
                    f"{key} {path}: is the same as {other} {its}, which it would destroy; set another one"
                )
        taken.append((key, path))


def _require_not_drawn_over(key: str, folder: str, inputs: Iterable[Named]) -> None:
    """A folder of drawn pictures may hold the pictures they are drawn on, but none called as drawn ones are."""
    for other, its in inputs:
        if key == "sink.overlay.path" and its.endswith(DRAWN) and places.same(folder, places.at_home(its).parent):
            raise ConfigError(f"{key} {folder}: a picture drawn there may replace {other} {its}; set another folder")


def inputs_of(cfg: config.Config) -> list[Named]:
    """What a run with these settings reads."""
    named = [(key, value_of(cfg, key)) for key in READ] + [("source.also", uri) for uri in cfg.source.also]
    return [(key, name) for key, uri in named for name in _matching(uri)]


def _matching(uri: str) -> list[str]:
    """What a pattern such as pics/*.jpg stands for; else the name itself."""
    found = glob.glob(uri) if glob.has_magic(uri) and "\0" not in uri else []  # noqa: PTH207 (names as they are)
    return found or [uri]


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
    path = places.at_home(text)
    try:
        return not path.exists() or path.is_file() or path.is_dir()
    except OSError:
        return False

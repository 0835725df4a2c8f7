"""Settings as keywords: by their whole name, by the last part where only one is called so, or by a short name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.face.short import SHORT


def made(base: config.Config | str | os.PathLike[str] | None, given: Mapping[str, Any]) -> config.Config:
    """Settings, or the file of some, with keywords on top.

    Raises:
        ConfigError: naming the keyword, the value received and what was expected.
    """
    cfg = base if isinstance(base, config.Config) else config.load(None if base is None else Path(base))
    for name, value in given.items():
        key = key_of(name)
        raw = msgspec.to_builtins(cfg)
        config.put(raw, key, os.fspath(value) if isinstance(value, os.PathLike) else value)
        cfg = config.convert(raw, config.Config, name)
    return cfg


def key_of(name: str) -> str:
    """The setting that a keyword means: "threads", "engine__threads" and "engine.threads" are one.

    Raises:
        ConfigError: there is none, or there are several.
    """
    keys = [setting.key for setting in config.settings()]
    whole = SHORT.get(name, name.replace("__", "."))
    if whole in keys:
        return whole
    meant = [key for key in keys if key.endswith(f".{whole}")]
    if len(meant) > 1:
        raise ConfigError(f"{name} may be {' or '.join(key.replace('.', '__') for key in meant)}; write one of these")
    if not meant:
        raise ConfigError(config.unknown_key(name, keys))
    return meant[0]

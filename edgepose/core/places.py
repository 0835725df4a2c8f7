"""Where edgepose keeps things: caches, settings, state and models of its own. Read from the environment at each call.

A unit's folders come first (CacheDirectory, ConfigurationDirectory, StateDirectory), then the user's (XDG).
"""

from __future__ import annotations

import os
from pathlib import Path


def caches() -> list[Path]:
    """Folders for what can be made again, first wins; those there could be."""
    return _named(_first("CACHE_DIRECTORY"), _home("XDG_CACHE_HOME", ".cache"))


def settings() -> list[Path]:
    """Folders of settings that a program writes, first wins: EDGEPOSE_CONFIG_DIR is before all."""
    given = [
        Path(folder) for folder in (os.environ.get("EDGEPOSE_CONFIG_DIR"), _first("CONFIGURATION_DIRECTORY")) if folder
    ]
    return [*given, *_named("", _home("XDG_CONFIG_HOME", ".config")), Path("/etc/edgepose")]


def state() -> Path:
    """The folder of what must outlive a restart; need not be there."""
    given = _first("STATE_DIRECTORY")
    if given:
        return Path(given)
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if home else Path("~/.local/state").expanduser()) / "edgepose"


def models() -> Path:
    """The folder of the models that this user imported; need not be there."""
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "edgepose" / "models"


def _first(variable: str) -> str:
    """Systemd separates several folders by colons."""
    return os.environ.get(variable, "").split(":")[0]


def _home(variable: str, folder: str) -> str:
    return os.environ.get(variable) or (os.environ.get("HOME", "") and f"{os.environ['HOME']}/{folder}")


def _named(*bases: str) -> list[Path]:
    return [Path(base) / "edgepose" for base in bases if base]

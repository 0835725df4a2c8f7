"""Settings on the command line: a flag for each, and the settings file that they go before."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose.face.short import SHORT

if TYPE_CHECKING:
    from edgepose.core.config import Config, Setting

log = logging.getLogger("edgepose")

SHORT_FLAGS = {f"--{name}": key for name, key in SHORT.items()}
"""Shorter names of the flags people need first."""

SHOWN = ("device", "camera", "engine.threads", "engine.delegate", "sink.mqtt.username", "sink.mqtt.password_file")
"""Settings that --help shows beside those; --help-all shows every one."""

CONFIG_FILE = Path("edgepose.toml")
"""Read from the working folder when --config is not given."""


# ------------------------------------------------------------------------------------------------ flags


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One flag per setting, grouped by section, and the short names."""
    from edgepose.core import config

    everything = getattr(parser, "everything", False)
    settings = {setting.key: setting for setting in config.settings()}
    first = parser.add_argument_group("what people set first")
    first.add_argument(
        "--config", metavar="FILE", help=f"settings file; default: {CONFIG_FILE} in this folder if there is one"
    )
    for flag, key in SHORT_FLAGS.items():
        first.add_argument(
            flag, dest=key, help=f"{settings[key].meaning} (= --{key})", **_value_of(settings[key], "...")
        )
    groups: dict[str, Any] = {}
    for setting in settings.values():
        section = setting.key.rpartition(".")[0]
        group = first
        if everything or setting.key not in SHOWN:
            if section not in groups:
                groups[section] = parser.add_argument_group(f"[{section}]" if section else "all settings")
            group = groups[section]
        _add_setting(group, setting, everything or setting.key in SHOWN)
    first.add_argument("--help-all", action="help", help="show the flag of every setting")


def _add_setting(group: Any, setting: Setting, shown: bool) -> None:
    from edgepose.core import config

    group.add_argument(
        f"--{setting.key}",
        dest=setting.key,
        help=_meaning(setting) if shown else argparse.SUPPRESS,
        **_value_of(setting, "|".join(map(str, config.choices(setting.hint))) or "..."),
    )


def _value_of(setting: Setting, metavar: str) -> dict[str, Any]:
    """What follows the flag: a value; nothing need to where it is off by default."""
    return {"metavar": metavar, **({"nargs": "?", "const": "true"} if setting.default is False else {})}


def _meaning(setting: Setting) -> str:
    from edgepose.core import config

    default = "the model's own" if setting.default is None else config.toml_value(setting.default)
    unit = f" [{setting.unit}]" if setting.unit else ""
    return f"{setting.meaning}{unit}; default {default}".replace("%", "%%")


# ------------------------------------------------------------------------------------------------ settings


def read_settings(args: argparse.Namespace) -> Config:
    """Settings file, then flags on top; from now on the log is as they say.

    Raises:
        ConfigError: naming the file or flag, the key, the value received and what was expected.
    """
    from edgepose.service import journal

    cfg = load_settings(args)
    journal.set_up(cfg.log)
    path = settings_file(args)
    if path and not args.config:
        log.info("settings from ./%s", path)
    _warn_of_password(cfg, path, typed=getattr(args, "source.uri", None) is not None)
    return cfg


def settings_file(args: argparse.Namespace) -> Path | None:
    """The one that was asked for, or that lies in this folder."""
    return Path(args.config) if args.config else CONFIG_FILE if CONFIG_FILE.is_file() else None


def load_settings(args: argparse.Namespace) -> Config:
    """Settings file, then flags on top."""
    from edgepose.core import config

    flags = {setting.key: setting for setting in config.settings()}
    given = {key: value for key, value in vars(args).items() if key in flags and value is not None}
    values = {
        key: config.parse_value(given_, flags[key]) if isinstance(given_, str) else given_
        for key, given_ in given.items()
    }
    return config.load(settings_file(args), values)


def given_keys(args: argparse.Namespace) -> frozenset[str]:
    """Keys of the settings that flags or a settings file set."""
    from edgepose.core import config

    known = {setting.key for setting in config.settings()}
    given = {key for key, value in vars(args).items() if key in known and value is not None}
    path = settings_file(args)
    return frozenset(given | set(_flat(config.read_toml(path), "") if path else ()))


def _flat(table: dict[str, Any], prefix: str) -> list[str]:
    keys = []
    for key, value in table.items():
        keys += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return keys


def _warn_of_password(cfg: Config, path: Path | None, typed: bool) -> None:
    """Warn of an address with a password that others on this machine can see."""
    from edgepose.core.secret import holds_password

    if not holds_password(cfg.source.uri):
        return
    better = "write it to a file for source.password_file, and only the name into source.uri"
    if typed:
        log.warning("the command line shows the password of source.uri to everybody on this machine; %s", better)
    elif path and path.stat().st_mode & 0o077:
        log.warning("%s: holds a password, and others may read it; type: chmod 600 %s, or %s", path, path, better)

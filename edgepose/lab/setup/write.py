"""The settings file: what it said before is kept, and an old one stays beside it."""

from __future__ import annotations

import argparse
import contextlib
import copy
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.secret import CREDENTIAL, private
from edgepose.lab.output import say
from edgepose.lab.setup.answers import Answers
from edgepose.lab.setup.ask import agreed

SERVICE = Path("/etc/edgepose")
"""Where the service has its settings."""
CREDENTIALS = Path("/etc/credstore")
HEAD = "# Settings of edgepose, by edgepose setup. `edgepose config` prints every one there is, with its meaning.\n"


def chosen(given: str | None) -> Path:
    """The file to write: as asked for, the service's for root, or one here."""
    if given:
        return Path(given)
    return SERVICE / "edgepose.toml" if os.geteuid() == 0 and SERVICE.is_dir() else Path("edgepose.toml")


def before(path: Path) -> dict[str, Any]:
    """What it says; empty where there is none. Raises ConfigError where it is broken."""
    if not path.exists():
        return {}
    raw = config.read_toml(path)
    config.load(path)
    return raw


def require_allowed(path: Path, was: dict[str, Any], args: argparse.Namespace) -> None:
    """Refuse before anything is asked.

    Raises:
        ConfigError: the folder cannot be written to, or --yes would change settings in use.
    """
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{path.parent} cannot be written to; sudo edgepose setup, or --config FILE elsewhere")
    if args.yes and was.get("source", {}).get("uri") and not args.overwrite:
        raise ConfigError(
            f"{path}: names a source already, and stays as it is; --overwrite changes it, and keeps a copy"
        )


def confirmed(path: Path, was: dict[str, Any], args: argparse.Namespace) -> bool:
    """Whether a file in use may be changed."""
    return args.yes or not was.get("source", {}).get("uri") or agreed(f"\n{path} is there; change it, and keep a copy")


def write(path: Path, was: dict[str, Any], answers: Answers, secrets: Path) -> None:
    """Write it, and a password out of the folder `secrets` to where it stays.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        raw = _merged(was, answers, path, secrets)
        config.convert(raw, config.Config, str(path))
        old = _kept(path)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(HEAD + as_toml(raw) + "\n")
        if path.parent == SERVICE:
            with contextlib.suppress(LookupError, OSError):
                shutil.chown(file.name, "root", "edgepose")
                Path(file.name).chmod(0o640)
        Path(file.name).replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    say(f"\nwrote {path}{f'; what was there is in {old}' if old else ''}")


def _merged(was: dict[str, Any], answers: Answers, path: Path, secrets: Path) -> dict[str, Any]:
    """What was there, with the answers on top."""
    raw = copy.deepcopy(was)
    said = answers.settings()
    tried = Path(answers.password_file)
    if tried.parent == secrets and "sink.mqtt.password_file" in said:
        said["sink.mqtt.password_file"] = _password(tried, path)
    for key, value in said.items():
        config.put(raw, key, value)
    if not answers.broker:
        raw.get("sink", {}).get("mqtt", {}).pop("broker", None)
    if answers.publish != "home-assistant" and "home_assistant" in raw:
        raw["home_assistant"]["on"] = False
    return raw


def _password(tried: Path, path: Path) -> str:
    """Keep a password that was typed: by systemd for the service, beside the settings otherwise; the setting."""
    service = path.parent == SERVICE
    to = CREDENTIALS / "edgepose.mqtt-password" if service else path.with_suffix(".password").absolute()
    if service:
        CREDENTIALS.mkdir(mode=0o700, exist_ok=True)
    with open(to, "w", encoding="utf-8", opener=private) as file:
        file.write(tried.read_text(encoding="utf-8"))
    say(f"the password is in {to}, for its owner alone")
    return f"{CREDENTIAL}mqtt-password" if service else str(to)


def _kept(path: Path) -> Path | None:
    """A copy of what is there, under a name that is free."""
    if not path.exists():
        return None
    number = 1
    while (old := path.with_name(f"{path.name}.old{number}")).exists():
        number += 1
    shutil.copy2(path, old)
    return old


def as_toml(raw: dict[str, Any], section: str = "") -> str:
    """Nested tables as TOML."""
    values = [f"{key} = {config.toml_value(value)}" for key, value in raw.items() if not isinstance(value, dict)]
    head = [f"\n[{section}]"] * bool(section and values)
    below = [
        as_toml(value, f"{section}.{key}" if section else key) for key, value in raw.items() if isinstance(value, dict)
    ]
    return "\n".join([*head, *values, *filter(None, below)])

"""Where edgepose keeps things: caches, settings, state and models of its own. Read from the environment at each call.

A unit's folders come first (CacheDirectory, ConfigurationDirectory, StateDirectory), then the user's (XDG). And what
comes with other people's files: names that are no text, texts in other encodings, two names of one file.
"""

from __future__ import annotations

import codecs
import functools
import os
from pathlib import Path
from typing import Any


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
    return (Path(home) if home else _own_home() / ".local" / "state") / "edgepose"


def models() -> Path:
    """The folder of the models that this user imported; need not be there."""
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if Path(data).is_absolute() else _own_home() / ".local" / "share") / "edgepose" / "models"


def at_home(name: str) -> Path:
    """A name with its first "~" or "~user" replaced; one of nobody's home, such as "~clip.mp4", as it is."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises where there is no such home)


def _own_home() -> Path:
    """Of this user; where there is none, the folder that is never there, as useradd has it."""
    home = os.path.expanduser("~")  # noqa: PTH111
    return Path("/nonexistent" if home == "~" else home)


def _first(variable: str) -> str:
    """Systemd separates several folders by colons."""
    return os.environ.get(variable, "").split(":")[0]


def _home(variable: str, folder: str) -> str:
    return os.environ.get(variable) or (os.environ.get("HOME", "") and f"{os.environ['HOME']}/{folder}")


def _named(*bases: str) -> list[Path]:
    return [Path(base) / "edgepose" for base in bases if base]


MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""What a text file may begin with, and how it goes on; the mark of UTF-32 LE begins with that of UTF-16 LE."""


def text(content: bytes) -> str:
    """A text file's content: UTF-8, or what the mark at its start says, which Windows' editors and shells write.

    Raises:
        UnicodeDecodeError: it is another encoding.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode()


@functools.lru_cache(maxsize=64)
def utf8(name: str) -> str:
    """The same for every name but one whose bytes are no text: "?" for what cannot be written."""
    return name.encode(errors="replace").decode()


def utf8_all(value: Any) -> Any:
    """The same for what JSON is made of, with every text in it."""
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, dict):
        return {utf8_all(key): utf8_all(one) for key, one in value.items()}
    return [utf8_all(one) for one in value] if isinstance(value, (list, tuple)) else value


def same(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two names are of one file, by whatever link; of one that is not there yet by its resolved name."""
    try:
        return Path(one).samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
    except ValueError:  # a null byte
        return False

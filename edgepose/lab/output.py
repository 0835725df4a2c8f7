"""What a command says and writes."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.places import utf8
from edgepose.core.secret import masked

log = logging.getLogger("edgepose.lab")


def say(text: str = "") -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_table(lines: Sequence[tuple[str, str, str]]) -> None:
    """Key, value and meaning, a line each."""
    key_width, width = (max(len(line[column]) for line in lines) for column in (0, 1))
    for key, value, meaning in lines:
        sys.stdout.write(f"{key.ljust(key_width)}  {value.rjust(width)}{'  ' if width else ''}{meaning}\n")


def typed() -> str:
    """The command line, as it can be typed again; without passwords."""
    return "edgepose " + shlex.join(masked(word) for word in sys.argv[1:])


def write_text(path: str, text: str) -> None:
    """Write a file, or standard output for "-".

    Raises:
        SinkError: it cannot be written.
    """
    text = utf8(text)
    if path == "-":
        sys.stdout.write(text)
        return
    _require_text(path)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: {error.strerror}") from None
    log.info("wrote %s", path)


def require_folder(flag: str, path: str | None) -> None:
    """Find out before a long run that a file cannot be written after it; "-" is standard output.

    Raises:
        ConfigError: naming the flag.
    """
    if not path or path == "-":
        return
    folder = Path(path).parent
    if Path(path).is_dir() or not folder.is_dir():
        raise ConfigError(f"--{flag} {path}: {'is a folder' if folder.is_dir() else f'no folder {folder}'}")
    _require_text(path)


def _require_text(path: str) -> None:
    """What is written over is a text, as an earlier report is: no picture, video, recording or model."""
    try:
        if Path(path).is_file():
            with Path(path).open("rb") as file:
                if b"\0" in file.read(1 << 16):
                    raise ConfigError(f"{path}: exists and is no text, so nothing is written over it; name another")
    except OSError as error:
        log.debug("%s: cannot be read: %s", path, error.strerror)  # which writing it reports

"""Where results go, and how far it is."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edgepose.core.errors import SinkError
from edgepose.core.places import utf8

log = logging.getLogger("edgepose.lab.eval")

TERMINAL_S = 0.2
LOG_S = 10.0


def say_table(lines: Sequence[tuple[str, str, str]]) -> None:
    """Key, value and meaning, a line each."""
    key_width, width = (max(len(line[column]) for line in lines) for column in (0, 1))
    for key, value, meaning in lines:
        sys.stdout.write(f"{key.ljust(key_width)}  {value.rjust(width)}{'  ' if width else ''}{meaning}\n")


def write_text(path: str, text: str) -> None:
    """Write a file, or standard output for "-".

    Raises:
        SinkError: it cannot be written.
    """
    text = utf8(text)
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: {error.strerror}") from None
    log.info("wrote %s", path)


class Progress:
    """How far it is: one line on a terminal, else one in the log now and then."""

    def __init__(self, name: str, total: int, things: str) -> None:
        self.name, self.total, self.things, self.done = name, total, things, 0
        self.started_t = self.told_t = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def saw(self) -> None:
        """One more is done."""
        self.done += 1
        now = time.monotonic()
        if now - self.told_t < (TERMINAL_S if self.terminal else LOG_S):
            return
        self.told_t = now
        left_s = (now - self.started_t) / self.done * (self.total - self.done)
        of = f"/{self.total} {self.things}, {left_s:.0f} s to go" if self.total else f" {self.things}"
        line = f"{self.name}: {self.done}{of}"
        if self.terminal:
            sys.stderr.write(f"\r{line} \033[K")
            sys.stderr.flush()
        else:
            log.info("%s", line)

    def clear(self) -> None:
        """Nothing of it stays on the terminal."""
        if self.terminal:
            sys.stderr.write("\r\033[K")

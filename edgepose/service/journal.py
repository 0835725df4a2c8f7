"""Log lines as systemd's journal wants them: a priority in front, no time; on a terminal or in a file as people do."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from edgepose.core.errors import printable

PLAIN = "%(levelname)s %(name)s: %(message)s"
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Level -> syslog's number, as sd-daemon(3) has it."""


def in_journal(stream: TextIO | None = None, env: Mapping[str, str] | None = None) -> bool:
    """Whether what is written to a stream (standard error) ends in the journal.

    JOURNAL_STREAM names the journal's own device and inode; a program with its output elsewhere inherits it too.
    """
    env = os.environ if env is None else env
    told = env.get("JOURNAL_STREAM", "")
    if not told:
        return False
    try:
        status = os.fstat((stream or sys.stderr).fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return told == f"{status.st_dev}:{status.st_ino}"


def line(level: int, text: str) -> str:
    """A text with its priority, in front of each of its lines: the journal takes them apart."""
    known = max((each for each in PRIORITIES if each <= level), default=logging.DEBUG)
    return "\n".join(f"<{PRIORITIES[known]}>{each}" for each in text.splitlines() or [""])


class JournalFormatter(logging.Formatter):
    """NAME: MESSAGE behind the priority."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One or more lines, each with the priority."""
        return line(record.levelno, super().format(record))


class Printable(logging.Filter):
    """What is put into a message, such as a file's name, cannot make lines of its own, nor colour them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Escapes it; lets everything pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(each if isinstance(each, (int, float)) else _escaped(each) for each in record.args)
        return True


def _escaped(value: object) -> object:
    """The value itself, unless its text holds what a terminal or the journal obeys."""
    text = str(value)
    safe = printable(text)
    return value if safe == text else safe


def set_up(level: str) -> None:
    """Log to standard error from this level on, in the form that fits it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Printable())
    handler.setFormatter(JournalFormatter() if in_journal() else logging.Formatter(PLAIN))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def complain(text: str) -> None:
    """The last words of a command that failed, in one line."""
    text = printable(text)
    print(line(logging.ERROR, text) if in_journal() else text, file=sys.stderr)  # noqa: T201

"""Signals, while something runs: what was there before comes back."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

Handler = Callable[[int, "FrameType | None"], object]

INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended at once, or before anything had started."""


@contextmanager
def handled(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Signal -> what handles it meanwhile."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(*_: object) -> None:
    """End the process now: threads that are inside a driver or a library cannot be ended in order."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(INTERRUPTED)


@contextmanager
def stops(stop: Callable[[], object], reload: Callable[[], object] | None = None) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM calls `stop`, the second ends the process at once; SIGHUP calls `reload`.

    The SIGHUP of a terminal that was closed stops too.
    """

    def first(*_: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, leave)
        stop()

    handlers: dict[int, Handler] = {signal.SIGINT: first, signal.SIGTERM: first}
    if reload is not None:
        at_terminal = sys.stdin is not None and sys.stdin.isatty()
        handlers[signal.SIGHUP] = first if at_terminal else lambda *_: reload()
    with handled(handlers):
        yield

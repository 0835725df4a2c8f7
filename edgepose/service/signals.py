"""Signals, while something runs: what was there before comes back."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, "FrameType | None"], object]


@contextmanager
def handled(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Signal -> what handles it meanwhile."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stops(stop: Callable[[], object], reload: Callable[[], object] | None = None) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM calls `stop`, the second ends at once; SIGHUP calls `reload`.

    The SIGHUP of a terminal that was closed stops too.
    """

    def first(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        stop()

    handlers: dict[int, Handler] = {signal.SIGINT: first, signal.SIGTERM: first}
    if reload is not None:
        at_terminal = sys.stdin is not None and sys.stdin.isatty()
        handlers[signal.SIGHUP] = first if at_terminal else lambda *_: reload()
    with handled(handlers):
        yield

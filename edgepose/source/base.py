"""What every source is: frames in order, counters, and a close that may come from anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from edgepose.core.poses import Frame

SourceT = TypeVar("SourceT")
BaseT = TypeVar("BaseT", bound="BaseSource")

COUNTS = ("frames", "dropped", "reconnects", "unreadable")
"""Frames handed out, live frames overwritten by newer ones, times a camera came back, pictures skipped."""

IDLE_S = 0.25
"""Whoever waits for frames hears so this often."""


def _ignore(_why: str) -> None:
    pass


class Source(Protocol):
    """Frames from somewhere. Use it as a context manager, iterate it from one thread."""

    live: bool
    """A camera that does not wait: the newest frame wins. False: a recording, nothing is dropped."""
    still: bool
    """Pictures that have nothing to do with each other: nobody is followed from one to the next."""
    followed: bool
    """Whoever is in its frames has an identity already, and metres: a room's."""
    total: int | None
    """Number of frames, where it is known beforehand."""
    counts: dict[str, int]
    """One number for each of COUNTS, rising."""

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the recording ends or the source is closed; a SourceError if it cannot be read."""

    def each(self, idle: Callable[[str], None], *, patient: bool = False) -> Iterator[Frame]:
        """The same, where somebody hears of its waits.

        idle     called with the reason, every IDLE_S and by the thread that iterates, while it waits for a frame
        patient  a camera that is away from the start is waited for, as one is that goes away later; false: that
                 ends the iteration
        """

    def slow(self, fps: float) -> None:
        """A camera need not give more frames than so many a second for now; 0: as many as set. A wish, no more."""

    def close(self) -> None:
        """End an iteration in progress, soon; any thread may call it, any number of times."""

    def __enter__(self: SourceT) -> SourceT: ...

    def __exit__(self, *args: object) -> None: ...


class BaseSource:
    """Counters, closing and the context manager."""

    live: bool = False
    still: bool = False
    followed: bool = False

    def __init__(self) -> None:
        self.total: int | None = None
        self.counts = dict.fromkeys(COUNTS, 0)
        self.idle: Callable[[str], None] = _ignore
        self.patient = False
        self.closed = False
        self.changed = threading.Condition()
        """Guards what threads share. Re-entrant: a signal handler may close a source its own thread waits for."""

    def __iter__(self) -> Iterator[Frame]:
        """As Source.__iter__."""
        raise NotImplementedError

    def each(self, idle: Callable[[str], None], *, patient: bool = False) -> Iterator[Frame]:
        """As Source.each."""
        self.idle, self.patient = idle, patient
        return iter(self)

    def slow(self, fps: float) -> None:
        """As Source.slow; most cannot."""

    def close(self) -> None:
        """As Source.close."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def __enter__(self: BaseT) -> BaseT:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

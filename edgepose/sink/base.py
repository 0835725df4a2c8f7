"""What every sink is."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Frame, Poses

S = TypeVar("S", bound="Sink")

OnSent = Callable[[Poses, float], None]
"""Called with poses that really went out, and when, monotonic seconds."""

Reply = Callable[[bytes], None]
"""Answers a message; from any thread, also later."""
Handler = Callable[[bytes, str, Reply], None]
"""Gets the payload, the topic (below the root: without it) and how to answer. Must not block."""


def untold(_poses: Poses, _sent_t: float) -> None:
    """An OnSent that does nothing."""


class GateView(NamedTuple):
    """What the motion gate makes of a frame, to be drawn."""

    cell_px: int
    """Side of a cell, pixels; the first one begins at the picture's upper left corner."""
    changed: NDArray[np.bool_] | None
    """(rows, columns) cells that differ from the scene as it was; None: none do."""
    ignored: NDArray[np.bool_] | None
    """(rows, columns) cells in which nothing counts; None: there are none."""
    at_xy: tuple[int, int] | None
    """Where it differs most, pixels; None: nowhere, or all over."""
    text: str
    """State, what the frame shows, and why it woke last."""


@runtime_checkable
class Topics(Protocol):
    """A sink with topics for more than poses; any thread."""

    run: str
    """Identifies this run."""
    subscribed: int
    """Subscriptions in force."""

    @property
    def root(self) -> str:
        """Of all topics, without a slash at the end."""

    @property
    def counts(self) -> dict[str, int]:
        """As Sink.counts."""

    @property
    def spool_counts(self) -> dict[str, int]:
        """Of events that wait to be sent; empty without."""

    def publish_kept(self, suffix: str, payload: bytes, *, absolute: bool = False) -> None:
        """Publish below the root, retained; `absolute`: `suffix` is the whole topic."""

    def publish_now(self, suffix: str, payload: bytes, *, absolute: bool = False) -> None:
        """Publish below the root, not retained: the newest of each topic, or nothing."""

    def subscribe(self, suffix: str, handler: Handler, *, absolute: bool = False) -> None:
        """Call `handler` with each message published from now on."""


class Sink(Protocol):
    """Takes the poses of one frame after another. Closes itself as a context manager."""

    waits: bool = True
    """write() may take long: drawing, a disk, a slow reader."""
    tells_later: bool = False
    """write() only queues; the callback it was made with hears of poses that really went out."""

    @property
    def troubles(self) -> list[str]:
        """What does not work as set though poses flow; tried again by the sink itself."""
        return []

    @property
    def undelivered(self) -> int:
        """Poses that never arrived, as far as that is known; final once it is closed."""
        return 0

    @property
    def counts(self) -> dict[str, int]:
        """What happened so far; each sink has at least "sent", the frames whose poses went out."""

    def write(self, poses: Poses, frame: Frame) -> None:
        """Hand on the poses of `frame`; an empty `poses` goes out as well.

        Raises:
            SinkError: they cannot be handed on, now or ever.
            ValueError: the sink is closed.
        """

    @property
    def wants_gate(self) -> bool:
        """It shows what the motion gate sees, and so also frames that nobody looked at."""
        return False

    def take_gate(self, view: GateView) -> None:  # noqa: ARG002 (every sink that wants it gets it)
        """What the gate makes of the frame that is written next."""
        return

    def write_meaning(self, meaning: Any, poses: Poses) -> None:  # noqa: ARG002 (every sink gets them)
        """Hand on what poses just written mean; most sinks have no use for it."""
        return

    def close(self) -> None:
        """Flush and let go of everything; a second call does nothing."""

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

"""What every sink is."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TypeVar

from edgepose.core.poses import Frame, Poses

S = TypeVar("S", bound="Sink")


def _untold(_poses: Poses, _sent_t: float) -> None:
    pass


class Sink(Protocol):
    """Takes the poses of one frame after another. Closes itself as a context manager."""

    waits: bool = True
    """write() may take long: drawing, a disk, a slow reader."""
    tells_later: bool = False
    """write() only queues; `on_sent` is called with poses that really went out, and when, monotonic seconds."""
    on_sent: Callable[[Poses, float], None] = staticmethod(_untold)

    @property
    def counts(self) -> dict[str, int]:
        """What happened so far; each sink has at least "sent", the frames whose poses went out."""

    def write(self, poses: Poses, frame: Frame) -> None:
        """Hand on the poses of `frame`; an empty `poses` goes out as well.

        Raises:
            SinkError: they cannot be handed on, now or ever.
            ValueError: the sink is closed.
        """

    def close(self) -> None:
        """Flush and let go of everything; a second call does nothing."""

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

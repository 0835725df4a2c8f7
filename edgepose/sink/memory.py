"""Poses kept in memory: for tests, and for programs that use edgepose as a library."""

from __future__ import annotations

from collections import deque

from edgepose.core.poses import Frame, Poses
from edgepose.sink.base import Sink


class MemorySink(Sink):
    """Keeps what is written, the newest `keep` of it; None keeps all."""

    waits = False

    def __init__(self, keep: int | None = None) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"keep is {keep}, expected at least 1, or None for all")
        self.poses: deque[Poses] = deque(maxlen=keep)
        """Oldest first."""
        self.closed = False
        self._sent = 0

    @property
    def counts(self) -> dict[str, int]:
        """sent: poses taken, kept or not."""
        return {"sent": self._sent}

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """Keep `poses`; the frame is not held."""
        if self.closed:
            raise ValueError("MemorySink is closed")
        self.poses.append(poses)
        self._sent += 1

    def close(self) -> None:
        """Take no more; what was kept stays."""
        self.closed = True

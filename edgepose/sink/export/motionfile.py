"""What is made of a whole recording when it ends: a file of bytes, or something of another shape."""

from __future__ import annotations

from pathlib import Path

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import Frame, Poses
from edgepose.core.secret import private
from edgepose.sink import Sink
from edgepose.sink.export.motion import Gathered
from edgepose.sink.whole import beside


class MotionSink(Sink):
    """Keeps a recording until it ends."""

    def __init__(self, path: Path) -> None:
        self.path, self._gathered, self._sent, self._closed = path, Gathered(), 0, False

    def save(self, gathered: Gathered) -> None:
        """Write it.

        Raises:
            OSError: the disk takes no more.
        """
        raise NotImplementedError

    @property
    def counts(self) -> dict[str, int]:
        """sent: frames taken."""
        return {"sent": self._sent}

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """Raises SinkError: the recording changes on the way."""
        try:
            self._gathered.add(poses)
        except ValueError as error:
            raise SinkError(f"{self.path}: {error}") from None
        self._sent += 1

    def abandon(self) -> None:
        """Close without writing."""
        self._closed = True

    def close(self) -> None:
        """Write what was kept; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self.save(self._gathered)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}; free some space") from None


class MotionFile(MotionSink):
    """A file, written beside its place and put there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}; give a file that can be written")

    def content(self, gathered: Gathered) -> bytes:
        """The file.

        Raises:
            ValueError: the format cannot hold it.
        """
        raise NotImplementedError

    def save(self, gathered: Gathered) -> None:
        """As MotionSink; raises SinkError: the format cannot hold it."""
        try:
            content = self.content(gathered)
        except ValueError as error:
            raise SinkError(f"{self.path}: {error}") from None
        part = beside(self.path)
        with open(part, "wb", opener=private) as file:
            file.write(content)
        part.replace(self.path)

"""A file of bytes that is made of a whole recording."""

from __future__ import annotations

from pathlib import Path

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import Frame, Poses
from edgepose.core.secret import private
from edgepose.sink import Sink
from edgepose.sink.export.motion import Gathered
from edgepose.sink.whole import beside


class MotionFile(Sink):
    """Written when the recording ends."""

    def __init__(self, path: Path) -> None:
        self.path, self._gathered, self._sent, self._closed = path, Gathered(), 0, False
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}; give a file that can be written")

    def content(self, gathered: Gathered) -> bytes:
        """The file.

        Raises:
            ValueError: the format cannot hold it.
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
        """Write it beside its place and put it there."""
        if self._closed:
            return
        self._closed = True
        part = beside(self.path)
        try:
            content = self.content(self._gathered)
            with open(part, "wb", opener=private) as file:
                file.write(content)
            part.replace(self.path)
        except ValueError as error:
            raise SinkError(f"{self.path}: {error}") from None
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}; free some space") from None

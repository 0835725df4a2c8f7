"""What is made of a whole recording when it ends: a file of bytes, or something of another shape."""

from __future__ import annotations

from pathlib import Path

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.core.secret import private
from edgepose.sink import Sink
from edgepose.sink.export.motion import Gathered, Motion
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


class RigFolder(MotionSink):
    """A folder with a text file for each person: NAME/person_ID.ENDING; of long recordings also person_ID_part2."""

    ending: str

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._part = 1
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise ConfigError(f"{path}: is there already; give a folder that is new or empty")

    def text(self, motion: Motion, gathered: Gathered) -> str:
        """One person's file."""
        raise NotImplementedError

    def write(self, poses: Poses, frame: Frame) -> None:
        """As MotionSink; raises SinkError: what cannot be a rig."""
        if poses.skeleton != COCO17:
            raise SinkError(f"{self.path}: a rig is made of skeleton {COCO17.name}, this is {poses.skeleton.name}")
        if self._gathered.full:
            self.save(self._gathered)
            self._gathered, self._part = Gathered(), self._part + 1
        super().write(poses, frame)

    def save(self, gathered: Gathered) -> None:
        """As MotionSink."""
        self.path.mkdir(parents=True, exist_ok=True)
        for motion in gathered.motions():
            part = f"_part{self._part}" if self._part > 1 else ""
            path = self.path / f"person_{motion.identity}{part}.{self.ending}"
            with open(path, "w", encoding="ascii", newline="\n", opener=private) as file:
                file.write(self.text(motion, gathered))

"""A file that is there when it is whole."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TextIO

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import Frame, Poses
from edgepose.core.secret import private
from edgepose.sink import Sink
from edgepose.sink.whole import beside


class FileSink(Sink):
    """Writes text beside `path` and puts it there when it is closed; what fails leaves what was there before."""

    def __init__(self, path: Path) -> None:
        self.path, self._part = path, beside(path)
        self._sent = 0
        self._closed = self._failed = False
        try:
            self._file: TextIO = open(  # noqa: SIM115
                self._part, "w", encoding="utf-8", newline="\n", opener=private
            )
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; give a file that can be written") from None
        except ValueError:  # a null byte
            raise ConfigError(f"{str(path)!r}: no name of a file") from None
        self.put(self.begin())

    @property
    def counts(self) -> dict[str, int]:
        """sent: frames written."""
        return {"sent": self._sent}

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """Raises SinkError: the disk takes no more."""
        if self._closed:
            raise ValueError(f"{type(self).__name__} is closed")
        self.put(self.text(poses))
        self._sent += 1

    def begin(self) -> str:
        """What comes first."""
        return ""

    def text(self, poses: Poses) -> str:
        """What is written of one frame."""
        raise NotImplementedError

    def end(self) -> None:
        """Write what comes last."""

    def put(self, text: str) -> None:
        """Write some of it."""
        try:
            self._file.write(text)
        except OSError as error:
            raise self._full(error) from None

    def _full(self, error: OSError) -> SinkError:
        self._failed = True
        return SinkError(f"{self.path}: {error.strerror} after {self._sent} frames; free some space")

    def abandon(self) -> None:
        """Close without putting it there."""
        self._failed = True
        with contextlib.suppress(OSError, SinkError):
            self.close()

    def close(self) -> None:
        """Put it there."""
        if self._closed:
            return
        self._closed = True
        try:
            try:
                if not self._failed:
                    self.end()
            finally:
                self._file.close()
            if not self._failed:
                self._part.replace(self.path)
        except OSError as error:
            raise self._full(error) from None
        finally:
            if self._failed:
                with contextlib.suppress(OSError):
                    self._part.unlink(missing_ok=True)

"""Reads a recording from its start, a chunk at a time; what is damaged is left out and told."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from edgepose.core.errors import SourceError
from edgepose.wire.recording import session as sessions
from edgepose.wire.recording.chunks import FRAMES, HEAD, MAGIC, SESSION, SYNC, Head, head_of, payload_of, session_id
from edgepose.wire.recording.frames import DamagedError, Kept, frames_of
from edgepose.wire.recording.session import Session

SCAN = 1 << 16
"""Bytes looked at in one go for the next chunk after a damaged one."""
MOST_WASTED = 1 << 31
"""Bytes looked at for chunks that are none; more are in files made to keep a reader busy."""


class Recording:
    """The frames of a file, again with each iteration; in memory is one chunk at a time. A context manager."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """`read` opens one."""
        self._file, self.name = file, name
        self.damaged = 0
        """Bytes left out so far because they are damaged."""
        self.torn = 0
        """Bytes after the last whole chunk: what was being written when its writer was killed."""
        self.good_end = 0
        """Where the last whole chunk ends."""
        self._session: tuple[int, Session] | None = None
        self._scanned = 0, b""
        """Where a piece of the file was looked at for the next chunk, and the piece."""
        if file.read(len(MAGIC)) != MAGIC:
            raise SourceError(f"{name}: is no recording of edgepose; `edgepose run --record FILE` makes one")

    def __iter__(self) -> Iterator[Kept]:
        """Each frame with the session it belongs to, in order; never one that is not as it was written."""
        for _, head, payload in self._chunks():
            if head.kind == SESSION:
                found = sessions.decode(payload)
                self._session = None if found is None else (session_id(payload), found)
                self.damaged += 0 if found else head.size
            elif head.kind == FRAMES:
                if self._session is None or self._session[0] != head.session:
                    self.damaged += head.size
                    continue
                try:
                    yield from frames_of(payload, self._session[1])
                except DamagedError:
                    self.damaged += head.size

    def frames(self) -> int:
        """How many frames the chunks say they hold; a quick look, nothing is checked."""
        at, count = len(MAGIC), 0
        while (head := self._head(at)) is not None:
            count += head.frames if head.kind == FRAMES else 0
            at += head.size
        return count

    def session_at_end(self) -> int:
        """Read to the end; the id of the session in force there, 0 for none."""
        for _, head, payload in self._chunks():
            if head.kind == SESSION:
                self._session = None
                found = sessions.decode(payload)
                if found is not None:
                    self._session = session_id(payload), found
        return self._session[0] if self._session else 0

    def _head(self, at: int) -> Head | None:
        return head_of(self._bytes(at, HEAD.size))

    def _bytes(self, at: int, size: int) -> bytes:
        """Fewer at the end of the file."""
        try:
            self._file.seek(at)
            return self._file.read(size)
        except OSError as error:
            raise SourceError(f"{self.name}: cannot be read: {error.strerror}; check the disk") from None

    def _chunks(self) -> Iterator[tuple[int, Head, bytes]]:
        """Offset, head and payload of every chunk that is whole."""
        self.damaged = self.torn = 0
        self._session = None
        self._scanned = 0, b""
        wasted = 0
        at = self.good_end = len(MAGIC)
        while True:
            head = self._head(at)
            payload = None
            if head is not None:
                data = self._bytes(at, head.size)
                payload = payload_of(head, data)
                wasted += 0 if payload is not None else len(data)
                if wasted > MOST_WASTED:
                    raise SourceError(f"{self.name}: is damaged throughout; use another recording")
            if head is not None and payload is not None:
                self.damaged += at - self.good_end
                self.good_end = at + head.size
                yield at, head, payload
                at = self.good_end
            elif (following := self._next(at + 1)) is None:
                self.torn = self._file.seek(0, io.SEEK_END) - self.good_end
                return
            else:
                at = following

    def _next(self, at: int) -> int | None:
        """Where the next chunk may start."""
        while True:
            start, data = self._scanned
            if not start <= at <= start + len(data) - len(SYNC):
                start, data = self._scanned = at, self._bytes(at, SCAN)
            found = data.find(SYNC, at - start)
            if found >= 0:
                return start + found
            if len(data) < SCAN:
                return None
            at = start + SCAN - len(SYNC) + 1

    @property
    def warning(self) -> str:
        """What was left out of the last iteration, for a person; empty: nothing."""
        told = []
        if self.damaged:
            told.append(f"{self.damaged} bytes are damaged and were left out")
        if self.torn:
            told.append(f"its last {self.torn} bytes were never finished: the run that wrote it was cut off")
        return f"{self.name}: {'; '.join(told)}" if told else ""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(file: Path | bytes) -> Recording:
    """Open a recording, or one that is in memory.

    Raises:
        SourceError: it cannot be read, or is none. Damage inside is no error: see Recording.
    """
    if isinstance(file, bytes):
        return Recording(io.BytesIO(file), "recording")
    try:
        opened = file.open("rb")
    except OSError as error:
        raise SourceError(f"{file}: {error.strerror}; give the file of a recording (.epr)") from None
    try:
        return Recording(opened, str(file))
    except OSError as error:
        opened.close()
        raise SourceError(f"{file}: {error.strerror}; give the file of a recording (.epr)") from None
    except BaseException:
        opened.close()
        raise

"""Appends to a recording from a thread of its own: who hands over a frame never waits for the disk.

A kill at any moment loses at most what came in the last FLUSH_S, a cut of power what came since the last SYNC_S. A disk
that takes nothing is no error: frames are counted as not kept, and it is tried again.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from edgepose.core.errors import ConfigError, EdgeposeError, SinkError, SourceError, not_opened
from edgepose.core.poses import Poses
from edgepose.wire.recording import session as sessions
from edgepose.wire.recording.chunks import FRAMES, MAGIC, SESSION, chunk, session_id
from edgepose.wire.recording.frames import Block, RawHeads
from edgepose.wire.recording.reader import Recording, read
from edgepose.wire.recording.session import HeadShape, Session

log = logging.getLogger("edgepose.wire.recording")

FLUSH_S = 0.5
"""From a frame to the file, at most."""
SYNC_S = 5.0
"""From a file to the disk below it, at most."""
BLOCK_BYTES = 1 << 18
"""A block this large goes out at once."""
WAITING_BYTES = 1 << 23
"""Kept in memory for a disk that is slow; a camera's frames are dropped beyond, a file's wait."""
RETRY_S = 10.0
"""From one try at a disk that takes nothing to the next."""
WALL_S = 0.001
"""A step of the clock this large begins a new block."""
LEVEL, LEVEL_HEADS = 6, 1
"""Of compression; raw heads are many and cost more."""
CLOSE_S = 10.0
"""Longest wait for a disk that hangs, at the end."""


@dataclass(slots=True)
class _Filling:
    """A block and what it belongs to."""

    session: bytes
    block: Block
    since_t: float


class Writer:
    """One file, for one process; `begin` a session, then `add` its frames.

    wait     add() waits for room where the disk is slower than the frames; False: they are dropped and counted
    patient  a file that cannot be opened now, as its disk is not there yet, is tried again; until then nothing is kept
    """

    def __init__(self, path: Path, *, wait: bool, patient: bool = False) -> None:
        """Open it, or make it; what an earlier run left unfinished at its end is cut off.

        Raises:
            ConfigError: it can never be written, or is no recording.
            SinkError: it cannot be written now, or another process writes to it.
        """
        self.path, self._wait = path, wait
        self._changed = threading.Condition(threading.Lock())
        self._session = b""
        self._shapes: list[HeadShape] = []
        self._filling: _Filling | None = None
        self._queue: deque[_Filling] = deque()
        self._waiting = 0
        self._kept = self._dropped = 0
        self._closing = False
        self._failing = False
        self._retry_t = self._synced_t = 0.0
        self._end = self._on_disk = 0
        self._descriptor: int | None = None
        try:
            self._open()
        except SinkError as error:
            if not patient:
                raise
            self._put_off(str(error))
        self._thread = threading.Thread(target=self._run, name="edgepose record", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[str, int]:
        """Frames in the file; and those that are not, as the disk was full or slow."""
        return {"recorded": self._kept, "unrecorded": self._dropped}

    def begin(self, session: Session) -> None:
        """What holds for the frames from here on."""
        with self._changed:
            self._turn_over()
            self._session, self._shapes = sessions.encode(session), list(session.heads)

    def add(self, poses: Poses, wall: float, raw: RawHeads | None = None) -> float:
        """Keep one frame; wall is seconds since 1970 minus the clock of `taken_t`, NaN where that means nothing.

        Returns the wall that goes with it: it is kept once for each block.
        """
        with self._changed:
            if self._closing or not self._session:
                raise ValueError("Writer is closed, or nothing has begun")
            filling = self._filling
            if filling and (filling.block.size >= BLOCK_BYTES or abs(wall - filling.block.wall) > WALL_S):
                self._turn_over()
            while self._waiting > WAITING_BYTES and self._wait and not self._failing and not self._closing:
                self._changed.wait()
            if self._waiting > WAITING_BYTES:
                self._dropped += 1
                return wall
            if self._filling is None:
                self._filling = _Filling(self._session, Block(wall), time.monotonic())
                self._changed.notify_all()
            block = self._filling.block
            block.add(poses, raw, self._shapes)
            return block.wall

    def _turn_over(self) -> None:
        """What was filled goes out; the next frame begins another."""
        if self._filling is not None:
            self._queue.append(self._filling)
            self._waiting += self._filling.block.size
            self._filling = None
            self._changed.notify_all()

    def close(self) -> None:
        """Bring what is left to the disk; a second call does nothing."""
        with self._changed:
            if self._closing:
                return
            self._turn_over()
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error("%s: the disk hangs; the last frames may be missing", self.path)

    # ------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            while (filling := self._next()) is not None:
                self._write(filling)
            if self._descriptor is not None:
                with contextlib.suppress(OSError):  # told when it was written to
                    self._sync(self._descriptor)
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)

    def _next(self) -> _Filling | None:
        """The next block that is full or due; None at the end."""
        with self._changed:
            while True:
                if self._queue:
                    filling = self._queue.popleft()
                    self._waiting -= filling.block.size
                    self._changed.notify_all()
                    return filling
                if self._closing:
                    return None
                due_s = None if self._filling is None else self._filling.since_t + FLUSH_S - time.monotonic()
                if due_s is not None and due_s <= 0:
                    self._turn_over()
                else:
                    self._changed.wait(due_s)

    def _open(self) -> int:
        descriptor = _opened(self.path)
        try:
            self._end, self._on_disk = _continued(self.path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return descriptor

    def _write(self, filling: _Filling) -> None:
        frames = len(filling.block.facts)
        if self._failing and time.monotonic() < self._retry_t and not self._closing:
            self._drop(frames)
            return
        try:
            descriptor = self._open() if self._descriptor is None else self._descriptor
        except EdgeposeError as error:
            self._drop(frames)
            self._put_off(str(error))
            return
        session = session_id(filling.session)
        begin = b"" if self._end else MAGIC
        if session != self._on_disk:
            begin += chunk(SESSION, filling.session, session, 0, LEVEL)
        level = LEVEL_HEADS if filling.block.raw else LEVEL
        data = begin + chunk(FRAMES, filling.block.payload(), session, frames, level)
        try:
            self._put(descriptor, data)
            if time.monotonic() - self._synced_t > SYNC_S:
                self._sync(descriptor)
        except OSError as error:
            self._fail(descriptor, error, frames)
            return
        self._end += len(data)
        self._on_disk = session
        self._kept += frames
        if self._failing:
            log.info("%s: recording again; %d frames are not in it", self.path, self._dropped)
            self._failing = False

    def _drop(self, frames: int) -> None:
        with self._changed:
            self._dropped += frames

    def _put(self, descriptor: int, data: bytes) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(descriptor, data[done:], self._end + done)

    def _sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)
        self._synced_t = time.monotonic()

    def _fail(self, descriptor: int, error: OSError, frames: int) -> None:
        try:
            os.ftruncate(descriptor, self._end)
        except OSError as left:
            log.debug("%s: ends in half a block: %s", self.path, left.strerror)  # which a reader leaves out
        self._drop(frames)
        self._put_off(f"{self.path}: {error.strerror}")

    def _put_off(self, why: str) -> None:
        with self._changed:
            first, self._failing = not self._failing, True
            self._retry_t = time.monotonic() + RETRY_S
            self._changed.notify_all()
        if first:
            log.warning(
                "%s; not recording, everything else goes on; free some space: tried again every %g s",
                why,
                RETRY_S,
            )


def _opened(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        what = f"sink.record.path {path}: {error.strerror}; set it to a file that can be written"
        raise not_opened(what, error) from None
    except ValueError:  # a null byte
        raise ConfigError(f"sink.record.path {str(path)!r}: no name of a file") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"sink.record.path {path}: is not a file; set it to one")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SinkError(f"sink.record.path {path}: another process records to it; set another one") from None
    except OSError as error:
        log.debug("%s: cannot be locked: %s", path, error.strerror)  # a network's file system; one writer is up to you
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _continued(path: Path, descriptor: int) -> tuple[int, int]:
    """Where to go on, and the session in force there."""
    start = os.pread(descriptor, len(MAGIC), 0)
    if len(start) < len(MAGIC) and MAGIC.startswith(start):
        return 0, 0  # new, or its writer was killed before its first block
    try:
        with read(path) as recording:
            session = recording.session_at_end()
            _cut(recording, descriptor)
            return recording.good_end, session
    except SourceError as error:
        raise ConfigError(f"sink.record.path {error}") from None


def _cut(recording: Recording, descriptor: int) -> None:
    if recording.torn:
        log.warning("%s; going on after it", recording.warning)
        os.ftruncate(descriptor, recording.good_end)

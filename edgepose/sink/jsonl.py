"""One JSON message a line, to a file or to standard output."""

from __future__ import annotations

import errno
import json
import logging
import os
import select
import stat
import sys
import time
from io import RawIOBase
from pathlib import Path
from typing import Any, NamedTuple, cast

from edgepose import wire
from edgepose.core.errors import ConfigError, ReaderLeftError, SinkError, not_opened
from edgepose.core.poses import Frame, Poses
from edgepose.core.secret import private
from edgepose.sink.base import Sink

log = logging.getLogger("edgepose.sink.jsonl")

LONGEST_LINE = 1 << 20
"""Bytes of a line that is looked at."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class JsonlSink(Sink):
    """Appends to `path` ("-" is standard output); a reader sees each line as soon as it is written.

    live  lines say when a frame was taken and how old it was; those of a recording tell nothing of when it was
          read, and are the same bytes each time
    overwrite  an earlier run's lines go

    Raises:
        ConfigError: `path` cannot be a file of lines, or is one of something else.
        SinkError: it cannot be opened now.
    """

    def __init__(self, path: str, device: str, camera: str, *, live: bool = True, overwrite: bool = False) -> None:
        self._device, self._camera, self._live = device, camera, live
        self._is_stdout = path == "-"
        self._where = "standard output" if self._is_stdout else path
        self._out = _stdout() if self._is_stdout else _append(path, overwrite)
        self._closed = False
        self._sent = self._number = 0
        self._run = os.urandom(4).hex() if live else ""

    @property
    def counts(self) -> dict[str, int]:
        """sent: whole lines written."""
        return {"sent": self._sent}

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """Write one line, whole or not at all.

        Raises:
            SinkError: the disk is full, the device gone, or (ReaderLeftError) nobody reads the pipe any more.
        """
        if self._closed:
            raise ValueError("JsonlSink is closed")
        clocks = (time.monotonic(), time.time()) if self._live else ()
        self._put(wire.encode(poses, self._device, self._camera, *clocks) + b"\n")
        self._sent += 1

    def write_meaning(self, meaning: Any, poses: Poses) -> None:
        """A line for each event, and one for how rules stand when that changes.

        Their `captured` of a recording that does not say when it was made is its position, from 1970 on.
        """
        age_s = poses.age_s(time.monotonic(), time.time()) if self._live else 0.0
        wall = time.time() - age_s if self._live else poses.t if poses.taken_wall is None else poses.taken_wall
        for told in meaning.events:
            self._number += 1
            event = wire.event_of_rule(told, poses, self._number, self._run, self._device, self._camera, wall, age_s)
            self._put(wire.encode_event(event) + b"\n")
        if meaning.rules is not None:
            stand = wire.meaning_of(meaning.rules, poses, self._run, self._device, self._camera, wall, age_s)
            self._put(wire.encode_struct(stand) + b"\n")

    def _put(self, line: bytes) -> None:
        done = 0
        try:
            while done < len(line):
                wrote = self._out.write(line[done:])
                if wrote is None:  # somebody made the pipe non-blocking, and it is full
                    select.select([], [self._out], [])
                done += wrote or 0
        except OSError as error:
            self._take_back(done)
            raise self._failed(error) from None

    def _take_back(self, done: int) -> None:
        """Cut off the `done` bytes of a line that did not fit, where they are the end of a plain file."""
        if not done or self._is_stdout:
            return
        try:
            state = os.fstat(self._out.fileno())
            if stat.S_ISREG(state.st_mode):
                os.ftruncate(self._out.fileno(), state.st_size - done)
        except OSError as error:
            log.warning("%s: ends in half a line: %s", self._where, error.strerror)

    def _failed(self, error: OSError) -> SinkError:
        lines = f"after {self._sent} lines"
        if isinstance(error, BrokenPipeError):
            return ReaderLeftError(f"{self._where}: closed by its reader {lines}", retryable=not self._is_stdout)
        if error.errno in FULL:
            return SinkError(f"{self._where}: {error.strerror} {lines}; free some space or set another sink.jsonl.path")
        return SinkError(f"{self._where}: {error.strerror} {lines}; check the device or set another sink.jsonl.path")

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if not self._closed and not self._is_stdout:
            self._out.close()
        self._closed = True


def _stdout() -> RawIOBase:
    """Standard output below its buffers, so that nothing is left to flush when the reader is gone."""
    if sys.stdout is None:
        raise ConfigError("sink.jsonl.path is -, but standard output is closed; set it to a file")
    sys.stdout.flush()
    return cast(RawIOBase, getattr(sys.stdout.buffer, "raw", sys.stdout.buffer))


def _append(path: str, overwrite: bool) -> RawIOBase:
    """Open for appending; a last line that an earlier run left unfinished is ended first."""
    try:
        held = _held(path)
        out = open(path, "wb" if overwrite else "ab", buffering=0, opener=private)  # noqa: SIM115 (the sink closes it)
    except OSError as error:
        what = f"sink.jsonl.path {path}: {error.strerror}; set it to a file that can be written"
        raise not_opened(what, error) from None
    except ValueError:  # a null byte
        raise ConfigError(f"sink.jsonl.path {path!r}: no name of a file") from None
    if held.size and not overwrite:
        log.info("%s: has %d bytes; lines are appended; sink.jsonl.overwrite starts it anew", path, held.size)
    try:
        if not held.whole and not overwrite:
            out.write(b"\n")
    except OSError as error:
        out.close()
        raise SinkError(f"{path}: {error.strerror}; free some space or set another sink.jsonl.path") from None
    return out


class _Held(NamedTuple):
    """What a file holds before the run."""

    size: int
    whole: bool
    """It ends with a line's end."""


def _held(path: str) -> _Held:
    """What is there; a ConfigError where it is anything but JSON lines."""
    file = Path(path)
    if not file.is_file() or not (size := file.stat().st_size):
        return _Held(0, True)
    with file.open("rb") as lines:
        first = lines.readline(LONGEST_LINE)
        lines.seek(max(0, size - LONGEST_LINE))
        last = lines.read(LONGEST_LINE)
    ends = last.endswith(b"\n")
    whole = [first] if first.endswith(b"\n") else []
    whole += last.splitlines()[1 if size > LONGEST_LINE else 0 : None if ends else -1][-1:]
    if not (any(map(_is_json, whole)) if whole else first.startswith(b"{")):
        raise ConfigError(
            f"sink.jsonl.path {path}: holds no JSON lines, and nothing is added to what is something else; "
            "set it to another file"
        )
    return _Held(size, ends)


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False

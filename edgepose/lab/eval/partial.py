"""Answers kept while a run goes on, so that an interrupted one goes on where it ended."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from io import BufferedWriter
from pathlib import Path

import msgspec

import edgepose
from edgepose.core import config, places
from edgepose.core.secret import private
from edgepose.lab.eval.find import Seen
from edgepose.lab.eval.truth import Truth

log = logging.getLogger("edgepose.lab.eval")

KEEP = 20
"""Unfinished runs kept; older ones go."""


def key_of(cfg: config.Config, truth: Truth, how: str, models: str) -> str:
    """A name for a run: other settings, models, pictures or annotations give another one.

    models  what says which files the models are
    """
    reported = hashlib.sha256()
    for part in (edgepose.__version__, how, models, *(repr(value) for value in (cfg.engine, cfg.decode, cfg.estimate))):
        reported.update(part.encode() + b"\0")
    for picture in (*truth.pictures, *truth.empties):
        status = picture.path.stat()
        boxes = [person.box_xywh for person in picture.people]
        reported.update(repr((picture.id, picture.name, status.st_size, status.st_mtime_ns, boxes)).encode())
    reported.update(repr(truth.skeleton.joints).encode())
    return reported.hexdigest()[:24]


class Partial:
    """A file of answers, one line each; removed when the run is whole."""

    def __init__(self, key: str, fresh: bool = False) -> None:
        self.path = _folder() / f"{key}.jsonl"
        if fresh:
            self.path.unlink(missing_ok=True)
        self.seen = _read(self.path)
        """By picture."""
        self._out: BufferedWriter | None = None
        self._keeps = True

    def add(self, one: Seen) -> None:
        """Keep one more answer."""
        self.seen[one.picture_id] = one
        if not self._keeps:
            return
        try:
            if self._out is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._out = open(self.path, "ab", opener=private)  # noqa: SIM115 (closed with the run)
            self._out.write(msgspec.json.encode(one) + b"\n")
            self._out.flush()
        except OSError as error:  # a full disk only costs the going on
            log.warning("%s: %s; an interrupted run would start again", self.path, error.strerror)
            self._keeps = False

    def close(self) -> None:
        """Stop writing; what is there stays."""
        if self._out is not None:
            self._out.close()
            self._out = None

    def done(self) -> None:
        """The run is whole: forget."""
        self.close()
        self.path.unlink(missing_ok=True)


def _folder() -> Path:
    caches = places.caches()
    folder = (caches[0] if caches else Path(tempfile.gettempdir()) / "edgepose") / "eval"
    old = sorted(folder.glob("*.jsonl"), key=lambda path: -path.stat().st_mtime) if folder.is_dir() else []
    for path in old[KEEP:]:
        path.unlink(missing_ok=True)
    return folder


def _read(path: Path) -> dict[int, Seen]:
    """The whole lines of a file; one cut off at its end, or damaged, ends it."""
    seen: dict[int, Seen] = {}
    if not path.is_file():
        return seen
    whole = 0
    content = path.read_bytes()
    for line in content.splitlines(keepends=True):
        try:
            one = msgspec.json.decode(line, type=Seen)
        except msgspec.MsgspecError:
            break
        if not line.endswith(b"\n"):
            break
        seen[one.picture_id] = one
        whole += len(line)
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    return seen

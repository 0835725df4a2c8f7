"""The file of a spool: everything that knows sqlite."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

RESERVE_BYTES = 1 << 18
"""Taken from the disk at once, so that a disk that fills up later still has room for the newest."""
LOCK_S = 2.0
"""How long another process may take to let go."""
ROW_BYTES = 48
"""What the disk needs beside topic and payload."""
VERSION = 1
"""Of the file's layout."""


class Item(NamedTuple):
    """Something to deliver."""

    number: int
    topic: str
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes it counts for."""
        return len(self.payload) + len(self.topic.encode()) + ROW_BYTES


class Disk:
    """The file. Nobody else may open it meanwhile: sqlite's own lock, which the kernel ends with the process."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not path.exists()
        if is_new:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._max_bytes = max_bytes
        self._db = sqlite3.connect(path, timeout=LOCK_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(max_bytes)
        except BaseException:
            self._db.close()
            raise
        if is_new:
            sync_folder(path.parent)

    def _prepare(self, max_bytes: int) -> None:
        run = self._db.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA wal_autocheckpoint = 200")
        run("PRAGMA cache_size = -256")  # KiB: memory stays the same however long the queue gets
        run(f"PRAGMA journal_size_limit = {4 * RESERVE_BYTES}")
        (version,) = run("PRAGMA user_version").fetchone()
        tables = {name for (name,) in run("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}
        if (version, tables) != (VERSION, {"item"}):
            if version or tables - {"room"}:
                raise sqlite3.DatabaseError(f"holds {', '.join(tables)} of version {version}, expected {VERSION}")
            self._reserve(min(RESERVE_BYTES, max_bytes))
            with self._all_or_nothing():
                run("CREATE TABLE item (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload BLOB)")
                run(f"PRAGMA user_version = {VERSION}")
        with self._all_or_nothing():  # takes the lock, and tells whether the disk may be written
            run("UPDATE sqlite_sequence SET seq = seq")
        (verdict,) = run("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        size = f"length(payload) + length(CAST(topic AS BLOB)) + {ROW_BYTES}"
        self.rows, self.bytes = run(f"SELECT count(*), coalesce(sum({size}), 0) FROM item").fetchone()  # noqa: S608
        last = run("SELECT seq FROM sqlite_sequence WHERE name = 'item'").fetchone()
        self.last: int = last[0] if last else 0
        """Highest number ever kept; 0: none yet."""

    def _reserve(self, size: int) -> None:
        """Have the disk give `size` to the journal and to the file, really written, and keep it as free pages."""
        run = self._db.execute
        with self._all_or_nothing():
            run("CREATE TABLE IF NOT EXISTS room (bytes BLOB)")
            run("INSERT INTO room VALUES (randomblob(?))", (size,))
        run("PRAGMA wal_checkpoint(RESTART)").fetchone()
        with self._all_or_nothing():
            run("DROP TABLE room")
        run("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def write(self, items: list[Item]) -> int:
        """Add `items` for good; how many old ones went for them."""
        size, dropped, freed = sum(item.size for item in items), 0, 0
        with self._all_or_nothing():
            if self.bytes + size > self._max_bytes:
                dropped, freed = self._delete_oldest(self.bytes + size - self._max_bytes)
            self._db.executemany("INSERT OR IGNORE INTO item VALUES (?, ?, ?)", items)
        self.rows += len(items) - dropped
        self.bytes += size - freed
        return dropped

    def give_up_some(self) -> int:
        """Delete a tenth of them, the oldest, in the room that the journal has; how many."""
        self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        with self._all_or_nothing():
            dropped, freed = self._delete_oldest(max(1, self.bytes // 10))
        self.rows -= dropped
        self.bytes -= freed
        return dropped

    def read(self, limit: int, after: int) -> list[Item]:
        """The oldest above `after`."""
        query = "SELECT number, topic, payload FROM item WHERE number > ? ORDER BY number LIMIT ?"
        return [Item(*row) for row in self._db.execute(query, (after, limit))]

    def delete(self, numbers: Iterable[int]) -> None:
        """Delete them, without waiting for the disk."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._all_or_nothing():
                gone, freed = 0, 0
                for number in numbers:
                    for item in self.read(1, number - 1):
                        if item.number == number:
                            gone, freed = gone + 1, freed + item.size
                    self._db.execute("DELETE FROM item WHERE number = ?", (number,))
        finally:
            self._db.execute("PRAGMA synchronous = FULL")
        self.rows -= gone
        self.bytes -= freed

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def _delete_oldest(self, size: int) -> tuple[int, int]:
        """Delete at least `size` bytes; how many items and bytes."""
        count, freed, last = 0, 0, 0
        for row in self._db.execute("SELECT number, topic, payload FROM item ORDER BY number"):
            if freed >= size:
                break
            item = Item(*row)
            count, freed, last = count + 1, freed + item.size, item.number
        self._db.execute("DELETE FROM item WHERE number <= ?", (last,))
        return count, freed

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def sync_folder(folder: Path) -> None:
    """Make sure that a new file in it is found again after a cut of power."""
    at = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(at)
    finally:
        os.close(at)

"""The file of a spool: everything that knows sqlite."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

RESERVE_BYTES = 1 << 18
"""Taken from the disk at once, so that a disk that fills up later still has room for the newest."""
LOCK_S = 2.0
"""How long another process may take to let go."""
ROW_BYTES = 48
"""What the disk needs beside topic and payload."""
VERSION = 2
"""Of the file's layout. Version 1 had no checksums and no `about`; it is brought up to date."""
MOST_NUMBER = 1 << 53
"""Readers of JSON have whole numbers exactly below it."""
TROUBLE = (OSError, sqlite3.Error, sqlite3.Warning, ValueError, TypeError, ArithmeticError, LookupError)
"""What comes of a file that cannot be opened or read, or holds what nobody wrote."""


class Item(NamedTuple):
    """Something to deliver."""

    number: int
    topic: str
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes it counts for."""
        return len(self.payload) + len(self.topic.encode()) + ROW_BYTES

    @property
    def row(self) -> tuple[int, str, bytes, int]:
        """As it is stored: with its checksum."""
        return *self, zlib.crc32(b"%d\0%s\0%s" % (self.number, self.topic.encode(), self.payload))


COLUMNS = "number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload BLOB, crc INTEGER"
ROW = "number, CAST(topic AS BLOB), payload, crc"


def _item(number: object, topic: object, payload: object, crc: object) -> Item | None:
    """What a row says; None if it is not as it was written. Rows of version 1 have no checksum."""
    if not isinstance(number, int) or not isinstance(topic, bytes) or not isinstance(payload, bytes):
        return None
    try:
        item = Item(number, topic.decode(), payload)
    except UnicodeDecodeError:
        return None
    return item if crc in (None, item.row[3]) else None


def _last(number: int) -> str:
    """As it is stored beside sqlite's own: with its checksum."""
    return f"{number} {zlib.crc32(b'%d' % number)}"


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
        if (version, tables) == (1, {"item"}):
            with self._all_or_nothing():
                run("ALTER TABLE item ADD COLUMN crc INTEGER")
                self._describe()
        elif (version, tables) != (VERSION, {"item", "about"}):
            if version or tables - {"room"}:
                raise sqlite3.DatabaseError(f"holds {', '.join(tables)} of version {version}, expected {VERSION}")
            self._reserve(min(RESERVE_BYTES, max_bytes))
            with self._all_or_nothing():
                run(f"CREATE TABLE item ({COLUMNS})")
                self._describe()
        with self._all_or_nothing():  # takes the lock, and tells whether the disk may be written
            run("UPDATE sqlite_sequence SET seq = seq")
        (verdict,) = run("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        size = f"coalesce(length(payload), 0) + coalesce(length(CAST(topic AS BLOB)), 0) + {ROW_BYTES}"
        told = run(f"SELECT count(*), coalesce(sum({size}), 0), max(number) FROM item")  # noqa: S608
        self.rows, self.bytes, last = told.fetchone()
        given = run("SELECT seq FROM sqlite_sequence WHERE name = 'item'").fetchone()
        self.last: int = max(last or 0, given[0] if given else 0)
        """Highest number ever kept; 0: none yet."""
        (self.lineage,) = run("SELECT value FROM about WHERE key = 'lineage'").fetchone()
        """Names the file, from its making or the last `doubt` on."""
        written = run("SELECT value FROM about WHERE key = 'last'").fetchone()
        self.sure = written is None or written[0] == _last(self.last)
        """The highest number is as it was written."""
        if not 0 <= self.last < MOST_NUMBER or not isinstance(self.lineage, str):
            raise sqlite3.DatabaseError("holds numbers or names that nobody gave")
        self.rotten = 0
        """Rows that were found not to be as they were written, and deleted."""

    def _describe(self) -> None:
        self._db.execute("CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT)")
        self._db.execute("INSERT INTO about VALUES ('lineage', ?)", (secrets.token_hex(8),))
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    def doubt(self) -> None:
        """Its highest number may not be the highest given: from now on it is as another file, also to the broker."""
        lineage = secrets.token_hex(8)
        with self._all_or_nothing():
            self._db.execute("UPDATE about SET value = ? WHERE key = 'lineage'", (lineage,))
        self.lineage = lineage

    def _note_last(self, number: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO about VALUES ('last', ?)", (_last(number),))

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
        last = max([self.last, *(item.number for item in items)])
        with self._all_or_nothing():
            if self.bytes + size > self._max_bytes:
                dropped, freed = self._delete_oldest(self.bytes + size - self._max_bytes)
            self._db.executemany("INSERT OR IGNORE INTO item VALUES (?, ?, ?, ?)", [item.row for item in items])
            self._note_last(last)
        self.last = last
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
        """The oldest above `after`; rows that are not as they were written are deleted, and counted as `rotten`."""
        items: list[Item] = []
        while len(items) < limit:
            query = f"SELECT {ROW} FROM item WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608
            rows = self._db.execute(query, (after, limit - len(items))).fetchall()
            found = [(row[0], _item(*row)) for row in rows]
            items += [item for _, item in found if item is not None]
            rotten = [number for number, item in found if item is None]
            if not rotten:
                break
            after = rows[-1][0]
            self._delete_rotten(rotten)
        return items

    def _delete_rotten(self, numbers: list[int]) -> None:
        with self._all_or_nothing():
            self._db.executemany("DELETE FROM item WHERE number = ?", [(number,) for number in numbers])
        self.rotten += len(numbers)
        self.rows -= len(numbers)

    def renumber(self, start: int, remake: Callable[[bytes, int], bytes]) -> None:
        """Give all of them new numbers, from `start` on, in their order; above all they have."""
        after, number = 0, start
        with self._all_or_nothing():
            while rows := self._db.execute(
                f"SELECT {ROW} FROM item WHERE number > ? AND number < ? ORDER BY number LIMIT 256",  # noqa: S608
                (after, start),
            ).fetchall():
                after = rows[-1][0]
                for old in filter(None, (_item(*row) for row in rows)):
                    new = Item(number, old.topic, remake(old.payload, number))
                    self._db.execute("INSERT INTO item VALUES (?, ?, ?, ?)", new.row)
                    number += 1
                self._db.execute("DELETE FROM item WHERE number <= ?", (after,))
            self._note_last(max(self.last, number - 1))
        self.last = max(self.last, number - 1)

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
        for row in self._db.execute(f"SELECT {ROW} FROM item ORDER BY number"):  # noqa: S608
            if freed >= size:
                break
            item = _item(*row)
            count, freed, last = count + 1, freed + (item.size if item else ROW_BYTES), row[0]
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


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is why; else the disk, or somebody else who has it."""
    if isinstance(error, OSError):
        return False
    return not (isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in DISK_SAYS))


def is_locked(error: BaseException) -> bool:
    """Whether somebody else has the file."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


DISK_SAYS = (
    "locked",
    "unable to open",
    "disk I/O error",
    "full",
    "readonly",
    "out of memory",
    "permission",
    "interrupt",
)
"""What sqlite says where the disk or somebody else is why."""


def is_healthy(path: Path) -> bool:
    """Whether its disk gives it to us and takes what a new one needs: then the file is why it does not work."""
    try:
        with path.open("r+b") as file:
            while file.read(1 << 20):
                pass
        probe = path.with_name(f"{path.name}.probe")
        with probe.open("wb") as file:
            file.write(bytes(RESERVE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        probe.unlink()
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make sure that a new file in it is found again after a cut of power."""
    at = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(at)
    finally:
        os.close(at)

"""A queue on disk that loses nothing it told to have kept: not with the program, not with the power. stdlib sqlite3.

Numbers rise by one from item to item for ever. They jump forward, to the clock's microseconds since 1970 (below 2^53,
so that every reader of JSON has them exactly), only where the last one is not known for sure: with a new file, and
after an end during which the disk took nothing. The clock may be behind: whoever knows a higher number says so
with raise_to().

Each put() waits until the disk has it (synchronous FULL: 4 ms on the SSD it was measured on; NORMAL, 0.02 ms, loses
the newest in a cut of power). Whoever must not wait gives it a thread of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from edgepose.core.errors import one_line
from edgepose.sink.mqtt.spool.disk import TROUBLE, Disk, Item, is_damage, is_healthy, is_locked

log = logging.getLogger("edgepose.sink.mqtt.spool")

MEMORY_BYTES = 1 << 20
"""Kept in memory at most while the disk takes nothing."""
RETRY_S = 5.0
"""From one look at a disk that took nothing to the next."""
GIVE_UP_AFTER = 3
"""Looks in a row at a file that does not open although its disk is well: it is damaged."""


class Spool:
    """First in, first out; safe to call from any thread.

    path       its file; None keeps everything in memory
    max_bytes  beyond it the oldest go, counted and told
    """

    def __init__(self, path: Path | None, max_bytes: int, *, retry_s: float | None = None) -> None:
        """A disk that takes nothing, or somebody else who has the file: told, and looked at again every `retry_s`."""
        self.path, self._max_bytes = path, max_bytes
        self._retry_s = RETRY_S if retry_s is None else retry_s
        self._lock = threading.RLock()
        self._disk: Disk | None = None
        self._memory: deque[Item] = deque()
        self._memory_bytes = 0
        self._gone: set[int] = set()
        self._dropped = self._failed = self._looks = 0
        self._lineage = secrets.token_hex(8)
        self.trouble = ""
        """Why the disk takes nothing now."""
        self._failing = self._overflowing = False
        self._retry_t = 0.0
        self._next = _clock()
        self.openings = 0
        """How often the file was found (again): what was out of reach may be there once more."""
        if path is not None:
            try:
                self._open(path)
            except TROUBLE as error:
                self._fail(error)

    @property
    def counts(self) -> dict[str, int]:
        """kept: waiting now; dropped: oldest given up for room; failed: the disk did not take it, memory did."""
        with self._lock:
            on_disk = max(0, self._disk.rows - len(self._gone)) if self._disk else 0
            return {"kept": on_disk + len(self._memory), "dropped": self._dropped, "failed": self._failed}

    @property
    def on_disk(self) -> bool:
        """What is put now outlives the program."""
        return self._disk is not None and not self._failing

    @property
    def lineage(self) -> str:
        """Names where the numbers come from: the file, or without one this object."""
        return self._disk.lineage if self._disk is not None else self._lineage

    @property
    def next(self) -> int:
        """The number that the next item gets."""
        return self._next

    def raise_to(self, number: int, remake: Callable[[bytes, int], bytes]) -> None:
        """Give no number below `number` any more; what waits gets new ones, in its order.

        remake  the payload with another number in it
        """
        with self._lock:
            if number <= self._next:
                return
            self._forget()
            memory, self._next = list(self._memory), number
            if self._disk is not None:
                try:
                    self._disk.renumber(number, remake)
                    self._next = max(self._next, self._disk.last + 1)
                except TROUBLE as error:
                    self._fail(error)
            self._gone.clear()
            renumbered = [Item(at, item.topic, remake(item.payload, at)) for at, item in enumerate(memory, self._next)]
            self._next += len(renumbered)
            self._set_memory(renumbered)
            self.openings += 1

    def put(self, topic: str, make: Callable[[int], bytes]) -> int:
        """Keep what `make` makes of the number it gets; the number. When this returns, `on_disk` tells for how long.

        Raises:
            ValueError: longer than the whole spool; or what `make` raises. The number is not used up.
        """
        with self._lock:
            item = Item(self._next, topic, make(self._next))
            if item.size > self._max_bytes:
                raise ValueError(f"an item of {item.size} bytes does not fit a spool of {self._max_bytes}")
            self._next += 1
            self.recover()
            if not self.on_disk or not self._keep([item]):
                self._remember(item)
            return item.number

    def pending(self, limit: int, after: int = 0) -> list[Item]:
        """The oldest that are not done, at most `limit`, with numbers above `after`."""
        with self._lock:
            self.recover()
            items: list[Item] = []
            if self._disk is not None:
                try:
                    items = self._disk.read(limit + len(self._gone), after)
                    self._tell_rotten(self._disk)
                except TROUBLE as error:
                    self._fail(error)
            items += [item for item in self._memory if item.number > after]
            return [item for item in items if item.number not in self._gone][:limit]

    @property
    def oldest(self) -> int:
        """Number of the oldest that is not done; 0 when there is none."""
        first = self.pending(1)
        return first[0].number if first else 0

    def done(self, *numbers: int) -> None:
        """Forget those; not yet for a cut of power, after which they may be pending once more."""
        with self._lock:
            wanted = set(numbers)
            in_memory = {item.number for item in self._memory if item.number in wanted}
            if in_memory:
                self._set_memory(item for item in self._memory if item.number not in in_memory)
            if self.path is not None:
                self._gone |= wanted - in_memory
                self._forget()
            if self._overflowing and not self.counts["kept"]:
                self._overflowing = False
                log.info("%s: empty again", self.path or "events in memory")

    def close(self) -> None:
        """Let go of the file; a second call does nothing. What only memory has is given up and told."""
        with self._lock:
            self._retry_t = 0.0
            self.recover()
            if self._memory and self.path is not None:
                log.warning("%s: gave up %d events the disk did not take", self.path, len(self._memory))
            if self._memory:
                self._dropped += len(self._memory)
                self._set_memory(())
            disk, self._disk, self.path = self._disk, None, None
            if disk is not None:
                disk.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------- to the disk

    def _open(self, path: Path) -> None:
        try:
            self._disk = Disk(path, self._max_bytes)
        except TROUBLE as error:
            self._looks += 1
            if not is_damage(error) and not self._never_opens(path, error):
                raise
            self._put_aside(path, error)
            self._disk = Disk(path, self._max_bytes)
        self._looks = 0
        self.openings += 1
        disk = self._disk
        sure = disk.sure and _marker(path).exists()
        if disk.last and not sure:
            disk.doubt()
        known = disk.last + 1 if disk.last and sure else _clock()
        self._next = max(self._next if self._memory or self._failing else 0, known, disk.last + 1)
        _mark(path)

    def _never_opens(self, path: Path, error: BaseException) -> bool:
        return self._looks >= GIVE_UP_AFTER and not is_locked(error) and path.exists() and is_healthy(path)

    def _tell_rotten(self, disk: Disk) -> None:
        if disk.rotten:
            self._dropped += disk.rotten
            log.error("%s: %d events in it are damaged; they are dropped, and counted", self.path, disk.rotten)
            disk.rotten = 0

    def _put_aside(self, path: Path, error: Exception) -> None:
        aside = path.with_name(f"{path.name}.broken")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
        with contextlib.suppress(OSError):
            _marker(path).unlink(missing_ok=True)
        log.error("%s: damaged (%s); moved to %s, started a new one; what waited in it is lost", path, error, aside)

    def _keep(self, items: list[Item]) -> bool:
        """Write them; with a full disk the oldest go first."""
        replaced = False
        while (disk := self._disk) is not None:
            try:
                dropped = disk.write(items)
            except TROUBLE as error:
                if "full" in str(error) and self._make_room(disk):
                    continue
                self._fail(error, replace=not replaced)
                if self.on_disk:
                    replaced = True
                    continue
                return False
            if dropped:
                self._drop(dropped, f"holds {self._max_bytes / 1e6:g} MB, its limit (sink.mqtt.spool_mb)")
            self._failing, self.trouble = False, ""
            return True
        return False

    def _make_room(self, disk: Disk) -> bool:
        """On a full disk: give up some of the oldest."""
        try:
            given_up = disk.give_up_some()
        except TROUBLE:
            return False
        if given_up:
            self._drop(given_up, "the disk is full")
        return given_up > 0

    def _drop(self, count: int, why: str) -> None:
        self._dropped += count
        level = logging.DEBUG if self._overflowing else logging.WARNING
        self._overflowing = True
        log.log(level, "%s: %s; the oldest events go, and are counted", self.path or "events in memory", why)

    def _fail(self, error: Exception, *, replace: bool = True) -> None:
        """Memory from now on, unless it was damage and a new file does."""
        self._retry_t = time.monotonic() + self._retry_s
        path, disk = self.path, self._disk
        if path is None:  # closed
            return
        self.trouble = "another process has it" if is_locked(error) else one_line(str(error))
        if disk is not None and "full" not in str(error):  # a full one can still be read
            self._disk = None
            disk.close()
            if replace and is_damage(error):
                self._dropped += disk.rows
                with contextlib.suppress(*TROUBLE):
                    self._put_aside(path, error)
                    self._open(path)
                    self.trouble = ""
                    return
        if not self._failing:
            self._failing = True
            why = self.trouble
            if is_locked(error):
                why += ": another edgepose of the same device and camera, or somebody who reads it with sqlite3"
            log.warning(
                "%s: cannot keep events (%s); up to %.1f MB wait in memory, which ends with the program",
                path, why, min(MEMORY_BYTES, self._max_bytes) / 1e6,
            )  # fmt: skip
        with contextlib.suppress(OSError):
            _marker(path).unlink(missing_ok=True)

    def recover(self) -> None:
        """Look, if it is time, whether the disk takes things again; what waits in memory goes there."""
        with self._lock:
            if self.path is not None and self._failing and time.monotonic() >= self._retry_t:
                self._look_again(self.path)

    def _look_again(self, path: Path) -> None:
        self._retry_t = time.monotonic() + self._retry_s
        if self._disk is None:
            try:
                self._open(path)
            except TROUBLE as error:
                self.trouble = "another process has it" if is_locked(error) else one_line(str(error))
                log.debug("%s: still not (%s)", path, error)
                return
        self._forget()
        if self._keep(list(self._memory)):
            self._set_memory(())
            _mark(path)
            log.info("%s: keeps events again", path)

    def _forget(self) -> None:
        """Delete what is done; what the disk does not let go of is remembered, and skipped."""
        if self._disk is None or not self._gone:
            return
        try:
            self._disk.delete(self._gone)
            self._gone.clear()
            self._tell_rotten(self._disk)
        except TROUBLE as error:
            self._fail(error)

    # ------------------------------------------------------------------------------------------------- in memory

    def _remember(self, item: Item) -> None:
        if self.path is not None:
            self._failed += 1
        limit = self._max_bytes if self.path is None else min(MEMORY_BYTES, self._max_bytes)
        self._memory.append(item)
        self._memory_bytes += item.size
        while self._memory_bytes > limit and len(self._memory) > 1:
            self._memory_bytes -= self._memory.popleft().size
            self._drop(1, f"{limit / 1e6:g} MB wait in memory, the limit")

    def _set_memory(self, items: Iterable[Item]) -> None:
        self._memory = deque(items)
        self._memory_bytes = sum(item.size for item in self._memory)


def _clock() -> int:
    return int(time.time() * 1e6)


def _marker(path: Path) -> Path:
    """Is there while every number ever given is in the file. Taking a file away works on a full disk."""
    return path.with_name(f"{path.name}.sure")


def _mark(path: Path) -> None:
    with contextlib.suppress(OSError):  # without it numbers jump after the next start, which does no harm
        os.close(os.open(_marker(path), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))

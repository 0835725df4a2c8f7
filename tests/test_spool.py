"""The spool alone: order, limits, disks that fail, and processes and power that end at any moment."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.core import places
from edgepose.sink.mqtt.spool import Item, Spool
from edgepose.sink.mqtt.spool import disk as disk_module
from edgepose.sink.mqtt.spool import queue as queue_module
from edgepose.sink.mqtt.spool.disk import ROW_BYTES, Disk

MB = 1_000_000


@pytest.fixture(autouse=True)
def _listen_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgepose.sink.mqtt.spool")


def named(number: int) -> bytes:
    return f"item {number}".encode()


def numbers(spool: Spool, limit: int = 10**6) -> list[int]:
    return [item.number for item in spool.pending(limit)]


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in message for message in caplog.messages)


# ------------------------------------------------------------------------------------------------------------ a queue


@pytest.mark.parametrize("in_memory", [False, True], ids=["disk", "memory"])
def test_first_in_first_out_and_each_knows_its_number(tmp_path: Path, in_memory: bool) -> None:
    with Spool(None if in_memory else tmp_path / "a.db", MB) as spool:
        first, second, third = (spool.put("events", named) for _ in range(3))
        assert (second, third) == (first + 1, first + 2)
        assert [item.payload for item in spool.pending(2)] == [named(first), named(second)]
        spool.done(first)
        assert numbers(spool) == [second, third]
        assert [item.number for item in spool.pending(9, after=second)] == [third]
        spool.done(third, second)
        assert (numbers(spool), spool.counts) == ([], {"kept": 0, "dropped": 0, "failed": 0})


def test_what_was_not_done_is_there_again_and_numbers_go_on(tmp_path: Path) -> None:
    with Spool(tmp_path / "a.db", MB) as spool:
        put = [spool.put("events", named) for _ in range(5)]
        spool.done(*put[:3])
    with Spool(tmp_path / "a.db", MB) as spool:
        assert numbers(spool) == put[3:]
        spool.done(*put)
    with Spool(tmp_path / "a.db", MB) as spool:
        assert spool.put("events", named) == put[-1] + 1, "numbers never come again, even when nothing is left"


def test_an_item_that_cannot_be_made_uses_no_number(tmp_path: Path) -> None:
    def fails(_number: int) -> bytes:
        raise RuntimeError("a bug")

    with Spool(tmp_path / "a.db", MB) as spool:
        first = spool.put("events", named)
        with pytest.raises(RuntimeError):
            spool.put("events", fails)
        with pytest.raises(ValueError, match="does not fit"):
            spool.put("events", lambda _number: bytes(MB))
        assert spool.put("events", named) == first + 1


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    with Spool(tmp_path / "state" / "a.db", MB) as spool:
        spool.put("events", named)
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}

    assert modes == {0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


# ------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("in_memory", [False, True], ids=["disk", "memory"])
def test_beyond_the_limit_the_oldest_go_counted_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, in_memory: bool
) -> None:
    size = 100 + len("events") + ROW_BYTES
    with Spool(None if in_memory else tmp_path / "a.db", 10 * size) as spool:
        put = [spool.put("events", lambda _number: bytes(100)) for _ in range(25)]
        assert numbers(spool) == put[-10:]
        assert spool.counts == {"kept": 10, "dropped": 15, "failed": 0}
        assert told(caplog, "the oldest events go, and are counted") == 1
        spool.done(*put)
        assert told(caplog, "empty again") == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 400), st.just(0)), max_size=60))
def test_it_does_what_a_list_would(actions: list[int]) -> None:
    """A number is the length of an item to put; 0: the oldest two are done."""
    limit, kept = 2000, list[tuple[int, int]]()
    with Spool(None, limit) as model, Spool(_fresh(), limit) as spool:
        for length in actions:
            for one in (model, spool):
                if length:
                    number = one.put("t", lambda _number, length=length: bytes(length))  # type: ignore[misc]
                else:
                    one.done(*[item.number for item in one.pending(2)])
            if length:
                kept.append((number, length + 1 + ROW_BYTES))
                while sum(size for _, size in kept) > limit:
                    kept.pop(0)
            else:
                kept = kept[2:]
            assert numbers(spool) == [number for number, _ in kept]
            assert spool.counts == model.counts


def _fresh() -> Path:
    import tempfile

    folder = Path(tempfile.mkdtemp())
    FRESH.append(folder)
    return folder / "a.db"


FRESH: list[Path] = []


@pytest.fixture(autouse=True, scope="module")
def _tidy() -> Iterator[None]:
    yield
    for folder in FRESH:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_file_stays_near_its_limit(tmp_path: Path) -> None:
    with Spool(tmp_path / "a.db", 300_000) as spool:
        for _ in range(40):  # 4 MB in all, 100 kB at a time
            assert spool._disk is not None
            items = [Item(spool._next + at, "events", bytes(1000)) for at in range(100)]
            spool._next += 100
            assert spool._keep(items)
        size = sum(path.stat().st_size for path in tmp_path.iterdir())

    assert size < 300_000 * 1.3 + 4 * (1 << 18) + 100_000, "the limit, what pages waste, and a journal of 1 MB"


# ---------------------------------------------------------------------------------------------------- disks that fail


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1.5 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1536k", "edgepose-test", place], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("a file system of its own may not be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on it; the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(disk).free == 0
    return filler


def test_on_a_full_disk_the_oldest_go_and_the_newest_are_kept(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Spool(small_disk / "a.db", 16 * MB) as spool:
        fill(small_disk)
        put = [spool.put("events", lambda _number: bytes(1000)) for _ in range(1500)]
        counts = spool.counts
        assert spool.on_disk
        assert counts["failed"] == 0
        assert counts["dropped"] == 1500 - counts["kept"] > 0
        assert numbers(spool) == put[-counts["kept"] :]
        assert told(caplog, "the disk is full; the oldest events go") == 1

    with Spool(small_disk / "a.db", 16 * MB) as spool:
        kept = numbers(spool)
    assert kept == put[-counts["kept"] :], "they were on the disk"


def test_a_disk_that_is_full_from_the_start_leaves_memory_until_there_is_room(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filler = fill(small_disk)
    with Spool(small_disk / "a.db", MB, retry_s=0) as spool:
        put = [spool.put("events", named) for _ in range(3)]
        assert not spool.on_disk
        assert spool.counts == {"kept": 3, "dropped": 0, "failed": 3}
        assert numbers(spool) == put
        filler.unlink()
        spool.recover()
        assert spool.on_disk
        put.append(spool.put("events", named))
    assert [told(caplog, text) for text in ("cannot keep events", "keeps events again")] == [1, 1]
    with Spool(small_disk / "a.db", MB) as spool:
        assert numbers(spool) == put


class Failing:
    """Makes every write of a Disk raise what sqlite would, while `error` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: sqlite3.Error | None = None
        write, delete = Disk.write, Disk.delete

        def failing_write(disk: Disk, *rest: object) -> object:
            if self.error:
                raise self.error
            return write(disk, *rest)  # type: ignore[arg-type]

        def failing_delete(disk: Disk, *rest: object) -> object:
            if self.error:
                raise self.error
            return delete(disk, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(Disk, "write", failing_write)
        monkeypatch.setattr(Disk, "delete", failing_delete)


def test_a_disk_that_breaks_and_works_again_keeps_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(monkeypatch)
    with Spool(tmp_path / "a.db", MB, retry_s=0) as spool:
        put = [spool.put("events", named) for _ in range(2)]
        failing.error = sqlite3.OperationalError("disk I/O error")
        put += [spool.put("events", named) for _ in range(3)]
        spool.done(put[0], put[2])
        assert spool.counts["failed"] == 3
        failing.error = None
        put += [spool.put("events", named) for _ in range(2)]
        assert spool.on_disk
        assert numbers(spool) == [put[1], *put[3:]]
    assert told(caplog, "cannot keep events (disk I/O error)") == 1
    with Spool(tmp_path / "a.db", MB) as spool:
        assert numbers(spool) == [put[1], *put[3:]]


def test_after_an_end_in_memory_numbers_jump_rather_than_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(monkeypatch)
    spool = Spool(tmp_path / "a.db", MB)
    spool.put("events", named)
    failing.error = sqlite3.OperationalError("database or disk is full")
    lost = [spool.put("events", named) for _ in range(5)]
    assert spool._disk is not None
    spool._disk.close()  # as SIGKILL does
    failing.error = None
    with Spool(tmp_path / "a.db", MB) as after:
        assert after.put("events", named) > lost[-1]


def test_memory_is_bounded_while_the_disk_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "MEMORY_BYTES", 10_000)
    failing = Failing(monkeypatch)
    failing.error = sqlite3.OperationalError("attempt to write a readonly database")
    with Spool(tmp_path / "a.db", MB) as spool:
        put = [spool.put("events", lambda _number: bytes(1000)) for _ in range(100)]
        assert spool.counts == {"kept": 9, "dropped": 91, "failed": 100}
        assert numbers(spool) == put[-9:]


def test_a_folder_that_cannot_be_written_is_told_and_memory_takes_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with Spool(tmp_path / "file" / "a.db", MB) as spool:  # even root makes no folder in a file
        put = [spool.put("events", named) for _ in range(2)]
        assert numbers(spool) == put
        assert not spool.on_disk
    assert told(caplog, "cannot keep events") == 1
    assert told(caplog, "gave up 2 events") == 1


DAMAGES = {
    "not sqlite": lambda _data: b"hello" * 1000,
    "its header": lambda data: bytes(100) + data[100:],
    "its middle": lambda data: data[:4096] + random.Random(1).randbytes(8192) + data[12288:],
    "half of it": lambda data: data[: len(data) // 2 // 4096 * 4096],
    "nothing left": lambda _data: b"",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_moved_aside_and_told(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.db"
    with Spool(path, MB) as spool:
        put = [spool.put("events", lambda _number: bytes(1000)) for _ in range(200)]
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]

    with Spool(path, MB) as spool:
        number = spool.put("events", named)
        assert number > put[-1], "numbers rise although nothing is known any more"
        assert numbers(spool) == [number]
    if damage is not DAMAGES["nothing left"]:  # that is a new file
        assert told(caplog, "damaged") == 1
        assert path.with_name("a.db.broken").exists()
    with Spool(path, MB) as spool:
        assert numbers(spool) == [number]


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "a.db")
    other.execute("CREATE TABLE precious (thing)")
    other.close()
    with Spool(tmp_path / "a.db", MB) as spool:
        spool.put("events", named)

    other = sqlite3.connect(tmp_path / "a.db.broken")
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("precious",)]
    other.close()


def test_damage_found_while_running_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(monkeypatch)
    with Spool(tmp_path / "a.db", MB, retry_s=0) as spool:
        put = [spool.put("events", named) for _ in range(3)]
        failing.error = sqlite3.DatabaseError("database disk image is malformed")
        put.append(spool.put("events", named))
        failing.error = None
        put.append(spool.put("events", named))
        assert put == sorted(set(put))
        assert numbers(spool) == put[3:]
        assert spool.counts == {"kept": 2, "dropped": 3, "failed": 1}
    assert told(caplog, "damaged (database disk image is malformed)") == 1


def waiting_in(path: Path, count: int = 5) -> list[int]:
    with Spool(path, 20_000) as spool:
        return [spool.put("edgepose/a/b/events", named) for _ in range(count)]


def test_one_damaged_byte_anywhere_costs_at_most_what_it_hit(tmp_path: Path) -> None:
    """Each place of the header, and some of the rest: it opens, keeps, and gives nothing that nobody wrote."""
    path = tmp_path / "a.db"
    put = waiting_in(path)
    whole = path.read_bytes()
    marks = whole.index(b"tableitem"), whole.index(b"item 1"), whole.index(b"edgepose/a/b/events")
    places_ = {*range(16, 100, 3), *(mark + at for mark in marks for at in range(0, 60, 4))}
    for at in sorted({*places_, *random.Random(1).sample(range(len(whole)), 100)}):
        for left in tmp_path.iterdir():
            left.unlink()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        path.with_name("a.db.sure").touch()
        with Spool(path, 20_000, retry_s=0) as spool:
            new = []
            for _ in range(4):
                new.append(spool.put("edgepose/a/b/events", named))
                items = spool.pending(100)
            assert spool.on_disk, at
            assert [item.number for item in items][-4:] == new, at
            assert all(item == (item.number, "edgepose/a/b/events", named(item.number)) for item in items), at
            assert new[0] > put[-1], at


def test_a_last_number_that_rotted_is_not_gone_on_from_even_with_a_clock_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits, so sqlite's own count is all there is: whoever keeps a bound takes it for another file."""
    path = tmp_path / "a.db"
    with Spool(path, MB) as spool:
        put = [spool.put("events", named) for _ in range(20)]
        spool.done(*put)
        lineage = spool.lineage
    whole = path.read_bytes()
    last = put[-1].to_bytes(7, "big")
    assert whole.count(last) == 1, "in sqlite_sequence, once"
    at = whole.index(last) + 6
    monkeypatch.setattr("edgepose.sink.mqtt.spool.queue._clock", lambda: 5)
    for bit in range(8):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        with Spool(path, MB) as spool:
            assert spool.lineage != lineage
    path.write_bytes(whole)
    with Spool(path, MB) as spool:
        assert (spool.lineage, spool.next) == (lineage, put[-1] + 1)


def test_after_an_end_in_memory_a_file_is_another_one_to_who_keeps_a_bound(tmp_path: Path) -> None:
    """Numbers went out that the file does not know; a clock behind would give them again."""
    with Spool(tmp_path / "a.db", MB) as spool:
        spool.put("events", named)
        lineage = spool.lineage
    (tmp_path / "a.db.sure").unlink()
    with Spool(tmp_path / "a.db", MB) as spool:
        assert spool.lineage != lineage


ROTTEN = {
    "another topic": "topic = replace(topic, 'events', 'event+')",
    "no payload": "payload = NULL",
    "text": "payload = CAST(payload AS TEXT)",
    "a number": "payload = 5",
    "a topic that is no text": "topic = CAST(x'6564ff' AS TEXT)",
    "another payload": "payload = CAST('item 0' AS BLOB)",
    "another checksum": "crc = 1",
}


@pytest.mark.parametrize("change", ROTTEN.values(), ids=ROTTEN)
def test_a_row_that_rotted_is_dropped_and_holds_back_no_other(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put = waiting_in(tmp_path / "a.db")
    other = sqlite3.connect(tmp_path / "a.db")
    other.execute(f"UPDATE item SET {change} WHERE number = ?", (put[2],))  # noqa: S608
    other.commit()
    other.close()
    with Spool(tmp_path / "a.db", 20_000) as spool:
        assert numbers(spool) == put[:2] + put[3:]
        assert spool.counts == {"kept": 4, "dropped": 1, "failed": 0}
        spool.done(*put)
        assert spool.counts["kept"] == 0
    assert told(caplog, "1 events in it are damaged") == 1


def test_a_file_of_version_1_is_read_on(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    old.execute("CREATE TABLE item (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload BLOB)")
    old.execute("INSERT INTO item VALUES (41, 'events', x'6f6c64')")
    old.execute("PRAGMA user_version = 1")
    old.close()
    (tmp_path / "a.db.sure").touch()
    for _ in range(2):
        with Spool(tmp_path / "a.db", MB) as spool:
            assert spool.pending(1) == [Item(41, "events", b"old")]
    with Spool(tmp_path / "a.db", MB) as spool:
        assert spool.put("events", named) == 42


@pytest.mark.parametrize("in_memory", [False, True], ids=["on disk", "in memory"])
def test_numbers_are_raised_with_those_that_wait(tmp_path: Path, in_memory: bool) -> None:
    path = None if in_memory else tmp_path / "a.db"
    with Spool(path, MB) as spool:
        low = [spool.put("events", named) for _ in range(700)]
        spool.done(low[0])
        high = low[-1] + 1000
        spool.raise_to(low[5], lambda _payload, number: named(number))
        assert numbers(spool) == low[1:], "they are high enough"
        spool.raise_to(high, lambda _payload, number: named(number))
        assert spool.pending(1000) == [Item(number, "events", named(number)) for number in range(high, high + 699)]
        assert spool.put("events", named) == high + 699
        assert spool.counts["kept"] == 700
    if path is not None:
        with Spool(path, MB) as spool:
            assert numbers(spool) == list(range(high, high + 700))


# ------------------------------------------------------------------------------------------------------ two processes


def test_a_second_process_waits_in_memory_until_the_first_lets_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first may be a life that hangs, or somebody with sqlite3: either passes, and no setting is wrong."""
    monkeypatch.setattr(disk_module, "LOCK_S", 0.1)
    code = (
        "import sys, time; from pathlib import Path; from edgepose.sink.mqtt.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), 10**6); print(spool.put('events', lambda number: b'first'), flush=True)\n"
        "time.sleep(60)\n"
    )
    path = tmp_path / "a.db"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        theirs = int(first.stdout.readline())
        with Spool(path, MB, retry_s=0) as spool:
            mine = spool.put("events", named)
            assert not spool.on_disk
            assert spool.trouble == "another process has it"
            first.kill()
            first.wait()
            assert numbers(spool) == [theirs, mine]
            assert spool.on_disk, "the kernel took the lock of the dead"
            assert spool.trouble == ""
    assert told(caplog, "another edgepose of the same device and camera, or somebody who reads it with sqlite3") == 1


def test_somebody_who_reads_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "LOCK_S", 0.1)
    path = tmp_path / "a.db"
    with Spool(path, MB) as spool:
        before = spool.put("events", named)
    reader = sqlite3.connect(path)
    assert reader.execute("SELECT count(*) FROM item").fetchone() == (1,)
    with Spool(path, MB, retry_s=0) as spool:
        put = spool.put("events", named)
        reader.close()
        assert numbers(spool) == [before, put]
        assert spool.on_disk


def test_a_process_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    first = Spool(tmp_path / "a.db", MB)
    threading.Timer(0.3, first.close).start()
    with Spool(tmp_path / "a.db", MB) as spool:
        assert spool.on_disk


def test_the_folder_is_that_of_the_service_or_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edgepose:/var/lib/more")
    assert places.state() == Path("/var/lib/edgepose")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert places.state() == Path("/home/me/state/edgepose")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert places.state() == Path("/home/me/.local/state/edgepose")


# ------------------------------------------------------------------------------------------- the end, at any moment

WRITER = """
import sys
from pathlib import Path
from edgepose.sink.mqtt.spool import Spool

spool = Spool(Path(sys.argv[1]), 10**7)
done = [item.number for item in spool.pending(10**6)]
while True:
    number = spool.put("events", lambda number: b"item %d" % number)
    assert spool.on_disk
    print("kept", number, flush=True)
    done.append(number)
    if len(done) > 20:  # the oldest was delivered
        print("done", done[0], flush=True)
        spool.done(done.pop(0))
"""


def _run_writer(
    path: Path, lines: int, delay_s: float, env: dict[str, str] | None = None, writer: str = WRITER
) -> tuple[set[int], set[int]]:
    """Kill the writer some time after its first lines; what it told to have kept, and to be delivered."""
    with subprocess.Popen(
        [sys.executable, "-c", writer, path], stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    ) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(lines)]
        time.sleep(delay_s)  # any moment will do: nothing is waited for
        process.kill()
        seen += process.stdout.readlines()
    said: dict[str, set[int]] = {"kept": set(), "done": set()}
    for line in seen:
        if line.endswith("\n"):
            word, number = line.split()
            said[word].add(int(number))
    return said["kept"], said["done"]


def test_killed_at_any_moment_nothing_that_was_kept_is_lost(tmp_path: Path) -> None:
    path, chance = tmp_path / "a.db", random.Random()
    kept: set[int] = set()
    done: set[int] = set()
    for _ in range(12):
        now_kept, now_done = _run_writer(path, chance.randint(1, 60), chance.random() * 0.05)
        assert not kept & now_kept, "a number never comes again"
        kept, done = kept | now_kept, done | now_done
        with Spool(path, 10 * MB) as spool:
            items = spool.pending(10**6)
        there = [item.number for item in items]
        assert there == list(range(there[0], there[-1] + 1)), "no gap in the middle"
        assert kept - done <= set(there)
        assert there[-1] - max(kept) in (0, 1), "the end may come between keeping and telling"
        assert all(item.payload == named(item.number) for item in items)
        kept |= set(there)


# sqlite waits for the disk with these two calls. What was not handed to them is gone with the power.
CUT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void survive(int fd) {
    char link[64], path[4096], safe[8192], data[65536];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    const char *folder = getenv("SAFE");
    if (length < 0 || !folder) return;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    if (name && !strcmp(name, "/state")) { // the folder: now a journal that was taken away stays away
        strcat(path, "/a.db-journal");
        snprintf(safe, sizeof safe, "%s/a.db-journal", folder);
        if (access(path, F_OK)) unlink(safe);
    }
    if (!name || strncmp(name, "/a.db", 5)) return;
    snprintf(safe, sizeof safe, "%s/new", folder);
    int out = open(safe, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    off_t at = 0;
    ssize_t got;
    while ((got = pread(fd, data, sizeof data, at)) > 0) at += write(out, data, got);
    close(out);
    snprintf(safe, sizeof safe, "%s/new", folder);
    char final[8192];
    snprintf(final, sizeof final, "%s%s", folder, name);
    rename(safe, final);
}

int fsync(int fd) { survive(fd); return 0; }
int fdatasync(int fd) { survive(fd); return 0; }
"""


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_a_cut_of_power_takes_nothing_that_was_kept(tmp_path: Path, synchronous: str) -> None:
    """The files as they were when they were last synced; with NORMAL it loses, which shows that the test can fail."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    (tmp_path / "cut.c").write_text(CUT)
    command = f"{compiler} -shared -fPIC -o {tmp_path}/cut.so {tmp_path}/cut.c -ldl"
    subprocess.run(command.split(), check=True, capture_output=True)
    safe = tmp_path / "safe"
    safe.mkdir()
    path = tmp_path / "state" / "a.db"
    writer = WRITER
    if synchronous == "NORMAL":
        writer = writer.replace("done =", "spool._disk._db.execute('PRAGMA synchronous = NORMAL')\ndone =")
        writer = writer.replace("if len(done) > 20:", "if len(done) == 150: import os; os._exit(0)\n    if False:")
    kept, done = _run_writer(
        path, 300, 0.0, env={"LD_PRELOAD": str(tmp_path / "cut.so"), "SAFE": str(safe)}, writer=writer
    )

    assert len(kept) >= 150
    with Spool(safe / "a.db", 10 * MB) as spool:
        there = numbers(spool)
    assert (kept - done <= set(there)) == (synchronous == "FULL")

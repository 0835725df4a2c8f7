"""The file: what was written comes back to the last bit, or not at all."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.core.errors import ConfigError, SinkError, SourceError
from edgepose.core.poses import COCO17, Crop, Poses, Skeleton
from edgepose.wire.recording import (
    HeadShape,
    Kept,
    RawHeads,
    Session,
    Writer,
    chunks,
    read,
    skeleton_of,
    text_of,
    writer,
)
from edgepose.wire.recording import session as sessions
from edgepose.wire.recording.frames import Block
from samples.people import poses
from tests.helpers.broker import wait_until

OWN = Skeleton("hand3", ("wrist", "thumb", "ring"), ((0, 1), (0, 2)), (0.08, 0.035, 0.0251))
HEADS = [
    HeadShape(role="heat", shape=(3, 4, 2), dtype="int8", scale=0.25, zero_point=-3),
    HeadShape(role="offset", shape=(5,), dtype="float32", scale=1.0, zero_point=0),
]


def session(**fields: Any) -> Session:
    made: dict[str, Any] = {
        "device": "board", "camera": "door", "live": True, "still": False, "started": 1.7e9, "edgepose": "0",
        "enter_score": 0.5, "stay_score": 0.25, "skeleton": text_of(COCO17), "models": [], "settings": {},
    }  # fmt: skip
    return Session(**{**made, **fields})


def raw(seed: int) -> RawHeads:
    rng = np.random.default_rng(seed)
    heads = {"heat": rng.integers(-128, 127, (3, 4, 2), np.int8), "offset": rng.normal(size=5).astype(np.float32)}
    return RawHeads(heads, Crop((1.5, -2.0), (0.1, 3.0)), part=seed % 2 == 0, nothing_expected=seed % 3 == 0)


def someone(seed: int, people: int, skeleton: Skeleton, *, solid: bool, coarse: bool, told: bool) -> Poses:
    """Poses of random bits: every float32 there is, NaNs of all kinds among them."""
    rng = np.random.default_rng(seed)
    joints = len(skeleton.joints)

    def bits(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return rng.integers(0, 1 << 32, shape, np.uint32).view(np.float32)

    return Poses(
        t=float(rng.normal()) * 1e5, taken_t=float(rng.normal()) * 1e5, seq=int(rng.integers(-(1 << 60), 1 << 60)),
        name="" if seed % 2 else "día\udcff.jpg", size_wh=(int(rng.integers(1, 9000)), int(rng.integers(1, 9000))),
        skeleton=skeleton, xy=bits(people, joints, 2), score=bits(people, joints), person_score=bits(people),
        track_id=rng.integers(-1, 99, people, np.int32) if told else np.full(people, -1, np.int32),
        xyz=bits(people, joints, 3) if solid else None, coarse_xy=bits(people, joints, 2) if coarse else None,
        entered=(4, 5) if told else (), left=(2,) if told else (), predicted_s=0.1 if told else 0.0,
        ran_on="edgetpu" if seed % 3 else "",
    )  # fmt: skip


def same(one: Poses, other: Poses) -> None:
    for name in ("t", "taken_t", "seq", "name", "size_wh", "skeleton", "entered", "left", "predicted_s", "ran_on"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("xy", "score", "person_score", "track_id", "xyz", "coarse_xy"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            assert mine.shape == theirs.shape, name
            assert mine.dtype == theirs.dtype, name
            assert mine.tobytes() == theirs.tobytes(), name


def file_of(frames: list[Poses], per_block: int = 2, **fields: Any) -> bytes:
    """A recording made by hand, without the writer."""
    payload = sessions.encode(session(**fields))
    number = chunks.session_id(payload)
    data = chunks.MAGIC + chunks.chunk(chunks.SESSION, payload, number, 0, 6)
    for at in range(0, len(frames), per_block):
        block = Block(1e9)
        for one in frames[at : at + per_block]:
            block.add(one, None, [])
        data += chunks.chunk(chunks.FRAMES, block.payload(), number, len(block.facts), 6)
    return data


def people_of(seeds: range, skeleton: Skeleton = COCO17) -> list[Poses]:
    return [
        someone(seed, seed % 4, skeleton, solid=seed % 5 == 0, coarse=seed % 3 == 0, told=seed % 7 == 0)
        for seed in seeds
    ]


# ------------------------------------------------------------------------------------------------ the same comes back


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 3), st.booleans(), st.booleans(), st.booleans()), max_size=6
    ),
    st.booleans(),
    st.integers(1, 3),
)
def test_whatever_poses_are_they_come_back_to_the_last_bit(
    made: list[tuple[int, int, bool, bool, bool]], own: bool, per_block: int
) -> None:
    skeleton = OWN if own else COCO17
    frames = [someone(seed, n, skeleton, solid=a, coarse=b, told=c) for seed, n, a, b, c in made]
    with read(file_of(frames, per_block, skeleton=text_of(skeleton))) as recording:
        back = list(recording)
        assert recording.frames() == len(frames)
    assert len(back) == len(frames)
    for one, kept in zip(frames, back, strict=True):
        same(one, kept.poses)
        assert kept.poses.taken_wall == kept.poses.taken_t + 1e9
    assert recording.warning == ""


def test_a_session_says_its_skeleton_in_full() -> None:
    (kept,) = read(file_of([poses(1, skeleton=OWN, xy=np.zeros((1, 3, 2), np.float32),
                                  score=np.zeros((1, 3), np.float32))], skeleton=text_of(OWN)))  # fmt: skip
    assert skeleton_of(kept.session) == OWN
    assert kept.poses.skeleton == OWN


def test_a_writer_writes_what_a_reader_reads(tmp_path: Path) -> None:
    frames = people_of(range(40))
    path = tmp_path / "a.epr"
    made = Writer(path, wait=True)
    made.begin(session(heads=HEADS))
    for seed, one in enumerate(frames):
        made.add(one, math.nan, raw(seed))
    made.close()
    made.close()
    assert made.counts == {"recorded": 40, "unrecorded": 0}
    with read(path) as recording:
        for seed, (one, kept) in enumerate(zip(frames, recording, strict=True)):
            same(one, kept.poses)
            assert kept.poses.taken_wall is None
            assert kept.raw is not None
            want = raw(seed)
            assert kept.raw[1:] == want[1:]
            for role, head in want.heads.items():
                np.testing.assert_array_equal(kept.raw.heads[role], head)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ValueError, match="closed"):
        made.add(frames[0], 0.0)


def test_a_frame_is_in_the_file_soon_though_no_other_follows(tmp_path: Path) -> None:
    made = Writer(tmp_path / "a.epr", wait=False)
    made.begin(session())
    made.add(poses(2), 5.0)
    until(lambda: made.counts["recorded"] == 1)
    assert len(list(read(tmp_path / "a.epr"))) == 1
    made.close()


def test_the_wall_clock_is_kept_once_a_block_and_again_when_it_steps(tmp_path: Path) -> None:
    made = Writer(tmp_path / "a.epr", wait=False)
    made.begin(session())
    walls = [made.add(poses(1, taken_t=float(at)), wall) for at, wall in enumerate((100.0, 100.0001, 50.0, 50.0))]
    made.close()
    assert walls == [100.0, 100.0, 50.0, 50.0]
    assert [kept.poses.taken_wall for kept in read(tmp_path / "a.epr")] == [100.0, 101.0, 52.0, 53.0]


# ------------------------------------------------------------------------------------------------ damage


FRAMES = people_of(range(1, 13))
FILE = file_of(FRAMES, per_block=2)


def starts(data: bytes) -> list[int]:
    """Where each chunk begins, and the end of the last."""
    at, found = len(chunks.MAGIC), []
    while (head := chunks.head_of(data[at : at + chunks.HEAD.size])) is not None:
        found.append(at)
        at += head.size
    return [*found, at]


def are_among(back: list[Kept], frames: list[Poses]) -> None:
    """Each of them is one of the frames as it was, in order."""
    known = {one.seq: (at, one) for at, one in enumerate(frames)}
    order = [known[kept.poses.seq][0] for kept in back]
    assert order == sorted(order)
    for kept in back:
        same(known[kept.poses.seq][1], kept.poses)


def test_cut_at_any_byte_all_whole_blocks_are_read_and_nothing_else() -> None:
    ends = starts(FILE)
    for size in range(len(chunks.MAGIC), len(FILE)):
        recording = read(FILE[:size])
        back = list(recording)
        assert len(back) == 2 * max(0, sum(end <= size for end in ends) - 2)  # the first is a begin, then the session's
        assert recording.torn == size - max(end for end in ends if end <= size)
        assert bool(recording.warning) == bool(recording.torn)
        if back:
            same(back[-1].poses, FRAMES[len(back) - 1])


@settings(max_examples=400, deadline=None)
@given(st.integers(len(chunks.MAGIC), len(FILE) - 1), st.integers(1, 255))
def test_a_flipped_byte_costs_its_block_and_no_other(at: int, flip: int) -> None:
    damaged = bytearray(FILE)
    damaged[at] ^= flip
    recording = read(bytes(damaged))
    back = list(recording)
    are_among(back, FRAMES)
    lost = len(FRAMES) if at < starts(FILE)[1] else 2  # without the session nothing can be understood
    assert len(back) == len(FRAMES) - lost
    assert recording.warning


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mixture_of_damage_is_a_crash_or_a_wrong_frame(data: st.DataObject) -> None:
    damaged = bytearray(FILE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(8, len(damaged)))
        size = data.draw(st.integers(0, 200))
        damaged[at : at + size] = data.draw(st.binary(max_size=60))
    back = list(read(bytes(damaged)))
    known = {one.seq for one in FRAMES}
    assert all(kept.poses.seq in known for kept in back)
    for kept in back:
        same(next(one for one in FRAMES if one.seq == kept.poses.seq), kept.poses)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_with_a_right_checksum_are_no_crash_either(content: bytes) -> None:
    payload = sessions.encode(session(heads=HEADS))
    number = chunks.session_id(payload)
    begin = chunks.MAGIC + chunks.chunk(chunks.SESSION, payload, number, 0, 6)
    list(read(begin + chunks.chunk(chunks.FRAMES, content, number, 1, 0)))
    list(read(chunks.MAGIC + chunks.chunk(chunks.SESSION, content, chunks.session_id(content), 0, 0)))


@pytest.mark.parametrize("content", [b"", b"\x89EPR", b"x" * 99, b'{"seq": 1}\n'])
def test_what_is_no_recording_is_told(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no recording"):
        read(content)
    with pytest.raises(SourceError, match="No such file"):
        read(tmp_path / "none.epr")
    with pytest.raises(SourceError, match="directory"):
        read(tmp_path)


def test_a_small_file_that_inflates_without_end_stays_small() -> None:
    bomb = io.BytesIO()
    bomb.write(chunks.MAGIC)
    whole = chunks.chunk(chunks.FRAMES, bytes(chunks.MOST_BYTES), 0, 1, 9)
    bomb.write(whole)
    head = chunks.Head(*chunks.HEAD.unpack_from(whole))
    assert chunks.payload_of(head._replace(plain=100), whole) is None  # its checksum is not that of its head
    assert list(read(bomb.getvalue())) == []


def test_frames_of_a_session_that_was_lost_are_given_to_no_other() -> None:
    first = file_of(FRAMES[:4])
    second = file_of(people_of(range(20, 24), OWN), skeleton=text_of(OWN))[len(chunks.MAGIC) :]
    session_end = starts(chunks.MAGIC + second)[1] - len(chunks.MAGIC)
    back = list(read(first + second[session_end:]))
    assert [kept.poses.skeleton for kept in back] == [COCO17] * 4


# ------------------------------------------------------------------------------------------------ appending


def test_a_second_run_goes_on_after_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.epr"
    for run in range(3):
        made = Writer(path, wait=True)
        made.begin(session(started=float(run)))
        made.add(FRAMES[run], 0.0)
        made.close()
    back = list(read(path))
    assert [kept.session.started for kept in back] == [0.0, 1.0, 2.0]
    are_among(back, FRAMES)


@pytest.mark.parametrize("lost", [1, 30, 200])
def test_a_run_after_a_torn_one_cuts_off_what_was_never_finished(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "a.epr"
    path.write_bytes(FILE[:-lost])
    made = Writer(path, wait=True)
    made.begin(session(started=2.0))
    made.add(FRAMES[0], 0.0)
    made.close()
    with read(path) as recording:
        back = list(recording)
        assert recording.warning == ""
    assert len(back) == len(list(read(FILE[:-lost]))) + 1


@pytest.mark.parametrize("size", range(9))
def test_a_run_killed_within_the_first_bytes_is_begun_again(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.epr"
    path.write_bytes(chunks.MAGIC[:size])
    made = Writer(path, wait=True)
    made.begin(session())
    made.add(FRAMES[0], 0.0)
    made.close()
    assert len(list(read(path))) == 1


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("do not lose this")
    with pytest.raises(ConfigError, match="no recording"):
        Writer(path, wait=True)
    assert path.read_text() == "do not lose this"
    with pytest.raises(ConfigError, match="not a file"):
        Writer(Path(os.devnull), wait=True)
    with pytest.raises(SinkError, match="No such file"):
        Writer(tmp_path / "none" / "a.epr", wait=True)


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    made = Writer(tmp_path / "a.epr", wait=True)
    with pytest.raises(SinkError, match="another process"):
        Writer(tmp_path / "a.epr", wait=True)
    made.close()
    Writer(tmp_path / "a.epr", wait=True).close()


# ------------------------------------------------------------------------------------------------ disks


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_disk_ends_recording_not_the_run_and_it_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = 1 << 20
    path = tmp_path / "a.epr"
    write = os.pwrite

    def limited(descriptor: int, data: bytes, at: int) -> int:
        if at >= room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: room - at], at)

    monkeypatch.setattr("os.pwrite", limited)
    monkeypatch.setattr(writer, "RETRY_S", 0.0)
    monkeypatch.setattr(writer, "FLUSH_S", 0.01)
    made = Writer(path, wait=True)
    made.begin(session())
    for number, one in enumerate(FRAMES[:8], 1):
        if number == 5:
            room = path.stat().st_size + 40  # half a block fits
        made.add(one, 0.0)
        until(lambda done=number: sum(made.counts.values()) == done)  # type: ignore[misc]
    assert made.counts == {"recorded": 4, "unrecorded": 4}
    recording = read(path)
    are_among(list(recording), FRAMES[:4])
    assert recording.torn == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    room = 1 << 20
    made.add(FRAMES[8], 0.0)
    made.close()
    assert made.counts == {"recorded": 5, "unrecorded": 4}
    are_among(list(read(path)), [*FRAMES[:4], FRAMES[8]])


def test_a_slow_disk_costs_a_cameras_frames_and_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate: list[bool] = []
    write = os.pwrite

    def stuck(descriptor: int, data: bytes, at: int) -> int:
        until(lambda: bool(gate))
        return write(descriptor, data, at)

    monkeypatch.setattr("os.pwrite", stuck)
    monkeypatch.setattr(writer, "WAITING_BYTES", 20_000)
    monkeypatch.setattr(writer, "BLOCK_BYTES", 2_000)
    made = Writer(tmp_path / "a.epr", wait=False)
    made.begin(session())
    for seq in range(300):
        made.add(poses(2, seq=seq), 0.0)
        assert made._waiting < 30_000
    gate.append(True)
    made.close()
    assert made.counts["unrecorded"] > 0
    assert sum(made.counts.values()) == 300
    assert len(list(read(tmp_path / "a.epr"))) == made.counts["recorded"]


CHILD = """
import sys, time
from pathlib import Path
from edgepose.wire.recording import Writer
from tests.helpers.broker import wait_until
from samples.people import poses
from tests.test_recording import session
made = Writer(Path(sys.argv[1]), wait=True)
made.begin(session())
for seq in range(10**9):
    made.add(poses(2, seq=seq), 0.0)
    if seq % 50 == 0:
        print(seq, made.counts["recorded"], flush=True)
        time.sleep(0.001)
"""


def test_after_a_kill_everything_but_the_last_block_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.epr"
    told = 0
    for _ in range(2):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
        )
        with child:
            assert child.stdout is not None
            for line in child.stdout:
                recorded = int(line.split()[1])
                if recorded > 300:
                    break
            child.send_signal(signal.SIGKILL)
        told += recorded
        with read(path) as recording:
            back = [kept.poses.seq for kept in recording]
        assert len(back) >= told
        told = len(back)
        runs = [at for at, seq in enumerate(back) if seq == 0]
        assert back[runs[-1] :] == list(range(len(back) - runs[-1]))
    assert len(runs) == 2


def test_the_file_tells_nothing_but_poses(tmp_path: Path) -> None:
    """Of the settings those that poses depend on; no address, no name, no password."""
    from edgepose.core import config
    from edgepose.pipeline.recorder import SECTIONS

    secret = {setting.key for setting in config.settings() if any(
        word in setting.key for word in ("uri", "broker", "password", "username", "key_file", "topic", "client_id")
    )}  # fmt: skip
    assert len(secret) >= 6
    assert not {key for key in secret if key.split(".")[0] in SECTIONS}


def test_a_session_from_a_later_version_with_more_in_it_is_read() -> None:
    raw_session = json.loads(sessions.encode(session()))
    raw_session["weather"] = "rain"
    assert sessions.decode(json.dumps(raw_session).encode()) == session()
    raw_session["skeleton"]["sigmas"] = [0.1]
    assert sessions.decode(json.dumps(raw_session).encode()) is None


def test_chunks_of_an_unknown_kind_are_skipped() -> None:
    at = starts(FILE)[2]
    more = FILE[:at] + chunks.chunk(77, b"new", 0, 0, 0) + FILE[at:]
    recording = read(more)
    assert len(list(recording)) == len(FRAMES)
    assert recording.warning == ""


def test_a_file_whose_disk_is_not_there_yet_is_opened_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 0.0)
    monkeypatch.setattr(writer, "FLUSH_S", 0.0)
    path = tmp_path / "usb" / "a.epr"
    made = Writer(path, wait=True, patient=True)
    made.begin(session())
    made.add(poses(1, seq=0), 1e9)
    wait_until(lambda: made.counts["unrecorded"] == 1, "the frame is counted")
    path.parent.mkdir()
    made.add(poses(1, seq=1), 1e9)
    wait_until(lambda: made.counts["recorded"] == 1, "the next is kept")
    made.close()

    with read(path) as recording:
        assert [kept.poses.seq for kept in recording] == [1]
    (told,) = (record.message for record in caplog.records if record.levelname == "WARNING")
    assert told.startswith(f"sink.record.path {path}: No such file or directory; ")

"""The long run counts right: what is lost, what is stale, what grows; and its camera fails as it should."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepose import wire
from edgepose.core.poses import Poses
from samples.people import poses
from tools.soaking.camera import Camera
from tools.soaking.clock import Clock
from tools.soaking.disk import Disk
from tools.soaking.faults import FAULTS
from tools.soaking.reader import Delivered, Ledger, delivered
from tools.soaking.report import Outcome, Report, Totals
from tools.soaking.schedule import last, planned
from tools.soaking.slope import slope

pytestmark = pytest.mark.slow

# ------------------------------------------------------------------------------------------------ events


@pytest.mark.parametrize(
    ("order", "first", "last", "expected"),
    [
        ([5, 6, 7], 5, 7, Delivered(3, 3, (), 0, 0, 0)),
        ([5, 7], 5, 7, Delivered(3, 2, (6,), 0, 0, 0)),
        ([5, 6], 5, 8, Delivered(4, 2, (7, 8), 0, 0, 0)),
        ([5, 6, 5, 6, 7], 5, 7, Delivered(3, 3, (), 2, 0, 0)),
        ([5, 7, 6], 5, 7, Delivered(3, 3, (), 0, 1, 0)),
        ([5, 10_000_000_000], 5, 10_000_000_000, Delivered(2, 2, (), 0, 0, 1)),
        ([5, 6, 9], 5, 6, Delivered(2, 2, (), 0, 0, 0)),
        ([], 0, 0, Delivered(1, 0, (0,), 0, 0, 0)),
    ],
    ids=["all", "one is missing", "the end is missing", "twice", "swapped", "jump", "not counted here", "none"],
)
def test_events_are_counted_by_their_numbers(order: list[int], first: int, last: int, expected: Delivered) -> None:
    assert delivered(order, first, last) == expected


@given(st.sets(st.integers(10, 60), min_size=1), st.lists(st.integers(0, 10)), st.randoms())
def test_whatever_the_order_each_number_is_lost_or_received(
    got: set[int], again: list[int], rng: random.Random
) -> None:
    order = list(got) + [sorted(got)[each % len(got)] for each in again]
    rng.shuffle(order)
    counted = delivered(order, 10, 60)
    assert set(counted.lost) | got == set(range(10, 61))
    assert not set(counted.lost) & got
    assert counted.duplicated == len(order) - len(got)


# ------------------------------------------------------------------------------------------------ poses


def message(t: float, sent_t: float, wall_offset: float = 0.0, entered: tuple[int, ...] = ()) -> bytes:
    """A pose captured at monotonic `t` and sent at `sent_t`; the wall clock is 1e9 s ahead of the monotonic one."""
    seen: Poses = poses(1, t=t, taken_t=t, entered=entered)
    return wire.encode(seen, "board", "soak", sent_t, 1e9 + sent_t + wall_offset)


def ledger(
    *arrivals: tuple[bytes, float], frozen: tuple[float, float] = (0, 0), offsets: tuple[float, ...] = (0.0,)
) -> Ledger:
    made = Ledger(lambda: offsets)
    made.frozen = frozen
    for payload, t in arrivals:
        made.pose(payload, t, 1e9 + t)
    return made


def test_a_pose_older_than_two_seconds_is_stale_and_a_fresh_one_is_not() -> None:
    made = ledger((message(100.0, 100.1), 101.9), (message(100.5, 100.6), 102.6))
    assert (made.poses, len(made.stale), len(made.held)) == (2, 1, 0)
    assert made.latest is not None
    assert made.latest.t == pytest.approx(101.9)


def test_a_pose_captured_before_one_that_is_here_is_stale_however_young() -> None:
    made = ledger((message(100.2, 100.3), 100.3), (message(100.1, 100.2), 100.4))
    assert (made.backwards, len(made.stale)) == (1, 1)


def test_the_same_pose_twice_is_no_step_backwards() -> None:
    assert not ledger((message(100.2, 100.3), 100.3), (message(100.2, 100.35), 100.4)).stale


def test_old_poses_are_the_frozen_brokers_only_if_it_took_them_fresh_right_before() -> None:
    frozen = 100.0, 100.7
    taken = ledger((message(100.1, 100.2), 106.0), frozen=frozen)
    assert (len(taken.held), len(taken.stale)) == (1, 0)
    sent_later = ledger((message(101.9, 102.0), 106.0), frozen=frozen)
    assert (len(sent_later.held), len(sent_later.stale)) == (0, 1)
    sent_old = ledger((message(97.0, 100.2), 106.0), frozen=frozen)
    assert (len(sent_old.held), len(sent_old.stale)) == (0, 1)


def test_a_clock_that_is_known_to_be_off_makes_no_pose_old_or_young() -> None:
    off = message(100.0, 100.1, wall_offset=3600)
    assert not ledger((off, 100.2), offsets=(0.0, 3600.0)).stale
    made = ledger((off, 100.2), offsets=(0.0, 3600.0))
    assert made.latest is not None
    assert made.latest.age_s == pytest.approx(0.2)
    late = message(100.0, 103.1, wall_offset=3600)
    assert len(ledger((late, 103.2), offsets=(0.0, 3600.0)).stale) == 1


def test_the_worst_gap_is_between_poses_that_are_not_stale() -> None:
    made = ledger((message(100.0, 100.0), 100.0), (message(100.1, 100.1), 104.0), (message(105.9, 106.0), 106.0))
    assert made.worst_gap[0] == pytest.approx(6.0)


def test_who_is_told_by_poses_alone_shows() -> None:
    made = ledger((message(100.0, 100.0, entered=(1, 2)), 100.0))
    event = wire.event_of(poses(1), "entered", 1, 7, made.run, "board", "soak", 1e9)
    made.event(wire.encode_event(event), 100.1, 1e9)
    assert made.seen - made.told == {("", "entered", 2)}
    assert made.order == [7]


# ------------------------------------------------------------------------------------------------ growth


def test_a_leak_is_seen_through_noise_and_steps() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(400.0)
    found = slope(x, 90 + np.floor(0.01 * x) + rng.normal(0, 0.3, 400))
    assert found is not None
    assert found.low < 0.01 < found.high
    assert not found.level(0.25)


def test_noise_without_a_leak_is_level_most_of_the_time() -> None:
    rng = np.random.default_rng(1)
    tries = [slope(np.arange(200.0), rng.normal(0, 1, 200)) for _ in range(200)]
    inside = sum(found is not None and found.low <= 0 <= found.high for found in tries)
    assert 180 <= inside <= 200, "95 of 100"


def test_a_step_at_the_start_of_less_than_malloc_takes_is_level() -> None:
    y = np.full(400, 90.0)
    y[:100] -= 0.125
    found = slope(np.arange(400.0), y)
    assert found is not None
    assert found.level(0.25)


def test_few_samples_have_no_slope() -> None:
    assert slope(np.arange(20.0), np.arange(20.0)) is None


# ------------------------------------------------------------------------------------------------ verdict


def totals(**changes: object) -> Totals:
    made: dict[str, object] = {
        "seconds": 60, "frames": 900, "poses": 800, "stale": 0, "held": 2, "oldest_held_s": 5.0, "stale_poses": [],
        "backwards": 0, "events": Delivered(50, 50, (), 1, 0, 0), "apart": Delivered(6, 4, (1, 2), 0, 0, 0),
        "left_in_spool": 0, "spool_dropped": 0, "unreported": 0, "lives": 3, "killed": 2, "reloads": 2,
        "memory": None, "files": None, "rss_mib": 90.0, "open_files": 12, "measured_s": 40.0,
    }  # fmt: skip
    return Totals(**{**made, **changes})  # type: ignore[arg-type]


def report(wrong: tuple[str, ...] = (), recovery_s: float | None = 1.0, **changes: object) -> Report:
    row = Outcome("broker-killed", 5.0, 7.0, recovery_s, 3.0, 0, 0)
    return Report(1, "tmpfs", "", [], [row], totals(**changes), list(wrong))


def test_a_run_where_only_a_forgetful_broker_lost_events_meets_its_targets() -> None:
    assert report().met
    assert "every target is met" in report().text()
    assert report().plain()["met"] is True


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"events": Delivered(50, 49, (7,), 0, 0, 0)}, "1 events lost"),
        ({"events": Delivered(0, 0, (), 0, 0, 0)}, "no events"),
        ({"events": Delivered(50, 50, (), 0, 1, 0)}, "out of order"),
        ({"stale": 1}, "1 stale poses"),
        ({"left_in_spool": 2}, "2 events left"),
        ({"unreported": 3}, "by the poses alone"),
        ({"recovery_s": 5.1}, "not back"),
        ({"recovery_s": None}, "not back"),
        ({"wrong": ("Traceback",)}, "Traceback"),
        ({"memory": slope(np.arange(99.0), np.arange(99.0)), "measured_s": 500.0}, "memory grows"),
        ({"files": slope(np.arange(99.0), np.arange(99.0)), "measured_s": 500.0}, "open files grow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_target_that_is_missed_is_told(changes: dict[str, object], says: str) -> None:
    made = report(**changes)  # type: ignore[arg-type]
    assert not made.met
    assert [miss for miss in made.misses if says in miss]
    assert says in made.text()


# ------------------------------------------------------------------------------------------------ schedule


def test_every_fault_comes_once_in_the_first_round_and_those_that_kill_the_service_in_no_other() -> None:
    names = list(FAULTS)
    rounds = planned(names, 60, random.Random(1))
    first, second = next(rounds), next(rounds)
    apart = {fault.name for fault in last(names, 60, random.Random(1))}
    assert {fault.name for fault in first} | apart == set(names)
    assert len(first) + len(apart) == len(names)
    assert {fault.name for fault in second} == {name for name in names if not FAULTS[name].kills} - apart
    assert [fault.name for fault in first] != [fault.name for fault in next(rounds)]


def test_a_long_run_lets_faults_last_by_chance_within_their_bounds() -> None:
    (fault,) = next(planned(["broker-killed"], 600, random.Random(5)))
    shortest, longest = FAULTS["broker-killed"].seconds
    assert shortest < fault.seconds < longest


# ------------------------------------------------------------------------------------------------ what fails


@pytest.fixture
def camera() -> object:
    made = Camera(random.Random(3))
    yield made
    made.stop()


def parts(camera: Camera, number: int) -> list[bytes]:
    """The first so many pictures of a new connection."""
    with urllib.request.urlopen(f"http://127.0.0.1:{camera.port}/", timeout=5) as response:
        got: list[bytes] = []
        for _ in range(number):
            length = 0
            while (line := response.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length"):
                    length = int(line.split(b":")[1])
            got.append(response.read(length))
            response.readline()
        return got


def test_the_camera_shows_a_picture_and_after_it_is_gone_it_comes_back_on_the_same_port(camera: Camera) -> None:
    (picture,) = parts(camera, 1)
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (480, 640, 3)
    camera.stop()
    with pytest.raises(OSError, match="refused"):
        parts(camera, 1)
    camera.start()
    assert parts(camera, 1)


def test_the_camera_without_people_shows_the_wall(camera: Camera) -> None:
    camera.people = False
    image = cv2.imdecode(np.frombuffer(parts(camera, 1)[0], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.std() < 25, "one colour"
    assert np.ptp(image[:, :, 0]) <= 4


def test_a_corrupt_camera_sends_what_is_no_picture_of_its_own(camera: Camera) -> None:
    well = set(camera._clip)
    camera.mode = "corrupt"
    assert not well & {camera._spoiled(camera._clip[0]) for _ in range(50)}


@pytest.mark.parametrize("how", ["tmpfs", "rlimit"])
def test_a_disk_is_full_for_the_service_until_there_is_room_again(tmp_path: Path, how: str) -> None:
    script = (
        "import sys\n"
        "for line in sys.stdin:\n"
        "    try:\n"
        "        with open(sys.argv[1], 'ab', buffering=0) as file: print(file.write(bytes(5000)), flush=True)\n"
        "    except OSError as error: print(error.errno, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "disk" / "file")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            disk = Disk(tmp_path / "disk", lambda: process.pid, how)
        except RuntimeError:
            process.kill()
            pytest.skip("may not mount here")

        def writes() -> bool:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline() == "5000\n"

        assert writes()
        disk.fill()
        assert not writes()
        disk.free()
        assert writes()
        process.kill()
        process.wait()
        disk.close()


def test_the_clock_jumps_for_who_looks_at_it_and_the_monotonic_one_does_not(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    if not clock.there:
        pytest.skip("no C compiler is here")
    script = "import time\nfor _ in range(3): input(); print(time.time(), time.monotonic(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, **clock.env},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for offset in (0, 3600, 0):
            clock.jump(offset)
            process.stdin.write("\n")
            process.stdin.flush()
            wall, steady = map(float, process.stdout.readline().split())
            assert round((wall - time.time()) / 60) == offset // 60
            assert abs(steady - time.monotonic()) < 30

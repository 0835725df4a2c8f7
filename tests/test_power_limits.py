"""The board's limits, quiet hours and the governor around them; no pictures but a few, no real clock."""

from __future__ import annotations

import logging
import math

import msgspec
import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.pipeline.power.governor import STUCK_SAYS, Governor
from edgepose.pipeline.power.limits import COOLER_C, PI_C, RECOVERY_S, UNDER_VOLTAGE, Board, Limits
from edgepose.pipeline.power.opening import governor_of
from edgepose.pipeline.power.schedule import hours_of, now_in_force
from edgepose.source import ListSource

THROTTLED = 1 << 2


def power(**changes: object) -> config.Power:
    return msgspec.structs.replace(config.Power(), **changes)


class Machine:
    """A board where a look costs CPU time, at 30 frames a second."""

    def __init__(self, cfg: config.Power, look_s: float) -> None:
        self.cpu_s, self.look_s, self.t = 0.0, look_s, 100.0
        self.limits = Limits(cfg, lambda: self.cpu_s)
        self._due_t = self.t

    def run(self, seconds: float) -> float:
        """Share of a core over the time."""
        until_t, before_s = self.t + seconds, self.cpu_s
        while self.t < until_t:
            self.limits.tick(self.t)
            if self.t >= self._due_t:
                self._due_t = max(self.t, self._due_t) + (
                    0 if math.isinf(self.limits.max_fps) else 1 / self.limits.max_fps
                )
                self.limits.looked()
                self.cpu_s += self.look_s
            self.cpu_s += 0.002  # reading the camera
            self.t += 1 / 30
        return (self.cpu_s - before_s) / seconds


def test_cpu_time_is_brought_below_what_is_allowed_and_kept_there() -> None:
    machine = Machine(power(max_cpu=0.5), look_s=0.03)
    machine.run(20)
    steps = set()
    for _ in range(60):
        assert machine.run(5) <= 0.5
        steps.add(machine.limits.max_fps)
    assert machine.limits.why == "cpu"
    assert len(steps) == 1  # nothing flaps


def test_without_a_limit_nothing_is_limited() -> None:
    machine = Machine(power(max_cpu=0.0), look_s=0.03)
    machine.run(30)
    assert math.isinf(machine.limits.max_fps)
    assert machine.limits.cpu == pytest.approx(0.96, abs=0.05)


def test_a_board_that_gets_hot_is_relieved_step_by_step_and_comes_back_late() -> None:
    machine = Machine(power(max_temp_c=70.0), look_s=0.01)
    rates = []
    machine.limits.board(Board(71.0, None))
    for _ in range(4):
        machine.run(11)
        rates.append(machine.limits.max_fps)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0] < math.inf
    assert machine.limits.why == "temperature"
    machine.limits.board(Board(70.0 - COOLER_C + 1, None))  # cooler, but not yet cool
    machine.run(2 * RECOVERY_S)
    assert machine.limits.max_fps <= rates[-1]
    machine.limits.board(Board(60.0, None))
    machine.run(12 * RECOVERY_S)
    assert math.isinf(machine.limits.max_fps)
    assert machine.limits.why == ""


@pytest.mark.parametrize(
    ("board", "limited"),
    [
        (Board(PI_C + 1, 0), "temperature"),
        (Board(PI_C + 1, None), ""),
        (Board(50.0, THROTTLED), "throttled"),
        (Board(50.0, THROTTLED << 16), ""),
        (Board(50.0, UNDER_VOLTAGE), ""),
        (Board(None, None), ""),
    ],
    ids=["hot Pi", "hot, not a Pi", "throttled now", "throttled once", "under-voltage alone", "tells nothing"],
)
def test_what_the_board_says_counts(board: Board, limited: str) -> None:
    machine = Machine(power(), look_s=0.01)
    machine.limits.board(board)
    machine.run(30)
    assert machine.limits.why == limited


def test_under_voltage_is_said_once_for_each_change(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(power())
    with caplog.at_level(logging.INFO, "edgepose.pipeline"):
        for bits in (0, 1, 1, 1, 0, 0):
            limits.board(Board(50.0, bits))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert limits.under_voltage is False


# ------------------------------------------------------------------------------------------------------ quiet hours


@pytest.mark.parametrize(
    ("clock", "max_fps"),
    [("21:59", None), ("22:00", 0), ("23:30", 0), ("00:00", 0), ("06:29", 0), ("06:30", None), ("12:30", 2)],
)
def test_hours_hold_from_their_first_minute_to_before_their_last_also_over_midnight(
    clock: str, max_fps: float | None
) -> None:
    hours = hours_of(["22:00-06:30 pause", "12:00-13:00 2 fps", "23:00-01:00 5fps"])
    hour, minute = map(int, clock.split(":"))
    found = now_in_force(hours, 60 * hour + minute)
    assert (None if found is None else found.max_fps) == max_fps


@pytest.mark.parametrize(
    "text",
    [
        "22:00",
        "22:00-06:00",
        "24:00-06:00 pause",
        "22:00-22:00 pause",
        "10:60-11:00 pause",
        "1-2 3 fps",
        "01:00-02:00 0 fps",
    ],
)
def test_hours_that_are_none_are_refused_by_their_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"power\.schedule\[1\]"):
        hours_of(["01:00-02:00 pause", text])


# ------------------------------------------------------------------------------------------------------ the governor


def frame(t: float, seq: int = 0) -> Frame:
    image = np.random.default_rng(seq).integers(80, 90, (120, 160), dtype=np.uint8)
    return Frame(image, "gray", t, t, seq)


def nobody(t: float) -> Poses:
    return Poses(
        t=t, taken_t=t, seq=0, name="", size_wh=(160, 120), skeleton=COCO17, xy=np.empty((0, 17, 2), np.float32),
        score=np.empty((0, 17), np.float32), person_score=np.empty(0, np.float32), track_id=np.empty(0, np.int32),
    )  # fmt: skip


def watch(governor: Governor, seconds: float, from_t: float = 100.0, fps: float = 10.0) -> int:
    """Frames of an empty room; how many were looked at."""
    looks = 0
    for seq in range(round(seconds * fps)):
        t = from_t + seq / fps
        if governor.wants(frame(t, seq)):
            looks += 1
            governor.saw(nobody(t), nobody(t))
    return looks


def test_an_empty_room_is_skipped_and_counted() -> None:
    governor = Governor(power(), 1.0)
    looks = watch(governor, 60)
    report = governor.report()
    assert looks < 60
    assert report.skipped == 600 - looks
    assert report.state == "empty"
    assert sum(report.shares.values()) == pytest.approx(1)


def test_the_camera_slows_down_when_nothing_moves_and_is_back_with_the_first_thing_that_does() -> None:
    asked: list[float] = []
    governor = Governor(power(idle_fps=5.0), 1.0, asked.append)
    watch(governor, 30)
    assert asked == [5.0]
    moved = frame(130.0, 1)
    governor.wants(Frame(moved.image + np.uint8(60) * (np.arange(160) > 120).astype(np.uint8), "gray", 130.0, 130.0, 1))
    assert asked == [5.0, 0.0]


def test_in_quiet_hours_nothing_is_looked_at_and_the_reason_is_said() -> None:
    minute = 60 * 23
    governor = Governor(power(schedule=["22:00-06:00 pause"]), 1.0, minute=lambda: minute)
    assert watch(governor, 5) == 0
    assert "22:00-06:00" in governor.waiting
    assert governor.report().limited == "schedule"
    minute = 60 * 7
    assert watch(governor, 5, 106.0) > 0
    assert governor.waiting == ""


def test_quiet_hours_may_let_some_frames_through() -> None:
    governor = Governor(power(schedule=["00:00-23:59 1 fps"]), 1.0, minute=lambda: 0)
    assert watch(governor, 10) <= 12


def test_a_stuck_camera_is_said_once_and_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    governor = Governor(power(), 1.0)
    with caplog.at_level(logging.INFO, "edgepose.pipeline"):
        for t in range(100, 150):
            governor.wants(frame(float(t)))
        assert governor.waiting == STUCK_SAYS
        assert not governor.wants(frame(151.0))
        assert governor.wants(frame(152.0, 7)) or governor.waiting == ""
    assert [STUCK_SAYS in record.message for record in caplog.records].count(True) == 1


def test_a_command_wakes_it() -> None:
    governor = Governor(power(), 1.0)
    watch(governor, 30)
    governor.wake()
    assert governor.report().why == "command"
    assert governor.wants(frame(130.0, 3))


@pytest.mark.parametrize("mode", ["auto", "off"])
@pytest.mark.parametrize("live", [True, False])
def test_only_a_camera_is_governed_and_only_if_it_may_be(live: bool, mode: str) -> None:
    source = ListSource([], live=live)
    cfg = msgspec.structs.replace(config.Config(), power=power(mode=mode))
    assert (governor_of(cfg, source) is not None) == (live and mode == "auto")

"""Pause, changing rates and whatever else happens to a camera while it is watched, in each state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.pipeline.control import Control
from edgepose.pipeline.power.governor import Governor
from edgepose.pipeline.power.states import ACTIVE, CALM, EMPTY
from edgepose.pipeline.stages import Stages
from tests.test_power_hold import Looks, somebody

SIZE_WH = (160, 120)


class Room:
    """A camera before a loop: people are found where `people` says, `moves` says whether they do."""

    def __init__(self, fps: float = 10.0) -> None:
        cfg = config.Config(power=config.Power(calm_after_s=1.0))
        self.governor = Governor(cfg.power, cfg.track.memory_s)
        self.control = Control(Stages(Looks(), cfg=cfg), True, self.governor)
        self.fps, self.t, self.seq, self.people, self.moves = fps, 100.0, 0, 0, False
        self.change: Callable[[np.ndarray, float], np.ndarray] = lambda picture, _t: picture
        self.reported: list[float] = []

    @property
    def state(self) -> str:
        return self.governor.states.state

    def run(self, seconds: float) -> int:
        """Play so long; how many frames were looked at."""
        until_t, before = self.t + seconds, self.control.looked
        while self.t < until_t - 1e-9:
            frame = self.frame()
            if self.control.wants(frame):
                found = self.found(frame)
                self.control.saw(found, found)
                if len(found):
                    self.reported.append(frame.t)
            self.t, self.seq = self.t + 1 / self.fps, self.seq + 1
        return self.control.looked - before

    def frame(self) -> Frame:
        picture = np.full((SIZE_WH[1], SIZE_WH[0]), 90.0)
        if self.people:
            left = 40 + (round(20 * self.t) % 60 if self.moves else 0)
            picture[20:100, left : left + 20] = 160
        noise = np.random.default_rng(self.seq).normal(0, 3, picture.shape)
        return Frame(np.clip(self.change(picture, self.t) + noise, 0, 255).astype(np.uint8), "gray", self.t, self.t,
                     self.seq)  # fmt: skip

    def found(self, frame: Frame) -> Poses:
        one = somebody(frame)
        if not self.people:
            return one.rows([])
        return Poses.of(
            frame, COCO17, one.xy + np.float32(20 * (self.t % 3) if self.moves else 0), one.score, one.person_score,
            track_id=one.track_id,
        )  # fmt: skip


def room_in(state: str, fps: float = 10.0) -> Room:
    room = Room(fps)
    room.run(10)
    if state != EMPTY:
        room.people, room.moves = 1, True
        room.run(3)
    if state == CALM:
        room.moves = False
        room.run(15)
    assert room.state == state
    return room


@pytest.mark.parametrize("state", [EMPTY, ACTIVE, CALM])
@pytest.mark.parametrize("pause_s", [1.0, 60.0], ids=["short", "long"])
def test_after_a_pause_in_any_state_somebody_is_looked_at_again(state: str, pause_s: float) -> None:
    room = room_in(state)
    room.control.pause(True)
    assert room.run(pause_s) == 0
    assert room.control.waiting == "paused"
    room.control.pause(False)
    room.people = 1
    resumed_t = room.t
    assert room.run(3) > 0
    assert min(t for t in room.reported if t >= resumed_t) - resumed_t <= 0.3


@pytest.mark.parametrize("rates", [(1, 120, 5, 30), (120, 1, 30, 2)], ids=str)
def test_a_rate_that_changes_while_it_runs_costs_nobody(rates: Sequence[float]) -> None:
    room = Room(rates[0])
    for rate in rates:
        room.fps, room.people = rate, 0
        room.run(12)
        room.people = 1
        came_t = room.t
        room.run(2)
        assert min(t for t in room.reported if t >= came_t) - came_t <= max(0.3, 1.01 / rate)


LIGHTS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "lights go on as they come": lambda picture, t: picture * (0.4 if t < 112 else 1.0),
    "exposure hunts": lambda picture, t: picture * (1 + 0.1 * np.sin(2 * np.pi * 0.3 * t)),
    "a rolling band": lambda picture, t: (
        picture * (1 + 0.06 * np.sin(2 * np.pi * (np.arange(SIZE_WH[1])[:, None] / 75 + 3.7 * t)))
    ),
    "the camera is turned as they come": lambda picture, t: picture if t < 112 else np.roll(picture, 30, 1) + 40,
}


@pytest.mark.parametrize("name", LIGHTS)
def test_who_comes_while_the_light_changes_is_looked_at_in_time(name: str) -> None:
    room = Room()
    room.change = LIGHTS[name]
    room.run(12)
    room.people, room.moves = 1, True
    came_t = room.t
    room.run(2)
    assert room.reported[0] - came_t <= 0.3


def test_who_leaves_during_calm_is_missed_within_the_memory_and_the_room_is_empty_after() -> None:
    room = room_in(CALM)
    room.people = 0
    room.run(10)
    assert room.state == EMPTY


@pytest.mark.parametrize("state", [EMPTY, ACTIVE, CALM])
def test_a_camera_that_sticks_in_any_state_is_a_fault_and_comes_back(state: str) -> None:
    room = room_in(state)
    stuck = room.frame().image
    for step in range(400):
        room.control.wants(Frame(stuck, "gray", room.t + step / 10, room.t + step / 10, room.seq + step))
    assert "repeats one picture" in room.control.waiting
    room.t += 40
    room.seq += 400
    room.people = 1
    assert room.run(3) > 0
    assert room.control.waiting == ""


@pytest.mark.parametrize("jump_s", [-500.0, 500.0], ids=["back", "ahead"])
@pytest.mark.parametrize("state", [EMPTY, ACTIVE, CALM])
def test_who_is_there_after_a_jump_of_the_clock_is_looked_at(state: str, jump_s: float) -> None:
    room = room_in(state)
    room.t += jump_s
    room.people, room.reported = 1, []
    jumped_t = room.t
    room.run(3)
    assert room.reported[0] - jumped_t <= 0.3

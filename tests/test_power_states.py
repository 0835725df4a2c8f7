"""Empty, active, calm: which frames are looked at. One person, a clock, and no pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.follow.track import Tracker
from edgepose.pipeline.power.gate import MOTION, SCENE, STILL, Signal
from edgepose.pipeline.power.states import ACTIVE, BUSY_S, CALM, EMPTY, PATIENCE_S, Look, States
from edgepose.pipeline.power.stillness import Stillness

CFG = config.Power()
MEMORY_S = 1.0
NOBODY = Look(0, 0, math.inf)


class Camera:
    """Frames of 1 / `fps` s through the state machine."""

    def __init__(self, cfg: config.Power = CFG, fps: float = 30.0) -> None:
        self.states, self.step_s, self.t = States(cfg, MEMORY_S), 1 / fps, 0.0
        self.looks: list[float] = []

    def run(self, seconds: float, look: Look = NOBODY, kind: str = STILL) -> int:
        """Frames that all show the same; how many of them were looked at."""
        until_t, before = self.t + seconds, len(self.looks)
        while self.t < until_t - 1e-9:
            reason = self.states.reason(Signal(kind, (5, 6)), self.t)
            if reason:
                self.looks.append(self.t)
                self.states.looked(look, reason, self.t)
            self.t += self.step_s
        return len(self.looks) - before


def somebody(still_s: float = 0.0, people: int = 1) -> Look:
    return Look(people, people, still_s)


def asleep() -> Camera:
    """A camera in an empty room, asleep."""
    camera = Camera()
    camera.run(60)
    assert camera.states.state == EMPTY
    return camera


def calm() -> Camera:
    """Somebody keeps still."""
    camera = Camera()
    camera.run(5, somebody())
    camera.run(5, somebody(still_s=20))
    assert camera.states.state == CALM
    return camera


def test_an_empty_room_is_looked_at_now_and_then() -> None:
    assert asleep().run(60) == pytest.approx(60 / CFG.find_empty_s, abs=1)


def test_the_start_is_awake_for_a_while() -> None:
    camera = Camera()
    assert camera.run(CFG.awake_s) == round(30 * CFG.awake_s)
    assert camera.states.wake.why == "start"


@pytest.mark.parametrize("kind", [MOTION, SCENE])
def test_what_moves_is_looked_at_in_the_same_frame(kind: str) -> None:
    camera = asleep()
    assert camera.run(0.5, kind=kind) == 15


def test_who_is_found_where_something_moved_is_followed_and_the_reason_kept() -> None:
    camera = asleep()
    camera.run(0.1, somebody(), MOTION)
    assert camera.states.state == ACTIVE
    assert camera.states.wake.why == MOTION
    assert camera.states.wake.at_xy == (5, 6)
    assert camera.run(10, somebody()) == 300


def test_what_never_stops_moving_is_looked_at_less_after_a_while() -> None:
    camera = asleep()
    camera.run(PATIENCE_S, kind=MOTION)
    assert camera.run(30, kind=MOTION) == pytest.approx(30 / BUSY_S, rel=0.2)
    assert camera.states.state == EMPTY


def test_a_candidate_who_is_never_confirmed_does_not_keep_it_awake() -> None:
    camera = asleep()
    doubtful = Look(0, 1, math.inf)
    assert camera.run(120, doubtful) < 0.25 * 120 * 30


def test_a_ghost_does_not_flap() -> None:
    camera = asleep()
    before = camera.states.wakes
    camera.run(120, Look(0, 1, math.inf))
    assert camera.states.wakes - before <= 120 / 10 + 1


def test_who_comes_where_a_ghost_used_up_all_patience_is_looked_at_in_every_frame() -> None:
    camera = asleep()
    ghost = Look(0, 1, math.inf)
    camera.run(60, ghost)
    while camera.states.state != EMPTY:
        camera.run(1 / 30, ghost)
    assert camera.run(1, ghost, MOTION) == 30


def test_who_left_is_waited_for_as_long_as_the_tracker_remembers() -> None:
    camera = Camera()
    camera.run(10, somebody())
    camera.run(MEMORY_S)
    assert camera.states.state == ACTIVE
    camera.run(CFG.awake_s)
    assert camera.states.state == EMPTY


def test_somebody_who_keeps_still_is_looked_at_at_the_calm_rate() -> None:
    assert calm().run(30, somebody(still_s=30)) == pytest.approx(30 * CFG.calm_fps, abs=3)


def test_the_calm_rate_never_lets_the_tracker_forget() -> None:
    slow = States(msgspec.structs.replace(CFG, calm_fps=0.1), MEMORY_S)
    assert slow.calm_every_s <= MEMORY_S / 2


@pytest.mark.parametrize(
    ("look", "kind"),
    [(somebody(still_s=30), MOTION), (somebody(), STILL), (NOBODY, STILL), (somebody(30, 2), STILL)],
    ids=["motion", "moved", "gone", "another one"],
)
def test_calm_ends_at_once(look: Look, kind: str) -> None:
    camera = calm()
    camera.run(0.5, look, kind)
    assert camera.states.state == ACTIVE


def test_after_it_woke_it_stays_awake_for_a_while() -> None:
    camera = calm()
    camera.run(1 / 30, somebody(still_s=30), MOTION)
    assert camera.run(CFG.awake_s - 0.1, somebody(still_s=30)) >= 30 * (CFG.awake_s - 0.1) - 1


def test_who_leaves_during_calm_ends_in_an_empty_room() -> None:
    camera = calm()
    camera.run(1, NOBODY, MOTION)
    camera.run(10)
    assert camera.states.state == EMPTY


def test_somebody_still_from_the_first_frame_on_is_known_and_then_calm() -> None:
    camera = Camera()
    for _ in range(20):
        camera.run(1, somebody(still_s=camera.t))
    assert camera.states.state == CALM


def test_without_a_memory_nobody_is_ever_calm() -> None:
    states = States(CFG, 0.0)
    for at in range(300):
        states.looked(somebody(99), states.reason(Signal(STILL), at / 10), at / 10)
    assert states.state == ACTIVE


@pytest.mark.parametrize("jump_s", [-1000.0, 1000.0], ids=["back", "ahead"])
@pytest.mark.parametrize("state", [EMPTY, CALM, ACTIVE])
def test_a_jump_of_the_clock_leaves_nobody_blind(state: str, jump_s: float) -> None:
    camera = {EMPTY: asleep, CALM: calm, ACTIVE: Camera}[state]()
    camera.t += jump_s
    assert camera.run(CFG.find_empty_s + 1, somebody())
    assert camera.states.state == ACTIVE
    assert sum(camera.states.shares_s.values()) < 3000


@pytest.mark.parametrize("fps", [1, 5, 120])
def test_the_frame_rate_changes_nothing_about_when(fps: float) -> None:
    camera = Camera(fps=fps)
    camera.run(20)
    assert camera.states.state == EMPTY
    assert camera.run(40) == pytest.approx(40 / CFG.find_empty_s, abs=2)


def test_a_command_wakes() -> None:
    camera = asleep()
    camera.states.woken(camera.t)
    assert camera.run(CFG.awake_s) >= 30 * CFG.awake_s - 1
    assert camera.states.wake.why == "command"


def test_the_shares_are_of_all_the_time() -> None:
    camera = asleep()
    assert sum(camera.states.shares_s.values()) == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize(("seldom_s", "known"), [(0.0, False), (CFG.find_empty_s, True)], ids=["off", "on"])
def test_between_two_looks_at_an_empty_room_nothing_is_forgotten(seldom_s: float, known: bool) -> None:
    # what the finder knows of night and of nobodies goes with it
    tracker = Tracker(config.Track(), COCO17, seldom_s=seldom_s, kernels="numpy")
    for t in (10.0, 10.03, 10.03 + CFG.find_empty_s + 0.1):
        expected = tracker.expected(t)
        tracker.update(pose(t).rows([]))
    assert (expected is not None) == known


@pytest.mark.parametrize("away", [0.0, 150.0], ids=["at its place", "elsewhere"])
def test_who_comes_is_not_taken_for_a_ghost_of_long_ago(away: float) -> None:
    # a ghost is nobody by many looks; whoever it is taken for would never be believed
    tracker = Tracker(config.Track(), COCO17, enter=0.25, stay=0.1, believe=0.9, seldom_s=2.0, kernels="numpy")

    def mark(t: float, dx: float) -> int:
        stranger = pose(t, dx)
        tracker.update(replace(stranger, track_id=np.array([-1], np.int32), person_score=np.full(1, 0.3, np.float32)))
        expected = tracker.expected(t)
        assert expected is not None
        return int(expected.track_id.min())

    ghost = [mark(t / 10, 0.0) for t in range(10)][-1]
    assert (mark(2.9, away) == ghost) == (away == 0.0)


# ------------------------------------------------------------------------------------------------------- who moves


def pose(t: float, dx: float = 0.0, identity: int = 1, arm: float = 0.0) -> Poses:
    xy = np.stack([np.linspace(100, 200, 17), np.linspace(100, 400, 17)], axis=1).astype(np.float32)[None]
    xy = xy + np.float32(dx)
    xy[0, 10, 0] += arm
    return Poses(
        t=t, taken_t=t, seq=0, name="", size_wh=(640, 480), skeleton=COCO17, xy=xy,
        score=np.ones((1, 17), np.float32), person_score=np.ones(1, np.float32),
        track_id=np.array([identity], np.int32),
    )  # fmt: skip


def jitter(t: float) -> Poses:
    rng: NDArray[np.float64] = np.random.default_rng(int(1000 * t)).normal(0, 4, (1, 17, 2))
    one = pose(t)
    return replace(one, xy=one.xy + rng.astype(np.float32))


def test_a_model_that_wavers_is_no_movement() -> None:
    stillness = Stillness()
    assert [stillness.update(jitter(t / 10)) for t in range(200)][-1] == pytest.approx(19.9)


def test_who_drifts_slowly_moves_in_the_end() -> None:
    stillness = Stillness()
    since = [stillness.update(pose(t / 10, dx=0.5 * t)) for t in range(200)]
    assert max(since) < 5


def test_who_moves_is_boxed_for_the_gate() -> None:
    stillness = Stillness()
    stillness.update(pose(0.0))
    assert stillness.moving == [(100.0, 100.0, 200.0, 400.0)]
    stillness.update(pose(5.0))
    assert stillness.moving == []


def test_somebody_new_has_not_kept_still() -> None:
    stillness = Stillness()
    stillness.update(pose(0.0))
    assert stillness.update(pose(9.0, identity=2)) == 0.0


def test_joints_that_are_missing_are_not_compared() -> None:
    stillness = Stillness()
    half = pose(1.0)
    half.xy[0, 8:] = np.nan
    stillness.update(pose(0.0))
    assert stillness.update(half) == 1.0

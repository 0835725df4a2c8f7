"""Tracks outlive no clock: stamps that repeat, go back or jump; bad detections; what is expected where."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.follow.track import Tracker
from tests.helpers.motion import Scene, Walker, at_rate, poses_of, standing, swaying, walking
from tests.test_track import film, identities, lefts, seen, tracker_of, watch

TWO = Scene([Walker(standing(200)), Walker(standing(450), there=((0, 2),))])


def stamped(scene: Scene, times: list[float], stamps: list[float]) -> list[tuple[Poses, list[int]]]:
    """Frames of a scene under other time stamps."""
    shown = zip(scene.film(times), stamps, strict=True)
    return [(dataclasses.replace(poses, t=stamp), whose) for (poses, whose), stamp in shown]


STAMPS = {
    "every stamp twice": lambda times: [times[index // 2 * 2] for index in range(len(times))],
    "back a little, often": lambda times: [t - 0.1 * (index % 5 == 4) for index, t in enumerate(times)],
    "back a second, once": lambda times: [t - (t > 1) for t in times],
    "not numbers, now and then": lambda times: [math.nan if index % 7 == 6 else t for index, t in enumerate(times)],
    "shaken": lambda times: (np.array(times) + np.random.default_rng(0).uniform(-0.03, 0.03, len(times))).tolist(),
}


@pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)
def test_stamps_that_repeat_or_go_back_change_nobody_and_keep_nobody(stamps: object) -> None:
    times = at_rate(30, 4)
    told = watch(tracker_of(), stamped(TWO, times, stamps(times)))  # type: ignore[operator]
    assert [len(identities(told, who)) for who in range(2)] == [1, 1]
    assert len(seen(told, 0)) == len(times)
    assert [identity for _, identity in lefts(told)] == identities(told, 1)


def test_a_clock_that_stands_still_keeps_nobody_for_ever() -> None:
    frames = [
        (dataclasses.replace(poses, t=5.0), whose)
        for poses, whose in Scene([Walker(standing(200), there=((0, 1),))]).film(at_rate(30, 12))
    ]
    told = watch(tracker_of(), frames)
    assert [identity for _, identity in lefts(told)] == [1]


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 2.5])
def test_after_a_jump_in_time_everybody_is_new(jump_s: float) -> None:
    times = at_rate(30, 4)
    stamps = [t + jump_s * (t > 3.5) for t in times]
    told = watch(tracker_of(), stamped(TWO, times, stamps))
    assert len(identities(told, 0)) == 2
    assert len(seen(told, 0)) == len(times), "whoever is sure enough is told of in the first frame after it"
    assert sorted(identity for _, identity in lefts(told)) == [1, 2]


@pytest.mark.parametrize("period_s", [1.0, 2.5, 10.0, 30.0])
def test_of_a_slow_camera_who_stands_still_keeps_the_identity_and_who_is_missing_for_one_frame_too(
    period_s: float,
) -> None:
    times = [index * period_s for index in range(8)]
    away = 4 * period_s - 0.1, 5 * period_s - 0.1
    scene = Scene([Walker(standing(200), there=((-1, away[0]), (away[1], math.inf))), Walker(standing(450))])
    told = film(scene, times)
    assert sorted((*identities(told, 0), *identities(told, 1))) == [1, 2]
    assert not lefts(told)


def test_of_a_slow_camera_who_has_gone_leaves_within_four_frames() -> None:
    scene = Scene([Walker(standing(200), there=((-1, 11),)), Walker(standing(450))])
    told = film(scene, [2.5 * index for index in range(12)])
    assert [identity for _, identity in lefts(told)] == identities(told, 0)
    assert 11 < lefts(told)[0][0] <= 11 + 4 * 2.5


def test_who_is_not_there_after_a_jump_leaves_with_it() -> None:
    tracker = tracker_of()
    rng = np.random.default_rng(0)
    for t in at_rate(30, 1):
        tracker.update(TWO.frame(t, rng)[0])
    out = tracker.update(poses_of(np.zeros((0, 17, 2)), [], 3600.0))
    assert out.left == (1, 2)
    assert tracker.remembered == 0


# ------------------------------------------------------------------------------------------------ bad detections


def test_no_people_is_an_answer() -> None:
    tracker = tracker_of()
    for t in at_rate(30, 1):
        out = tracker.update(poses_of(np.zeros((0, 17, 2)), [], t))
        assert (len(out), out.entered, out.left, tracker.remembered) == (0, (), (), 0)


@pytest.mark.parametrize("wrong", [math.nan, -1.0, -math.inf])
def test_a_person_whose_score_is_no_number_is_nobody(wrong: float) -> None:
    told = watch(
        tracker_of(),
        (
            (
                dataclasses.replace(poses, person_score=np.where(np.array(whose) == 1, wrong, 0.8).astype(np.float32)),
                whose,
            )
            for poses, whose in Scene([Walker(standing(200), there=((0, 1),)), Walker(standing(450))]).film(
                at_rate(30, 3)
            )
        ),
    )
    assert (identities(told, 0), identities(told, 1)) == ([1], [])
    assert [identity for _, identity in lefts(told)] == [1]


def test_people_without_joints_and_joints_without_end_are_not_followed() -> None:
    tracker = tracker_of()
    rng = np.random.default_rng(0)
    scene = Scene([Walker(standing(200), there=((0, 1),))])
    left: list[int] = []
    for t in at_rate(30, 3):
        good = scene.frame(t, rng)[0].xy
        odd = np.full((2, 17, 2), np.nan, np.float32)
        odd[1] = np.inf
        xy = np.concatenate((good, odd))
        xy[:, 3, 0], xy[:, 4, 1] = np.inf, np.nan
        out = tracker.update(poses_of(xy, [0.8] * len(xy), t))
        left += out.left
        assert out.track_id.tolist() == [1] * len(good)
    assert left == [1]


@st.composite
def frames(draw: st.DrawFn) -> list[Poses]:
    """Anything a model or a clock may come up with."""
    number = st.sampled_from([0.0, 3.0, 100.0, 104.0, 250.0, 1e6, math.nan, math.inf, -math.inf])
    step = st.sampled_from([0.0, 1e-9, 1 / 240, 1 / 30, 0.3, 1.0, 2.0, -0.1, 1e4, -1e4, math.nan])
    t, made = 0.0, []
    for seq in range(draw(st.integers(1, 8))):
        t += draw(step)
        people = draw(st.integers(0, 3))
        xy = draw(hnp.arrays(np.float32, (people, 4, 2), elements=number))
        score = draw(hnp.arrays(np.float32, people, elements=st.sampled_from([0.125, 0.25, 0.625, 0.875, math.nan])))
        poses = poses_of(xy, [], t, seq, skeleton=dataclasses.replace(COCO17, joints=("a",) * 4, sigmas=(0.05,) * 4))
        made.append(dataclasses.replace(poses, person_score=score))
        if not math.isfinite(t):
            t = 0.0
    return made


@given(frames())
@settings(max_examples=60, deadline=None)
def test_nothing_that_comes_in_makes_it_fail(drawn: list[Poses]) -> None:
    tracker = Tracker(config.Track(), drawn[0].skeleton, enter=0.5, stay=0.2, kernels="numpy")
    watch(tracker, ((poses, [0] * len(poses)) for poses in drawn))
    assert tracker.remembered <= sum(len(poses) for poses in drawn)
    expected = tracker.expected(drawn[-1].t)
    assert expected is None or not np.isinf(expected.xy).any()


def test_it_remembers_no_more_than_there_are_people() -> None:
    tracker = tracker_of()
    rng = np.random.default_rng(0)
    most = 0
    for seq, t in enumerate(at_rate(240, 0.5)):  # 40 detections a frame, each somewhere else
        xy = rng.uniform(0, 600, (40, 1, 2)) + rng.uniform(0, 40, (40, 17, 2))
        tracker.update(poses_of(xy, [0.9] * 40, t, seq))
        most = max(most, tracker.remembered)
    assert most <= 40 + 64
    for t in at_rate(30, 2, 0.5):
        out = tracker.update(poses_of(np.zeros((0, 17, 2)), [], t))
    assert (tracker.remembered, len(out)) == (0, 0)


# ------------------------------------------------------------------------------------------------ expected


def test_nothing_is_expected_before_the_first_frame_and_after_a_cut() -> None:
    tracker = tracker_of()
    assert tracker.expected(0.0) is None
    told = watch(tracker, TWO.film(at_rate(30, 3.5)))
    assert len(lefts(told)) == 1
    assert tracker.expected(3600.0) is None
    assert tracker.expected(-3600.0) is None
    assert tracker.expected(math.nan) is None


def test_walkers_are_expected_where_they_will_be() -> None:
    scene = Scene([Walker(walking(100, 90)), Walker(walking(600, -90), there=((0, 1),), score=0.7)])
    tracker = tracker_of(scene)
    told = watch(tracker, scene.film(at_rate(30, 2.5)))
    assert len(lefts(told)) == 1
    expected = tracker.expected(2.6)
    assert expected is not None
    assert (expected.t, expected.track_id.tolist()) == (2.6, [1])
    where = np.nanmean(expected.xy[0], axis=0)
    assert np.hypot(*(where - scene.walkers[0].joints(2.6).mean(axis=0))) < 12
    assert expected.coarse_xy is not None
    np.testing.assert_allclose(expected.coarse_xy[0] - expected.xy[0], 1, atol=12)
    assert expected.person_score[0] == pytest.approx(0.8, abs=0.05)


def test_who_is_out_of_sight_is_expected_for_as_long_as_the_identity_waits() -> None:
    scene = Scene([Walker(walking(100, 90), there=((0, 1),)), Walker(swaying(480, 20, 0.5))])
    tracker = tracker_of(scene)
    for poses, _ in scene.film(at_rate(30, 1.5)):
        tracker.update(poses)
    expected = tracker.expected(1.5)
    assert expected is not None
    assert sorted(expected.track_id.tolist()) == [1, 2]
    lost = next(xy for xy in expected.xy if np.nanmean(xy[:, 0]) < 400)
    assert abs(np.nanmean(lost[:, 0]) - 235) < 25
    for poses, _ in scene.film(at_rate(30, 1, 1.5)):
        out = tracker.update(poses)
    expected = tracker.expected(2.5)
    assert expected is not None
    assert expected.track_id.tolist() == out.track_id.tolist()


def test_who_was_seen_once_is_expected_without_an_identity() -> None:
    scene = Scene([Walker(standing(200), there=((1, 9),)), Walker(standing(450), there=((0, 1),))])
    tracker = tracker_of(scene)
    film_ = list(scene.film(at_rate(30, 4)))
    for poses, _ in film_[:31]:
        tracker.update(poses)
    expected = tracker.expected(film_[31][0].t)
    assert expected is not None
    mark, known = sorted(expected.track_id.tolist())
    assert (mark < 0, known) == (True, 1)
    told = watch_rest(tracker, film_[31:])
    assert told == {1: "left", 2: "here"}


def watch_rest(tracker: Tracker, film_: list[tuple[Poses, list[int]]]) -> dict[int, str]:
    state = {1: "here"}
    for poses, _ in film_:
        out = tracker.update(poses)
        state |= dict.fromkeys(out.entered, "here") | dict.fromkeys(out.left, "left")
    return state


def test_nobody_is_expected_outside_the_picture() -> None:
    scene = Scene([Walker(walking(500, 400), there=((0, 9),)), Walker(standing(200))])
    told = film(scene, at_rate(30, 3))
    assert len(lefts(told)) == 1
    tracker = tracker_of(scene)
    for poses, _ in scene.film(at_rate(30, 1.2)):
        tracker.update(poses)
    expected = tracker.expected(1.2)
    assert expected is not None
    for xy in expected.xy:
        assert ((xy >= 0) & (xy <= scene.size_wh)).all(axis=1).any()


def test_the_expected_are_sorted_by_score_and_are_copies() -> None:
    scene = Scene([Walker(standing(200), score=0.6), Walker(standing(450), score=0.9, there=((0, 1),))])
    tracker = tracker_of(scene)
    for poses, _ in scene.film(at_rate(30, 1)):
        tracker.update(poses)
    expected = tracker.expected(1.0)
    assert expected is not None
    assert np.all(np.diff(expected.person_score) < 0)
    expected.xy[:] = 0
    again = tracker.expected(1.0)
    assert again is not None
    assert np.nanmin(again.xy) > 0
    told = watch_rest(tracker, list(scene.film(at_rate(30, 2, 1.0))))
    assert sorted(told.values()) == ["left"]


def test_who_stands_still_for_an_hour_is_one_person() -> None:
    told = watch(tracker_of(), Scene([Walker(standing(320))]).film([float(second) for second in range(3600)]))
    assert {identity for frame in told for identity in frame.poses.track_id.tolist()} == {1}
    assert len(told[-1].poses) == 1

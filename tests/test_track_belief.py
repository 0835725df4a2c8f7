"""Who is believed: evidence adds up, equal looks hardly do, and a thing that is nobody stays nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.follow.track import Tracker
from edgepose.follow.track.belief import ALIKE, MOST, belief, gather, log_odds
from tests.helpers.motion import Walker, at_rate, poses_of, standing, walking


def tracker_of(**settings: Any) -> Tracker:
    return Tracker(config.Track(**settings), COCO17, enter=0.5, stay=0.25, believe=0.97, kernels="numpy")


def one(walker: Walker, t: float, score: float) -> Poses:
    return poses_of(walker.joints(t)[None], [score], t)


def entered(tracker: Tracker, times: list[float], score: Callable[[int], float], walker: Walker) -> float | None:
    """Seconds at which somebody gets an identity; None: never."""
    for index, t in enumerate(times):
        if tracker.update(one(walker, t, score(index))).entered:
            return t
    return None


def test_log_odds_are_those_of_the_chance_and_bounded() -> None:
    assert log_odds(0.5) == pytest.approx(0)
    assert log_odds(0.9) == pytest.approx(np.log(9))
    assert log_odds(np.array([0.0, 1.0, np.nan])).tolist() == [-MOST, MOST, -MOST]


def test_looks_that_agree_count_less_the_more_there_are() -> None:
    mean = np.ones(4)
    sure = belief(mean, np.array([1, 2, 10, 10_000]))
    assert sure[0] == pytest.approx(1)
    assert sure[1] == pytest.approx(2 / (1 + ALIKE))
    assert sure[2] < sure[3] < 1 / ALIKE


def test_evidence_is_the_mean_of_the_looks() -> None:
    mean, looks = log_odds(np.array([0.9])), np.array([1])
    for chance in (0.5, 0.1):
        mean, looks = gather(mean, looks, np.array([chance]), np.array([True]))
    assert mean == pytest.approx(0)
    assert looks.tolist() == [3]
    same, unchanged = gather(mean, looks, np.array([0.99]), np.array([False]))
    assert (same.tolist(), unchanged.tolist()) == (mean.tolist(), [3])


@pytest.mark.parametrize("hz", [1, 5, 10, 30, 60])
def test_who_is_as_likely_as_not_is_never_believed_however_long(hz: float) -> None:
    assert entered(tracker_of(), at_rate(hz, 60), lambda _: 0.65, Walker(standing(200))) is None


@pytest.mark.parametrize("hz", [10, 30, 60])
def test_a_ghost_that_now_and_then_looks_like_a_person_is_not_believed(hz: float) -> None:
    scores = (0.9, 0.4, 0.6, 0.2, 0.85, 0.3)
    assert entered(tracker_of(), at_rate(hz, 30), lambda index: scores[index % 6], Walker(standing(200))) is None


@pytest.mark.parametrize(("score", "within_s"), [(0.99, 0.0), (0.97, 0.1), (0.93, 0.2), (0.85, 1.0)])
def test_the_surer_the_looks_the_sooner_somebody_who_stands_still_is_reported(score: float, within_s: float) -> None:
    when = entered(tracker_of(), at_rate(10, 3), lambda _: score, Walker(standing(200)))
    assert when is not None
    assert when <= within_s + 1e-6


def test_a_camera_at_one_frame_a_second_reports_who_is_sure_at_once_and_doubt_never() -> None:
    assert entered(tracker_of(), [0.0, 1.0, 2.0], lambda _: 0.975, Walker(standing(200))) == 1.0
    assert entered(tracker_of(), at_rate(1, 60), lambda _: 0.6, Walker(standing(200))) is None


def test_after_a_jump_of_the_clock_a_ghost_has_to_be_believed_anew() -> None:
    tracker = tracker_of()
    ghost = Walker(standing(200))
    assert entered(tracker, at_rate(10, 5), lambda _: 0.65, ghost) is None
    assert entered(tracker, [t + 3600 for t in at_rate(10, 5)], lambda _: 0.65, ghost) is None
    assert entered(tracker, [t + 1800 for t in at_rate(10, 5)], lambda _: 0.65, ghost) is None


def test_a_place_that_is_nobody_is_remembered_without_being_seen_and_forgotten_at_last() -> None:
    tracker = tracker_of()
    nothing = poses_of(np.zeros((0, 17, 2)), [], 0.0)
    for t in at_rate(10, 2):
        tracker.update(one(Walker(standing(200)), t, 0.5))
    for t in np.arange(2.0, 32.0, 0.5):
        tracker.update(poses_of(nothing.xy, [], float(t)))
    expected = tracker.expected(32.0)
    assert expected is not None
    assert len(expected) == 1, "it is where it was, so that nobody looks there as if it were new"
    assert expected.track_id[0] < -1
    for t in np.arange(32.0, 152.0, 0.5):
        tracker.update(poses_of(nothing.xy, [], float(t)))
    assert tracker.remembered == 0


def test_a_person_who_walks_past_a_ghost_is_believed_and_the_ghost_is_not() -> None:
    tracker = tracker_of()
    ghost, person = Walker(standing(300)), Walker(walking(100, 200.0))
    identities: set[int] = set()
    for t in at_rate(30, 3):
        here = [(0.9, person.joints(t)), (0.5, ghost.joints(0.0))]
        out = tracker.update(poses_of(np.array([xy for _, xy in here]), [score for score, _ in here], t))
        identities |= set(out.track_id.tolist())
        assert len(out) <= 1
    assert identities == {1}


def test_a_weak_look_is_not_a_sighting_of_somebody_with_an_identity() -> None:
    tracker = tracker_of()
    person = Walker(standing(200))
    for t in at_rate(10, 1):
        tracker.update(one(person, t, 0.95))
    assert len(tracker.update(one(person, 1.1, 0.1))) == 0
    assert len(tracker.update(one(person, 1.2, 0.3))) == 1


def test_a_set_score_is_the_chance_asked_for() -> None:
    when = {
        score: entered(tracker_of(enter_score=score), at_rate(10, 5), lambda _: 0.8, Walker(standing(200)))
        for score in (0.6, 0.9, 0.99)
    }
    assert when[0.6] == pytest.approx(0.1)
    assert when[0.9] is not None
    assert when[0.9] >= 0.1
    assert when[0.99] is None

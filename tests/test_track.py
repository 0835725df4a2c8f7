"""Who is who on invented motion, where every identity is known; in every test somebody leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import COCO17, SKELETONS, Poses
from edgepose.follow.track import Tracker
from tests.helpers.motion import Scene, Walker, at_rate, standing, swaying, walking

RATES = (1, 5, 10, 30, 60, 240)


@dataclasses.dataclass(frozen=True)
class Told:
    """What was told of one frame."""

    t: float
    who: dict[int, int]
    """Walker -> identity; of a walker found twice, the last."""
    poses: Poses


def tracker_of(scene: Scene | None = None, **settings: Any) -> Tracker:
    skeleton = scene.skeleton if scene else COCO17
    return Tracker(config.Track(**settings), skeleton, enter=0.5, stay=0.2, kernels="numpy")


def watch(tracker: Tracker, film: Iterable[tuple[Poses, list[int]]]) -> list[Told]:
    """Track a film; what is true of any film is checked here."""
    told: list[Told] = []
    here: set[int] = set()
    latest = 0
    for poses, whose in film:
        row = np.arange(len(poses), dtype=np.float32)[:, None, None]
        out = tracker.update(dataclasses.replace(poses, xyz=np.broadcast_to(row, (*poses.score.shape, 3))))
        assert list(out.entered) == list(range(latest + 1, latest + 1 + len(out.entered))), "an identity came again"
        latest += len(out.entered)
        here |= set(out.entered)
        assert set(out.left) <= here, "somebody left who was not there"
        here -= set(out.left)
        assert set(out.track_id.tolist()) <= here, "somebody is told of who has not entered or has left"
        assert set(out.entered) <= set(out.track_id.tolist()), "somebody entered unseen"
        assert len(set(out.track_id.tolist())) == len(out), "two people with one identity"
        assert out.xyz is not None
        rows = out.xyz[:, 0, 0].astype(int).tolist()
        assert rows == sorted(rows), "not in the frame's order"
        told.append(Told(poses.t, dict(zip((whose[row] for row in rows), out.track_id.tolist(), strict=True)), out))
    return told


def film(scene: Scene, times: Sequence[float], **settings: Any) -> list[Told]:
    return watch(tracker_of(scene, **settings), scene.film(times))


def identities(told: list[Told], who: int) -> list[int]:
    """The identities a walker had, in order, each change once."""
    had = [frame.who[who] for frame in told if who in frame.who]
    return [identity for index, identity in enumerate(had) if index == 0 or identity != had[index - 1]]


def seen(told: list[Told], who: int) -> list[float]:
    return [frame.t for frame in told if who in frame.who]


def lefts(told: list[Told]) -> list[tuple[float, int]]:
    return [(frame.t, identity) for frame in told for identity in frame.poses.left]


# ------------------------------------------------------------------------------------------------ staying, leaving


def test_nobody_is_told_of_after_leaving_and_the_leaving_is_told_once() -> None:
    scene = Scene([Walker(standing(200), there=((0, 2),)), Walker(standing(450))])
    told = film(scene, at_rate(30, 5))
    assert seen(told, 0)[-1] == pytest.approx(2 - 1 / 30)
    identity = identities(told, 0)[0]
    ((t, gone),) = lefts(told)
    assert t == pytest.approx(2 + 29 / 30, abs=0.02)
    assert gone == identity
    assert len(seen(told, 1)) == 150
    assert len(identities(told, 1)) == 1


@pytest.mark.parametrize("memory_s", [0.0, 0.3, 3.0])
def test_memory_is_as_long_as_it_is_set(memory_s: float) -> None:
    scene = Scene([Walker(standing(200), there=((0, 1),)), Walker(standing(450))])
    told = film(scene, at_rate(30, 5), memory_s=memory_s)
    assert [t for t, _ in lefts(told)] == [pytest.approx(max(1 + memory_s - 1 / 30, 1), abs=0.02)]


def test_those_who_stay_keep_their_identity_when_another_leaves() -> None:
    walkers = [Walker(swaying(100 + 110 * index, 25, 0.3)) for index in range(5)]
    walkers[1] = dataclasses.replace(walkers[1], there=((0, 1.5),))
    told = film(Scene(walkers), at_rate(30, 5))
    assert [len(identities(told, who)) for who in range(5)] == [1] * 5
    assert [identity for _, identity in lefts(told)] == identities(told, 1)


def test_a_newcomer_never_gets_the_identity_of_somebody_who_left() -> None:
    scene = Scene([Walker(standing(300), there=((0, 1),)), Walker(standing(300), there=((3, 5),))])
    told = film(scene, at_rate(30, 7))
    assert (identities(told, 0), identities(told, 1)) == ([1], [2])
    assert [identity for _, identity in lefts(told)] == [1, 2]


@pytest.mark.parametrize("hz", RATES)
def test_everybody_has_one_identity_at_any_frame_rate(hz: float) -> None:
    walkers = [Walker(swaying(90 + 150 * index, 30, 0.25), phase=index) for index in range(4)]
    walkers[3] = dataclasses.replace(walkers[3], there=((-1, 6),))
    told = film(Scene(walkers), at_rate(hz, 10 if hz < 100 else 7.5))
    assert [identities(told, who) and len(identities(told, who)) for who in range(4)] == [1] * 4
    assert len(seen(told, 0)) == len(told)
    assert len(lefts(told)) == 1


def test_a_frame_rate_that_changes_changes_nobody() -> None:
    times = [*at_rate(30, 1), *at_rate(5, 2, 1), *at_rate(240, 0.5, 3), *at_rate(1, 4, 3.6), *at_rate(60, 2, 7)]
    walkers = [Walker(swaying(120 + 200 * index, 40, 0.2), phase=index) for index in range(3)]
    walkers[1] = dataclasses.replace(walkers[1], there=((0, 7.5),))
    told = film(Scene(walkers), times)
    assert [len(identities(told, who)) for who in range(3)] == [1, 1, 1]
    assert [identity for _, identity in lefts(told)] == identities(told, 1)


def test_fifty_people_have_fifty_identities_while_they_leave_one_by_one() -> None:
    walkers = [
        Walker(swaying(70 + 120 * (index % 10), 15, 0.4, 80 + 150 * (index // 10)), 130, ((-1, 1 + 0.04 * index),))
        for index in range(50)
    ]
    told = film(Scene(walkers, (1280, 800)), at_rate(30, 4.1))
    assert [len(identities(told, who)) for who in range(50)] == [1] * 50
    assert len(told[0].who) == 50
    assert sorted(identity for _, identity in lefts(told)) == list(range(1, 51))


@pytest.mark.parametrize("name", SKELETONS)
def test_any_skeleton_can_be_followed_with_joints_missing(name: str) -> None:
    walkers = [Walker(walking(60, 60)), Walker(walking(580, -60, 260), there=((-1, 3),))]
    scene = Scene(walkers, skeleton=SKELETONS[name], misses=0.0 if name == "blazepose4" else 0.3)
    told = film(scene, at_rate(30, 5))
    assert [len(identities(told, who)) for who in range(2)] == [1, 1]
    assert len(lefts(told)) == 1


# ------------------------------------------------------------------------------------------------ crossing, hiding


@pytest.mark.parametrize("hz", [5, 10, 30, 60, 240])
@pytest.mark.parametrize("apart", [0, 20], ids=["through each other", "past each other"])
def test_people_who_cross_keep_their_identities(hz: float, apart: float) -> None:
    scene = Scene([Walker(walking(60, 120)), Walker(walking(580, -120, 240 + apart), phase=2)])
    told = film(scene, at_rate(hz, 6.5))
    assert [len(identities(told, who)) for who in range(2)] == [1, 1]
    assert len(lefts(told)) == 2


def test_who_is_hidden_while_crossing_is_found_again() -> None:
    hidden = ((-1, 1.9), (2.5, 9))  # the one behind is not found while the one in front covers them
    scene = Scene([Walker(walking(60, 120)), Walker(walking(580, -120, 230), 180, hidden, phase=2)])
    told = film(scene, at_rate(30, 7))
    assert [len(identities(told, who)) for who in range(2)] == [1, 1]
    assert len(lefts(told)) == 2


@pytest.mark.parametrize("hz", [10, 30])
def test_behind_a_pillar_nobody_is_told_of_and_the_identity_waits(hz: float) -> None:
    scene = Scene([Walker(walking(60, 140))], pillars=[(260, 380)])
    told = film(scene, at_rate(hz, 7), memory_s=2.0)
    assert identities(told, 0) == [1]
    assert max(np.diff(seen(told, 0))) > 0.2
    assert len(lefts(told)) == 1


@pytest.mark.parametrize("hz", [10, 30, 60])
def test_people_who_swap_behind_a_pillar_come_out_as_themselves(hz: float) -> None:
    scene = Scene([Walker(walking(40, 160)), Walker(walking(600, -160), phase=2)], pillars=[(260, 380)])
    told = film(scene, at_rate(hz, 6))
    assert [len(identities(told, who)) for who in range(2)] == [1, 1]
    assert max(np.diff(seen(told, 0))) > 0.2
    assert len(lefts(told)) == 2


def test_who_turns_round_behind_a_pillar_is_known() -> None:
    def path(t: float) -> tuple[float, float]:
        return (60 + 140 * t if t < 1.9 else 60 + 140 * (3.8 - t)), 240

    scene = Scene([Walker(path, tall=240)], pillars=[(260, 420)])
    told = film(scene, at_rate(30, 6))
    assert identities(told, 0) == [1]
    assert len(lefts(told)) == 1


def test_who_runs_out_of_sight_and_stops_is_known() -> None:
    def path(t: float) -> tuple[float, float]:
        return 100 + 400 * min(t, 1.0), 240

    scene = Scene([Walker(path, tall=150, there=((-1, 0.9), (1.3, 3)))])
    told = film(scene, at_rate(30, 5))
    assert identities(told, 0) == [1]
    assert len(lefts(told)) == 1


@pytest.mark.parametrize(("away_s", "identity"), [(0.7, [1]), (1.5, [1, 2])], ids=["within memory", "after it"])
def test_who_returns_is_known_within_memory_only(away_s: float, identity: list[int]) -> None:
    def path(t: float) -> tuple[float, float]:
        return (200 + 150 * t, 240) if t < 2 + away_s / 2 else (200 + 150 * (4 + away_s - t), 240)

    scene = Scene([Walker(path, there=((-1, 2), (2 + away_s, 4)))])
    told = film(scene, at_rate(30, 6))
    assert identities(told, 0) == identity
    assert [identity for _, identity in lefts(told)] == identity


# ------------------------------------------------------------------------------------------------ parts of people


@pytest.mark.parametrize("hz", [10, 30, 240])
def test_who_enters_at_the_edge_is_one_person_from_the_first_hand_to_the_last(hz: float) -> None:
    told = film(Scene([Walker(walking(-90, 150))]), at_rate(hz, 7))
    assert identities(told, 0) == [1]
    assert len(lefts(told)) == 1


def test_half_out_of_the_picture_is_the_same_person() -> None:
    scene = Scene([Walker(swaying(20, 40, 0.4), there=((-1, 4),)), Walker(standing(400, 470), tall=300)])
    told = film(scene, at_rate(30, 6))
    assert [len(identities(told, who)) for who in range(2)] == [1, 1]
    assert len(lefts(told)) == 1


@pytest.mark.parametrize("since", [0.0, 1.0, 0.5], ids=["from the start", "later", "at times"])
def test_somebody_found_as_two_halves_is_one_person(since: float) -> None:
    def split(who: int, t: float) -> bool:
        return who == 0 and t >= since and (since != 0.5 or int(t * 30) % 3 == 0)

    scene = Scene([Walker(walking(120, 60), there=((-1, 4),)), Walker(standing(560))], split=split)
    told = film(scene, at_rate(30, 6))
    assert [len(identities(told, who)) for who in range(2)] == [1, 1]
    assert len(lefts(told)) == 1


def test_somebody_found_twice_is_one_person_even_when_another_is_out_of_sight() -> None:
    scene = Scene(
        [Walker(walking(100, 60), there=((-1, 5),)), Walker(walking(340, -60), there=((-1, 1.9),), score=0.7)]
    )
    tracker = tracker_of(scene)
    rng = np.random.default_rng(3)
    ids = set()
    left: list[int] = []
    for t in at_rate(30, 7):
        poses, _ = scene.frame(t, rng)
        if len(poses) and t > 2:
            twin = poses.xy[:1] + rng.normal(0, 3, poses.xy[:1].shape).astype(np.float32)
            poses = dataclasses.replace(
                poses, xy=np.concatenate((poses.xy, twin)), score=np.repeat(poses.score[:1], 2, 0),
                person_score=np.array([0.8, 0.7], np.float32), track_id=np.full(2, -1, np.int32), coarse_xy=None,
            )  # fmt: skip
        out = tracker.update(poses)
        ids |= set(out.track_id.tolist())
        left += out.left
        if t > 2:
            assert len(out) <= 1
    assert ids == {1, 2} == set(left)


def test_a_wrong_pose_on_somebody_is_nobody_unless_it_stays() -> None:
    # another's shape, smaller, around the same middle: not like enough to be called the same
    def film_of(seconds: float) -> list[Told]:
        child = Walker(swaying(320, 0, 1, 250), tall=90, there=((1, 1 + seconds),), score=0.7)
        return film(Scene([Walker(standing(320), there=((0, 2.5),)), child]), at_rate(30, 4))

    glimpsed, stayed = film_of(0.2), film_of(2)
    assert (identities(glimpsed, 0), identities(glimpsed, 1)) == ([1], [])
    assert (identities(stayed, 0), identities(stayed, 1)) == ([1], [2])
    assert [identity for _, identity in lefts(stayed)] == [1, 2]


# ------------------------------------------------------------------------------------------------ entering


def at(scores: Sequence[float | None], hz: float = 30) -> list[Told]:
    """One person with a score for each frame; None: not found."""
    scene = Scene([Walker(standing(300))], noise=0)
    frames = []
    for seq, score in enumerate(scores):
        poses, whose = scene.frame(seq / hz, np.random.default_rng(seq), seq)
        sure = np.array([score or 0], np.float32)
        frames.append(
            (rows(dataclasses.replace(poses, person_score=sure), score is not None), whose[: score is not None])
        )
    return watch(tracker_of(), frames)


def rows(poses: Poses, people: int) -> Poses:
    """The first people only."""
    names = ("xy", "score", "person_score", "track_id", "coarse_xy")
    return dataclasses.replace(poses, **{name: getattr(poses, name)[:people] for name in names})


def counts(told: list[Told]) -> str:
    return "".join(str(len(frame.who)) for frame in told)


def test_the_first_frame_of_a_film_tells_of_everybody_sure_enough() -> None:
    assert counts(at([0.6, 0.6, None, None])) == "1100"


def test_later_somebody_is_told_of_when_seen_twice() -> None:
    assert counts(at([None, 0.6, 0.6, 0.6, None])) == "00110"


def test_the_first_second_time_may_come_after_a_frame_without() -> None:
    assert counts(at([None, 0.6, None, 0.6, None])) == "00010"


def test_one_glimpse_or_one_every_so_often_is_nobody() -> None:
    assert set(counts(at([None, 0.9, *[None] * 10, 0.9, *[None] * 10, 0.9, None]))) == {"0"}


def test_who_is_not_sure_enough_to_enter_may_stay() -> None:
    assert counts(at([None, 0.4, 0.4, 0.6, 0.4, 0.6, 0.3, 0.21, 0.19, 0.3, None])) == "00000111010"


def test_at_240_hz_two_sightings_within_a_few_milliseconds_are_one() -> None:
    assert counts(at([None, *[0.6] * 8], 240)) == "000000111"


def test_where_frames_come_slowly_one_sighting_is_enough() -> None:
    assert counts(at([None, 0.6, None, 0.6], 2)) == "0101"


def test_own_scores_replace_the_models() -> None:
    tracker = tracker_of(enter_score=0.9, stay_score=0.7)
    assert (tracker.enter_score, tracker.stay_score) == (0.9, 0.7)
    assert tracker_of(enter_score=0.1).stay_score == 0.1, "who may enter may stay"

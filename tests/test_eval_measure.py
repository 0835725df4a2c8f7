"""Numbers that can be argued by hand, and those of pycocotools."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.poses import COCO17
from edgepose.lab.eval.find import Seen
from edgepose.lab.eval.match import IGNORED, WRONG, People, matches, pairs, similarity
from tests.helpers.eval_scene import person, random_truth, truth_of

pytest.importorskip("pycocotools", reason="pycocotools judges here")

from edgepose.lab.eval.ap import coco, rows
from edgepose.lab.eval.compare import differences
from edgepose.lab.eval.measure import measure, reliability

pytestmark = pytest.mark.slow

SIGMAS = np.array(COCO17.sigmas)
STANDING = np.array([[100.0, 100 + 10 * joint] for joint in range(17)])
STANDING[5:7] = [[80, 150], [120, 150]]
STANDING[11:13] = [[80, 180], [120, 180]]
"""Shoulders at y 150, hips at y 180, 40 wide: the torso's diagonals are 50 px."""


def seen(candidates: list[tuple[Any, float]], picture_id: int = 1, reported: Any = None, **more: Any) -> Seen:
    def pack(poses: list[tuple[Any, float]]) -> list[Any]:
        return [
            [[None if np.isnan(at).any() else list(at) for at in np.asarray(xy)], [0.9] * 17, score]
            for xy, score in poses
        ]

    values: dict[str, Any] = {"ms": 2.0, "read_ms": 1.0, "invokes": 1, "crops": 0, "candidate_invokes": 1} | more
    packs = pack(candidates)
    return Seen(
        picture_id=picture_id, candidates=packs, reported=packs if reported is None else pack(reported), **values
    )


def test_similarity_falls_with_distance_as_coco_says() -> None:
    # area 10000, distance 20, sigma of the nose .026: 20^2 / (2 * 10000 * .052^2) = 7.396
    apart = STANDING.copy()
    apart[0, 0] += 20
    alike = similarity(np.stack([STANDING, apart]), [person(STANDING)], SIGMAS)
    assert alike[:, 0] == pytest.approx([1, (16 + np.exp(-7.3964497)) / 17])


def test_a_joint_not_found_counts_as_wrong_and_one_not_labelled_not_at_all() -> None:
    half, lost = STANDING.copy(), STANDING.copy()
    half[8:], lost[4:] = np.nan, np.nan
    assert similarity(lost[None], [person(half)], SIGMAS)[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(6))
def test_similarity_and_matches_are_those_of_pycocotools(seed: int) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from edgepose.lab.eval.ap import _dataset

    truth, poses = random_truth(seed)
    found = [people(one) for one in poses]
    with contextlib.redirect_stdout(io.StringIO()):
        expected = COCO()
        expected.dataset = _dataset(truth)
        expected.createIndex()
        answers = [row for one, here in zip(truth.pictures, found, strict=True) for row in rows(truth, one.id, here)]
        judge = COCOeval(expected, expected.loadRes(answers), "keypoints")
        judge.evaluate()
    of_picture = {entry["image_id"]: entry for entry in judge.evalImgs if entry and entry["aRng"] == [0, 1e10]}
    compared = 0
    for picture, here in zip(truth.pictures, found, strict=True):
        if not len(here) or not picture.people:
            continue
        alike = similarity(here.xy, picture.people, SIGMAS)
        assert alike == pytest.approx(judge.ious[picture.id, 1], abs=1e-5)
        given = matches(alike, picture.people, 0.5)
        entry = of_picture[picture.id]
        taken = [
            IGNORED if ignored else WRONG if not who else int(who) for who, ignored in
            zip(entry["dtMatches"][0], entry["dtIgnore"][0], strict=True)
        ]  # fmt: skip
        first = sum(len(one.people) for one in truth.pictures[: picture.id - 1])  # ids count from 1 over all pictures
        assert [int(who) + 1 + first if who >= 0 else int(who) for who in given] == taken
        compared += len(here)
    assert compared > 10


def people(poses: list[tuple[NDArray[np.float64], float]]) -> People:
    xy = np.array([xy for xy, _ in poses]).reshape(-1, 17, 2)
    return People(xy, np.ones(xy.shape[:2]), np.array([score for _, score in poses]))


@pytest.mark.parametrize("seed", range(4))
def test_ap_drawn_from_matches_is_that_of_pycocotools(seed: int) -> None:
    truth, poses = random_truth(seed)
    numbers, ranking = coco(truth, [people(one) for one in poses])
    assert numbers["AP"] == pytest.approx(ranking.ap())
    assert 0 < ranking.ap() < 1


def test_a_picture_that_counts_twice_is_as_good_as_there_twice() -> None:
    truth, poses = random_truth(3)
    _, ranking = coco(truth, [people(one) for one in poses])
    twice = truth_of(*[list(one.people) for one in truth.pictures], list(truth.pictures[1].people))
    numbers, _ = coco(twice, [*(people(one) for one in poses), people(poses[1])])
    weight = np.ones(len(poses))
    weight[1] = 2
    # equal scores stand in another order, which moves AP a little
    assert ranking.ap(weight) == pytest.approx(numbers["AP"], abs=0.01)


def test_everybody_found_exactly_scores_one_everywhere() -> None:
    measured = measure(truth_of([person(STANDING)], []), [seen([(STANDING, 0.9)]), seen([], 2)])
    for key in ("AP", "AP50", "AR", "mean_oks", "mean_oks_told", "pck", "pck_box", "precision", "recall", "kept"):
        assert measured.numbers[key] == pytest.approx(1), key
    assert measured.numbers["joint_error_px"] == 0
    assert measured.numbers["false_people_per_empty"] == 0
    assert measured.numbers["ece"] == pytest.approx(0.1)
    assert measured.numbers["ms_per_picture"] == 2
    assert measured.counts["pictures_empty"] == 1


def test_nobody_found_scores_zero_and_precision_is_unknown() -> None:
    measured = measure(truth_of([person(STANDING)]), [seen([])])
    assert [measured.numbers[key] for key in ("AP", "AR", "mean_oks", "pck", "recall")] == [0] * 5
    assert [measured.numbers[key] for key in ("precision", "ece", "false_people_per_empty")] == [None] * 3
    (case,) = measured.people
    assert case.xy is None


def test_without_people_there_is_no_ap_but_false_people_are_counted() -> None:
    measured = measure(truth_of([], []), [seen([(STANDING, 0.4)] * 3), seen([], 2)])
    assert measured.numbers["AP"] is None
    assert measured.numbers["recall"] is None
    assert measured.numbers["false_people_per_empty"] == 1.5
    assert measured.numbers["precision"] == 0
    assert [case.score for case in measured.false] == [0.4] * 3


def test_extra_empty_pictures_count_for_nothing_else() -> None:
    alone = measure(truth_of([person(STANDING)]), [seen([(STANDING, 0.9)])])
    more = measure(
        truth_of([person(STANDING)], empties=4),
        [seen([(STANDING, 0.9)]), *[seen([(STANDING, 0.8)], -1), *(seen([], -2 - number) for number in range(3))]],
    )
    assert more.numbers["false_people_per_empty"] == 0.25
    for key in ("AP", "precision", "recall", "false_people_per_picture"):
        assert more.numbers[key] == alone.numbers[key], key


def test_a_joint_is_right_within_a_fifth_of_the_torso() -> None:
    # the diagonal is 50 px: 9 px is right, 11 px is not
    apart = STANDING.copy()
    apart[0, 0] += 9
    apart[1, 0] += 11
    measured = measure(truth_of([person(STANDING)]), [seen([(apart, 0.9)])])
    assert measured.numbers["pck"] == pytest.approx(16 / 17)
    assert measured.joints["nose"] == {"labelled": 1, "pck": 1, "error_px": 9, "error_torso": 9 / 50}
    assert measured.joints["left_eye"]["pck"] == 0


def test_without_a_torso_there_is_no_pck_but_there_is_that_of_the_box() -> None:
    face = STANDING.copy()
    face[5:] = np.nan
    measured = measure(truth_of([person(face)]), [seen([(STANDING, 0.9)])])
    assert measured.numbers["pck"] is None
    assert measured.numbers["pck_box"] == 1
    assert measured.numbers["mean_oks"] is None  # five joints are too few


def test_a_pose_on_a_crowd_is_neither_right_nor_wrong() -> None:
    crowd = person(np.full((17, 2), np.nan), crowd=True, box=(60, 60, 100, 260))
    measured = measure(truth_of([crowd]), [seen([(STANDING, 0.9)] * 2)])
    assert measured.counts["false"] == 0
    assert measured.numbers["precision"] is None
    assert measured.false == []


def test_what_is_told_decides_precision_and_recall_and_candidates_the_rest() -> None:
    far = STANDING + 300
    truth = truth_of([person(STANDING), person(far)])
    measured = measure(truth, [seen([(STANDING, 0.9), (far, 0.2), (STANDING + 600, 0.1)], reported=[(STANDING, 0.9)])])
    assert measured.numbers["recall"] == 0.5
    assert measured.numbers["recall_candidates"] == 1
    assert measured.numbers["kept"] == 0.5
    assert measured.numbers["precision"] == 1
    assert measured.numbers["mean_oks"] == 1
    assert measured.numbers["mean_oks_told"] == pytest.approx(0.5)


def test_a_bad_pose_of_somebody_is_no_false_person() -> None:
    wrong = STANDING[::-1].copy()  # in the box, joints mixed up
    measured = measure(truth_of([person(STANDING)]), [seen([(STANDING, 0.9), (wrong, 0.8), (STANDING + 400, 0.7)])])
    assert measured.numbers["precision"] == pytest.approx(1 / 3)
    assert measured.numbers["precision_people"] == pytest.approx(2 / 3)


def test_where_annotations_are_partial_nothing_is_said_of_false_people() -> None:
    measured = measure(truth_of([person(STANDING)]), [seen([(STANDING + 400, 0.9)])], everybody=False)
    for key in ("precision", "false_people_per_picture", "false_people_per_empty", "ece"):
        assert measured.numbers[key] is None
    assert measured.false == []
    assert measured.reliability == []


def test_where_annotations_are_partial_ap_leaves_out_poses_of_others() -> None:
    answers = [seen([(STANDING + 400, 0.9), (STANDING, 0.5)])]
    assert measure(truth_of([person(STANDING)]), answers).numbers["AP"] == pytest.approx(0.5, abs=0.01)
    assert measure(truth_of([person(STANDING)]), answers, everybody=False).numbers["AP"] == pytest.approx(1)


def test_each_box_is_judged_by_its_own_pose() -> None:
    # both crops show the same person; the second box's person is not found by the first one's pose
    far = STANDING + 300
    answers = seen([(STANDING, 0.9), (STANDING, 0.8)], boxes=(0, 1))
    measured = measure(truth_of([person(STANDING), person(far)]), [answers])
    assert measured.numbers["mean_oks"] == pytest.approx(0.5)


def test_reliability_bins_say_score_and_share() -> None:
    bins = reliability([(0.05, False), (0.81, True), (0.89, True), (0.85, False), (1.0, True)])
    assert [(row["low"], row["count"]) for row in bins] == [(0.0, 1), (0.8, 3), (0.9, 1)]
    assert bins[1]["score"] == pytest.approx(0.85)
    assert bins[1]["right"] == pytest.approx(2 / 3)


def test_pairs_are_one_to_one_the_most_alike_first() -> None:
    assert pairs(np.array([[0.9, 0.8], [0.7, 0.0]])) == [(0, 0)]
    assert pairs(np.array([[0.7, 0.9], [0.8, 0.85]])) == [(0, 1), (1, 0)]
    assert pairs(np.zeros((0, 2))) == []


def test_a_run_compared_with_itself_differs_by_nothing() -> None:
    truth, poses = random_truth(5)
    answers = [seen(list(one), picture.id) for one, picture in zip(poses, truth.pictures, strict=True)]
    measured = measure(truth, answers)
    table = differences(measured, measured, draws=50)
    assert {"AP", "mean_oks", "recall", "ms_per_picture"} <= set(table)
    assert all(one.low == one.high == 0 and not one.sure for one in table.values())


def test_the_interval_of_a_difference_is_that_of_a_paired_bootstrap() -> None:
    # in 8 of 16 pictures B finds somebody whom A misses: recall differs by .5, its standard error is .125
    truth = truth_of(*[[person(STANDING, number)] for number in range(1, 17)])
    good = [seen([(STANDING, 0.9)], number) for number in range(1, 17)]
    half = [seen([(STANDING, 0.9)] if number % 2 else [], number) for number in range(1, 17)]
    one = differences(measure(truth, half), measure(truth, good))["recall"]
    assert (one.a, one.b, one.sure) == (0.5, 1.0, True)
    assert one.low == pytest.approx(0.25, abs=0.07)
    assert one.high == pytest.approx(0.75, abs=0.07)

"""The stage on people made by hand: what it smooths, what it forgets, what it bears."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.follow.smooth import PRESETS, Smoother
from samples.people import poses

SHAPE = poses(1).xy[0].astype(np.float64)
"""(17, 2) somebody whose box is 160 pixels wide."""
SIZE = 160.0


def right(pixels: float) -> NDArray[np.float64]:
    """Them, so far to the right."""
    return np.asarray(SHAPE + np.array((pixels, 0.0)))


def smoother(preset: str = "light", **fields: Any) -> Smoother:
    cfg = config.Smooth(preset=preset, **fields)  # type: ignore[arg-type]
    return Smoother(cfg, COCO17, live=False, kernels="numpy")


def at(t: float, *xy: NDArray[Any], ids: list[int] | None = None, **fields: Any) -> Poses:
    """People with ids 1, 2 and so on, at a time."""
    places = np.array(xy, np.float32).reshape(len(xy), 17, 2)
    ids = list(range(1, len(xy) + 1)) if ids is None else ids
    return poses(len(xy), t=t, taken_t=t, xy=places, track_id=np.array(ids, np.int32), **fields)


def shaking(seed: int = 0, noise_px: float = 1.2) -> NDArray[np.float64]:
    """(90, 17, 2) somebody standing still, as a detector sees them."""
    return np.asarray(SHAPE + np.random.default_rng(seed).normal(size=(90, 17, 2)) * noise_px)


def run(stage: Smoother, shots: NDArray[Any], hz: float = 30.0) -> NDArray[np.float32]:
    return np.array([stage.update(at(index / hz, shot)).xy[0] for index, shot in enumerate(shots)])


def steps(xy: NDArray[Any]) -> float:
    return float(np.diff(xy, axis=0).std())


@pytest.mark.parametrize(("preset", "least", "most"), [("light", 0.2, 0.4), ("strong", 0.05, 0.15)])
def test_who_stands_still_shakes_less(preset: str, least: float, most: float) -> None:
    seen = shaking()

    told = run(smoother(preset), seen)

    assert least < steps(told[30:]) / steps(seen[30:]) < most


@pytest.mark.parametrize(("preset", "late_ms"), [("light", 12), ("strong", 31)])
def test_who_walks_half_a_body_size_a_second_is_told_late_by_this(preset: str, late_ms: float) -> None:
    speed = SIZE / 2
    walk = np.array([right(index / 30 * speed) for index in range(90)])

    behind = (walk - run(smoother(preset), walk))[60, :, 0] / speed * 1e3

    assert behind == pytest.approx(np.full(17, late_ms), abs=2)


def test_the_same_motion_twice_as_near_is_smoothed_the_same() -> None:
    seen = shaking() + np.linspace(0, 150, 90)[:, None, None]

    near, far = run(smoother(), 2 * seen), run(smoother(), seen)

    np.testing.assert_allclose(near, 2 * far, rtol=1e-5)


def test_custom_takes_its_own_parameters() -> None:
    light = PRESETS["light"]
    fields = {"min_cutoff_hz": light.min_cutoff_hz, "beta": light.beta, "d_cutoff_hz": light.d_cutoff_hz}

    assert np.array_equal(run(smoother("custom", **fields), shaking()), run(smoother(), shaking()))
    assert steps(run(smoother("custom", **{**fields, "min_cutoff_hz": 15.0}), shaking())) > 2 * steps(
        run(smoother(), shaking())
    )


def test_off_gives_back_what_came() -> None:
    made = at(0.0, SHAPE)

    assert smoother("off").update(made) is made


def test_what_came_is_not_written_into() -> None:
    stage, made = smoother(predict="fixed", predict_ms=80.0), at(0.1, SHAPE + 3)
    before = made.xy.copy(), made.score.copy()
    stage.update(at(0.0, SHAPE))

    told = stage.update(made)

    assert np.array_equal(made.xy, before[0])
    assert np.array_equal(made.score, before[1])
    assert told is not made
    assert (told.t, told.taken_t, told.seq, told.skeleton) == (made.t, made.taken_t, made.seq, made.skeleton)


def test_people_without_identity_stay_as_they_are_beside_those_who_have_one() -> None:
    stage = smoother(predict="fixed", predict_ms=80.0)
    stage.update(at(0.0, SHAPE, SHAPE + 40, ids=[-1, 5]))

    made = at(0.1, SHAPE + 9, SHAPE + 49, ids=[-1, 5])
    told = stage.update(made)

    assert np.array_equal(told.xy[0], made.xy[0])
    assert np.array_equal(told.score[0], made.score[0])
    assert not np.isclose(told.xy[1], made.xy[1]).any()
    assert stage.update(at(0.2, SHAPE, ids=[-1])).xy[0] == pytest.approx(SHAPE)


def test_each_keeps_their_own_filter_when_their_order_changes() -> None:
    both, alone = smoother(), smoother()
    first, second = shaking(1), shaking(2) + 70
    for index in range(40):
        here = [first[index], second[index]]
        ids = [3, 8]
        if index % 3 == 0:
            here, ids = here[::-1], ids[::-1]
        told = both.update(at(index / 30, *here, ids=ids))
        want = alone.update(at(index / 30, first[index], ids=[3]))
        assert np.array_equal(told.xy[ids.index(3)], want.xy[0])


def test_a_joint_that_is_not_there_is_not_made_up() -> None:
    stage = smoother(predict="fixed", predict_ms=80.0)
    stage.update(at(0.0, SHAPE))
    blind = SHAPE.copy()
    blind[4] = np.nan
    blind[5, 0] = np.inf

    told = stage.update(at(0.03, blind))

    assert np.isnan(told.xy[0, [4, 5]]).all()
    assert np.isfinite(np.delete(told.xy[0], [4, 5], axis=0)).all()


@pytest.mark.parametrize(("away_s", "goes_on"), [(0.4, True), (0.7, False)])
def test_a_joint_found_again_goes_on_after_a_short_gap_and_starts_again_after_a_long_one(
    away_s: float, goes_on: bool
) -> None:
    stage = smoother("strong")
    blind, back = SHAPE.copy(), SHAPE.copy()
    blind[7] = np.nan
    back[7] += 8
    count = round(away_s * 30)
    for index in range(20):
        stage.update(at(index / 30, SHAPE))
    for index in range(20, 20 + count - 1):
        stage.update(at(index / 30, blind))

    told = stage.update(at((19 + count) / 30, back)).xy[0, 7]

    if (
        goes_on
    ):  # by the real time: after 0.4 s a first-order filter of 0.5 Hz and more has come at least 1/2 of the way
        assert np.all((told > SHAPE[7] + 4) & (told < back[7] - 0.1))
    else:
        assert told == pytest.approx(back[7])


@pytest.mark.parametrize(("away_s", "goes_on"), [(0.3, True), (1.0, False)])
def test_a_person_seen_again_goes_on_after_a_short_gap_only(away_s: float, goes_on: bool) -> None:
    stage = smoother("strong")
    for index in range(20):
        stage.update(at(index / 30, SHAPE))
    for index in range(round(away_s * 30)):
        stage.update(at((20 + index) / 30, SHAPE + 90, ids=[2]))

    told = stage.update(at(20 / 30 + away_s, SHAPE + 8)).xy[0]

    assert np.allclose(told, SHAPE + 8, atol=1e-3) is not goes_on


def test_a_joint_the_model_is_unsure_of_throws_the_filter_less() -> None:
    thrown = SHAPE.copy()
    thrown[9] += 60
    moved = []
    for score in (0.5, 0.1, math.nan):
        stage = smoother()
        for index in range(30):
            stage.update(at(index / 30, SHAPE))
        scores = np.full((1, 17), 0.5, np.float32)
        scores[0, 9] = score
        moved.append(float(np.linalg.norm(stage.update(at(1.0, thrown, score=scores)).xy[0, 9] - SHAPE[9])))

    assert moved[1] < moved[0] / 4
    assert moved[2] < moved[0] / 4


def test_a_joint_that_is_always_unsure_is_smoothed_like_any_other() -> None:
    scores = np.full((1, 17), 0.5, np.float32)
    scores[0, 9] = 0.15
    stage, usual = smoother(), smoother()
    for index, shot in enumerate(shaking()):
        told = stage.update(at(index / 30, shot, score=scores))
        want = usual.update(at(index / 30, shot))

    assert told.xy == pytest.approx(want.xy)


def test_joints_in_three_dimensions_are_smoothed_too() -> None:
    stage, flat = smoother(), smoother()
    seen = shaking()
    for index, shot in enumerate(seen):
        xyz = np.concatenate((shot, shot[:, :1]), axis=1).astype(np.float32)[None] / 100
        told = stage.update(at(index / 30, shot, xyz=xyz))
        want = flat.update(at(index / 30, shot))

    assert told.xyz is not None
    np.testing.assert_allclose(told.xyz[0, :, :2] * 100, want.xy[0], rtol=1e-4)
    assert np.array_equal(told.xy, want.xy)
    assert stage.update(at(3.1, SHAPE)).xyz is None


def test_the_filter_starts_at_once_and_anew_for_a_new_identity_in_the_place_of_one_that_left() -> None:
    stage = smoother("strong")
    stage.update(at(0.0, SHAPE, ids=[1]))

    told = stage.update(at(1 / 30, SHAPE + 50, ids=[2], left=(1,)))

    assert told.xy[0] == pytest.approx(SHAPE + 50)
    assert len(stage) == 1


def test_memory_follows_the_people_in_sight_even_if_nobody_is_said_to_have_left() -> None:
    stage = smoother()
    for index in range(3000):
        stage.update(at(index / 30, SHAPE, SHAPE + 9, ids=[2 * index, 2 * index + 1]))

    assert len(stage) <= 2 * 2.0 * 30 + 16  # two a frame, those of two seconds, and a block of room


@pytest.mark.parametrize("hz", [1.0, 5.0, 30.0, 120.0, 240.0])
@pytest.mark.parametrize("predict_ms", [0.0, 80.0])
def test_any_frame_rate_gives_the_same_pace(hz: float, predict_ms: float) -> None:
    """A steady walk is told where it is, or will be, give or take what the filter lags."""
    stage = smoother(predict="fixed", predict_ms=predict_ms)
    count = max(int(4 * hz), 12)
    for index in range(count):
        t = index / hz
        told = stage.update(at(t, right(t * 40)))

    late_s = (SHAPE[:, 0] + t * 40 - told.xy[0, :, 0]) / 40

    assert np.ptp(late_s) < 1e-3
    if predict_ms:
        assert -0.081 < late_s[0] < -0.05
    else:
        assert 0 < late_s[0] < 0.06


TIMES: dict[str, list[float]] = {
    "repeats": [0, 0.033, 0.033, 0.033, 0.066, 0.1],
    "goes back a little": [0, 0.033, 0.066, 0.04, 0.07, 0.1],
    "starts again": [100, 100.033, 100.066, 0, 0.033, 0.066],
    "jumps an hour": [0, 0.033, 0.066, 3600, 3600.033, 3600.066],
    "back an hour": [3600, 3600.033, 0, 0.033, 0.066, 0.1],
    "changes its rate": [0, 1, 2, 2.004, 2.008, 3, 3.5],
    "not a number": [0, 0.033, math.nan, 0.066, math.inf, 0.1],
    "all the same": [5.0] * 40,
}


@pytest.mark.parametrize("predict", ["off", "fixed"])
@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_whatever_the_time_stamps_do_joints_stay_where_they_are_seen(times: list[float], predict: str) -> None:
    stage = smoother(predict=predict, predict_ms=80.0)
    rng = np.random.default_rng(3)
    for index, t in enumerate(times):
        told = stage.update(at(t, SHAPE + index + rng.normal(size=(17, 2))))
        assert np.abs(told.xy[0] - SHAPE - index).max() < 16


def test_after_a_jump_in_time_nothing_is_carried_over() -> None:
    stage = smoother("strong")
    stage.update(at(0.0, SHAPE))

    assert stage.update(at(3600.0, SHAPE + 70)).xy[0] == pytest.approx(SHAPE + 70)
    assert stage.update(at(5.0, SHAPE)).xy[0] == pytest.approx(SHAPE)


@pytest.mark.parametrize("predict", ["off", "fixed"])
def test_nobody_one_and_fifty_people(predict: str) -> None:
    stage = smoother(predict=predict, predict_ms=50.0)
    for index, count in enumerate((0, 1, 50, 0, 50, 3)):
        places = [SHAPE + 4 * person for person in range(count)]
        told = stage.update(at(index / 30, *places))
        assert len(told) == count
        assert np.allclose(told.xy, np.array(places).reshape(count, 17, 2), atol=1e-3)


def test_a_single_joint_and_none_at_all_are_survived() -> None:
    stage = smoother(predict="fixed", predict_ms=50.0)
    one = np.full((17, 2), np.nan)
    one[3] = 50, 60
    for index in range(5):
        assert stage.update(at(index / 30, one)).xy[0, 3] == pytest.approx((50, 60))
    assert np.isnan(stage.update(at(0.2, np.full((17, 2), np.nan))).xy).all()


def test_a_wild_joint_far_outside_is_survived() -> None:
    stage = smoother(predict="fixed", predict_ms=50.0)
    wild = SHAPE.copy()
    wild[2] = 1e30, -1e30
    for index, shot in enumerate((SHAPE, wild, SHAPE, SHAPE)):
        told = stage.update(at(index / 30, shot))

    assert np.isfinite(told.xy).all()

"""The track kernels, in each of the three ways to run them: a textbook Kalman filter, and likeness pair by pair."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.follow.track.motion import FIRST_SPEED, LAWS, newborn
from tests.helpers.ways import WAYS

Floats = NDArray[np.float64]
LAW = np.array(list(LAWS.values()))
SIZE_WH = (640.0, 480.0)


@pytest.fixture(params=WAYS, scope="module")
def loops(request: pytest.FixtureRequest) -> ModuleType:
    return kernels.family("track", request.param)


def people(rng: np.random.Generator, count: int, joints: int, missing: float = 0.3) -> Floats:
    """(count, joints, 5) detections, at least one joint each."""
    seen = rng.uniform(50, 400, (count, 1, 5)) + rng.uniform(-40, 40, (count, joints, 5))
    gone = rng.random((count, joints)) < missing
    gone[:, 0] = False
    seen[gone, :2] = np.nan
    return seen


def crowd(rng: np.random.Generator, count: int, joints: int) -> tuple[Floats, Floats, Floats]:
    """Joints, motion and seconds unseen of people who have moved for a while."""
    bodies = newborn(people(rng, count, joints), np.ones(count), 5.0)
    motion = bodies.motion.copy()
    motion[:, 1:5] = rng.normal(0, 30, (count, 4))
    unseen_s = rng.choice([0.0, 0.05, 0.4, 1.2], count)
    return bodies.joints.copy(), motion, unseen_s


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1 / 240, 1 / 30, 0.3, 1.0, 2.0]))
@settings(max_examples=30, deadline=None)
def test_a_body_moves_as_a_kalman_filter_of_its_speed_says(loops: ModuleType, seed: int, step: float) -> None:
    rng = np.random.default_rng(seed)
    joints, motion, unseen_s = crowd(rng, 3, 4)
    unseen_s[:] = 0
    before, start = motion.copy(), joints.copy()
    loops.move(joints, motion, unseen_s, step, *SIZE_WH, LAW)
    keep_s, unrest = LAWS["keep_s"], LAWS["unrest"]
    kept = np.exp(-step / keep_s)
    change = np.array([[1, keep_s * (1 - kept)], [0, kept]])
    # the noise of the step, summed up in small pieces instead of in closed form
    pieces = 2000
    rest = step - (np.arange(pieces) + 0.5) * step / pieces
    push = np.stack((keep_s * (1 - np.exp(-rest / keep_s)), np.exp(-rest / keep_s)))
    noise = unrest * step / pieces * push @ push.T
    for m in range(3):
        spread = np.array([[before[m, 5], before[m, 6]], [before[m, 6], before[m, 7]]])
        after = change @ spread @ change.T + noise
        np.testing.assert_allclose(motion[m, 5:], [after[0, 0], after[0, 1], after[1, 1]], rtol=1e-4, atol=1e-12)
        assert np.linalg.eigvalsh(after).min() >= 0
        by = change[0, 1] * before[m, 1:3]
        np.testing.assert_allclose(
            joints[m, :, :2] - start[m, :, :2], np.broadcast_to(by, (4, 2)) + 0 * start[m, :, :2]
        )
        np.testing.assert_allclose(motion[m, 1:3], kept * before[m, 1:3])


def test_who_is_out_of_sight_stays_in_the_picture_and_stops_in_the_end(loops: ModuleType) -> None:
    seen = np.zeros((3, 4, 5))
    seen[..., 0], seen[..., 1] = 620 + np.arange(4), 200 + np.arange(4)
    bodies = newborn(seen, np.ones(3), 5.0)
    joints, motion = bodies.joints.copy(), bodies.motion.copy()
    motion[:, 1] = 100
    loops.move(joints, motion, np.array([0.0, 0.5, 1.5]), 0.5, *SIZE_WH, LAW)
    assert joints[0, :, 0].mean() > 660
    assert joints[1, :, 0].mean() == pytest.approx(640)
    assert joints[2, :, 0].mean() == pytest.approx(621.5)
    np.testing.assert_allclose(motion[:, 3], joints[:, 0, 0] - 620)


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 4), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_likeness_is_of_place_and_of_pose(loops: ModuleType, seed: int, bodies: int, found: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    joints, motion, unseen_s = crowd(rng, bodies, count)
    seen = people(rng, found, count)
    for n in range(min(bodies, found)):
        seen[n, :, :2] = joints[n, :, :2] + rng.normal(0, 8, (count, 2)) if n % 2 else seen[n, :, :2]
    trust, looseness = rng.choice([0.8, 1.0], bodies), rng.uniform(0.001, 0.04, count)
    value, common = np.full((2, bodies, found), np.nan)
    off = np.full((bodies, found, 2), np.nan)
    loops.alike(joints, motion, unseen_s, trust, seen, looseness, LAW, value, off, common)
    for m in range(bodies):
        for n in range(found):
            apart = seen[n, :, :2] - joints[m, :, :2]
            known = ~np.isnan(apart[:, 0])
            mean = apart[known].mean(axis=0) if known.any() else np.zeros(2)
            assert common[m, n] == known.sum()
            np.testing.assert_allclose(off[m, n], mean, atol=1e-9)
            variance = (min(motion[m, 5], LAWS["most_lost"]) + LAWS["slack"]) * motion[m, 0] ** 2
            place = max(
                np.exp(-(mean**2).sum() / 2 / variance),
                LAWS["stopped"] * np.exp(-((mean + motion[m, 3:5]) ** 2).sum() / 2 / variance),
            )
            likely = trust[m] * place * known.sum() / (known.sum() + 1)
            if likely >= LAWS["least_alike"]:
                limb = min(1 + unseen_s[m] / LAWS["limb_s"], 3) * motion[m, 0]
                distance2 = ((apart - mean)[known] ** 2).sum(axis=1)
                likely *= 0.5 + 0.5 * np.exp(-distance2 / 2 / looseness[known] / limb**2).mean()
            expected = likely if likely >= LAWS["least_alike"] else 0
            if abs(likely - LAWS["least_alike"]) > 1e-9:
                assert value[m, n] == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_who_is_seen_follows_as_a_kalman_filter_says(loops: ModuleType, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    joints, motion, _ = crowd(rng, 3, count)
    seen = people(rng, 2, count)
    of = np.array([1, -1, 0])
    unseen_s = np.array([0.1, 0.3, 0.6])
    joints[..., 5] = np.where(np.isnan(joints[..., 0]), np.inf, 0.5)
    value, common = np.zeros((2, 3, 2))
    off = np.zeros((3, 2, 2))
    loops.alike(joints, motion, unseen_s, np.ones(3), seen, np.full(count, 0.01), LAW, value, off, common)
    motion[:, 6] = 0.01
    before, old = motion.copy(), joints.copy()
    loops.follow(joints, motion, unseen_s, seen, of, off, common, LAW)
    np.testing.assert_array_equal(joints[1], old[1])
    np.testing.assert_array_equal(motion[1], before[1])
    for m, n in ((0, 1), (2, 0)):
        spread = np.array([[before[m, 5], before[m, 6]], [before[m, 6], before[m, 7]]])
        gain = spread[:, 0] / (spread[0, 0] + LAWS["noise"] * count / common[m, n])
        after = spread - np.outer(gain, spread[0])
        np.testing.assert_allclose(motion[m, 5:], [after[0, 0], after[0, 1], after[1, 1]])
        np.testing.assert_allclose(motion[m, 1:3], before[m, 1:3] + gain[1] * off[m, n])
        known = ~np.isnan(seen[n, :, 0])
        np.testing.assert_allclose(joints[m, known, :2], seen[n, known, :2] - (1 - gain[0]) * off[m, n])
        carried = old[m, :, :2] + gain[0] * off[m, n]
        carried[(old[m, :, 5] + unseen_s[m]) > LAWS["joint_s"]] = np.nan
        np.testing.assert_allclose(joints[m, ~known, :2], carried[~known])
        np.testing.assert_array_equal(joints[m, known, 4], seen[n, known, 4])
        assert motion[m, 0] >= np.ptp(seen[n, known, :2], axis=0).max() - 1e-9
        assert (motion[m, 3:5] == 0).all()


def test_a_joint_that_is_not_finite_is_not_there(loops: ModuleType) -> None:
    xy = np.array([[[1, 2], [np.nan, 3], [4, np.inf], [-np.inf, np.nan]]], np.float32)
    seen, known = np.zeros((1, 4, 5)), np.zeros(1, np.int64)
    loops.read(xy, xy + 1, np.full((1, 4), 0.5, np.float32), seen, known)
    assert known.tolist() == [1]
    np.testing.assert_array_equal(seen[0, 0], [1, 2, 2, 3, 0.5])
    assert np.isnan(seen[0, 1:, :2]).all()


def test_somebody_new_may_run() -> None:
    bodies = newborn(people(np.random.default_rng(0), 2, 5), np.ones(2), 5.0)
    assert (bodies.motion[:, 7] == FIRST_SPEED).all()
    assert (bodies.track_id == -1).all()

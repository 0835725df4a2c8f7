"""Prediction: where joints will be, how sure that is, and how much it gains on recorded motion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.follow.smooth import Smoother
from edgepose.follow.smooth.kalman import TUNING, Kalman, act
from edgepose.follow.smooth.people import Seen
from samples.people import poses
from samples.recorded import DELAYS_S, clips, detected, miss, told_by
from samples.shared import shared
from tests.helpers.reference_smooth import constant_velocity

SHAPE = poses(1).xy[0].astype(np.float64)
"""(17, 2) somebody whose box is 160 pixels wide."""
SIZE = 160.0


def smoother(predict: str = "fixed", predict_ms: float = 80.0, *, live: bool = False, **fields: Any) -> Smoother:
    cfg = config.Smooth(predict=predict, predict_ms=predict_ms, **fields)  # type: ignore[arg-type]
    return Smoother(cfg, COCO17, live, kernels="numpy", clock=lambda: 1000.25)


def at(t: float, xy: NDArray[Any], **fields: Any) -> Poses:
    fields = {"taken_t": t, "track_id": np.ones(1, np.int32), **fields}
    return poses(1, t=t, xy=xy[None].astype(np.float32), **fields)


def walked(stage: Smoother, speed: float = SIZE / 2, frames: int = 60) -> Poses:
    for index in range(frames):
        told = stage.update(at(index / 30, SHAPE + np.array((index / 30 * speed, 0))))
    return told


def ahead_of(told: Poses, speed: float = SIZE / 2, frames: int = 60) -> float:
    """Seconds the walker is told ahead of where they were seen last."""
    return float((told.xy[0, :, 0] - SHAPE[:, 0] - (frames - 1) / 30 * speed).mean() / speed)


@pytest.mark.parametrize("ms", [20.0, 50.0, 120.0])
def test_a_steady_walker_is_told_where_they_will_be(ms: float) -> None:
    told = walked(smoother(predict_ms=ms))

    assert told.predicted_s == ms / 1e3
    assert ahead_of(told) == pytest.approx(ms / 1e3, rel=0.25)  # speeds fade, and what fades is a little less


def test_confidence_falls_with_the_horizon() -> None:
    for ms in (20.0, 80.0, 400.0):
        told = walked(smoother(predict_ms=ms))
        assert told.score == pytest.approx(np.full((1, 17), 0.5 * math.exp(-ms / 500)))
        assert told.person_score == pytest.approx(0.9)


def test_nothing_is_told_further_ahead_than_half_a_second() -> None:
    told = walked(smoother(predict_ms=1000.0))

    assert told.predicted_s == 0.5
    assert ahead_of(told) < 0.5


def test_no_joint_is_told_further_away_than_half_a_body_size() -> None:
    fast = 8 * SIZE
    told = walked(smoother(predict_ms=400.0), fast)

    move = told.xy[0, :, 0] - SHAPE[:, 0] - 59 / 30 * fast
    assert move == pytest.approx(np.full(17, SIZE / 2), rel=0.2)


def test_off_and_no_horizon_tell_what_was_seen() -> None:
    for stage in (smoother("off", 80.0, preset="off"), smoother("fixed", 0.0, preset="off")):
        assert stage.off
        assert walked(stage).predicted_s == 0
    assert walked(smoother("fixed", 0.0)).predicted_s == 0


def test_send_predicts_to_when_a_live_message_leaves_and_its_reader_uses_it() -> None:
    told = smoother("send", 30.0, live=True, preset="off").update(at(1000.2, SHAPE))

    assert told.predicted_s == pytest.approx(0.08)


def test_send_of_a_recording_does_not_look_at_the_clock() -> None:
    assert smoother("send", 30.0).update(at(1000.2, SHAPE)).predicted_s == 0.03
    assert smoother("send", 0.0, preset="off").off


def test_a_clock_that_is_behind_the_frame_predicts_nothing() -> None:
    told = smoother("send", 0.0, live=True).update(at(2000.0, SHAPE))

    assert told.predicted_s == 0
    assert told.score == pytest.approx(0.5)


def test_who_stands_still_is_as_calm_as_with_light_and_not_predicted() -> None:
    seen = SHAPE + np.random.default_rng(0).normal(size=(120, 17, 2)) * 1.2
    shakes = []
    for stage in (smoother(), smoother("off")):
        told = np.array([stage.update(at(index / 30, shot)).xy[0] for index, shot in enumerate(seen)])
        shakes.append(np.diff(told[30:], axis=0).std())

    assert shakes[0] < 1.15 * shakes[1]
    assert np.abs(told.mean(axis=0) - SHAPE).max() < 1


def test_a_jump_is_not_taken_for_a_speed() -> None:
    stage = smoother(preset="off")
    for index in range(30):
        stage.update(at(index / 30, SHAPE))
    jumped = SHAPE.copy()
    jumped[9] += 60

    for index in range(3):
        told = stage.update(at(1 + index / 30, jumped)).xy[0]
        assert np.abs(told[9] - jumped[9]).max() < 12
        assert np.abs(np.delete(told - jumped, 9, axis=0)).max() < 2


def test_a_hand_that_starts_at_once_is_caught_up_with_within_a_fifth_of_a_second() -> None:
    stage = smoother(preset="off")
    for index in range(60):
        still = SHAPE + np.random.default_rng(index).normal(size=(17, 2)) * 1.2
        hand = still.copy()
        hand[9, 0] += max(0, index - 50) / 30 * 2 * SIZE
        told = stage.update(at(index / 30, hand)).xy[0]
        if index >= 57:
            assert told[9, 0] - hand[9, 0] > 0.4 * 0.08 * 2 * SIZE


def test_strong_filters_what_is_predicted() -> None:
    seen = SHAPE + np.random.default_rng(0).normal(size=(120, 17, 2)) * 1.2
    shakes = []
    for preset in ("light", "strong"):
        stage = smoother(preset=preset)
        told = np.array([stage.update(at(index / 30, shot)).xy[0] for index, shot in enumerate(seen)])
        shakes.append(np.diff(told[30:], axis=0).std())

    assert shakes[1] < shakes[0] / 3


def test_one_joint_and_plain_settings_are_the_textbooks_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single joint is its own body: driven alike at any speed, nothing learned, clipped or faded, that is all."""
    push, noise, swift = 0.7, 0.01**2, 0.3
    plain = np.array((0.0, 0.0, push, 0.0, noise, noise, noise, 0.0, 1e9, swift, 1e9, 0.0))
    monkeypatch.setattr("edgepose.follow.smooth.kalman.TUNING", plain)
    monkeypatch.setattr("edgepose.follow.smooth.kalman._RATES", np.full(3, -1e-9))
    monkeypatch.setattr("edgepose.follow.smooth.kalman._TIMES", np.full(2, 1e9))
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.uniform(0.005, 0.2, 60))
    values = np.sin(times) + rng.normal(size=60) * 0.01
    stage = Kalman(1, 1, kernels.family("smooth", "numpy"))
    stage.grow(1)
    slots, since = np.zeros(1, np.int64), np.diff(times, prepend=-np.inf)
    told = [
        stage.update(
            np.array([[[value]]]), np.ones((1, 1)), np.ones(1), Seen(slots, step[None], slots[:0], t, t - 9), 0
        )
        for t, step, value in zip(times.tolist(), since, values, strict=True)
    ]

    want = constant_velocity(times.tolist(), values.tolist(), push, noise, swift)

    np.testing.assert_allclose(np.ravel(told), want, atol=1e-5)


def test_a_speed_acts_less_the_longer_it_fades() -> None:
    assert act(0.3, 0.0) == 0
    assert act(0.3, 1e-6) == pytest.approx(1e-6, rel=1e-4)
    assert act(0.3, 100.0) == pytest.approx(0.3)
    assert TUNING.shape == (12,)


# ------------------------------------------------------------------------------------------------ recorded motion

MOCAP = "data/mocap/cmu_01_02_h36m17_30fps.npz"


@pytest.mark.parametrize("preset", ["off", "light"])
def test_recorded_motion_is_told_at_least_30_percent_better_at_any_usual_delay(preset: str) -> None:
    pytest.importorskip("scipy", reason="scipy is not installed")
    true = clips(shared(MOCAP))
    noisy = detected(true)
    plain = told_by(config.Smooth(preset=preset), noisy)  # type: ignore[arg-type]
    for delay_s in DELAYS_S:
        ahead = told_by(config.Smooth(preset=preset, predict="fixed", predict_ms=delay_s * 1e3), noisy)  # type: ignore[arg-type]

        assert miss(ahead, true, delay_s) < 0.7 * miss(plain, true, delay_s)

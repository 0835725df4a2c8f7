"""What is looked at how, and what counts as motion."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.poses import Frame
from edgepose.estimate.attention import OFTEN, SELDOM_S, VIEWS, Attention, View
from edgepose.estimate.moved import Moved
from edgepose.estimate.score import more

RNG = np.random.default_rng(5)
ROOM = np.repeat(np.repeat(RNG.integers(0, 255, (24, 32, 3), np.uint8), 20, axis=0), 20, axis=1)


def test_a_view_is_a_square_around_beside_or_wider() -> None:
    box = (100.0, 100.0, 200.0, 200.0)
    assert View().of(box) == box
    assert View(wide=1.5).of(box) == (75, 75, 225, 225)
    assert View(aside=0.1).of(box) == (110, 95, 210, 195)


def test_who_is_doubted_is_looked_at_in_every_way_and_then_seldom() -> None:
    attention = Attention()
    looks = [(t, attention.look(-2, t)) for t in np.arange(0, 10, 0.05).tolist() if attention.wants(-2, t)]
    assert {view for _, view in looks} == set(VIEWS)
    often = [t for t, _ in looks if t < OFTEN * 0.05]
    assert len(often) == OFTEN - 1, "the first look found them"
    pauses = np.diff([t for t, _ in looks[OFTEN - 2 :]])
    assert pauses[:3] == pytest.approx([SELDOM_S, 2 * SELDOM_S, 4 * SELDOM_S], abs=0.06)


def test_a_clock_that_goes_back_is_waited_for_by_nobody() -> None:
    attention = Attention()
    for index in range(OFTEN):
        attention.look(-2, 1000.0 + index)
    assert not attention.wants(-2, 1007.1)
    assert attention.wants(-2, 5.0)


def test_who_is_not_expected_any_more_is_forgotten() -> None:
    attention = Attention()
    for _ in range(OFTEN):
        attention.look(-2, 1.0)
    attention.keep({-3})
    assert attention.wants(-2, 1.1)


def frames(pictures: list[NDArray[np.uint8]]) -> Moved:
    moved = Moved()
    for index, picture in enumerate(pictures):
        moved.see(Frame(picture, "bgr" if picture.ndim == 3 else "gray", index / 10, 0.0, index))
    return moved


def noisy(picture: NDArray[np.uint8], sigma: float = 5.0) -> NDArray[np.uint8]:
    return np.clip(picture + RNG.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


WHOLE = (0.0, 0.0, 640.0, 480.0)


@pytest.mark.parametrize("sigma", [0.0, 5.0, 15.0])
def test_noise_light_and_a_shaking_camera_are_no_motion(sigma: float) -> None:
    still = [noisy(np.roll(ROOM, index % 2, axis=1), sigma) for index in range(8)]
    assert frames(still).within(WHOLE) < 0.01
    darker = [noisy((ROOM * (1 - 0.02 * index)).astype(np.uint8), sigma) for index in range(8)]
    assert frames(darker).within(WHOLE) < 0.01


def test_what_moves_is_seen_where_it_moves_and_not_elsewhere() -> None:
    pictures = []
    for index in range(8):
        picture = np.full((480, 640, 3), 90, np.uint8)
        picture[200:360, 100 + 15 * index : 160 + 15 * index] = 200
        pictures.append(noisy(picture))
    moved = frames(pictures)
    assert moved.within((150, 200, 300, 360)) > 0.1
    assert moved.within((400, 0, 640, 480)) == 0
    assert moved.within((-500, -500, -100, -100)) == 0


def test_a_camera_that_pans_says_nothing_of_anybody() -> None:
    assert frames([np.roll(ROOM, 60 * index, axis=1) for index in range(8)]).within(WHOLE) == 0


def test_grey_frames_and_a_change_of_size_are_taken() -> None:
    moved = frames([ROOM[..., 0], ROOM[..., 0], ROOM[:240, :320, 0]])
    assert moved.within(WHOLE) == 0


@pytest.mark.parametrize(
    ("chance", "by", "gives"), [(0.5, 0.0, 0.5), (0.5, np.log(9), 0.9), (0.0, 3.0, 0.0), (1.0, 2.0, 1.0)]
)
def test_more_log_odds_are_a_larger_chance(chance: float, by: float, gives: float) -> None:
    assert more(chance, by) == pytest.approx(gives)

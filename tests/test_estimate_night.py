"""How dark and noisy a picture is, and what models get to see of it."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.poses import Frame, Layout
from edgepose.estimate.night import HIGH, MOST_GAIN, Night, brightened

RNG = np.random.default_rng(2)
ROOM = cv2.GaussianBlur(np.repeat(np.repeat(RNG.integers(0, 255, (12, 16, 3), np.uint8), 20, 0), 20, 1), (0, 0), 4)


def seen(light: float, sigma: float, frames: int = 12) -> tuple[Night, Frame]:
    """What is known after some frames of a room that nothing moves in, and the last of them."""
    night, frame = Night(), None
    for index in range(frames):
        image = np.clip(ROOM * light + RNG.normal(0, sigma, ROOM.shape), 0, 255).astype(np.uint8)
        frame = Frame(image, "bgr", index / 10, 0.0, index)
        night.see(frame)
    assert frame is not None
    return night, frame


@pytest.mark.parametrize(("light", "sigma"), [(1.0, 0.0), (1.0, 3.0), (0.8, 2.0)])
def test_by_day_models_get_the_frame_itself(light: float, sigma: float) -> None:
    night, frame = seen(light, sigma)
    assert night.shown(frame, 1.0) is frame


def test_the_first_frame_is_never_changed() -> None:
    night, frame = seen(0.1, 8.0, frames=1)
    assert night.shown(frame, 1.0) is frame


@pytest.mark.parametrize("sigma", [4.0, 8.0, 12.0])
def test_noise_is_measured(sigma: float) -> None:
    night, _ = seen(0.6, sigma)
    assert night.noise == pytest.approx(sigma, rel=0.25)


def test_a_dark_picture_gets_light_and_loses_noise() -> None:
    night, frame = seen(0.2, 6.0)
    shown = night.shown(frame, 1.0)
    assert np.percentile(shown.image, 98) == pytest.approx(HIGH, rel=0.2)
    plain = np.clip(ROOM * 0.2, 0, 255) * np.percentile(shown.image, 50) / np.percentile(ROOM * 0.2, 50)
    amplified = frame.image.astype(float) * np.percentile(shown.image, 50) / np.percentile(frame.image, 50)
    assert np.abs(shown.image - plain).mean() < 0.5 * np.abs(amplified - plain).mean()
    assert (shown.t, shown.seq, shown.size_wh) == (frame.t, frame.seq, frame.size_wh)


def test_there_is_a_limit_to_what_light_is_added() -> None:
    night, frame = seen(0.0, 0.0)
    assert night.shown(frame, 1.0).image.max() <= MOST_GAIN * frame.image.max()


def as_layout(image: NDArray[np.uint8], layout: str) -> Frame:
    turned = {
        "bgr": image, "gray": cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
        "i420": cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420),
    }[layout]  # fmt: skip
    return Frame(np.asarray(turned, np.uint8), cast(Layout, layout), 0.0, 0.0, 0)


@pytest.mark.parametrize("layout", ["bgr", "gray", "i420"])
def test_every_layout_is_brightened_and_the_frame_of_others_is_left_alone(layout: str) -> None:
    frame = as_layout((ROOM * 0.3).astype(np.uint8), layout)
    before = frame.image.copy()
    shown = brightened(frame, 2.0, 1.0)
    height = frame.size_wh[1]
    assert (frame.image == before).all()
    assert shown.image[:height].mean() == pytest.approx(2 * before[:height].mean(), rel=0.05)
    assert (shown.image[height:] == before[height:]).all(), "colours stay"

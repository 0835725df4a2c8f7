"""The motion gate: a person is motion; noise, lamps, light, plants and screens are not, or not for long."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.core.poses import Frame, Layout
from edgepose.pipeline.power.gate import GAP_S, MOTION, SCENE, STILL, STUCK, STUCK_S, Gate
from edgepose.pipeline.power.ignore import mask_of, polygons_of
from edgepose.pipeline.power.luma import LEVEL, grid_of, plane_of

Picture = NDArray[np.float32]
Change = Callable[[Picture, float], Picture]


def room(size_wh: tuple[int, int] = (640, 480)) -> Picture:
    """Something with light and dark parts, as grey levels."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(30, 220, (size_wh[1] // 40, size_wh[0] // 40, 1)).astype(np.uint8)
    return cv2.resize(coarse, size_wh, interpolation=cv2.INTER_LINEAR).astype(np.float32)


def seen(change: Change | None, seconds: float, fps: float = 15.0, sigma: float = 3.0) -> Iterator[tuple[float, Frame]]:
    """A camera that looks at the room, which is changed by `change`."""
    base, rng = room(), np.random.default_rng(1)
    for seq in range(round(seconds * fps)):
        t = seq / fps
        picture = base if change is None else change(base.copy(), t)
        noisy = picture + rng.normal(0, sigma, picture.shape).astype(np.float32)
        yield t, frame(np.clip(noisy, 0, 255).astype(np.uint8), t, "gray", seq)


def frame(image: NDArray[np.uint8], t: float, layout: Layout = "gray", seq: int = 0) -> Frame:
    return Frame(image, layout, t, t, seq)


def kinds(gate: Gate, frames: Iterator[tuple[float, Frame]], refuted: bool = True) -> list[tuple[float, str]]:
    return [(t, gate.see(one, refuted).kind) for t, one in frames]


def share(found: list[tuple[float, str]], after_t: float) -> float:
    """Of the frames after a time, those that are not still."""
    late = [kind for t, kind in found if t >= after_t]
    return sum(kind != STILL for kind in late) / len(late)


def bar(x: float, width: int, height: int, contrast: float, feet: int = 400) -> Change:
    """Somebody's outline, `contrast` grey levels darker than what is behind."""

    def change(picture: Picture, t: float) -> Picture:
        left = round(x)
        picture[feet - height : feet, left : left + width] -= contrast
        return picture

    return change


# ----------------------------------------------------------------------------------------------------- the plane


@pytest.mark.parametrize(
    ("size_wh", "cells", "cell_px"),
    [((640, 480), (60, 80), 8), ((1920, 1080), (45, 80), 24), ((320, 240), (60, 80), 4), ((16, 16), (4, 4), 4)],
)
def test_the_plane_is_small_whatever_the_picture(
    size_wh: tuple[int, int], cells: tuple[int, int], cell_px: int
) -> None:
    grid = grid_of(size_wh)
    assert (grid.rows, grid.columns) == cells
    assert grid.cell_px == cell_px


@pytest.mark.parametrize("layout", ["gray", "bgr", "rgb", "i420", "nv12"])
def test_every_layout_gives_the_brightness_of_its_cells(layout: Layout) -> None:
    grey = np.repeat(np.arange(0, 240, 4, dtype=np.uint8), 8)[:, None].repeat(640, axis=1)
    images: dict[str, NDArray[np.uint8]] = {"gray": grey, "bgr": grey[..., None].repeat(3, 2)}
    images["rgb"] = images["bgr"]
    images["i420"] = images["nv12"] = np.vstack([grey, np.full((240, 640), 128, np.uint8)])
    plane = plane_of(frame(images[layout], 0.0, layout), grid_of((640, 480)))
    assert (plane == LEVEL * np.arange(0, 240, 4)[:, None]).all()


def test_a_plane_is_of_this_frame_even_where_the_size_is_odd() -> None:
    grid = grid_of((641, 479))
    assert plane_of(frame(np.full((479, 641), 9, np.uint8), 0.0), grid).shape == (grid.rows, grid.columns)


# ------------------------------------------------------------------------------------------------------ who is seen


@pytest.mark.parametrize("fps", [1, 5, 15, 30, 120])
def test_somebody_who_comes_is_motion_at_any_frame_rate(fps: int) -> None:
    seconds = 40 if fps == 1 else 6
    gate = Gate()
    came = seconds - 1 - 1 / fps

    def comes(picture: Picture, t: float) -> Picture:
        return bar(300, 24, 80, 40)(picture, t) if t >= came else picture

    found = kinds(gate, seen(comes, seconds, fps))
    first = next(t for t, kind in found if t >= came and kind == MOTION)
    assert first - came <= max(0.1, 1.01 / fps)
    assert share([each for each in found if each[0] < came], seconds / 2) < 0.02


@pytest.mark.parametrize(("sigma", "contrast"), [(3, 10), (12, 30)], ids=["low contrast", "night noise"])
def test_somebody_small_slow_and_hardly_visible_is_motion(sigma: float, contrast: float) -> None:
    # 40 px tall in 640 x 480, 12 px wide, 3 px a second: a quarter of the width
    def walks(picture: Picture, t: float) -> Picture:
        return bar(100 + 3 * (t - 10), 12, 40, contrast)(picture, t) if t >= 10 else picture

    found = kinds(Gate(), seen(walks, 18, 15, sigma), refuted=False)
    first = next(t for t, kind in found if t >= 10 and kind != STILL)
    assert first <= 10.3
    assert share(found, 10.5) > 0.7


def test_where_something_moves_is_said_in_pixels() -> None:
    gate = Gate()
    for t, one in seen(lambda p, t: bar(300, 40, 120, 60)(p, t) if t >= 4 else p, 5):
        signal = gate.see(one)
        if t >= 4.2:
            break
    assert signal.kind == MOTION
    assert signal.at_xy is not None
    x, y = signal.at_xy
    assert 290 <= x <= 350
    assert 270 <= y <= 410


# -------------------------------------------------------------------------------------------- what is not somebody


def band(picture: Picture, t: float) -> Picture:
    rows = np.arange(480)[:, None]
    lit: Picture = picture * (1 + 0.06 * np.sin(2 * np.pi * (rows / 300 + 3.7 * t))).astype(np.float32)
    return lit


def plant(picture: Picture, t: float) -> Picture:
    shift = round(6 * np.sin(2 * np.pi * 0.5 * t) + 3 * np.sin(2 * np.pi * 0.83 * t))
    picture[200:400, 100:180] = np.roll(picture[200:400, 60:220], shift, 1)[:, 40:120]
    return picture


def screen(picture: Picture, t: float) -> Picture:
    picture[100:180, 400:520] = np.random.default_rng(int(2 * t)).uniform(0, 255)
    return picture


CHANGES: dict[str, tuple[Change | None, float]] = {
    "noise": (None, 3.0),
    "night noise": (None, 12.0),
    "rolling band": (band, 3.0),
    "lamp at 100 Hz": (lambda p, t: p * np.float32(1 + 0.05 * np.sin(2 * np.pi * 100.4 * t)), 3.0),
    "exposure that hunts": (lambda p, t: p * np.float32(1 + 0.1 * np.sin(2 * np.pi * 0.3 * t)), 3.0),
    "dusk": (lambda p, t: p * np.float32(1 - 0.5 * t / 40), 3.0),
    "plant": (plant, 3.0),
    "screen": (screen, 3.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_goes_on_by_itself_becomes_background(name: str) -> None:
    change, sigma = CHANGES[name]
    assert share(kinds(Gate(), seen(change, 40, 15, sigma)), 20) < 0.02


def test_a_learnt_plant_hides_nobody_elsewhere() -> None:
    def both(picture: Picture, t: float) -> Picture:
        return bar(400, 12, 40, 20)(plant(picture, t), t) if t >= 25 else plant(picture, t)

    found = kinds(Gate(), seen(both, 26, 15))
    assert any(kind == MOTION for t, kind in found if 25 <= t <= 25.3)


SCENES: dict[str, Change] = {
    "lights on": lambda p, t: p if t >= 5 else p * np.float32(0.3),
    "day to infrared": lambda p, t: 255 - p if t >= 5 else p,
    "camera turned": lambda p, t: np.roll(p, 150, 1) if t >= 5 else p,
}


@pytest.mark.parametrize("name", SCENES)
def test_another_picture_as_a_whole_is_a_new_scene_and_then_still(name: str) -> None:
    found = kinds(Gate(), seen(SCENES[name], 10))
    assert any(kind == SCENE for t, kind in found if 5 <= t <= 5.4)
    assert share(found, 6.5) < 0.05


def test_who_comes_while_the_lights_go_on_is_not_lost_with_them() -> None:
    def change(picture: Picture, t: float) -> Picture:
        if t < 5:
            return picture * np.float32(0.3)
        return bar(100 + 60 * (t - 5), 24, 80, 40)(picture, t)

    found = kinds(Gate(), seen(change, 7))
    assert share([each for each in found if each[0] >= 5], 5) > 0.9


def test_what_is_masked_does_not_count() -> None:
    masked = Gate(polygons_of(["0.6,0.15 0.85,0.15 0.85,0.45 0.6,0.45"]))
    assert share(kinds(masked, seen(screen, 10)), 1) < 0.02
    assert share(kinds(Gate(), seen(screen, 10)), 1) > 0.02


@pytest.mark.parametrize(
    "text",
    ["0.1,0.1 0.2,0.2", "0,0 1,0 1.2,1", "-0.1,0 1,0 1,1", "0,0 1,0 x,1", "0;0 1;0 1;1", "nan,0 1,0 1,1"],
    ids=["two corners", "outside to the right", "outside to the left", "no number", "no comma", "NaN"],
)
def test_a_polygon_that_is_none_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"power\.ignore\[1\]"):
        polygons_of(["0,0 1,0 1,1", text])


def test_a_polygon_masks_the_cells_it_touches() -> None:
    mask = mask_of(polygons_of(["0.5,0 1,0 1,1 0.5,1"]), grid_of((640, 480)))
    assert mask[:, 40:].all()
    assert not mask[:, :40].any()


# ------------------------------------------------------------------------------------------------------- bad input


def test_a_camera_that_repeats_its_buffer_is_a_fault_not_an_empty_room() -> None:
    gate = Gate()
    one = np.full((480, 640), 90, np.uint8)
    kinds_ = [gate.see(frame(one, float(t))).kind for t in range(int(STUCK_S) + 3)]
    assert kinds_[int(STUCK_S) - 1] == STILL
    assert kinds_[-1] == STUCK
    assert gate.see(frame(one + np.uint8(1), STUCK_S + 4)).kind != STUCK


@pytest.mark.parametrize("jump_s", [-100.0, -0.5, GAP_S + 1], ids=["back", "a little back", "far ahead"])
def test_after_a_jump_of_the_clock_the_scene_is_looked_at_anew(jump_s: float) -> None:
    gate = Gate()
    for t, one in seen(None, 3):
        gate.see(frame(one.image, t))
    assert gate.see(frame(one.image, t + jump_s)).kind == SCENE


def test_another_size_of_picture_starts_anew() -> None:
    gate = Gate()
    gate.see(frame(np.zeros((480, 640), np.uint8), 0.0))
    assert gate.see(frame(np.zeros((240, 320), np.uint8), 0.1)).kind == SCENE
    assert gate.see(frame(np.ones((240, 320), np.uint8), 0.2)).kind == STILL

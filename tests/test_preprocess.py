"""A frame lands in the model's input where Crop says it does, whatever its layout."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgepose.core.poses import Frame, InputSpec, Layout
from edgepose.estimate.preprocess import Preprocess


def spec(height: int = 64, width: int = 64, dtype: str = "uint8", **change: Any) -> InputSpec:
    values: dict[str, Any] = {"colour": "rgb", "resize": "linear", "fit": "letterbox", "pad": 0, "byte_map": "same"}
    return InputSpec(np.full((height, width, 3), 77, dtype), **(values | change))


def frame(image: NDArray[Any], layout: Layout = "bgr") -> Frame:
    return Frame(np.asarray(image, np.uint8), layout, 0.0, 0.0, 0)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    """A picture in blue, green, red that survives resizing: each colour is a slope of its own."""
    y, x = np.mgrid[:height, :width]
    slopes = np.stack((x * 200 / width + 20, y * 200 / height + 20, (x + y) * 200 / (width + height) + 20), -1)
    return np.asarray(slopes, np.uint8)


@pytest.mark.parametrize(
    ("size_wh", "bars"),
    [
        ((128, 64), (16, 48, 0, 64)),
        ((64, 128), (0, 64, 16, 48)),
        ((64, 64), (0, 64, 0, 64)),
        ((32, 16), (16, 48, 0, 64)),
    ],
    ids=["wide", "tall", "square", "small"],
)
def test_a_letterbox_keeps_the_shape_and_pads_the_rest(size_wh: tuple[int, int], bars: tuple[int, ...]) -> None:
    tensor, _ = Preprocess(spec(pad=9))(frame(np.full((size_wh[1], size_wh[0], 3), 200)))
    expected = np.full((64, 64, 3), 9)
    expected[bars[0] : bars[1], bars[2] : bars[3]] = 200
    np.testing.assert_array_equal(tensor, expected)


def test_the_crop_maps_model_pixels_to_the_pixels_they_were_made_of() -> None:
    """A spot painted in the frame shows up in the input where the crop says it lies."""
    for size_wh in ((640, 480), (300, 500), (64, 64), (50, 20)):
        image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
        spot = size_wh[0] * 0.7, size_wh[1] * 0.3
        radius = max(size_wh) // 12
        cv2.circle(image, (round(spot[0]), round(spot[1])), radius, (255, 255, 255), -1)
        tensor, crop = Preprocess(spec(resize="area"))(frame(image))
        weight = tensor[..., 0].astype(float)
        y, x = np.mgrid[:64, :64]
        seen = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        assert np.abs(crop.to_source(seen) - [round(spot[0]), round(spot[1])]).max() < max(size_wh) / 64 * 0.35


def test_stretch_fills_the_whole_input() -> None:
    tensor, crop = Preprocess(spec(32, 64, fit="stretch"))(frame(np.full((50, 50, 3), 200)))
    assert (tensor == 200).all()
    assert crop.scale_xy == (50 / 64, 50 / 32)


@pytest.mark.parametrize(("colour", "red_at"), [("rgb", 0), ("bgr", 2)])
@pytest.mark.parametrize("layout", ["bgr", "rgb", "i420", "nv12"])
def test_red_is_red_in_every_layout(layout: Layout, colour: str, red_at: int) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 2] = 255
    tensor, _ = Preprocess(spec(48, 64, colour=colour))(frame(as_layout(red, layout), layout))
    assert tensor[..., red_at].min() > 245
    assert np.delete(tensor, red_at, axis=2).max() < 10


def test_grey_is_the_same_in_all_channels() -> None:
    grey = np.arange(64, dtype=np.uint8)[None].repeat(64, 0)
    tensor, _ = Preprocess(spec())(frame(grey, "gray"))
    np.testing.assert_array_equal(tensor, np.stack([grey] * 3, -1))


def as_layout(bgr: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """The same picture as a camera with this layout would give it."""
    if layout == "bgr":
        return bgr
    if layout == "rgb":
        return bgr[..., ::-1].copy()
    i420 = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
    if layout == "i420":
        return i420
    height, width = bgr.shape[:2]
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    return np.concatenate((i420[:height], np.stack([chroma[0], chroma[1]], -1).reshape(height // 2, width)))


@pytest.mark.parametrize("layout", ["i420", "nv12"])
@pytest.mark.parametrize("size_wh", [(640, 480), (320, 240), (96, 128), (1280, 720)], ids=str)
def test_planes_give_the_same_picture_as_colour(layout: Layout, size_wh: tuple[int, int]) -> None:
    bgr = smooth(size_wh[1], size_wh[0])
    straight, crop = Preprocess(spec(96, 96))(frame(bgr))
    planes, plane_crop = Preprocess(spec(96, 96))(frame(as_layout(bgr, layout), layout))
    assert np.abs(straight.astype(int) - planes).mean() < 2.5
    np.testing.assert_allclose(crop.scale_xy, plane_crop.scale_xy, rtol=0.02)


def test_bytes_become_int8_by_flipping_the_top_bit() -> None:
    picture = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    tensor, _ = Preprocess(spec(dtype="int8", byte_map="xor80", colour="bgr"))(frame(picture))
    np.testing.assert_array_equal(tensor, picture.astype(int) - 128)


@pytest.mark.parametrize(("dtype", "kind"), [("int8", "lut"), ("int16", "lut"), ("float32", "float")])
def test_other_inputs_go_through_the_table(dtype: str, kind: str) -> None:
    picture = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    lut = (np.arange(256) // 4 - 20).astype(dtype)
    tensor, _ = Preprocess(spec(dtype=dtype, byte_map=kind, lut=lut, colour="bgr"))(frame(picture))
    np.testing.assert_array_equal(tensor, lut[picture])
    assert tensor.dtype == dtype


def test_the_next_frame_leaves_nothing_of_the_last_one() -> None:
    preprocess = Preprocess(spec(dtype="int8", byte_map="xor80"))
    preprocess(frame(np.full((64, 64, 3), 255)))
    tensor, _ = preprocess(frame(np.zeros((10, 64, 3))))
    assert (tensor == -128).all()


def test_the_input_is_written_in_place() -> None:
    into = spec(dtype="int8", byte_map="xor80")
    tensor, _ = Preprocess(into)(frame(smooth(48, 64)))
    assert tensor is into.tensor


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(["letterbox", "stretch"]))
@settings(max_examples=60, deadline=None)
def test_the_corners_of_any_frame_lie_inside_the_input(width: int, height: int, fit: str) -> None:
    into = spec(48, 80, fit=fit)
    _, crop = Preprocess(into)(frame(np.zeros((height, width, 3))))
    low = (np.array([0, 0]) - crop.offset_xy) / crop.scale_xy
    high = (np.array([width - 1, height - 1]) - crop.offset_xy) / crop.scale_xy
    assert (low >= -0.51).all()
    assert (high <= np.array([79.51, 47.51])).all()


@pytest.mark.parametrize("size_wh", [(1, 1), (20000, 3), (3, 20000), (2, 2)], ids=str)
@pytest.mark.parametrize("layout", ["bgr", "gray", "i420"])
def test_absurd_sizes_are_just_small_pictures(size_wh: tuple[int, int], layout: Layout) -> None:
    width, height = size_wh
    if layout == "i420":
        width, height = width + width % 2, height + height % 2
        image = np.full((height * 3 // 2, width), 128)
    else:
        image = np.full((height, width, 3) if layout == "bgr" else (height, width), 128)
    tensor, crop = Preprocess(spec())(frame(image, layout))
    assert tensor.max() >= 126
    assert np.isfinite(crop.offset_xy).all()


def rulers(size: int = 25) -> NDArray[np.uint8]:
    """A picture whose blue says where across and whose green says where down, in tenths of a pixel."""
    y, x = np.mgrid[:size, :size] * 10
    return np.asarray(np.stack((x, y, np.full_like(x, 128)), -1), np.uint8)


boxes = st.builds(
    lambda x, y, width, height: (x, y, x + width, y + height),
    st.floats(-25, 25), st.floats(-25, 25), st.floats(6, 90), st.floats(6, 90),
)  # fmt: skip


@given(boxes, st.sampled_from([(64, 64), (48, 64)]))
@settings(max_examples=80, deadline=None)
def test_each_pixel_of_a_box_comes_from_where_its_crop_says(
    box: tuple[float, float, float, float], shape: tuple[int, int]
) -> None:
    tensor, crop = Preprocess(spec(*shape, colour="bgr", pad=7))(frame(rulers()), box)
    y, x = np.mgrid[: shape[0], : shape[1]]
    source = crop.to_source(np.stack((x, y), -1))
    # between the middles of the first and the last pixel looked at: nothing is read beyond a box's own edge
    low = crop.to_source(np.array([-0.5, -0.5])) + 0.5
    high = crop.to_source(np.array([shape[1] - 0.5, shape[0] - 0.5])) - 0.5
    well_inside = ((source >= np.maximum(low, 1)) & (source <= np.minimum(high, 23))).all(-1)
    assert np.abs(tensor[well_inside][:, :2] / 10 - source[well_inside]).max(initial=0) < 0.1
    outside = ((source < -1.5) | (source > 25.5)).any(-1)
    assert (tensor[outside] == 7).all()


@given(boxes)
@settings(max_examples=60, deadline=None)
def test_what_a_box_shows_is_hardly_moved_by_whole_pixels(box: tuple[float, float, float, float]) -> None:
    _, crop = Preprocess(spec(48, 64))(frame(rulers()), box)
    corners = np.array([box[:2], box[2:]])
    seen = np.clip(corners, -0.5, 24.5)
    scale = max((corners[1] - corners[0]) / (64, 48))
    wanted = (seen - corners.mean(axis=0)) / scale + np.array([31.5, 23.5])
    got = (seen - crop.offset_xy) / crop.scale_xy
    if (seen[0] < seen[1]).all():
        # one and a half pixels of the frame, one and a half of the model
        assert np.abs(got - wanted).max() < 1.5 / scale + 1.5


@pytest.mark.parametrize("layout", ["bgr", "rgb", "gray", "i420", "nv12"])
@pytest.mark.parametrize(
    "box", [(40.0, 30.0, 140.0, 130.0), (-30.0, -20.0, 70.0, 80.0), (100.0, 60.0, 250.0, 220.0)],
    ids=["inside", "over the top left", "over the bottom right"],
)  # fmt: skip
def test_a_box_of_every_layout_shows_what_it_shows_in_colour(
    layout: Layout, box: tuple[float, float, float, float]
) -> None:
    bgr = smooth(160, 200)
    if layout == "gray":
        bgr = np.repeat(bgr[..., :1], 3, axis=2)
    image = bgr[..., 0] if layout == "gray" else as_layout(bgr, layout)
    expected, crop = Preprocess(spec(96, 96))(frame(bgr), box)
    tensor, other = Preprocess(spec(96, 96))(frame(image, layout), box)
    np.testing.assert_allclose(other.scale_xy, crop.scale_xy, rtol=0.03)
    y, x = np.mgrid[:96, :96]
    source = crop.to_source(np.stack((x, y), -1))
    inside = ((source > 2) & (source < np.array([197, 157]))).all(-1)
    assert np.abs(tensor[inside].astype(int) - expected[inside]).mean() < 3.5


def test_a_box_as_large_as_the_frame_is_the_whole_frame() -> None:
    image = smooth(90, 120)
    whole, crop = Preprocess(spec(60, 80))(frame(image))
    expected, whole = (crop.offset_xy, crop.scale_xy), whole.copy()
    tensor, crop = Preprocess(spec(60, 80))(frame(image), (-0.5, -0.5, 119.5, 89.5))
    np.testing.assert_array_equal(tensor, whole)
    assert (crop.offset_xy, crop.scale_xy) == expected


@pytest.mark.parametrize(
    "box",
    [(900.0, 900.0, 1000.0, 1000.0), (-50.0, -50.0, -40.0, -40.0), (-1e4, -1e4, 1e4, 1e4), (5.0, 5.0, 5.0, 5.0)],
    ids=["beyond", "before", "huge", "of no size"],
)
@pytest.mark.parametrize("layout", ["bgr", "i420"])
def test_any_box_gives_a_picture_and_a_finite_crop(layout: Layout, box: tuple[float, float, float, float]) -> None:
    image = as_layout(smooth(64, 64), layout)
    tensor, crop = Preprocess(spec(pad=3))(frame(image, layout), box)
    assert np.isfinite((*crop.offset_xy, *crop.scale_xy)).all()
    assert min(crop.scale_xy) > 0
    if abs(box[0]) < 1000 and not 0 <= box[0] < 64:
        assert (tensor == 3).all()


def test_a_box_leaves_nothing_of_the_last_one_and_the_whole_frame_comes_back() -> None:
    preprocess = Preprocess(spec(dtype="int8", byte_map="xor80", colour="bgr"))
    white = frame(np.full((64, 64, 3), 255))
    before, _ = preprocess(white)
    before = before.copy()
    tensor, _ = preprocess(white, (32.0, 32.0, 96.0, 96.0))
    assert (tensor[40:] == -128).all()
    assert (tensor[:30, :30] == 127).all()
    after, _ = preprocess(white)
    np.testing.assert_array_equal(after, before)

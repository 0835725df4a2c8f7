"""The heatmap kernels, compiled and plain, equal their slow twins on any small head of any dtype and layout."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.estimate.decode.refine import gaussian_taps
from tests.helpers import reference_heatmap as reference
from tests.helpers.ways import WAYS

F = np.float32
BOTH: tuple[Literal["numba", "numpy"], ...] = ("numba", "numpy")
QUANT = np.array([0.0625, 3], F)


@pytest.fixture(params=WAYS, scope="module")
def loops(request: pytest.FixtureRequest) -> ModuleType:
    return kernels.family("heatmap", request.param)


@st.composite
def heads(draw: st.DrawFn) -> NDArray[Any]:
    """A raw head (H, W, C) with many equal values, so that ties are common."""
    dtype = draw(st.sampled_from(["int8", "uint8", "int16", "float32"]))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4)))
    return draw(hnp.arrays(dtype, shape, elements=st.sampled_from([0, 1, 40, 80, 127])))


def joints_of(head: NDArray[Any], data: st.DataObject) -> NDArray[np.int32]:
    """Which channels are joints, in any order; at least one."""
    order = data.draw(st.permutations(range(head.shape[2])))
    return np.array(order[: data.draw(st.integers(1, head.shape[2]))], np.int32)


@given(heads(), st.data())
@settings(max_examples=40, deadline=None)
def test_peaks_are_the_first_highest_cells(loops: ModuleType, head: NDArray[Any], data: st.DataObject) -> None:
    channel = joints_of(head, data)
    found = np.full((len(channel), 2), -1, np.int32)
    loops.peaks(head, channel, np.zeros((head.shape[0], head.shape[2]), head.dtype), found)
    assert [tuple(cell) for cell in found] == [reference.peak(head[..., c]) for c in channel]


def windows(
    loops: ModuleType, head: NDArray[Any], channel: NDArray[Any], cell_yx: NDArray[Any], size: int, smooth: int
) -> NDArray[np.float32]:
    """Windows of a head (H, W, C) lying in memory as (C, H, W)."""
    height, width, _ = head.shape
    flat = np.ascontiguousarray(head.transpose(2, 0, 1)).reshape(-1)
    taps = gaussian_taps(smooth)
    out = np.full((len(channel), size, size), np.nan, F)
    column = np.zeros((size, size - 1 + taps.shape[1]), F)
    step = np.array([height, width, width, 1, height * width], np.int64)
    loops.windows(flat, step, QUANT, taps, channel, cell_yx, column, out)
    return out


@given(heads(), st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 11]), st.data())
@settings(max_examples=40, deadline=None)
def test_windows_hold_the_smoothed_cells_around_each_peak(
    loops: ModuleType, head: NDArray[Any], size: int, smooth: int, data: st.DataObject
) -> None:
    channel = joints_of(head, data)
    cells = st.tuples(st.integers(0, head.shape[0] - 1), st.integers(0, head.shape[1] - 1))
    cell_yx = np.array([data.draw(cells) for _ in channel], np.int32)
    found = windows(loops, head, channel, cell_yx, size, smooth)
    for k, c in enumerate(channel):
        real = (head[..., c].astype(float) - 3) * 0.0625
        slow = reference.window(real, (int(cell_yx[k, 0]), int(cell_yx[k, 1])), size, smooth)
        np.testing.assert_allclose(found[k], slow, atol=1e-4)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_both_kernels_give_the_same_bits_on_noise(dtype: str) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    rng = np.random.default_rng(5)
    head = rng.integers(0, 128, (20, 17, 6)).astype(dtype)
    channel = np.arange(6, dtype=np.int32)
    cell_yx = rng.integers(0, 17, (6, 2)).astype(np.int32)
    fast, plain = (windows(kernels.family("heatmap", name), head, channel, cell_yx, 5, 11) for name in BOTH)
    np.testing.assert_array_equal(fast, plain)


@pytest.mark.parametrize("size", [11, 17])
def test_smoothing_kernels_are_those_of_opencv(size: int) -> None:
    cv2 = pytest.importorskip("cv2")
    taps = gaussian_taps(size)
    np.testing.assert_allclose(taps[-1], cv2.getGaussianKernel(size, 0, cv2.CV_32F)[:, 0], atol=1e-6)
    np.testing.assert_allclose(taps.sum(axis=1), 1, atol=1e-6)
    assert (taps[0] > 0).sum() == 1

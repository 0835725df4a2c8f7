"""The integral kernels, compiled and plain, add up what their slow twin adds up, on any small head."""

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
from tests.helpers.ways import WAYS

F = np.float32
BOTH: tuple[Literal["numba", "numpy"], ...] = ("numba", "numpy")


@pytest.fixture(params=WAYS, scope="module")
def loops(request: pytest.FixtureRequest) -> ModuleType:
    return kernels.family("integral", request.param)


def table_of(head: NDArray[Any], sharpness: float) -> NDArray[np.float32]:
    steps = 1 << (8 * head.dtype.itemsize)
    return np.zeros(0, F) if head.dtype.kind == "f" else np.exp(-sharpness * np.arange(steps)).astype(F)


def sums(loops: ModuleType, head: NDArray[Any], joints: int, first: bool) -> NDArray[np.float64]:
    """Totals of a head (H, W, C), read in either layout."""
    channels = head.shape[2]
    maxima = head.reshape(-1, joints, channels // joints).max(axis=(0, 2))
    total = np.full((3, channels), np.nan)
    table = table_of(head, 0.25)
    if first:
        loops.sums_first(np.ascontiguousarray(head.transpose(2, 0, 1)), maxima, table, F(0.25), total)
    else:
        loops.sums_last(head, maxima, table, F(0.25), np.zeros(channels, F), np.zeros(channels, F), total)
    return total


@st.composite
def heads(draw: st.DrawFn) -> tuple[NDArray[Any], int]:
    """A raw head (H, W, K * D) and K."""
    dtype = draw(st.sampled_from(["int8", "uint8", "int16", "float32"]))
    joints, depth = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = (*draw(st.tuples(st.integers(1, 6), st.integers(1, 6))), joints * depth)
    low = 0 if dtype == "uint8" else -20
    values = st.integers(low, 20)
    return draw(hnp.arrays(dtype, shape, elements=values.map(float) if dtype == "float32" else values)), joints


@given(heads(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_sums_are_those_of_a_softmax_over_all_cells(
    loops: ModuleType, drawn: tuple[NDArray[Any], int], first: bool
) -> None:
    head, joints = drawn
    total = sums(loops, head, joints, first)
    volumes = head.astype(float).reshape(*head.shape[:2], joints, -1)
    weight = np.exp(0.25 * (volumes - volumes.max(axis=(0, 1, 3), keepdims=True))).reshape(head.shape)
    y, x = np.mgrid[: head.shape[0], : head.shape[1]]
    slow = [(weight * factor[..., None]).sum(axis=(0, 1)) for factor in (np.ones_like(y), y, x)]
    np.testing.assert_allclose(total, slow, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("first", [False, True])
def test_both_kernels_give_the_same_bits_on_noise(dtype: str, first: bool) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    head = np.random.default_rng(5).integers(0, 60, (33, 29, 12)).astype(dtype)
    fast, plain = (sums(kernels.family("integral", name), head, 4, first) for name in BOTH)
    np.testing.assert_array_equal(fast, plain)

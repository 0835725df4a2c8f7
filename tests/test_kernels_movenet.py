"""The movenet kernels, in each of the three ways to run them, equal their slow twins on any small head of any dtype."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepose import kernels
from tests.helpers import reference
from tests.helpers.ways import WAYS

F = np.float32
ZERO = {"int8": -128, "uint8": 0, "float32": 0}


@pytest.fixture(params=WAYS, scope="module")
def loops(request: pytest.FixtureRequest) -> ModuleType:
    return kernels.family("movenet", request.param)


@st.composite
def heads(draw: st.DrawFn, channels: int | None = None) -> NDArray[Any]:
    """A raw head (H, W, K) with many equal values, so that ties are common."""
    dtype = draw(st.sampled_from(sorted(ZERO)))
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)))
    if channels is not None:
        shape = (*shape[:2], channels)
    if dtype == "float32":
        levels = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
        return draw(hnp.arrays(np.float32, shape, elements=levels))
    low = ZERO[dtype]
    levels_q = st.sampled_from([low, low + 1, low + 40, low + 80, low + 200, low + 255])
    return draw(hnp.arrays(dtype, shape, elements=levels_q))


coordinates = st.floats(-4, 12, width=32)


@given(heads(channels=1), st.data())
@settings(max_examples=60, deadline=None)
def test_nearest_center_is_the_highest_weighted_cell(
    loops: ModuleType, head: NDArray[Any], data: st.DataObject
) -> None:
    center = head[..., 0]
    weight = data.draw(hnp.arrays(np.float32, center.shape, elements=st.sampled_from([0.25, 0.5, 1.0])))
    zero = ZERO[center.dtype.name]
    found = np.zeros((1, 2), np.int32)
    loops.nearest_center(center, weight, F(zero), found)
    assert tuple(found[0]) == reference.nearest_center(center, weight, zero)


@given(heads(channels=1), st.integers(0, 3), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_center_peaks_are_cells_nobody_near_beats(
    loops: ModuleType, head: NDArray[Any], radius: int, most: int
) -> None:
    center = head[..., 0]
    least = np.sort(center, axis=None)[center.size // 2]
    found = np.zeros((most, 2), np.int32)
    count = loops.center_peaks(center, least, radius, found)
    assert [tuple(cell) for cell in found[:count]] == reference.center_peaks(center, least, radius, most)


@given(heads(), st.data())
@settings(max_examples=60, deadline=None)
def test_joints_by_distance_equal_the_slow_search(loops: ModuleType, heat: NDArray[Any], data: st.DataObject) -> None:
    height, _, joints = heat.shape
    start = data.draw(hnp.arrays(np.float32, (2, joints, 2), elements=coordinates))
    zero = ZERO[heat.dtype.name]
    row_max = np.zeros((height, joints), heat.dtype)
    loops.row_maxima(heat, row_max)
    np.testing.assert_array_equal(row_max, heat.max(axis=1))
    found = np.zeros((2, joints, 2), np.int32)
    loops.joints_by_distance(heat, row_max, F(zero), F(1.8), start, found)
    for person, joint in np.ndindex(2, joints):
        slow = reference.joint_by_distance(heat[..., joint], zero, 1.8, start[person, joint])
        assert tuple(found[person, joint]) == slow


@given(heads(), st.data())
@settings(max_examples=60, deadline=None)
def test_joints_in_box_equal_the_slow_search(loops: ModuleType, heat: NDArray[Any], data: st.DataObject) -> None:
    joints = heat.shape[2]
    start = data.draw(hnp.arrays(np.float32, (2, joints, 2), elements=coordinates))
    corners = data.draw(hnp.arrays(np.float32, (2, 2, 2), elements=coordinates))
    box = np.sort(corners, axis=1).reshape(2, 4)
    with np.errstate(divide="ignore"):
        level = np.log(np.arange(256, dtype=F) / F(256))
        log_value = np.log(heat) if heat.dtype == F else level[heat.astype(int) - ZERO[heat.dtype.name]]
    row_max = heat.max(axis=1)
    found = np.zeros((2, joints, 2), np.int32)
    given_level = np.zeros(0, F) if heat.dtype == F else level
    loops.joints_in_box(heat, row_max, given_level, ZERO[heat.dtype.name], F(7.5), box, start, found)
    for person, joint in np.ndindex(2, joints):
        slow = reference.joint_in_box(log_value[..., joint], 7.5, box[person], start[person, joint])
        assert tuple(found[person, joint]) == slow


@given(heads(), st.data())
@settings(max_examples=40, deadline=None)
def test_reading_joints_dequantises_only_the_cells_found(
    loops: ModuleType, heat: NDArray[Any], data: st.DataObject
) -> None:
    height, width, joints = heat.shape
    cells = st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)) | st.just((-1, -1))
    cell_yx = np.array([[data.draw(cells) for _ in range(joints)]], np.int32)
    offset = data.draw(hnp.arrays(np.int8, (height, width, 2 * joints)))
    yx, score = np.zeros((1, joints, 2), F), np.zeros((1, joints), F)
    loops.read_offsets(offset, np.array([0.25, 4], F), cell_yx, yx)
    loops.read_scores(heat, np.array([0.5, -3], F), cell_yx, score)
    for joint in range(joints):
        y, x = cell_yx[0, joint]
        if y < 0:
            assert np.isnan(yx[0, joint]).all()
            assert score[0, joint] == 0
            continue
        assert score[0, joint] == (float(heat[y, x, joint]) + 3) * 0.5
        assert yx[0, joint, 0] == y + (int(offset[y, x, 2 * joint]) - 4) * 0.25
        assert yx[0, joint, 1] == x + (int(offset[y, x, 2 * joint + 1]) - 4) * 0.25


def test_regressed_adds_the_offset_read_at_the_center(loops: ModuleType) -> None:
    regress = np.zeros((4, 5, 4), np.int8)
    regress[2, 3] = [10, -10, 0, 4]
    coarse = np.zeros((1, 2, 2), F)
    loops.regressed(regress, np.array([0.5, 2], F), np.array([[2, 3]], np.int32), coarse)
    np.testing.assert_array_equal(coarse[0], [[2 + 4, 3 - 6], [2 - 1, 3 + 1]])


def test_numba_compiles_each_kernel_once_per_type_and_keeps_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process finds every kernel in the cache: nothing is compiled, nothing is added."""
    pytest.importorskip("numba", reason="numba is not installed")
    import os
    import subprocess
    import sys

    code = (
        "import numpy as np; from edgepose import kernels; k = kernels.family('movenet', 'numba');"
        "k.row_maxima(np.zeros((2, 2, 2), np.int8), np.zeros((2, 2), np.int8))"
    )
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def compiled() -> set[str]:
        subprocess.run([sys.executable, "-c", code], check=True, env=env)
        return {path.name for path in tmp_path.rglob("*.nbc")}

    first = compiled()
    assert len(first) == 1
    assert compiled() == first


def test_a_read_only_home_does_not_keep_kernels_from_loading(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    folder = kernels.cache_dir()
    assert folder.is_dir()
    assert str(blocked) not in str(folder)


@given(st.integers(0, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_persons_score_is_its_center_times_the_mean_of_its_likely_joints(
    loops: ModuleType, people: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    center = rng.integers(-128, 128, (4, 5)).astype(np.int8)
    center_yx = np.stack((rng.integers(0, 4, people), rng.integers(0, 5, people)), axis=1).astype(np.int32)
    score = (rng.integers(0, 9, (people, 17)) / 8).astype(F)
    found = np.full(people, np.nan, F)
    loops.person_scores(center, np.array([0.5, -128], F), center_yx, score, F(0.25), found)
    for person, (y, x) in enumerate(center_yx):
        likely = [value for value in score[person].tolist() if value > 0.25]
        mean = sum(likely) / len(likely) if likely else 0.0
        assert found[person] == pytest.approx((int(center[y, x]) + 128) * 0.5 * mean, rel=1e-5)


@given(st.lists(st.integers(0, 3), max_size=3, unique=True), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_to_pixels_maps_who_is_chosen_and_drops_unlikely_joints(loops: ModuleType, order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    yx, score = rng.random((4, 6, 2)).astype(F), (rng.integers(0, 4, (4, 6)) / 4).astype(F)
    xy, kept = np.zeros((len(order), 6, 2), F), np.zeros((len(order), 6), F)
    pixels = np.array([3.0, 10.0, 5.0, -20.0])
    loops.to_pixels(yx, score, np.array(order, np.int32), pixels, F(0.5), xy, kept)
    plain_xy, plain_kept = np.zeros_like(xy), np.zeros_like(kept)
    twin = kernels.family("movenet", "numpy")
    twin.to_pixels(yx, score, np.array(order, np.int32), pixels, F(0.5), plain_xy, plain_kept)
    np.testing.assert_array_equal(xy, plain_xy)
    for place, person in enumerate(order):
        for joint in range(6):
            if score[person, joint] < 0.5:
                assert np.isnan(xy[place, joint]).all()
                assert kept[place, joint] == 0
            else:
                y, x = yx[person, joint].astype(float)
                assert xy[place, joint] == pytest.approx((x * 3 + 10, y * 5 - 20), rel=1e-5)
                assert kept[place, joint] == score[person, joint]

"""The One Euro filter is its authors'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.core import config
from edgepose.core.poses import Skeleton
from edgepose.follow.smooth import Smoother
from edgepose.follow.smooth.one_euro import OneEuro, Tuning
from edgepose.follow.smooth.people import Seen
from samples.people import poses
from tests.helpers.reference_smooth import one_euro

GOLDEN = Path(__file__).parent / "golden" / "one_euro_first_second.csv"


def truth() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    noisy, filtered = np.loadtxt(GOLDEN, delimiter=",", skiprows=3).T
    return noisy, filtered


def filtered_by(stage: OneEuro, times: NDArray[Any], points: NDArray[Any]) -> NDArray[np.float64]:
    """points (T, K, D) of one person of size 1, every joint as sure as ever."""
    stage.grow(1)
    ones, slots = np.ones(points.shape[1])[None], np.zeros(1, np.int64)
    new = [slots] + [slots[:0]] * (len(times) - 1)
    return np.array([
        stage.update(shot[None], ones, np.ones(1), Seen(slots, np.zeros(1), fresh, t, t - 9))[0]
        for t, shot, fresh in zip(times.tolist(), points, new, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("loops", ["numba", "numpy"])
def test_it_gives_its_authors_numbers(loops: Any) -> None:
    if loops == "numba":
        pytest.importorskip("numba", reason="numba is not installed")
    noisy, filtered = truth()
    stage = OneEuro(Tuning(1.0, 0.1, 1.0), 1, 1, kernels.family("smooth", loops))

    told = filtered_by(stage, np.arange(len(noisy)) / 120, noisy[:, None, None])

    assert np.abs(told[:, 0, 0] - filtered).max() < 1e-5


def test_the_whole_stage_gives_its_authors_numbers() -> None:
    """Two joints hold a body of 2 pixels, a third moves as theirs: at twice their beta the speed counts the same."""
    three = Skeleton("three", ("top", "middle", "foot"), (), (0.1, 0.1, 0.1))
    cfg = config.Smooth(preset="custom", min_cutoff_hz=1.0, beta=0.2, d_cutoff_hz=1.0)
    stage = Smoother(cfg, three, live=False, kernels="numpy")
    noisy, filtered = truth()
    for index, value in enumerate(noisy.tolist()):
        xy = np.array([[(-1, 0), (value, 0), (1, 0)]], np.float32)
        made = poses(
            1,
            t=5 + index / 120,
            skeleton=three,
            xy=xy,
            score=np.ones((1, 3), np.float32),
            track_id=np.ones(1, np.int32),
        )
        assert stage.update(made).xy[0, 1, 0] == pytest.approx(filtered[index], abs=1e-5)


def test_the_twin_gives_its_authors_numbers() -> None:
    noisy, filtered = truth()

    told = one_euro((np.arange(len(noisy)) / 120).tolist(), noisy.tolist(), 1.0, 0.1, 1.0)

    assert np.abs(np.array(told) - filtered).max() < 1e-5


@given(
    hnp.arrays(np.float64, (12, 2, 2), elements=st.floats(-1e3, 1e3)),
    hnp.arrays(np.float64, 12, elements=st.floats(1 / 240, 1.0)),
    st.floats(0.01, 30),
    st.floats(0, 50),
    st.floats(0.1, 30),
)
@settings(max_examples=30, deadline=None)
def test_every_coordinate_is_filtered_as_its_twin_does_at_any_rate(
    points: NDArray[Any], periods: NDArray[Any], min_cutoff: float, beta: float, d_cutoff: float
) -> None:
    times = np.cumsum(periods)
    stage = OneEuro(Tuning(min_cutoff, beta, d_cutoff), 2, 2, kernels.family("smooth", "numpy"))

    told = filtered_by(stage, times, points)

    for joint in range(2):
        for axis in range(2):
            want = one_euro(times.tolist(), points[:, joint, axis].tolist(), min_cutoff, beta, d_cutoff)
            np.testing.assert_allclose(told[:, joint, axis], want, rtol=1e-9, atol=1e-9)

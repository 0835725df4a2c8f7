"""The SimCC decoder: joints at the best bins, as mmpose's codec reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop
from samples.raw_heads import DTYPES, Head, decode, head

OPTIONS = {"min_person_score": 0.2, "min_joint_score": 0.2}
SIZE_WH = (192, 256)
SIGMA = 6.0


def bins(place: NDArray[Any], count: int) -> NDArray[np.float64]:
    """(K, count) a Gaussian of height 1 around each place, as the networks are trained."""
    spread: NDArray[np.float64] = np.exp(-((np.arange(count) - place[:, None]) ** 2) / (2 * SIGMA**2))
    return spread


def person(xy: NDArray[Any], dtype: str = "float32", height: tuple[float, float] = (1.0, 1.0)) -> dict[str, Head]:
    """Heads whose peaks are at (17, 2) model pixels; x and y have scales of their own."""
    return {
        role: head(role, bins(xy[:, axis] * 2, SIZE_WH[axis] * 2) * height[axis], dtype, high=high)
        for axis, (role, high) in enumerate((("simcc_x", 1.0), ("simcc_y", 1.25)))
    }


def places(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform([15, 15], np.array(SIZE_WH) - 15, (17, 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_joint_lies_at_its_bin_within_half_a_bin_and_a_plateau(dtype: str) -> None:
    xy = places(0)
    poses = decode("simcc", OPTIONS, "coco17", person(xy, dtype))
    # equal bytes at the top of a wide peak: the first of them is taken, as mmpose does
    assert np.abs(poses.xy[0] - xy).max() <= (0.25 if dtype in ("float32", "int16") else 0.5) + 1e-3
    np.testing.assert_allclose(poses.score, 1, atol=0.02)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dark_finds_the_place_between_the_bins(dtype: str) -> None:
    xy = places(1)
    poses = decode("simcc", OPTIONS | {"refine": "dark"}, "coco17", person(xy, dtype))
    assert np.abs(poses.xy[0] - xy).max() < 0.05


@pytest.mark.parametrize(("score", "expected"), [("min", 0.5), ("mean", 0.7)])
def test_the_score_is_the_lower_or_the_mean_of_both_axes(score: str, expected: float) -> None:
    heads = person(np.round(places(2)), height=(0.9, 0.5))
    poses = decode("simcc", OPTIONS | {"score": score}, "coco17", heads)
    np.testing.assert_allclose(poses.score, expected, atol=1e-6)


def test_equal_to_the_formula_of_mmpose_on_noise() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.random((17, 384)), rng.random((17, 512))
    poses = decode("simcc", OPTIONS, "coco17", {"simcc_x": head("simcc_x", x), "simcc_y": head("simcc_y", y)})
    for joint in range(17):
        assert poses.xy[0, joint].tolist() == [x[joint].argmax() / 2, y[joint].argmax() / 2]
        assert poses.score[0, joint] == np.float32(min(x[joint].max(), y[joint].max()))


def test_split_and_crop_scale_the_bins() -> None:
    x, y = np.zeros((17, 192)), np.zeros((17, 256))
    x[:, 40], y[:, 60] = 1, 1
    heads = {"simcc_x": head("simcc_x", x, "int8"), "simcc_y": head("simcc_y", y, "int8")}
    poses = decode("simcc", OPTIONS | {"split": 1.0}, "coco17", heads, Crop((10.0, 20.0), (2.0, 3.0)))
    np.testing.assert_allclose(poses.xy[0], [[90.0, 200.0]] * 17)


def test_a_weak_joint_is_not_found_and_weak_joints_are_nobody() -> None:
    heads = person(places(4), "int8")
    heads["simcc_x"][0][5] = heads["simcc_x"][0].min()
    poses = decode("simcc", OPTIONS | {"refine": "dark"}, "coco17", heads)
    assert np.flatnonzero(np.isnan(poses.xy[0, :, 0])).tolist() == [5]
    assert len(decode("simcc", OPTIONS, "coco17", person(places(4), height=(0.1, 1.0)))) == 0


def test_a_peak_at_the_edge_stays_there() -> None:
    poses = decode("simcc", OPTIONS | {"refine": "dark"}, "coco17", person(np.zeros((17, 2))))
    np.testing.assert_array_equal(poses.xy, 0)


def test_what_does_not_fit_is_told() -> None:
    x, y = head("simcc_x", np.zeros((17, 384))), head("simcc_y", np.zeros((16, 512)))
    with pytest.raises(ModelError, match=r"head 'simcc_y' is \(16, 512\), expected \(17, bins\)"):
        decode("simcc", OPTIONS, "coco17", {"simcc_x": x, "simcc_y": y})
    with pytest.raises(ModelError, match="needs a head with role 'simcc_y'"):
        decode("simcc", OPTIONS, "coco17", {"simcc_x": x})
    with pytest.raises(ModelError, match="smooth is 4, expected an odd number"):
        decode("simcc", OPTIONS | {"smooth": 4}, "coco17", {"simcc_x": x, "simcc_y": x})

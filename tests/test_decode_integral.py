"""The integral decoder: the mean of the softmax, flat and in depth, as its slow twin and as the analytic one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Poses
from samples.raw_heads import DTYPES, decode, head
from tests.helpers import reference_integral as reference
from tests.helpers.ways import KERNELS

OPTIONS = {"stride": 4.0, "min_person_score": 0.1, "min_joint_score": 0.1}
K = 17


def volumes(size: tuple[int, int, int], dyx: NDArray[Any], sigma: float = 1.5) -> NDArray[np.float64]:
    """(K, D, H, W) logarithms of Gaussians around (K, 3) depth, y, x: their softmax has its mean right there."""
    axes = np.meshgrid(*(np.arange(count) for count in size), indexing="ij")
    distance2 = sum((axis - dyx[:, i, None, None, None]) ** 2 for i, axis in enumerate(axes))
    return np.asarray(-distance2 / (2 * sigma**2))


def laid_out(real: NDArray[Any], layout: str) -> NDArray[Any]:
    """(K, D, H, W) as the head's layout wants it."""
    flat = real.reshape(-1, *real.shape[2:])
    return flat if layout == "chw" else flat.transpose(1, 2, 0)


def cells(poses: Poses) -> NDArray[np.float64]:
    """(K, 2) y, x in cells of stride 4."""
    return np.asarray(poses.xy[0, :, ::-1] / 4, np.float64)


def places(size: tuple[int, int, int], border: float) -> NDArray[np.float64]:
    """(K, 3) depth, y, x at least `border` cells inside; a flat map's depth is 0."""
    room = np.maximum(np.array(size) - 1 - 2 * border, 0)
    inset = np.where(room > 0, border, 0)
    return np.asarray(inset + room * np.random.default_rng(0).random((K, 3)))


@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_of_a_flat_map_is_the_analytic_one(dtype: str, layout: str) -> None:
    size = (1, 64, 48)
    dyx = places(size, 8)
    heads = {"heatmap": head("heatmap", laid_out(np.maximum(volumes(size, dyx), -20), layout), dtype, low=-20, high=0)}
    poses = decode("integral", OPTIONS | {"layout": layout}, "coco17", heads)
    assert np.abs(cells(poses) - dyx[:, 1:]).max() < 0.05
    assert poses.xyz is None
    assert (poses.score == 1).all()


@KERNELS
@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_mean_of_a_volume_is_the_analytic_one(dtype: str, layout: str, kernels: str) -> None:
    size = (24, 32, 28)
    dyx = places(size, 6)
    heads = {"heatmap": head("heatmap", laid_out(np.maximum(volumes(size, dyx), -20), layout), dtype, low=-20, high=0)}
    options = OPTIONS | {"layout": layout, "depth": 24, "depth_range": 2.4}
    poses = decode("integral", options, "coco17", heads, kernels=kernels)
    assert np.abs(cells(poses) - dyx[:, 1:]).max() < 0.05
    assert poses.xyz is not None
    np.testing.assert_allclose(poses.xyz[0, :, 2], (dyx[:, 0] - 12) * 0.1, atol=0.005)
    np.testing.assert_allclose(poses.xyz[0, :, 0], (dyx[:, 2] / 28 - 0.5) * 2.4, atol=0.005)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 8.0])
@pytest.mark.parametrize("debias", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
def test_equal_to_the_slow_softmax_on_noise(dtype: str, debias: bool, sharpness: float) -> None:
    real = np.random.default_rng(3).uniform(0, 4, (K, 3, 9, 7)) ** 2
    raw, spec = head("heatmap", laid_out(real, "hwc"), dtype, low=0, high=16)
    options = OPTIONS | {"depth": 3, "depth_range": 3.0, "sharpness": sharpness, "debias": debias}
    poses = decode("integral", options, "coco17", {"heatmap": (raw, spec)})
    seen = ((raw.astype(float) - spec.zero_point) * spec.scale).transpose(2, 0, 1).reshape(K, 3, 9, 7)
    slow = np.array([reference.mean_cell(volume, sharpness, debias) for volume in seen])
    np.testing.assert_allclose(cells(poses), slow[:, :2], atol=1e-4)
    assert poses.xyz is not None
    np.testing.assert_allclose(poses.xyz[0, :, 2], slow[:, 2] - 1.5, atol=1e-4)


def test_debias_takes_off_the_pull_of_empty_cells() -> None:
    """A peak of height 8 on a map of zeros: 3072 cells of weight 1 against some 2981 * 14 pull it to the middle."""
    y, x = np.mgrid[:64, :48]
    real = 8 * np.exp(-((y - 12) ** 2 + (x - 36) ** 2) / 18)[..., None].repeat(K, axis=2)
    heads = {"heatmap": head("heatmap", real, "int8", low=0, high=8)}
    pulled = cells(decode("integral", OPTIONS, "coco17", heads))
    straight = cells(decode("integral", OPTIONS | {"debias": True}, "coco17", heads))
    assert np.abs(pulled - [12, 36]).max() > 0.3
    assert np.abs(straight - [12, 36]).max() < 0.05


def test_debias_of_an_empty_map_finds_nobody() -> None:
    heads = {"heatmap": head("heatmap", np.zeros((16, 16, K)), "int8")}
    assert len(decode("integral", OPTIONS | {"debias": True}, "coco17", heads)) == 0


@pytest.mark.parametrize(("score", "expected"), [("none", 1.0), ("value", 0.75), ("sigmoid", 1 / (1 + np.exp(-0.75)))])
def test_the_score_is_read_off_the_highest_cell_if_asked(score: str, expected: float) -> None:
    real = np.zeros((8, 8, K))
    real[3, 4] = 0.75
    poses = decode("integral", OPTIONS | {"score": score}, "coco17", {"heatmap": head("heatmap", real)})
    np.testing.assert_allclose(poses.score, expected, rtol=1e-6)


def test_poses_are_in_source_pixels() -> None:
    real = np.full((8, 8, K), -50.0)
    real[3, 4] = 0
    options = OPTIONS | {"cells": "half_pixel"}
    poses = decode("integral", options, "coco17", {"heatmap": head("heatmap", real)}, Crop((5.0, 6.0), (2.0, 3.0)))
    np.testing.assert_allclose(poses.xy[0], [[5 + 17.5 * 2, 6 + 13.5 * 3]] * K)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "depth": ({"depth": 2}, r"head 'heatmap' is \(8, 8, 17\), expected \(H, W, 34\)"),
    "layout": ({"layout": "chw"}, r"expected \(17, H, W\)"),
    "sharpness": ({"sharpness": 0.0}, "sharpness is 0.0"),
}


@pytest.mark.parametrize(("options", "says"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        decode("integral", OPTIONS | options, "coco17", {"heatmap": head("heatmap", np.zeros((8, 8, K)))})

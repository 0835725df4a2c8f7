"""The heatmap_depth decoder: known places and known depths give known 3D."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.core.poses import MPII16, Crop
from samples.raw_heads import DTYPES, Head, decode, gaussians, head

OPTIONS = {"stride": 4.0, "min_person_score": 0.3, "min_joint_score": 0.3, "refine": "dark"}
K = 16
PELVIS = MPII16.joints.index("pelvis")


def known() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K, 2) y, x in cells and (K,) depths of -1..1."""
    rng = np.random.default_rng(1)
    return rng.uniform(8, 55, (K, 2)), rng.uniform(-0.9, 0.9, K)


def heads(depth: NDArray[np.float64], dtype: str = "float32") -> dict[str, Head]:
    return {
        "heatmap": head("heatmap", gaussians((64, 64), known()[0]), dtype),
        "depth": head("depth", depth, dtype, low=-1, high=1),
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_known_places_and_depths_give_known_3d(dtype: str) -> None:
    yx, depth = known()
    poses = decode("heatmap_depth", OPTIONS, "mpii16", heads(depth, dtype), Crop((9.0, 9.0), (2.0, 2.0)))
    assert poses.xyz is not None
    expected = np.concatenate((yx[:, ::-1] * 4, depth[:, None] * 128), axis=1)
    step = 128 * 2 / 255 / 2 if dtype in ("int8", "uint8") else 0.01
    np.testing.assert_allclose(poses.xyz[0], expected, atol=step + 0.05)
    np.testing.assert_allclose(poses.xy[0], expected[:, :2] * 2 + 9, atol=0.1)


def test_bones_have_their_length_whatever_way_they_point() -> None:
    """The arm lies in the picture, the leg points away from the camera: both 32 model pixels long."""
    yx = np.tile([[20.0, 20.0]], (K, 1))
    depth = np.zeros(K)
    arm, leg = (MPII16.joints.index(name) for name in ("left_wrist", "left_ankle"))
    yx[arm, 1] += 8
    depth[leg] = 32 / 128
    parts = {"heatmap": head("heatmap", gaussians((64, 64), yx)), "depth": head("depth", depth)}
    poses = decode("heatmap_depth", OPTIONS | {"root": PELVIS}, "mpii16", parts)
    assert poses.xyz is not None
    np.testing.assert_allclose(np.linalg.norm(poses.xyz[0, [arm, leg]], axis=1), 32, atol=0.05)
    np.testing.assert_allclose(poses.xyz[0, PELVIS], 0)


@pytest.mark.parametrize("layout", ["hwc", "chw"])
def test_depth_maps_are_read_at_each_joints_cell(layout: str) -> None:
    yx, depth = known()
    maps = np.zeros((64, 64, K))
    cells = np.round(yx).astype(int)
    maps[cells[:, 0], cells[:, 1], np.arange(K)] = depth
    real = gaussians((64, 64), yx)
    if layout == "chw":
        maps, real = maps.transpose(2, 0, 1), real.transpose(2, 0, 1)
    parts = {"heatmap": head("heatmap", real), "depth": head("depth", maps)}
    poses = decode("heatmap_depth", OPTIONS | {"layout": layout, "depth_scale": 10.0}, "mpii16", parts)
    assert poses.xyz is not None
    np.testing.assert_allclose(poses.xyz[0, :, 2], depth * 10, rtol=1e-5)


def test_a_lost_joint_has_no_depth_either() -> None:
    parts = heads(known()[1])
    parts["heatmap"][0][..., 2] = 0
    poses = decode("heatmap_depth", OPTIONS, "mpii16", parts)
    assert poses.xyz is not None
    assert np.flatnonzero(np.isnan(poses.xyz[0]).any(axis=1)).tolist() == [2]


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ModelError, match=r"head 'depth' is \(15,\), expected \(16,\) or \(64, 64, 16\)"):
        decode("heatmap_depth", OPTIONS, "mpii16", heads(np.zeros(15)))
    with pytest.raises(ModelError, match="root is 16, expected less than 16"):
        decode("heatmap_depth", OPTIONS | {"root": 16}, "mpii16", heads(np.zeros(16)))
    with pytest.raises(ModelError, match="needs a head with role 'depth'"):
        decode("heatmap_depth", OPTIONS, "mpii16", {"heatmap": head("heatmap", np.zeros((8, 8, 16)))})

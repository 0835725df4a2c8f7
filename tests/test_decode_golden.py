"""Heads kept in files give the poses kept with them, and every decoder has what a decoder must have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepose.estimate.decode import DECODERS
from samples.raw_heads import decode
from tests.helpers import topdown_scene
from tests.helpers.ways import KERNELS

TESTS = Path(__file__).parent


@KERNELS
@pytest.mark.parametrize("name", topdown_scene.SCENES)
def test_the_golden_heads_give_the_golden_poses(name: str, kernels: str) -> None:
    told, heads, answers = topdown_scene.read(name)
    poses = decode(name, told["options"], told["skeleton"], heads, kernels=kernels)
    np.testing.assert_allclose(poses.xy, answers["xy"], atol=1e-3)
    np.testing.assert_allclose(poses.score, answers["score"], atol=1e-5)
    np.testing.assert_allclose(poses.person_score, answers["person_score"], atol=1e-5)
    assert (poses.xyz is None) == ("xyz" not in answers)
    if poses.xyz is not None:
        np.testing.assert_allclose(poses.xyz, answers["xyz"], atol=1e-4)


@pytest.mark.parametrize("name", topdown_scene.SCENES)
def test_the_golden_poses_are_where_the_joints_were_drawn(name: str) -> None:
    _, _, answers = topdown_scene.read(name)
    scene = topdown_scene.SCENES[name]()
    (xy,) = answers["xy"]
    assert np.abs(xy - scene.drawn_xy).max() < scene.near


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_has_a_golden_tests_and_a_bench_row(name: str) -> None:
    assert list((TESTS / "golden").glob(f"{name}_*.npz"))
    assert (TESTS / f"test_decode_{name}.py").is_file()
    benches = (TESTS.parent / "tools" / "benches").glob("*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in benches)
    assert f"decode_{name}" in text or f"def {name}(" in text


@pytest.mark.parametrize("family", sorted({row.loops for row in DECODERS.values() if row.loops}))
def test_every_kernel_family_has_a_numpy_twin_and_tests(family: str) -> None:
    kernels = TESTS.parent / "edgepose" / "kernels"
    assert (kernels / f"{family}.py").is_file()
    assert (kernels / f"{family}_numpy.py").is_file()
    tests = "".join(path.read_text(encoding="utf-8") for path in TESTS.glob("test_kernels_*.py"))
    assert f'family("{family}"' in tests

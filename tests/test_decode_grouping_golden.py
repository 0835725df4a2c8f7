"""The decoders that group give, from heads kept in files, the people kept with them."""

from __future__ import annotations

import numpy as np
import pytest

from samples.crowds import match
from tests.helpers import grouping_scene
from tests.helpers.ways import KERNELS


@KERNELS
@pytest.mark.parametrize("name", grouping_scene.DECODERS)
def test_the_golden_heads_give_the_golden_poses(name: str, kernels: str) -> None:
    heads, specs, answers = grouping_scene.read(name)
    poses = grouping_scene.decode(name, heads, specs, kernels)
    np.testing.assert_allclose(poses.xy, answers["xy"], atol=1e-4)
    np.testing.assert_allclose(poses.score, answers["score"], atol=1e-5)
    np.testing.assert_allclose(poses.person_score, answers["person_score"], atol=1e-5)
    assert sorted(match(poses.xy, answers["drawn_xy"], near=0.5)) == [0, 1, 2]


@pytest.mark.parametrize("name", grouping_scene.DECODERS)
def test_the_golden_heads_are_those_that_would_be_drawn_now(name: str) -> None:
    heads, specs, _ = grouping_scene.read(name)
    drawn, told = grouping_scene.draw(name)
    assert specs.keys() == told.keys()
    for role, head in heads.items():
        # a random number or an exponential may round another way on another machine
        assert (np.abs(head.astype(float) - drawn[role]) <= 1).all()
        assert specs[role].scale == pytest.approx(told[role].scale)

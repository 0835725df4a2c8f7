"""How far a pose is from every known view is the same whichever kernels count it."""

from __future__ import annotations

import numpy as np

from edgepose.kernels import Choice, family
from edgepose.lift.exemplar import Exemplar
from tests.helpers.ways import KERNELS

F = np.float32


@KERNELS
def test_the_distance_is_that_over_the_joints_that_are_seen(kernels: Choice) -> None:
    rng = np.random.default_rng(4)
    views, xy = rng.normal(size=(5, 2, 300)).astype(F), rng.normal(size=(5, 2)).astype(F)
    weight = np.array([1, 0, 0.3, 0, 2], F)
    off = np.full(300, np.nan, F)
    family("match", kernels).apart(views, xy, weight, off)
    expected = [
        sum(float(w) * float(np.sum((views[k, :, m] - xy[k]) ** 2)) for k, w in enumerate(weight)) for m in range(300)
    ]
    np.testing.assert_allclose(off, expected, rtol=2e-4, atol=2e-5)


@KERNELS
def test_a_known_view_is_lifted_as_it_is(kernels: Choice) -> None:
    lifts, plain = Exemplar(kernels), Exemplar("numpy")
    rng = np.random.default_rng(5)
    some = rng.integers(0, 5000, 6)
    xy = plain._library.views[:, :, some].transpose(2, 0, 1)
    found = (rng.random((6, 17, 1)) > 0.15).astype(F)
    pose = np.concatenate((xy, found), axis=2)
    extent, down = np.ones((6, 2), F), np.zeros((6, 3), F)
    told, same = lifts(pose, extent, down), plain(pose, extent, down)
    np.testing.assert_allclose(told.xyz, same.xyz, atol=1e-4)
    np.testing.assert_allclose(told.sigma, same.sigma, atol=1e-4)
    truth = plain._library.xyz[some]
    assert np.median(np.linalg.norm(told.xyz - truth, axis=2)) < 0.05

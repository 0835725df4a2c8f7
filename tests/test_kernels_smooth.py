"""The smoothing kernels, compiled and plain, give the same bits, whatever comes and goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import BLAZEPOSE33, COCO17, Poses, Skeleton
from edgepose.follow.smooth import Smoother
from samples.people import poses

CASES = {
    "smoothed": (COCO17, {}),
    "predicted": (COCO17, {"preset": "off", "predict": "fixed", "predict_ms": 90.0}),
    "both, in three dimensions": (BLAZEPOSE33, {"preset": "strong", "predict": "fixed", "predict_ms": 300.0}),
}


def crowd(skeleton: Skeleton, frames: int) -> list[Poses]:
    """People who come and go, move, jump, lose joints and scores, at an uneven pace."""
    rng = np.random.default_rng(7)
    joints = len(skeleton.joints)
    shape = rng.uniform(0, 200, (9, joints, 2))
    t, made = 0.0, []
    for seq in range(frames):
        t += rng.choice((0.033, 0.004, 0.0, 0.4, 1.5, -0.1), p=(0.7, 0.1, 0.05, 0.05, 0.05, 0.05))
        shape += rng.normal(size=(9, 1, 2)) * 4 + rng.normal(size=shape.shape) * 2
        here = np.flatnonzero(rng.random(9) < 0.7)
        xy = shape[here].astype(np.float32)
        xy[rng.random(xy.shape[:2]) < 0.1] = np.nan
        xy[rng.random(xy.shape[:2]) < 0.02] += 100
        score = rng.uniform(0, 1, xy.shape[:2]).astype(np.float32)
        score[rng.random(score.shape) < 0.05] = np.nan
        made.append(
            poses(
                len(here), t=t, seq=seq, skeleton=skeleton, xy=xy, score=score, track_id=here.astype(np.int32) - 1,
                xyz=np.concatenate((xy, xy[..., :1]), axis=2) / 100,
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize(("skeleton", "fields"), CASES.values(), ids=CASES)
def test_both_kernels_give_the_same_bits(skeleton: Skeleton, fields: dict[str, Any]) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    fast, plain = (
        Smoother(config.Smooth(**fields), skeleton, live=False, kernels=loops) for loops in ("numba", "numpy")
    )
    moved = 0
    for made in crowd(skeleton, 200):
        one, two = fast.update(made), plain.update(made)
        np.testing.assert_array_equal(one.xy, two.xy)
        np.testing.assert_array_equal(one.xyz, two.xyz)
        np.testing.assert_array_equal(np.isfinite(one.xy), np.isfinite(made.xy))
        moved += int((one.xy != made.xy).any())
    assert moved > 150

"""OKS agrees with COCO's own evaluation, and near-copies are dropped."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.core import oks
from edgepose.core.poses import COCO17

SIGMAS = np.array(COCO17.sigmas, np.float32)


def person(seed: int = 0, size: float = 100.0) -> np.ndarray:
    return (np.random.default_rng(seed).random((17, 2)) * size).astype(np.float32)


def test_a_pose_is_like_itself_and_unlike_one_far_away() -> None:
    one = person()
    np.testing.assert_allclose(oks.oks(one, np.stack((one, one + 1000)), SIGMAS), [1, 0], atol=1e-6)


def test_it_equals_cocos_own_number() -> None:
    coco_eval = pytest.importorskip("pycocotools.cocoeval", reason="pycocotools is not installed")
    one, other = person(), person() + np.float32(4)
    width, height = np.ptp(one, axis=0)
    area = float(oks.AREA_OF_BOX * width * height)
    evaluation = coco_eval.COCOeval(iouType="keypoints")
    visible = np.full((17, 1), 2.0)
    box = [*one.min(axis=0), width, height]
    truth = {"keypoints": np.hstack((one, visible)).ravel().tolist(), "area": area, "bbox": box, "num_keypoints": 17}
    found = {"keypoints": np.hstack((other, visible)).ravel().tolist(), "score": 1.0}
    evaluation._gts[1, 1], evaluation._dts[1, 1] = [truth], [found]
    theirs = evaluation.computeOks(1, 1)[0][0]
    assert oks.oks(one, other[None], SIGMAS)[0] == pytest.approx(theirs, abs=1e-5)


def test_joints_unknown_on_either_side_do_not_count() -> None:
    one, other = person(), person()
    other[:5] += 500
    one[:5] = np.nan
    assert oks.oks(one, other[None], SIGMAS)[0] == pytest.approx(1)


def test_poses_with_nothing_in_common_are_unlike() -> None:
    nothing = np.full((17, 2), np.nan, np.float32)
    assert oks.oks(person(), nothing[None], SIGMAS).tolist() == [0]
    assert oks.oks(nothing, person()[None], SIGMAS).tolist() == [0]


def test_the_better_of_two_alike_stays() -> None:
    one, far = person(), person() + np.float32(300)
    poses = np.stack((one, one + 1, far))
    assert oks.distinct(poses, SIGMAS, 0.5) == [0, 2]
    assert oks.distinct(poses[:0], SIGMAS, 0.5) == []

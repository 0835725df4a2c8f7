"""The YOLO-pose decoder: people at the anchors that say so, each once, from joined and split heads of any dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop
from edgepose.estimate.decode.yolo_pose import apart
from samples.raw_heads import DTYPES, Head, decode, head

N = 700
OPTIONS = {"input_wh": [320, 256], "min_person_score": 0.3, "min_joint_score": 0.3}
SIZE = np.array([320, 256])


def person(seed: int) -> NDArray[np.float64]:
    """(17, 2) x, y as shares of the input, in a box of a third of it."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.uniform(0, 0.6, 2) + rng.uniform(0, 0.33, (17, 2)))


def scene(people: dict[int, tuple[NDArray[Any], float]]) -> NDArray[np.float64]:
    """(N, 56) an anchor for each person: joints and score; all other anchors say nobody."""
    rows = np.zeros((N, 56))
    for anchor, (xy, score) in people.items():
        low, high = xy.min(axis=0), xy.max(axis=0)
        rows[anchor, :5] = *(low + high) / 2, *(high - low), score
        rows[anchor, 5:] = np.concatenate((xy, np.full((17, 1), 0.8)), axis=1).ravel()
    return rows


def joined(rows: NDArray[Any], dtype: str = "float32", channels_first: bool = True) -> dict[str, Head]:
    return {"pose": head("pose", rows.T if channels_first else rows, dtype)}


def split(rows: NDArray[Any], dtype: str, channels_first: bool) -> dict[str, Head]:
    """Boxes and keypoints in pixels, scores of 0..1: three scales."""
    keypoints = rows[:, 5:].reshape(N, 17, 3).copy()
    keypoints[..., :2] *= SIZE
    parts = {
        "boxes": (rows[:, :4] * np.tile(SIZE, 2), 320),
        "scores": (rows[:, 4:5], 1),
        "keypoints": (keypoints.reshape(N, 51), 320),
    }
    return {
        role: head(role, real.T if channels_first else real, dtype, high=high) for role, (real, high) in parts.items()
    }


A, B = person(1), person(2)
TWO = {"near": {40: (A, 0.6), 41: (A + 0.003, 0.5), 600: (B, 0.9)}}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels_first", [True, False])
def test_people_of_one_head_are_found_once_strongest_first(channels_first: bool, dtype: str) -> None:
    poses = decode("yolo_pose", OPTIONS, "coco17", joined(scene(TWO["near"]), dtype, channels_first))
    np.testing.assert_allclose(poses.person_score, [0.9, 0.6], atol=0.003)
    bound = 0.7 if dtype in ("int8", "uint8") else 0.01
    assert np.abs(poses.xy - (np.stack((B, A)) * SIZE - 0.5)).max() < bound
    np.testing.assert_allclose(poses.score, 0.8, atol=0.003)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("channels_first", [True, False])
def test_split_heads_each_with_its_own_scale(channels_first: bool, dtype: str) -> None:
    rows = scene({40: (A, 0.6), 600: (B, 0.9)})
    heads = split(rows, dtype, channels_first)
    # a keypoint's score in a head of pixels has steps of 1.25: it says nothing, so it does not count here
    options = OPTIONS | {"units": "pixels", "min_joint_score": 0.0}
    poses = decode("yolo_pose", options, "coco17", heads)
    np.testing.assert_allclose(poses.person_score, [0.9, 0.6], atol=0.003)
    np.testing.assert_allclose(np.nan_to_num(poses.xy, nan=-1)[0], B * SIZE - 0.5, atol=0.7)


def test_joints_without_scores_are_all_found() -> None:
    rows = scene({40: (A, 0.6)})
    keypoints = rows[:, 5:].reshape(N, 17, 3)[..., :2].reshape(N, 34)
    heads = {
        "boxes": head("boxes", rows[:, :4], "int8"),
        "scores": head("scores", rows[:, 4], "int8"),
        "keypoints": head("keypoints", keypoints, "int8"),
    }
    poses = decode("yolo_pose", OPTIONS | {"joint_values": 2}, "coco17", heads)
    assert (poses.score == 1).all()
    np.testing.assert_allclose(poses.xy[0], A * SIZE - 0.5, atol=0.7)


def test_keypoints_may_keep_an_axis_for_the_joints() -> None:
    rows = scene({40: (A, 0.6)})
    heads = {
        "boxes": head("boxes", rows[:, :4]),
        "scores": head("scores", rows[:, 4:5]),
        "keypoints": head("keypoints", rows[:, 5:].reshape(N, 17, 3)),
    }
    np.testing.assert_allclose(decode("yolo_pose", OPTIONS, "coco17", heads).xy[0], A * SIZE - 0.5, atol=1e-3)


def test_more_classes_count_by_their_best() -> None:
    rows = scene({40: (A, 0.6), 90: (B, 0.0)})
    more = np.concatenate((rows[:, :5], np.zeros((N, 1)), rows[:, 5:]), axis=1)
    more[90, 5] = 0.7
    poses = decode("yolo_pose", OPTIONS, "coco17", joined(more, "int8"))
    np.testing.assert_allclose(poses.person_score, [0.7, 0.6], atol=0.003)


def test_overlapping_boxes_of_two_people_stay_two() -> None:
    """Boxes 0.5 over each other, poses different: neither threshold takes one away."""
    other = A.min(axis=0) + A.max(axis=0) - A[::-1] + np.array([0.05, 0])
    poses = decode("yolo_pose", OPTIONS, "coco17", joined(scene({40: (A, 0.6), 41: (other, 0.5)})))
    assert len(poses) == 2


def test_alike_poses_in_unlike_boxes_are_one() -> None:
    rows = scene({40: (A, 0.6), 41: (A, 0.5)})
    rows[41, 2:4] *= 2
    assert len(decode("yolo_pose", OPTIONS, "coco17", joined(rows))) == 1


def test_nobody_passes_an_empty_scene_and_limits_hold() -> None:
    assert len(decode("yolo_pose", OPTIONS, "coco17", joined(scene({}), "int8"))) == 0
    crowd = scene({40: (A, 0.6), 600: (B, 0.9), 300: (person(5), 0.4)})
    assert len(decode("yolo_pose", OPTIONS, "coco17", joined(crowd), max_people=2)) == 2
    assert len(decode("yolo_pose", OPTIONS, "coco17", joined(crowd), min_person_score=0.5)) == 2
    assert len(decode("yolo_pose", OPTIONS | {"candidates": 1}, "coco17", joined(crowd))) == 1
    poses = decode("yolo_pose", OPTIONS, "coco17", joined(crowd), min_joint_score=0.9)
    assert np.isnan(poses.xy).all()


def test_poses_are_in_source_pixels() -> None:
    poses = decode("yolo_pose", OPTIONS, "coco17", joined(scene({40: (A, 0.6)})), Crop((7.0, -3.0), (2.0, 2.5)))
    np.testing.assert_allclose(poses.xy[0], (A * SIZE - 0.5) * [2, 2.5] + [7, -3], atol=1e-3)


def test_boxes_are_dropped_as_the_definition_says() -> None:
    rng = np.random.default_rng(8)
    center, size = rng.uniform(0, 4, (40, 2)).astype(np.float32), rng.uniform(0.5, 3, (40, 2)).astype(np.float32)

    def iou(a: int, b: int) -> float:
        low = np.maximum(center[a] - size[a] / 2, center[b] - size[b] / 2)
        high = np.minimum(center[a] + size[a] / 2, center[b] + size[b] / 2)
        both = float(np.maximum(high - low, 0).prod())
        return both / float(size[a].prod() + size[b].prod() - both)

    slow: list[int] = []
    for box in range(40):
        if all(iou(box, better) <= 0.3 for better in slow):
            slow.append(box)
    assert apart(center, size, 0.3, most=99).tolist() == slow
    assert apart(center, size, 0.3, most=3).tolist() == slow[:3]


def three(boxes: int = 4, keypoints: int = 51) -> dict[str, Head]:
    """Split heads of nobody with that many channels."""
    channels = {"boxes": boxes, "scores": 1, "keypoints": keypoints}
    return {role: head(role, np.zeros((count, N))) for role, count in channels.items()}


WRONG: dict[str, tuple[dict[str, Head], str]] = {
    "pixels": ({"pose": head("pose", np.zeros((56, N)), "int8", high=640)}, "in steps of 2.51, so they are lost"),
    "joints": ({"pose": head("pose", np.zeros((55, N)))}, r"head 'pose' is \(55, 700\), expected .* C at least 56"),
    "boxes": (three(boxes=5), r"head 'boxes' is \(5, 700\)"),
    "keypoints": (three(keypoints=50), "expected 51 numbers for each of 700 anchors"),
    "none": ({"heatmap": head("heatmap", np.zeros((8, 8, 17)))}, "needs a head with role 'pose'"),
}


@pytest.mark.parametrize(("heads", "says"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told(heads: dict[str, Head], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        decode("yolo_pose", OPTIONS, "coco17", heads)

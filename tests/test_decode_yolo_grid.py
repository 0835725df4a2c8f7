"""YOLO-pose heads that nothing decoded: every layout of them shows the same people at the same places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from samples.raw_heads import Head, decode, head

SIZE_WH = 256, 192
OPTIONS = {"input_wh": list(SIZE_WH), "min_person_score": 0.3, "min_joint_score": 0.3}
STRIDES = (8, 16, 32)
CELL = 16, (7, 5)
"""Stride and column, row of the cell that sees the person."""
Raw = dict[str, NDArray[Any]]


def logit(likely: float) -> float:
    return float(np.log(likely / (1 - likely)))


def grids() -> Raw:
    """(h, w, C) raw heads of each stride: one person, 3 cells to every side, joints in a row 0.25 cells apart."""
    raw: Raw = {}
    for stride in STRIDES:
        size = SIZE_WH[1] // stride, SIZE_WH[0] // stride
        raw[f"boxes_{stride}"] = np.zeros((*size, 64))
        raw[f"scores_{stride}"] = np.full((*size, 1), -9.0)
        raw[f"keypoints_{stride}"] = np.zeros((*size, 51))
    stride, (column, row) = CELL
    raw[f"boxes_{stride}"][row, column].reshape(4, 16)[:, 3] = 30.0  # a distribution that is all in bin 3
    raw[f"scores_{stride}"][row, column] = logit(0.9)
    joints = raw[f"keypoints_{stride}"][row, column].reshape(17, 3)
    joints[:, 0], joints[:, 1], joints[:, 2] = np.arange(17) / 8 - 1, 0.5, logit(0.8)
    return raw


EXPECTED = np.stack([(np.arange(17) / 4 - 2 + 7) * 16, np.full(17, (1 + 5) * 16.0)], axis=1) - 0.5
"""(raw * 2 + cell) * stride, from the outer edge."""


def rows(raw: Raw) -> Raw:
    return {role: values.reshape(-1, values.shape[-1]) for role, values in raw.items()}


def columns(raw: Raw) -> Raw:
    return {role: values.T for role, values in rows(raw).items()}


def one_head_of_joints(raw: Raw) -> Raw:
    """Himax's seven outputs."""
    flat = rows(raw)
    joined = np.concatenate([flat.pop(f"keypoints_{stride}") for stride in STRIDES])
    return {**flat, "keypoints": joined}


def boxes_with_scores(raw: Raw) -> Raw:
    return {
        role: np.concatenate((values, raw[f"scores_{role[6:]}"]), axis=2) if role.startswith("boxes") else values
        for role, values in raw.items()
        if not role.startswith("scores")
    }


def distances(raw: Raw) -> Raw:
    """Boxes of 4: what a network without distributions gives."""
    return {
        role: np.full((*values.shape[:2], 4), 3.0) if role.startswith("boxes") else values
        for role, values in raw.items()
    }


def first_axis(raw: Raw) -> Raw:
    return {role: np.moveaxis(values, -1, 0) for role, values in raw.items()}


LAYOUTS = {
    make.__name__: make for make in (rows, columns, first_axis, one_head_of_joints, boxes_with_scores, distances)
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_shows_the_same_person(layout: Any) -> None:
    heads = {role: head(role, values) for role, values in layout(grids()).items()}
    poses = decode("yolo_pose", OPTIONS, "coco17", heads)
    np.testing.assert_allclose(poses.person_score, [0.9], atol=1e-5)
    np.testing.assert_allclose(poses.xy[0], EXPECTED, atol=1e-3)
    np.testing.assert_allclose(poses.score[0], 0.8, atol=1e-5)


def test_int8_heads_have_a_scale_each() -> None:
    ends = {"boxes": (-5, 30), "scores": (-10, 5), "keypoints": (-2, 2)}
    heads: dict[str, Head] = {}
    for role, values in grids().items():
        low, high = ends[role.split("_")[0]]
        heads[role] = head(role, values, "int8", low, high)
    poses = decode("yolo_pose", OPTIONS, "coco17", heads)
    np.testing.assert_allclose(poses.person_score, [0.9], atol=0.01)
    assert np.abs(poses.xy[0] - EXPECTED).max() < 0.3


def test_scores_behind_a_sigmoid_need_none() -> None:
    raw = grids()
    for stride in STRIDES:
        raw[f"scores_{stride}"] = 1 / (1 + np.exp(-raw[f"scores_{stride}"]))
    heads = {role: head(role, values) for role, values in raw.items()}
    poses = decode("yolo_pose", OPTIONS | {"score_logits": False}, "coco17", heads)
    np.testing.assert_allclose(poses.person_score, [0.9], atol=1e-5)


def test_where_a_head_could_lie_either_way_those_of_other_strides_decide() -> None:
    """64 cells of 64 numbers: stride 32 of an input of 256 x 256."""
    raw: Raw = {}
    for stride in STRIDES:
        side = 256 // stride
        raw |= {f"boxes_{stride}": np.zeros((64, side * side)), f"scores_{stride}": np.full((1, side * side), -9.0),
                f"keypoints_{stride}": np.zeros((51, side * side))}  # fmt: skip
    cell = 4 * 8 + 4
    raw["scores_32"][0, cell], raw["scores_32"][0, cell + 1] = logit(0.9), logit(0.8)
    raw["keypoints_32"][2::3, cell : cell + 2] = 3.0
    # of both cells: boxes one cell wide, each around its own centre: two people, were they not alike
    raw["boxes_32"][[0, 16, 32, 48], cell] = 50.0  # no distance at all
    raw["boxes_32"][[9, 25, 41, 57], cell + 1] = 50.0  # nine cells each way
    heads = {role: head(role, values) for role, values in raw.items()}
    options = OPTIONS | {"input_wh": [256, 256], "duplicate_oks": 1.0}
    assert len(decode("yolo_pose", options, "coco17", heads)) == 2


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda raw: raw.pop("scores_16"), "'scores_16'"),
        (lambda raw: raw.pop("keypoints_32"), "'keypoints_32' or 'keypoints'"),
        (lambda raw: raw.update(boxes_8=np.zeros((10, 10, 64))), "'boxes_8' is"),
    ],
    ids=["no scores", "no joints", "another size"],
)
def test_heads_that_do_not_fit_are_refused(spoil: Any, says: str) -> None:
    raw = grids()
    spoil(raw)
    with pytest.raises(ModelError, match=says):
        decode("yolo_pose", OPTIONS, "coco17", {role: head(role, values) for role, values in raw.items()})

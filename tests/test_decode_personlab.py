"""The personlab decoder: people drawn into heads come out where they were drawn, in source pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, HeadSpec, Poses
from edgepose.estimate.decode import open_decoder
from tests.helpers import personlab_scene, reference_personlab
from tests.helpers.personlab_scene import QUANT, STANDING, raw_heads, real_heads, specs
from tests.helpers.ways import KERNELS

F = np.float32
AS_IS = Crop((0.0, 0.0), (1.0, 1.0))
FRAME = Frame(np.zeros((353, 481, 3), np.uint8), "bgr", t=1.5, taken_t=2.5, seq=7, name="a.jpg")
DTYPES = pytest.mark.parametrize("dtype", sorted(QUANT))
PLACE_ERROR = {"int8": 0.6, "uint8": 0.6, "int16": 0.01, "float32": 1e-4}
"""Pixels: an offset is at most half a step off, and five refinements read it again near the joint."""


def decode(
    heads: dict[str, NDArray[Any]], options: dict[str, Any] | None = None, crop: Crop = AS_IS, **settings: Any
) -> Poses:
    cfg = config.Decode(**settings)
    return open_decoder("test", "personlab", options or {}, "coco17", specs(heads), cfg)(heads, crop, FRAME)


@DTYPES
@KERNELS
def test_people_come_out_where_they_were_drawn_best_first(dtype: str, kernels: str) -> None:
    people, peaks = personlab_scene.three_people()
    poses = decode(raw_heads(real_heads(people, peaks), dtype), kernels=kernels, min_joint_score=0.0)
    assert len(poses) == 3
    for found, drawn in zip((1, 0, 2), range(3), strict=True):
        clear = clear_joints(people, drawn)
        assert clear.sum() >= 12
        assert np.abs(poses.xy[found] - people[drawn])[clear].max() < PLACE_ERROR[dtype]
    assert (np.diff(poses.person_score) < 0).all()
    assert poses.track_id.tolist() == [-1, -1, -1]
    assert (poses.t, poses.taken_t, poses.seq, poses.name, poses.size_wh) == (1.5, 2.5, 7, "a.jpg", (481, 353))


def halved(heads: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Mid-range offsets in two heads, as Google ships PoseNet."""
    mid = heads["mid_offset"]
    return {**{role: heads[role] for role in ("heatmap", "short_offset")},
            "mid_forward": mid[..., :32].copy(), "mid_backward": mid[..., 32:].copy()}  # fmt: skip


def halved_specs(heads: dict[str, NDArray[Any]]) -> dict[str, HeadSpec]:
    quant = QUANT[heads["heatmap"].dtype.name]
    return {
        role: HeadSpec(role, head.shape, head.dtype, *quant["mid_offset" if role.startswith("mid") else role])
        for role, head in heads.items()
    }


@DTYPES
@KERNELS
def test_mid_offsets_in_two_heads_mean_the_same(dtype: str, kernels: str) -> None:
    heads = raw_heads(real_heads(*personlab_scene.three_people()), dtype)
    two = halved(heads)
    cfg = config.Decode(kernels=kernels)  # type: ignore[arg-type]
    poses = open_decoder("test", "personlab", {}, "coco17", halved_specs(two), cfg)(two, AS_IS, FRAME)
    one = decode(heads, kernels=kernels)
    assert len(poses) == 3
    np.testing.assert_array_equal(poses.xy, one.xy)
    np.testing.assert_array_equal(poses.score, one.score)


def test_two_heads_with_steps_of_their_own_are_read_as_real_values() -> None:
    heads = raw_heads(real_heads(*personlab_scene.three_people()), "int8")
    two, told = halved(heads), halved_specs(halved(heads))
    spec = told["mid_backward"]  # the same real values, written in half the steps
    two["mid_backward"] = (two["mid_backward"].astype(np.int32) - spec.zero_point).clip(-63, 63).astype(np.int8) * 2
    told["mid_backward"] = HeadSpec(spec.role, spec.shape, spec.dtype, spec.scale / 2, 0)
    poses = open_decoder("test", "personlab", {}, "coco17", told, config.Decode(kernels="numpy"))(two, AS_IS, FRAME)
    assert len(poses) == 3
    np.testing.assert_allclose(poses.xy, decode(heads, kernels="numpy").xy, atol=0.6)


def clear_joints(people: list[NDArray[Any]], one: int) -> NDArray[np.bool_]:
    """(17,) whether all four cells around a joint are nearer to it than to another person's."""
    clear = np.ones(17, bool)
    for other in range(len(people)):
        if other != one:
            clear &= np.hypot(*(people[other] - people[one]).T) > 2 * 23
    return clear


@DTYPES
def test_the_answer_is_that_of_the_slow_decoder(dtype: str) -> None:
    people, peaks = personlab_scene.three_people()
    heads = raw_heads(real_heads(people, peaks), dtype)
    slow = reference_personlab.decode(heads, QUANT[dtype])
    poses = decode(heads, max_people=10, min_joint_score=0.0)
    assert len(poses) == len(slow)
    for person, expected in enumerate(slow):
        assert np.abs(poses.xy[person] - expected.xy).max() < 0.01
        np.testing.assert_allclose(poses.score[person], expected.score, atol=1e-5)
        assert poses.person_score[person] == pytest.approx(expected.person_score, abs=1e-5)


@KERNELS
def test_the_golden_heads_give_the_golden_poses(kernels: str) -> None:
    with np.load(personlab_scene.GOLDEN) as kept:
        heads = {role: kept[role] for role in QUANT["int8"]}
        poses = decode(heads, max_people=10, min_joint_score=0.0, kernels=kernels)
        assert np.abs(poses.xy - kept["xy"]).max() < 0.01
        np.testing.assert_allclose(poses.score, kept["score"], atol=1e-5)
        np.testing.assert_allclose(poses.person_score, kept["person_score"], atol=1e-5)
        assert np.median(np.hypot(*(poses.xy[[1, 0, 2]] - kept["drawn_xy"]).reshape(-1, 2).T)) < 0.5


def test_a_person_is_placed_by_offsets_not_by_cells() -> None:
    # nose drawn 5.25 right and 3.5 below of the cell (6, 12); float heads hold that exactly
    xy = STANDING - STANDING[0] + np.array([12 * 16 + 5.25, 6 * 16 + 3.5])
    poses = decode(raw_heads(real_heads([xy], [3.0]), "float32"))
    np.testing.assert_allclose(poses.xy[0], xy, atol=1e-4)


def test_the_score_of_a_joint_is_the_sigmoid_of_its_logit() -> None:
    xy = np.round((STANDING + np.array([200, 180])) / 16) * 16  # on cells, where the peak is exactly 2
    poses = decode(raw_heads(real_heads([xy], [2.0]), "float32"))
    np.testing.assert_allclose(poses.score[0], 1 / (1 + np.exp(-2.0)), atol=1e-6)
    assert poses.person_score[0] == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-6)


def test_an_empty_scene_has_nobody() -> None:
    poses = decode(raw_heads(real_heads([STANDING + 1e4], [3.0]), "uint8"))
    assert len(poses) == 0
    assert poses.xy.shape == (0, 17, 2)


def test_a_joint_that_scores_low_is_nan_and_0() -> None:
    real = real_heads([STANDING + np.array([200, 180])], [3.0])
    real["heatmap"][..., 9] = -4
    poses = decode(raw_heads(real, "int8"))
    assert np.flatnonzero(np.isnan(poses.xy[0, :, 0])).tolist() == [9]
    assert poses.score[0, 9] == 0


def test_a_second_person_does_not_score_with_the_first_ones_joints() -> None:
    # both have the same legs, less than 10 pixels apart: they count for the stronger one only
    first = STANDING + np.array([150, 180])
    second = first.copy()
    second[:11] += np.array([120, 0])
    poses = decode(raw_heads(real_heads([first, second], [4.0, 3.0]), "float32"), min_joint_score=0.0)
    assert len(poses) == 2
    assert poses.person_score[1] == pytest.approx(poses.score[1, :11].sum() / 17, abs=1e-5)
    assert poses.person_score[1] < poses.score[1].mean() - 0.2


def test_settings_go_before_the_models_own_thresholds() -> None:
    heads = raw_heads(real_heads([STANDING + np.array([200, 180])], [0.0]), "float32")
    assert len(decode(heads)) == 1
    assert len(decode(heads, {"min_person_score": 0.6})) == 0
    assert len(decode(heads, {"min_person_score": 0.6}, min_person_score=0.1)) == 1
    assert np.isnan(decode(heads, min_joint_score=0.6).xy).all()


def test_no_more_people_than_asked_for() -> None:
    people, peaks = personlab_scene.three_people()
    poses = decode(raw_heads(real_heads(people, peaks), "int8"), max_people=1)
    assert len(poses) == 1
    assert np.abs(poses.xy[0] - people[1])[clear_joints(people, 1)].max() < 0.6


def test_poses_are_in_source_pixels() -> None:
    xy = STANDING + np.array([200, 180])
    crop = Crop(offset_xy=(100.0, -40.0), scale_xy=(2.5, 3.0))
    poses = decode(raw_heads(real_heads([xy], [3.0]), "float32"), crop=crop)
    np.testing.assert_allclose(poses.xy[0], xy * np.array([2.5, 3.0]) + np.array([100, -40]), atol=1e-3)


def test_a_second_frame_does_not_change_the_first_result() -> None:
    first, other = (raw_heads(real_heads([STANDING + np.array(at)], [3.0]), "int8") for at in ([200, 180], [300, 200]))
    decoder = open_decoder("test", "personlab", {}, "coco17", specs(first), config.Decode())
    poses = decoder(first, AS_IS, FRAME)
    kept = poses.xy.copy(), poses.score.copy(), poses.person_score.copy()
    decoder(other, AS_IS, FRAME)
    for before, after in zip(kept, (poses.xy, poses.score, poses.person_score), strict=True):
        np.testing.assert_array_equal(before, after)


WRONG = {
    "missing head": (lambda heads: heads.pop("mid_offset"), {}, "needs a head with role 'mid_offset'"),
    "other channels": (
        lambda heads: heads.update(short_offset=HeadSpec("short_offset", (23, 31, 17), np.dtype(np.int8), 1.0, 0)),
        {},
        r"head 'short_offset' is \(23, 31, 17\), expected \(23, 31, 34\)",
    ),
    "other type": (
        lambda heads: heads.update(mid_offset=HeadSpec("mid_offset", (23, 31, 64), np.dtype(np.uint8), 1.0, 0)),
        {},
        "must be of one type, they are heatmap int8, short_offset int8, mid_offset uint8",
    ),
    "out of reach": (
        lambda _: None,
        {"score_threshold": 0.9999},
        "score_threshold is 0.9999, but head 'heatmap' holds at most 0.999",
    ),
    "option": (lambda _: None, {"strides": 16}, "strides is not a setting; did you mean stride"),
}


@pytest.mark.parametrize(("spoil", "options", "says"), WRONG.values(), ids=WRONG)
def test_wrong_heads_and_options_are_told(spoil: Any, options: dict[str, Any], says: str) -> None:
    heads = specs(raw_heads(real_heads([STANDING], [3.0]), "int8"))
    spoil(heads)
    with pytest.raises(ModelError, match=says):
        open_decoder("test", "personlab", options, "coco17", heads, config.Decode())


def test_another_skeleton_is_told() -> None:
    heads = specs(raw_heads(real_heads([STANDING], [3.0]), "int8"))
    with pytest.raises(ModelError, match="coco17, the manifest says openpose18"):
        open_decoder("test", "personlab", {}, "openpose18", heads, config.Decode())

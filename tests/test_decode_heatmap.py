"""The heatmap decoder: joints where peaks were drawn, to a fraction of a cell, in every dtype and layout."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import AIC14, COCO17, Crop, Poses
from edgepose.estimate.decode import open_decoder, topdown
from samples.raw_heads import AS_IS, DTYPES, FRAME, decode, gaussians, head
from samples.shared import shared
from tests.helpers.ways import KERNELS

SIZE = (64, 48)
OPTIONS = {"stride": 4.0, "min_person_score": 0.3, "min_joint_score": 0.3}


def places(seed: int, border: float, count: int = 14) -> NDArray[np.float64]:
    """(K, 2) sub-cell peaks at least `border` cells inside the map."""
    return np.random.default_rng(seed).uniform([border, border], np.array(SIZE) - 1 - border, (count, 2))


def error(poses: Poses, yx: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) model pixels from where the peaks were drawn, stride 4."""
    distance: NDArray[np.float64] = np.linalg.norm(poses.xy[0] - yx[:, ::-1] * 4, axis=1)
    return distance


BOUND_PX = {
    "dark": (0.01, 0.03),
    "udp": (0.01, 0.03),
    "softargmax": (0.1, 0.1),
    "quarter": (1.5, 1.5),
    "none": (2.9, 2.9),
}
"""Model pixels of stride 4, for float and for int8 heads: what each refinement is good for on Gaussians."""


@pytest.mark.parametrize("refine", BOUND_PX)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_centre_of_a_gaussian_is_found_between_the_cells(refine: str, dtype: str) -> None:
    bound = BOUND_PX[refine][dtype in ("int8", "uint8")]
    for seed in range(5):
        yx = places(seed, border=8)
        poses = decode(
            "heatmap", OPTIONS | {"refine": refine}, "aic14", {"heatmap": head("heatmap", gaussians(SIZE, yx), dtype)}
        )
        assert error(poses, yx).max() < bound
        assert poses.score.min() > 0.85


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_dark_is_as_good_two_cells_from_the_border(dtype: str) -> None:
    yx = np.array([[2.3, 2.4], [61.4, 45.3], [2.6, 30.2]] + [[30.1, 20.7]] * 11)
    heads = {"heatmap": head("heatmap", gaussians(SIZE, yx), dtype)}
    assert error(decode("heatmap", OPTIONS | {"refine": "dark"}, "aic14", heads), yx).max() < 0.05


def test_a_centroid_of_a_peak_that_fits_its_window_is_its_centre() -> None:
    yx = places(1, border=9)
    options = OPTIONS | {"refine": "centroid", "radius": 8}
    poses = decode("heatmap", options, "aic14", {"heatmap": head("heatmap", gaussians(SIZE, yx))})
    assert error(poses, yx).max() < 0.05


@KERNELS
def test_background_and_earlier_stages_do_not_count(kernels: str) -> None:
    yx = places(2, border=8)
    last = np.concatenate([gaussians(SIZE, yx), np.ones((*SIZE, 1))], axis=2)
    stages = np.stack([last[::-1], last[:, ::-1], last])
    heads = {"heatmap": head("heatmap", stages, "int8")}
    poses = decode("heatmap", OPTIONS | {"refine": "dark"}, "aic14", heads, kernels=kernels)
    assert error(poses, yx).max() < 0.03


@pytest.mark.parametrize("refine", ["none", "quarter", "dark", "centroid"])
def test_channels_first_gives_the_same_as_channels_last(refine: str) -> None:
    real = gaussians(SIZE, places(3, border=0))
    options = OPTIONS | {"refine": refine}
    last = decode("heatmap", options, "aic14", {"heatmap": head("heatmap", real, "int8")})
    deep = {"heatmap": head("heatmap", real.transpose(2, 0, 1), "int8")}
    first = decode("heatmap", options | {"layout": "chw"}, "aic14", deep)
    np.testing.assert_array_equal(last.xy, first.xy)
    np.testing.assert_array_equal(last.score, first.score)


@pytest.mark.parametrize("layout", ["hwc", "chw"])
def test_channels_may_come_in_another_order(layout: str) -> None:
    yx = places(4, border=8)
    order = np.random.default_rng(4).permutation(14)
    real = gaussians(SIZE, yx[order])
    heads = {"heatmap": head("heatmap", real if layout == "hwc" else real.transpose(2, 0, 1))}
    options = OPTIONS | {"refine": "dark", "layout": layout, "channels": np.argsort(order).tolist()}
    assert error(decode("heatmap", options, "aic14", heads), yx).max() < 0.01


CONVENTIONS = {
    "corner": (20.0, 40.0),
    "half_pixel": (21.5, 41.5),
    "align_corners": (5 * 191 / 47, 10 * 255 / 63),
}


@pytest.mark.parametrize(("cells", "xy"), CONVENTIONS.items(), ids=CONVENTIONS)
def test_a_cell_maps_to_the_pixel_its_convention_says(cells: str, xy: tuple[float, float]) -> None:
    real = np.zeros((*SIZE, 14))
    real[10, 5] = 1
    poses = decode("heatmap", OPTIONS | {"cells": cells, "refine": "none"}, "aic14", {"heatmap": head("heatmap", real)})
    np.testing.assert_allclose(poses.xy[0], [xy] * 14, rtol=1e-6)


def test_a_crop_maps_there_and_back_within_a_tenth_of_a_pixel() -> None:
    crop = Crop((37.25, -12.5), (1.75, 1.75))
    yx = places(6, border=8)
    poses = decode(
        "heatmap", OPTIONS | {"refine": "dark"}, "aic14", {"heatmap": head("heatmap", gaussians(SIZE, yx))}, crop
    )
    assert np.abs(poses.xy[0] - (yx[:, ::-1] * 4 * 1.75 + [37.25, -12.5])).max() < 0.1


def test_a_low_peak_is_no_joint_and_low_peaks_are_nobody() -> None:
    real = gaussians(SIZE, places(7, border=8))
    real[..., 3] *= 0.2
    poses = decode("heatmap", OPTIONS, "aic14", {"heatmap": head("heatmap", real, "int8")})
    assert np.flatnonzero(np.isnan(poses.xy[0, :, 0])).tolist() == [3]
    assert poses.score[0, 3] == 0
    assert poses.person_score[0] > 0.85  # the mean of who was found
    assert len(decode("heatmap", OPTIONS, "aic14", {"heatmap": head("heatmap", real * 0.2, "int8")})) == 0
    some = decode(
        "heatmap", OPTIONS, "aic14", {"heatmap": head("heatmap", real * 0.2)}, min_person_score=0, min_joint_score=0.1
    )
    assert len(some) == 1


def test_logits_go_through_a_sigmoid_for_the_score_only() -> None:
    real = np.full((*SIZE, 14), -6.0)
    real[10, 5] = 2.0
    heads = {"heatmap": head("heatmap", real, "int8", low=-8, high=8)}
    poses = decode("heatmap", OPTIONS | {"logits": True, "refine": "none"}, "aic14", heads)
    np.testing.assert_allclose(poses.score, 1 / (1 + np.exp(-2)), atol=0.01)
    np.testing.assert_allclose(poses.xy[0], [(20.0, 40.0)] * 14)


def test_a_second_frame_does_not_change_the_first_result() -> None:
    a, b = places(8, border=8), places(9, border=8)
    raw_a, spec = head("heatmap", gaussians(SIZE, a))
    decoder = open_decoder("test", "heatmap", OPTIONS | {"refine": "dark"}, "aic14", {"heatmap": spec}, config.Decode())
    first = decoder({"heatmap": raw_a}, AS_IS, FRAME)
    decoder({"heatmap": head("heatmap", gaussians(SIZE, b))[0]}, AS_IS, FRAME)
    assert error(first, a).max() < 0.01


@pytest.mark.parametrize("refine", ["none", "quarter", "dark", "udp", "centroid", "softargmax"])
def test_both_kernels_give_the_same_poses_on_noise(refine: str) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    rng = np.random.default_rng(11)
    heads = {"heatmap": head("heatmap", rng.random((24, 20, 14)), "int8")}
    options = OPTIONS | {"refine": refine}
    fast, plain = (decode("heatmap", options, "aic14", heads, kernels=kernels) for kernels in ("numba", "numpy"))
    np.testing.assert_array_equal(fast.xy, plain.xy)
    np.testing.assert_array_equal(fast.score, plain.score)
    assert np.isfinite(fast.xy).all()


WRONG: dict[str, tuple[dict[str, Any], tuple[int, ...], str]] = {
    "few": ({}, (8, 8, 13), r"expected at least 14 channels; a head \(C, H, W\) needs layout = 'chw'"),
    "flat": ({}, (8, 14), r"expected \(H, W, C\) or \(stages, H, W, C\)"),
    "names": ({"channels": [0, 1]}, (8, 8, 14), "channels names 2 of the skeleton's 14 joints"),
    "even": ({"smooth": 10}, (8, 8, 14), "smooth is 10, expected an odd number"),
    "method": ({"refine": "darc"}, (8, 8, 14), "refine is 'darc', expected one of 'none', 'quarter', 'dark'"),
}


@pytest.mark.parametrize(("options", "shape", "says"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told(options: dict[str, Any], shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        decode("heatmap", OPTIONS | options, "aic14", {"heatmap": head("heatmap", np.zeros(shape))})


def test_a_missing_head_is_told() -> None:
    with pytest.raises(ModelError, match="needs a head with role 'heatmap'; the manifest names volume"):
        decode("heatmap", OPTIONS, "aic14", {"volume": head("volume", np.zeros((8, 8, 14)))})


def test_two_crops_of_one_person_give_one_pose_the_better_one() -> None:
    yx = places(12, border=8)
    options = OPTIONS | {"refine": "dark"}
    limits = topdown.Keep(person=0.3, joint=0.3, people=6, alike=0.5)
    sure = decode("heatmap", options, "aic14", {"heatmap": head("heatmap", gaussians(SIZE, yx))})
    unsure = decode(
        "heatmap",
        options,
        "aic14",
        {"heatmap": head("heatmap", 0.6 * gaussians(SIZE, yx + 0.05))},
        Crop((0.0, 0.0), (1.0, 1.0)),
    )
    other = decode(
        "heatmap", options, "aic14", {"heatmap": head("heatmap", 0.8 * gaussians(SIZE, yx))}, Crop((90.0, 0.0), (1, 1))
    )
    merged = topdown.merged([unsure, other, sure], limits)
    np.testing.assert_array_equal(merged.xy, np.concatenate([sure.xy, other.xy]))
    assert merged.size_wh == (320, 240)
    assert len(topdown.merged([unsure, other, sure], limits._replace(people=1))) == 1


LIMBS = [joint for joint in AIC14.joints if joint in COCO17.joints]
ORDER_OF_POSE_ESTIMATION_FOR_MOBILE = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 1)
"""Its models give head top, neck, then arms and legs, the right one first: seen on pictures with known joints."""


@pytest.mark.parametrize(("model", "stride"), [("cpm", 2.0), ("hourglass", 4.0)])
def test_real_models_find_known_joints_on_their_own_side(model: str, stride: float) -> None:
    cv2 = pytest.importorskip("cv2")
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(str(shared(f"models/{model}_192_aic14_float.tflite")))
    interpreter.allocate_tensors()
    folder = shared("data/sets/coco_mini_train")
    truth = json.loads((folder / "person_keypoints.json").read_text())
    files = {image["id"]: image["file_name"] for image in truth["images"]}
    people = [person for person in truth["annotations"] if sum(v > 0 for v in person["keypoints"][2::3]) >= 15][:12]
    options = OPTIONS | {"stride": stride, "refine": "dark", "channels": ORDER_OF_POSE_ESTIMATION_FOR_MOBILE}
    errors = []
    for person in people:
        x, y, width, height = person["bbox"]
        side = max(width, height) * 1.25
        crop = Crop((x + width / 2 - side / 2, y + height / 2 - side / 2), (side / 192, side / 192))
        there = np.array(
            [[192 / side, 0, -crop.offset_xy[0] * 192 / side], [0, 192 / side, -crop.offset_xy[1] * 192 / side]]
        )
        picture = cv2.imread(str(folder / "images" / files[person["image_id"]]))
        interpreter.set_tensor(
            interpreter.get_input_details()[0]["index"],
            cv2.warpAffine(picture, there, (192, 192))[None].astype(np.float32),
        )
        interpreter.invoke()
        maps = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        found = decode(
            "heatmap", options, "aic14", {"heatmap": head("heatmap", maps)}, crop, min_person_score=0, min_joint_score=0
        )
        known = np.array(person["keypoints"]).reshape(17, 3)
        for joint in LIMBS:
            here = known[COCO17.joints.index(joint)]
            if here[2] > 0:
                errors.append(np.linalg.norm(found.xy[0, AIC14.joints.index(joint)] - here[:2]) / side)
    assert len(errors) > 80
    # the share of the crop a limb is off: mirrored sides would be off by the width of a body
    assert np.median(errors) < 0.05
    assert np.mean(np.array(errors) < 0.1) > 0.8

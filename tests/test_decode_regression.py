"""The regression decoder: known vectors map to known places, and MoveNet's outputs to what its heads say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, HeadSpec
from edgepose.estimate.decode import open_decoder
from samples.raw_heads import AS_IS, FRAME, decode, head
from samples.shared import shared

F = np.float32
OPTIONS = {"min_person_score": 0.1, "min_joint_score": 0.1, "input_wh": [192, 256]}
CROP = Crop((31.5, -7.25), (1.75, 2.25))


def places(seed: int = 0) -> NDArray[np.float64]:
    """(17, 2) x, y in model pixels of a 192 x 256 input."""
    return np.random.default_rng(seed).uniform([0, 0], [191, 255], (17, 2))


SIZE = np.array([192, 256])
UNITS = {
    "pixels": lambda xy: xy,
    "normalised": lambda xy: xy / SIZE,
    "centred": lambda xy: xy / SIZE * 2 - 1,
}


@pytest.mark.parametrize("shape", [(34,), (17, 2), (1, 17, 2)])
@pytest.mark.parametrize("units", UNITS)
def test_a_known_vector_maps_back_within_a_thousandth_of_a_pixel(units: str, shape: tuple[int, ...]) -> None:
    xy = places()
    options = OPTIONS | {"units": units}
    poses = decode("regression", options, "coco17", {"pose": head("pose", UNITS[units](xy).reshape(shape))}, CROP)
    assert np.abs(poses.xy[0] - (xy * CROP.scale_xy + CROP.offset_xy)).max() < 1e-3
    assert (poses.score == 1).all()
    assert poses.xyz is None


@pytest.mark.parametrize(("dtype", "bound"), [("int8", 0.51), ("uint8", 0.51), ("int16", 0.01)])
def test_a_quantised_vector_is_off_by_half_a_step(dtype: str, bound: float) -> None:
    poses = decode("regression", OPTIONS, "coco17", {"pose": head("pose", places() / SIZE, dtype)})
    assert np.abs(poses.xy[0] - places()).max() < bound


def test_the_edge_is_half_a_pixel_before_the_centre() -> None:
    heads = {"pose": head("pose", np.full((17, 2), 0.5))}
    centre = decode("regression", OPTIONS, "coco17", heads)
    edge = decode("regression", OPTIONS | {"origin": "edge"}, "coco17", heads)
    np.testing.assert_allclose(centre.xy[0, 0], [96, 128])
    np.testing.assert_allclose(edge.xy[0, 0], [95.5, 127.5])


def test_a_third_number_is_a_score_or_a_depth() -> None:
    numbers = np.concatenate((places()[:, ::-1] / SIZE[::-1], np.full((17, 1), 0.25)), axis=1)
    numbers[4, 2] = 0.05
    scored = decode("regression", OPTIONS | {"values": "yx_score"}, "coco17", {"pose": head("pose", numbers)})
    np.testing.assert_allclose(np.delete(scored.xy[0], 4, 0), np.delete(places(), 4, 0), atol=1e-3)
    assert np.isnan(scored.xy[0, 4]).all()
    assert scored.person_score[0] == pytest.approx(0.25)
    deep = decode("regression", OPTIONS | {"values": "xyz"}, "coco17", {"pose": head("pose", numbers.reshape(51))})
    assert deep.xyz is not None
    np.testing.assert_allclose(deep.xyz[0, :, 2], numbers[:, 2] * 192, rtol=1e-6)
    np.testing.assert_allclose(deep.xyz[0, :, :2], deep.xy[0])


def test_one_broken_number_loses_its_joint_and_nobody_else() -> None:
    numbers = np.concatenate((places() / SIZE, np.full((17, 1), 0.5)), axis=1)
    numbers[4, 2] = np.nan
    poses = decode("regression", OPTIONS | {"values": "xy_score"}, "coco17", {"pose": head("pose", numbers)})
    assert np.flatnonzero(np.isnan(poses.xy[0]).any(axis=1)).tolist() == [4]
    assert poses.person_score[0] == pytest.approx(0.5)


METRIC = OPTIONS | {"values": "xyz", "units": "metric", "length": 0.001, "root": 0}


def test_a_metric_head_gives_metres_from_the_root_and_no_place_in_the_picture() -> None:
    mm = np.random.default_rng(2).uniform(-900, 900, (17, 3))
    poses = decode("regression", METRIC, "h36m17", {"pose": head("pose", mm.reshape(51))})
    assert poses.xyz is not None
    np.testing.assert_allclose(poses.xyz[0], (mm - mm[0]) / 1000, atol=1e-6)
    assert np.isnan(poses.xy).all()


def test_a_head_without_its_root_gets_it_at_zero() -> None:
    mm = np.random.default_rng(3).uniform(-900, 900, (16, 3))
    poses = decode("regression", METRIC | {"root": 7}, "h36m17", {"pose": head("pose", mm.reshape(48))})
    assert poses.xyz is not None
    np.testing.assert_allclose(poses.xyz[0], np.insert(mm, 7, 0, axis=0) / 1000, atol=1e-6)


def test_a_standardised_head_is_brought_back_to_millimetres() -> None:
    rng = np.random.default_rng(4)
    mm, mean, std = rng.uniform(-900, 900, 51), rng.uniform(-9, 9, 51), rng.uniform(1, 300, 51)
    options = METRIC | {"mean": mean.tolist(), "std": std.tolist(), "root": None, "length": 1.0}
    poses = decode("regression", options, "h36m17", {"pose": head("pose", (mm - mean) / std)})
    assert poses.xyz is not None
    np.testing.assert_allclose(poses.xyz[0].ravel(), mm, atol=0.01)


def movenet_people() -> NDArray[np.float64]:
    """(6, 56): two people, the first seen twice; three slots empty."""
    rng = np.random.default_rng(5)
    rows = np.zeros((6, 56))
    first, second = rng.uniform(0.1, 0.4, (17, 2)), rng.uniform(0.6, 0.9, (17, 2))
    for row, yx, score in ((0, first, 0.6), (2, second, 0.9), (3, first + 0.002, 0.5)):
        rows[row, :51] = np.concatenate((yx, np.full((17, 1), 0.8)), axis=1).ravel()
        rows[row, 51:] = 0.1, 0.1, 0.4, 0.4, score
    return rows


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_six_rows_of_movenet_are_the_people_in_them_each_once(dtype: str) -> None:
    rows = movenet_people()
    options = OPTIONS | {"kind": "movenet_multi", "input_wh": [256, 256]}
    poses = decode("regression", options, "coco17", {"pose": head("pose", rows, dtype)})
    np.testing.assert_allclose(poses.person_score, [0.9, 0.6], atol=0.003)
    yx = rows[[2, 0], :51].reshape(2, 17, 3)[..., :2]
    np.testing.assert_allclose(poses.xy, yx[..., ::-1] * 256 - 0.5, atol=1e-3 if dtype == "float32" else 0.51)
    assert len(decode("regression", options, "coco17", {"pose": head("pose", rows, dtype)}, max_people=1)) == 1
    nobody = head("pose", np.zeros((6, 56)), dtype)
    assert len(decode("regression", options, "coco17", {"pose": nobody})) == 0


HEADS_OF_STOCK = {"center": 260, "heatmap": 277, "offset": 282, "regress": 285}
"""Tensors of the stock int8 Lightning before its own decoding."""


def test_the_outputs_of_stock_movenet_agree_with_its_heads() -> None:
    """Its own decoding is int8 too, so it is coarse: a squared distance counts in steps of 15 cells.

    Sure joints of clear pictures still agree within 5 px of 192, little more than a cell.
    """
    cv2 = pytest.importorskip("cv2")
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(
        str(shared("models/movenet_single_pose_lightning_ptq.tflite")),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    details = {row["index"]: row for row in interpreter.get_tensor_details()}
    specs = {
        role: HeadSpec(role, tuple(details[i]["shape"][1:]), np.dtype(np.int8), *details[i]["quantization"])
        for role, i in HEADS_OF_STOCK.items()
    }
    loose = {"min_person_score": 0.0, "min_joint_score": 0.0}
    from_heads = open_decoder(
        "stock", "movenet", loose | {"people_head": "single", "stride": 4}, "coco17", specs, config.Decode(max_people=1)
    )
    from_output = open_decoder(
        "stock",
        "regression",
        loose | {"kind": "movenet", "input_wh": [192, 192]},
        "coco17",
        {"pose": HeadSpec("pose", (1, 17, 3), np.dtype(F), 1.0, 0)},
        config.Decode(),
    )
    pictures = [
        shared("data/golden/coral_movenet/squat.bmp"),
        *sorted(shared("data/sets/tflite_examples/images").iterdir()),
    ]
    apart: list[float] = []
    for path in pictures:
        picture = cv2.resize(cv2.imread(str(path))[..., ::-1], (192, 192))
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
        interpreter.invoke()
        heads = {role: interpreter.get_tensor(i)[0] for role, i in HEADS_OF_STOCK.items()}
        ours = from_heads(heads, AS_IS, FRAME)
        own = from_output(
            {"pose": interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]}, AS_IS, FRAME
        )
        distance = np.linalg.norm(ours.xy[0] - own.xy[0], axis=1)
        apart += distance[ours.score[0] >= 0.3].tolist()
    assert len(apart) > 30
    assert np.median(apart) < 1
    assert max(apart) < 5


WRONG: dict[str, tuple[dict[str, Any], tuple[int, ...], str]] = {
    "size": ({}, (33,), r"head 'pose' is \(33,\), expected 34 numbers for 17 joints"),
    "multi": ({"kind": "movenet_multi"}, (6, 55), "expected 336 numbers"),
    "input": ({"input_wh": None}, (34,), "input_wh is missing"),
    "flat metric": ({"units": "metric"}, (34,), "units are metric but values are xy, expected xyz"),
    "root": ({"units": "metric", "values": "xyz", "root": 17}, (51,), "root is 17, expected less than 17"),
    "mean": ({"units": "metric", "values": "xyz", "mean": [1.0]}, (51,), "mean has 1 numbers, the head has 51"),
}


@pytest.mark.parametrize(("options", "shape", "says"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_told(options: dict[str, Any], shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        decode(
            "regression", OPTIONS | options, "coco17", {"pose": head("pose", np.zeros(math.prod(shape)).reshape(shape))}
        )

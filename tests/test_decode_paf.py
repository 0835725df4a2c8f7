"""The paf decoder: in crowds whose limbs cross every limb goes to its own person, and real pictures come out right."""

from __future__ import annotations

import csv
import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import COCO17, OPENPOSE18, Crop, Frame, HeadSpec, Poses
from edgepose.estimate.decode import open_decoder
from edgepose.estimate.decode.paf import OPENPOSE_LIMBS
from samples.crowds import AS_IS, FRAME, crossings, crowd, fields, heatmaps, match, quantise, raw_heads
from samples.shared import shared
from tests.helpers.ways import KERNELS

F = np.float32
SIZE_WH = 108, 92
OPTIONS = {"stride": 1, "min_person_score": 0.3, "min_joint_score": 0.2}


@functools.cache
def dense(count: int) -> NDArray[np.float64]:
    """People half as high as the map, limbs across each other."""
    return crowd(count, SIZE_WH, seed=count, tall=46, limbs=OPENPOSE_LIMBS)


def drawn(people: NDArray[Any], dtype: str, size_wh: tuple[int, int] = SIZE_WH) -> Any:
    heat, field = heatmaps(people, size_wh), fields(people, OPENPOSE_LIMBS, 38, size_wh)
    return raw_heads({"heatmap": (heat, 0, 1), "paf": (field, -1, 1)}, dtype)


def found_in(heads_and_specs: Any, crop: Crop = AS_IS, kernels: Any = "auto", most: int = 20, **options: Any) -> Poses:
    heads, specs = heads_and_specs
    cfg = config.Decode(max_people=most, kernels=kernels)
    return open_decoder("m", "paf", OPTIONS | options, "openpose18", specs, cfg)(heads, crop, FRAME)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("count", range(1, 21))
def test_every_limb_of_a_crowd_is_recovered_and_none_swapped(count: int, dtype: str) -> None:
    people = dense(count)
    poses = found_in(drawn(people, dtype))
    assert len(poses) == count
    # a joint of somebody else is at least 3 cells away
    assert sorted(match(poses.xy, people, near=0.5)) == list(range(count))
    assert (poses.person_score > 0.8).all()


def test_the_crowds_above_do_cross_their_limbs() -> None:
    assert sum(crossings(dense(count), OPENPOSE_LIMBS) for count in range(1, 21)) >= 10


@KERNELS
def test_forearms_that_cross_like_an_x_stay_with_their_elbows(kernels: str) -> None:
    pair = crowd(2, (60, 60), seed=3, tall=40, apart=8, limbs=OPENPOSE_LIMBS)
    elbow, wrist = OPENPOSE18.joints.index("right_elbow"), OPENPOSE18.joints.index("right_wrist")
    pair[:, elbow] = [(20, 20), (32, 20)]
    pair[:, wrist] = [(32, 32), (20, 32)]
    poses = found_in(drawn(pair, "int8", (60, 60)), kernels=kernels)
    assert sorted(match(poses.xy, pair, near=0.5)) == [0, 1]


def test_a_joint_on_the_limb_of_another_is_not_taken_though_its_line_is_better() -> None:
    """A knee within the other's shin has a perfect line to the other's ankle: best first would swap both ankles."""
    people = crowd(7, SIZE_WH, seed=701)
    knee, ankle = OPENPOSE18.joints.index("right_knee"), OPENPOSE18.joints.index("right_ankle")
    on_line = people[0, ankle] - people[0, knee]
    away = people[1, knee] - people[0, knee]
    assert abs(on_line[0] * away[1] - on_line[1] * away[0]) / np.hypot(*on_line) < 1
    poses = found_in(drawn(people, "float32"))
    assert sorted(match(poses.xy, people, near=0.5)) == list(range(7))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_compiled_and_plain_kernels_give_the_same_poses(dtype: str) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    people = dense(9)
    compiled, plain = (found_in(drawn(people, dtype), kernels=kernels) for kernels in ("numba", "numpy"))
    assert len(compiled) == 9
    np.testing.assert_array_equal(compiled.xy, plain.xy)
    np.testing.assert_array_equal(compiled.score, plain.score)
    np.testing.assert_array_equal(compiled.person_score, plain.person_score)


def test_fields_and_heatmaps_in_one_head_are_told_apart_by_their_channels() -> None:
    people = crowd(3, SIZE_WH, seed=11, limbs=OPENPOSE_LIMBS)
    background = np.ones((*SIZE_WH[::-1], 1), F)
    heat, field = heatmaps(people, SIZE_WH), fields(people, OPENPOSE_LIMBS, 38, SIZE_WH)
    heads, specs = raw_heads({"heatmap_paf": (np.concatenate((heat, background, field), axis=2), -1, 1)}, "int8")
    poses = found_in((heads, specs), paf_at=19)
    assert sorted(match(poses.xy, people, near=0.5)) == [0, 1, 2]


def test_a_cell_is_the_middle_of_its_pixels() -> None:
    """Cell 0 of stride 8 covers pixels 0 to 7, whose middle is 3.5; the crop then doubles and shifts."""
    people = np.rint(crowd(1, (54, 46), seed=2, limbs=OPENPOSE_LIMBS))
    heads, specs = drawn(people, "float32", (54, 46))
    poses = found_in((heads, specs), Crop((10.0, 20.0), (2.0, 3.0)), stride=8)
    np.testing.assert_allclose(poses.xy[0], (8 * people[0] + 3.5) * (2, 3) + (10, 20), atol=1e-3)
    assert (poses.t, poses.taken_t, poses.seq, poses.name) == (1.5, 2.5, 7, "crowd.png")


def test_a_joint_hidden_from_the_network_is_nan_and_the_person_stays() -> None:
    people = crowd(1, SIZE_WH, seed=4, limbs=OPENPOSE_LIMBS)
    wrist = OPENPOSE18.joints.index("left_wrist")
    people[0, wrist] = np.nan
    poses = found_in(drawn(people, "int8"))
    assert len(poses) == 1
    assert np.isnan(poses.xy[0, wrist]).all()
    assert poses.score[0, wrist] == 0
    assert match(poses.xy, people, near=0.5) == [0]


def test_a_missing_hip_is_bridged_by_nobody_but_an_ear_may_hang_on_its_shoulder() -> None:
    """The shoulder-ear limb closes a ring: it joins an ear whose eye is hidden, and founds nobody by itself."""
    people = crowd(1, SIZE_WH, seed=4, limbs=OPENPOSE_LIMBS)
    for joint in ("right_eye", "right_hip"):
        people[0, OPENPOSE18.joints.index(joint)] = np.nan
    poses = found_in(drawn(people, "int8"), min_parts=3)
    lost = {OPENPOSE18.joints[k] for k in np.flatnonzero(np.isnan(poses.xy[0, :, 0]))}
    assert lost == {"right_eye", "right_hip", "right_knee", "right_ankle"}


def test_only_the_best_people_asked_for_are_given() -> None:
    people = crowd(8, SIZE_WH, seed=9, limbs=OPENPOSE_LIMBS)
    heads, specs = drawn(people, "int8")
    everybody = found_in((heads, specs))
    three = found_in((heads, specs), most=3)
    np.testing.assert_array_equal(three.person_score, everybody.person_score[:3])
    np.testing.assert_array_equal(three.xy, everybody.xy[:3])


def test_nobody_is_found_where_nobody_is() -> None:
    heads, specs = drawn(np.zeros((0, 18, 2)), "uint8")
    poses = found_in((heads, specs))
    assert len(poses) == 0
    assert poses.xy.shape == (0, 18, 2)


WRONG: dict[str, tuple[dict[str, tuple[int, ...]], dict[str, Any], str]] = {
    "no fields": ({"heatmap": (9, 9, 19)}, {}, "role 'paf'"),
    "too few fields": ({"heatmap": (9, 9, 19), "paf": (9, 9, 20)}, {}, "(9, 9, 38)"),
    "another size": ({"heatmap": (9, 9, 19), "paf": (9, 8, 38)}, {}, "'paf'"),
    "one head, too few channels": ({"heatmap_paf": (9, 9, 50)}, {"paf_at": 19}, "57"),
    "no such part": ({"heatmap": (9, 9, 19), "paf": (9, 9, 38)}, {"limbs": [[0, 18, 0, 1]]}, "18"),
    "no such option": ({"heatmap": (9, 9, 19), "paf": (9, 9, 38)}, {"sample": 3}, "samples"),
}


@pytest.mark.parametrize(("shapes", "options", "said"), WRONG.values(), ids=WRONG)
def test_heads_that_do_not_fit_are_refused_in_one_line(
    shapes: dict[str, tuple[int, ...]], options: dict[str, Any], said: str
) -> None:
    specs = {role: HeadSpec(role, shape, np.dtype(F), 1.0, 0) for role, shape in shapes.items()}
    with pytest.raises(ModelError) as error:
        found_in(({}, specs), **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


class RealModel:
    """An OpenPose-type network that others trained, run on pictures."""

    def __init__(self) -> None:
        interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
        model = shared("models/tfpose_mnv2_small_paf_368x432.tflite")
        self.run = interpreter.Interpreter(str(model), num_threads=1)
        self.run.allocate_tensors()

    def heads(self, picture: str) -> tuple[dict[str, NDArray[Any]], Crop, Frame]:
        cv2 = pytest.importorskip("cv2")
        image = cv2.imread(str(shared(picture)))
        small = cv2.resize(image, (432, 368)).astype(F) / F(127.5) - F(1)
        self.run.set_tensor(self.run.get_input_details()[0]["index"], small[None])
        self.run.invoke()
        head = self.run.get_tensor(self.run.get_output_details()[0]["index"])[0]
        scale = image.shape[1] / 432, image.shape[0] / 368
        crop = Crop((scale[0] / 2 - 0.5, scale[1] / 2 - 0.5), scale)
        return {"heatmap_paf": head}, crop, Frame(image, "bgr", 0, 0, 0)


@pytest.fixture(scope="module")
def real_model() -> RealModel:
    return RealModel()


REAL = {"stride": 8, "paf_at": 19, "min_person_score": 0.2, "min_joint_score": 0.1}
COUPLE = "data/golden/coral_posenet/test_couple.jpg"


def real_poses(model: RealModel, picture: str, dtype: str = "float32") -> Poses:
    heads, crop, frame = model.heads(picture)
    raw, scale, zero = quantise(heads["heatmap_paf"], dtype, -1, 1.1)
    specs = {"heatmap_paf": HeadSpec("heatmap_paf", raw.shape, raw.dtype, scale, zero)}
    return open_decoder("m", "paf", REAL, "openpose18", specs, config.Decode())({"heatmap_paf": raw}, crop, frame)


def test_a_real_couple_stands_where_another_network_saw_it(real_model: RealModel) -> None:
    """The joints that PoseNet found in the same picture, at 641x481, within a twelfth of a person's height."""
    poses = real_poses(real_model, COUPLE)
    table = "data/golden/coral_posenet/posenet_mobilenet_v1_075_481_641_quant_decoder_reference.csv"
    with shared(table).open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(poses) == 2
    checked = 0
    for pose_id in ("0", "1"):
        theirs = {row["keypoint_label"].lower(): row for row in rows if row["pose_id"] == pose_id}
        places = {name: (float(row["keypoint_x"]), float(row["keypoint_y"])) for name, row in theirs.items()}
        sure = [name for name in COCO17.joints if name in places and float(theirs[name]["keypoint_score"]) > 0.5]
        ours = poses.xy[:, [OPENPOSE18.joints.index(name) for name in sure]] * np.divide((641, 481), poses.size_wh)
        miss = np.hypot(*np.moveaxis(ours - np.array([places[name] for name in sure]), -1, 0))
        height = np.ptp([y for _, y in places.values()])
        best = miss[np.nanmean(miss, axis=1).argmin()]
        assert np.nanmax(best) < height / 12
        checked += np.isfinite(best).sum()
    assert checked >= 24


def test_an_int8_head_of_a_real_picture_gives_the_same_people(real_model: RealModel) -> None:
    exact, rounded = (real_poses(real_model, COUPLE, dtype) for dtype in ("float32", "int8"))
    assert len(exact) == len(rounded) == 2
    cell = 8 * exact.size_wh[0] / 432
    for person in exact.xy:
        miss = np.hypot(*np.moveaxis(rounded.xy - person, -1, 0))
        assert np.nanmax(miss[np.nanmean(miss, axis=1).argmin()]) < 0.25 * cell


def test_four_people_round_a_table_are_four(real_model: RealModel) -> None:
    poses = real_poses(real_model, "data/sets/coco_mini_train/images/000000000790.jpg")
    assert len(poses) == 4
    neck = np.nanmean(poses.xy, axis=1)
    assert np.min([np.hypot(*(a - b)) for i, a in enumerate(neck) for b in neck[:i]]) > 60

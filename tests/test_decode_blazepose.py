"""The BlazePose decoder: hand-made heads, and the real models against MediaPipe's published answers for one picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.core.poses import BLAZEPOSE33, Crop, Poses
from edgepose.estimate.decode.blazepose import anchors, averaged
from samples.raw_heads import Head, decode, head
from samples.shared import shared
from tests.helpers.mediapipe_pose import fetch

F = np.float32
DETECTOR = {"part": "detector"}
LANDMARKS = {"part": "landmarks"}


def test_anchors_are_those_of_five_layers() -> None:
    """28 x 28 cells of 2, 14 x 14 of 2, and 7 x 7 of 6 that three layers share."""
    table = anchors()
    assert table.shape == (2254, 2)
    np.testing.assert_allclose(table[:3], [[4 / 224, 4 / 224], [4 / 224, 4 / 224], [12 / 224, 4 / 224]])
    np.testing.assert_allclose(table[1568], [8 / 224, 8 / 224])
    np.testing.assert_allclose(table[-6:], [[208 / 224, 208 / 224]] * 6)
    np.testing.assert_allclose(table.mean(axis=0), 0.5, atol=1e-6)


def detections(people: dict[int, tuple[float, float]], dtype: str = "float32") -> dict[str, Head]:
    """Heads of people at anchors: logit, and how far right of the anchor everything is, in pixels."""
    boxes, scores = np.zeros((2254, 12)), np.full((2254, 1), -50.0)
    for anchor, (logit, right) in people.items():
        boxes[anchor] = [right, 0, 40, 40, right, 60, right, 100, right, 20, right, -20]
        scores[anchor] = logit
    return {
        "boxes": head("boxes", boxes, dtype, low=-128, high=127),
        "scores": head("scores", scores, dtype, low=-50, high=10),
    }


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_a_detection_is_where_its_anchor_and_numbers_say(dtype: str) -> None:
    poses = decode("blazepose", DETECTOR, "blazepose4", detections({1000: (3.0, 5.0)}, dtype))
    x, y = anchors()[1000] * 224
    assert poses.person_score[0] == pytest.approx(1 / (1 + np.exp(-3)), abs=0.02)
    expected = [[x + 5, y + 60], [x + 5, y + 100], [x + 5, y + 20], [x + 5, y - 20]]
    np.testing.assert_allclose(poses.xy[0], np.array(expected) - 0.5, atol=0.02 if dtype == "float32" else 0.51)


def test_overlapping_detections_are_averaged_by_their_scores() -> None:
    """The twin anchors of one cell: scores s and t, 4 pixels apart."""
    poses = decode(
        "blazepose", DETECTOR, "blazepose4", detections({1000: (3.0, 0.0), 1001: (1.0, 4.0), 40: (2.0, 0.0)})
    )
    s, t = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-1))
    assert len(poses) == 2
    assert poses.person_score[0] == pytest.approx(s)
    assert poses.xy[0, 0, 0] == pytest.approx(anchors()[1000, 0] * 224 + 4 * t / (s + t) - 0.5, abs=1e-3)


def test_weak_detections_and_too_many_are_left_out() -> None:
    crowd = detections({40: (3.0, 0.0), 1000: (2.0, 0.0), 1500: (-1.0, 0.0)})
    assert len(decode("blazepose", DETECTOR, "blazepose4", crowd)) == 2
    assert len(decode("blazepose", DETECTOR, "blazepose4", crowd, max_people=1)) == 1
    assert len(decode("blazepose", DETECTOR, "blazepose4", crowd, min_person_score=0.2)) == 3
    assert len(decode("blazepose", DETECTOR, "blazepose4", detections({}))) == 0


def test_averaging_nothing_gives_nothing() -> None:
    merged, best = averaged(np.zeros((0, 6, 2), F), np.zeros(0, F), 0.3)
    assert merged.shape == (0, 6, 2)
    assert best.shape == (0,)


def one_body(flag: float = 0.9) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """(39, 2) places in model pixels, and the real values of all heads; heatmaps say nothing yet."""
    rng = np.random.default_rng(1)
    xy = rng.uniform(30, 220, (39, 2))
    landmarks = np.concatenate(
        (xy, rng.uniform(-90, 90, (39, 1)), np.full((39, 1), 4.0), np.full((39, 1), 5.0)), axis=1
    )
    return xy, {
        "landmarks": landmarks.reshape(195),
        "flag": np.array([flag]),
        "heatmap": np.full((64, 64, 39), -9.0),
        "world": rng.uniform(-1, 1, 117),
    }


def heads_of(values: dict[str, NDArray[np.float64]]) -> dict[str, Head]:
    return {role: head(role, real) for role, real in values.items()}


def test_landmarks_visibility_and_world_points_are_read_in_their_order() -> None:
    xy, values = one_body()
    values["landmarks"].reshape(39, 5)[7, 3] = -2.0
    poses = decode("blazepose", LANDMARKS, "blazepose33", heads_of(values), Crop((3.0, 4.0), (2.0, 2.0)))
    expected = (xy[:33] - 0.5) * 2 + [3, 4]
    seen = np.arange(33) != 7
    np.testing.assert_allclose(poses.xy[0, seen], expected[seen], atol=1e-3)
    np.testing.assert_allclose(poses.score[0, seen], 1 / (1 + np.exp(-4)), rtol=1e-5)
    assert np.isnan(poses.xy[0, 7]).all()
    assert poses.xyz is not None
    np.testing.assert_allclose(poses.xyz[0, seen], values["world"].reshape(39, 3)[:33][seen], atol=1e-6)
    assert poses.person_score[0] == pytest.approx(0.9)


def test_nobody_there_is_nobody() -> None:
    assert len(decode("blazepose", LANDMARKS, "blazepose33", heads_of(one_body(flag=0.4)[1]))) == 0


def test_a_sure_heatmap_moves_a_landmark_to_its_mean_and_an_unsure_one_does_not() -> None:
    xy, values = one_body()
    heat = values["heatmap"]
    row, column = (xy[5, ::-1] / 4).astype(int)
    heat[row + 1, column, 5] = heat[row + 1, column + 2, 5] = 9.0
    heat[row + 9, column, 5] = 9.0  # outside the 7 x 7 cells
    heat[(xy[6, 1] / 4).astype(int), (xy[6, 0] / 4).astype(int), 6] = -0.1  # less than half sure
    poses = decode("blazepose", LANDMARKS, "blazepose33", heads_of(values))
    np.testing.assert_allclose(poses.xy[0, 5], [(column + 1) * 4 - 0.5, (row + 1) * 4 - 0.5], atol=0.05)
    np.testing.assert_allclose(poses.xy[0, 6], xy[6] - 0.5, atol=1e-3)


def slow_refined(xy: NDArray[Any], heat: NDArray[Any]) -> NDArray[np.float64]:
    """One landmark: mean of the 7 x 7 cells around, those outside left out, if one of them is half sure."""
    column, row = int(xy[0] / 4), int(xy[1] / 4)
    if column not in range(64) or row not in range(64):
        return np.asarray(xy, np.float64)
    weights = {
        (y, x): 1 / (1 + np.exp(-heat[y, x]))
        for y in range(max(0, row - 3), min(64, row + 4))
        for x in range(max(0, column - 3), min(64, column + 4))
    }
    if max(weights.values()) < 0.5:
        return np.asarray(xy, np.float64)
    total = sum(weights.values())
    mean = np.array([sum(w * x for (_, x), w in weights.items()), sum(w * y for (y, _), w in weights.items())])
    return np.asarray(mean / total * 4, np.float64)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_refinement_equals_its_slow_twin_at_the_border_and_beyond(dtype: str) -> None:
    rng = np.random.default_rng(2)
    _, values = one_body()
    xy = rng.uniform(-8, 264, (39, 2))
    values["landmarks"].reshape(39, 5)[:, :2] = xy
    heads = heads_of(values) | {"heatmap": head("heatmap", rng.uniform(-6, 2, (64, 64, 39)), dtype, low=-6, high=2)}
    raw, spec = heads["heatmap"]
    real = (raw.astype(float) - spec.zero_point) * spec.scale
    poses = decode("blazepose", LANDMARKS, "blazepose33", heads)
    slow = [slow_refined(xy[joint].astype(F), real[..., joint]) for joint in range(33)]
    np.testing.assert_allclose(poses.xy[0], np.array(slow) - 0.5, atol=1e-3)


def test_what_does_not_fit_is_told() -> None:
    values = heads_of(one_body()[1])
    with pytest.raises(ModelError, match="skeleton coco17 has 17 joints, the landmarks 33"):
        decode("blazepose", LANDMARKS, "coco17", values)
    with pytest.raises(ModelError, match=r"head 'world' is \(99,\), expected 117 numbers"):
        decode("blazepose", LANDMARKS, "blazepose33", values | {"world": head("world", np.zeros(99))})
    with pytest.raises(ModelError, match="needs a head with role 'boxes'"):
        decode("blazepose", DETECTOR, "blazepose4", values)


def published(path: Path, name: str, fields: str) -> NDArray[np.float64]:
    """The numbers `fields` of each message `name` in the first result of a text proto."""
    first = path.read_text().split("\n}\n")[0]
    blocks = re.findall(name + r" \{(.*?)\}", first, re.DOTALL)
    return np.array(
        [[float(re.findall(rf"\b{field}: (\S+)", block)[0]) for field in fields.split()] for block in blocks]
    )


def run(content: bytes, picture: NDArray[Any]) -> list[Head]:
    """The model's heads for one picture (H, W, 3)."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None].astype(F))
    interpreter.invoke()
    return [head("out", interpreter.get_tensor(out["index"])[0]) for out in interpreter.get_output_details()]


def looked_at(picture: NDArray[Any], middle: NDArray[Any], side: float, turn: float, size: int) -> NDArray[np.float32]:
    """(size, size, 3) the square of `side` pixels around `middle`, turned by `turn` radians; all from pixel edges."""
    cv2 = pytest.importorskip("cv2")
    there = turned(turn) * (side / size)
    origin = middle + there @ np.full(2, 0.5 - size / 2) - 0.5
    matrix = np.column_stack((there, origin))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, (size, size), flags=flags), F)


def turned(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.fixture(scope="module")
def models(request: pytest.FixtureRequest) -> dict[str, bytes]:
    assert request.config.cache is not None
    return fetch(request.config.cache.mkdir("mediapipe_pose"))


def person_in(picture: NDArray[Any], models: dict[str, bytes]) -> Poses:
    """What the detector finds in a picture, in its pixels from their edges."""
    height, width = picture.shape[:2]
    side = max(width, height)
    seen = looked_at(picture, np.array([width / 2, height / 2]), side, 0.0, 224) / 127.5 - 1
    boxes, scores = run(models["detector"], seen)
    corner, scale = ((width - side) / 2, (height - side) / 2), side / 224
    crop = Crop((corner[0] + 0.5 * scale, corner[1] + 0.5 * scale), (scale, scale))
    return decode("blazepose", DETECTOR, "blazepose4", {"boxes": boxes, "scores": scores}, crop)


def test_the_real_detector_finds_what_mediapipe_published(models: dict[str, bytes]) -> None:
    cv2 = pytest.importorskip("cv2")
    picture = cv2.imread(str(shared("data/golden/mediapipe/pose.jpg")))[..., ::-1]
    poses = person_in(np.ascontiguousarray(picture), models)
    expected = published(shared("data/golden/mediapipe/pose_expected_detection.pbtxt"), "relative_keypoints", "x y")
    assert len(poses) == 1
    assert poses.person_score[0] == pytest.approx(0.984, abs=0.005)
    size = np.array([picture.shape[1], picture.shape[0]])
    assert np.abs(poses.xy[0] / size - expected).max() < 0.01


@pytest.mark.parametrize(("refined", "bound"), [(False, 0.01), (True, 0.03)])
def test_the_real_landmarks_are_those_mediapipe_published(
    models: dict[str, bytes], refined: bool, bound: float
) -> None:
    """MediaPipe's own tests allow 0.03; the published ones come from the lite model without its heatmap."""
    cv2 = pytest.importorskip("cv2")
    path = shared("data/golden/mediapipe/pose_landmarks.pbtxt")
    picture = np.ascontiguousarray(cv2.imread(str(shared("data/golden/mediapipe/pose.jpg")))[..., ::-1])
    hip, top = person_in(picture, models).xy[0, :2]
    up = top - hip
    side, turn = 2 * float(np.hypot(*up)) * 1.25, np.pi / 2 - float(np.arctan2(-up[1], up[0]))
    landmarks, flag, _, heatmap, world = run(models["lite"], looked_at(picture, hip, side, turn, 256) / 255)
    heads = {"landmarks": landmarks, "flag": flag, "world": world} | ({"heatmap": heatmap} if refined else {})
    poses = decode("blazepose", LANDMARKS, "blazepose33", heads, min_joint_score=0)
    found = (poses.xy[0] + 0.5 - 128) @ turned(turn).T * (side / 256) + hip
    size = np.array([picture.shape[1], picture.shape[0]])
    expected = published(path, "landmark", "x y visibility")
    assert np.abs(found / size - expected[:, :2]).max() < bound
    assert np.abs(poses.score[0] - expected[:, 2]).max() < 0.02
    assert poses.person_score[0] > 0.99
    assert poses.xyz is not None
    nose, ankle = (BLAZEPOSE33.joints.index(name) for name in ("nose", "left_ankle"))
    assert 1.0 < poses.xyz[0, ankle, 1] - poses.xyz[0, nose, 1] < 2.0  # a standing body, in metres, y down

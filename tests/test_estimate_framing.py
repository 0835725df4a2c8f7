"""People framed for a model that wants them upright: by hand, in a pair of fakes, and as MediaPipe has them."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgepose
from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import BLAZEPOSE4, COCO17, Poses
from edgepose.estimate.base import Found
from edgepose.estimate.budget import Budget
from edgepose.estimate.finder_refiner import FinderRefiner
from edgepose.estimate.framing import Framing, overlap
from edgepose.estimate.opening import open_estimate
from edgepose.estimate.pairs import Pair
from edgepose.estimate.predictor import Box, new_counts
from edgepose.estimate.turned import Turn
from samples.shared import shared
from tests.helpers.fake_predictor import BODY, FakeLook, Scene, frame_at
from tests.helpers.mediapipe_pose import fetch

F = np.float32


def turned(xy: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Clockwise in the picture, y down."""
    angle = np.radians(degrees)
    out: NDArray[np.float32] = (xy @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]).astype(F)
    return out


def test_the_detectors_points_are_the_circle_and_its_top() -> None:
    framed = Framing(BLAZEPOSE4)(np.array([(50, 60), (50, 20), (0, 0), (0, 0)], F))
    assert framed is not None
    assert framed.degrees == 0
    assert framed.box == (0, 10, 100, 110)  # 40 to the top, a quarter more


@pytest.mark.parametrize("degrees", [0, 30, 90, -120])
def test_a_body_is_framed_along_itself_wherever_its_head_is(degrees: float) -> None:
    framed = Framing(COCO17)(turned(BODY, degrees))
    assert framed is not None
    assert framed.degrees == pytest.approx(degrees, abs=0.1)
    left, top, right, bottom = framed.box
    # from the hips (0, 5) to the farthest joint, a foot, it is 46.1 px
    assert right - left == pytest.approx(bottom - top)
    assert right - left == pytest.approx(max(46.1 * 1.1, 35 * 1.9) * 2 * 1.25, rel=1e-3)
    middle = turned(np.array([[0, 5]], F), degrees)[0]
    assert [(left + right) / 2, (top + bottom) / 2] == pytest.approx(middle, abs=1e-3)


@pytest.mark.parametrize("hidden", [5, 12])
def test_without_the_trunk_there_is_no_frame(hidden: int) -> None:
    xy = BODY.copy()
    xy[hidden] = np.nan
    assert Framing(COCO17)(xy) is None
    assert Framing(BLAZEPOSE4)(np.full((4, 2), np.nan, F)) is None


def test_boxes_overlap_by_what_they_share_of_both() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0


class Detector(FakeLook):
    """Tells of the circle around each person alone."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.skeleton = BLAZEPOSE4

    def __call__(self, frame: Any, box: Box | None = None) -> Any:
        self.counts["invokes"] += 1
        middle = np.array(self.scene.people, F).reshape(-1, 2) + np.array((0, 5), F)
        points = [middle - np.array((0, up), F) for up in (0, 60, 35, 0)]
        score = np.full(len(middle), 0.9, F)
        poses = Poses.of(frame, BLAZEPOSE4, np.stack(points, axis=1), np.repeat(score[:, None], 4, axis=1), score)
        return Found(poses, 0.0, 0.0, 0.0)


class Upright(FakeLook):
    """Wants people upright, and remembers how it got them."""

    upright = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.turns: list[float] = []

    def turned(self, frame: Any, box: Box, turn: Turn) -> Any:
        self.turns.append(turn.degrees)
        return self(frame, box)


def pair(people: list[tuple[float, float]]) -> tuple[FinderRefiner, Upright]:
    scene, counts, cfg = Scene(people, []), new_counts(), config.Config()
    find, refine = Detector(scene, counts, 224), Upright(scene, counts, 256)
    return FinderRefiner(cfg, Pair("finder", "refiner"), find, refine, Budget(cfg.estimate)), refine


def test_a_finder_of_circles_and_a_refiner_of_joints_see_each_person_once() -> None:
    estimate, refine = pair([(200, 250), (600, 250)])
    poses = estimate(frame_at(0), None).poses
    assert len(poses) == 2
    np.testing.assert_allclose(np.sort(poses.xy[:, 0, 0]), [200, 600], atol=1e-3)
    assert len(refine.boxes) == 2
    looked = next(box for box in refine.boxes if box is not None and box[0] < 300)
    assert looked == pytest.approx((125, 180, 275, 330))


def test_the_last_joints_say_how_the_next_crop_is_turned() -> None:
    estimate, refine = pair([(500, 250)])
    first = estimate(frame_at(0), None).poses
    middle = np.array((500, 255), F)
    lying = turned(first.xy[0] - middle, 90) + middle
    expected = Poses.of(frame_at(0), COCO17, lying[None].astype(F), first.score, first.person_score)
    object.__setattr__(expected, "track_id", np.array([1], np.int32))
    estimate(frame_at(0.1), expected)
    assert refine.turns == [pytest.approx(90, abs=0.1)]
    estimate(frame_at(0.9), expected)  # the finder looks again: nobody is taken for a stranger
    assert len(refine.boxes) == 3


# ------------------------------------------------------------------------------------------------ MediaPipe's own


@pytest.fixture(scope="module")
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both models as `edgepose models import` makes them."""
    from edgepose.commands import cli

    assert request.config.cache is not None
    pytest.importorskip("ai_edge_litert")
    folder = tmp_path_factory.mktemp("blazepose")
    for name, content in fetch(request.config.cache.mkdir("mediapipe_pose")).items():
        file = folder / f"{name}_stock.tflite"
        file.write_bytes(content)
        assert cli.main(["models", "import", str(file), "--name", f"bp_{name}", "--to", str(folder / "own")]) == 0
    return folder / "own"


def settings(models: Path, model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "models_dir": str(models), "threads": 1, **more}


PAIR = "bp_detector+bp_lite"


def test_the_pair_says_of_a_picture_what_mediapipe_does(models: Path) -> None:
    """MediaPipe's own tests allow .03 of the picture; the published ones are not sharpened by the heatmap, ours are."""
    picture = shared("data/golden/mediapipe/pose.jpg")
    poses = next(iter(edgepose.watch(picture, **settings(models, PAIR))))
    text = shared("data/golden/mediapipe/pose_landmarks.pbtxt").read_text().split("\n}\n")[0]
    expected = np.array(re.findall(r"x: (\S+)\s+y: (\S+)", text), float)[:33]
    assert len(poses) == 1
    off = np.abs(poses.xy[0] / poses.size_wh - expected)
    assert np.nanquantile(off, 0.95) < 0.03
    assert np.nanmax(off) < 0.04
    assert np.nanmean(off) < 0.01


@pytest.mark.parametrize(("finder", "bound"), [("bp_detector+", 14), ("movenet_multipose_256x256+", 14), ("", 14)])
def test_a_video_is_followed_as_mediapipe_does(models: Path, finder: str, bound: float) -> None:
    """The published ones are the larger model's, and smoothed, on pictures 640 px wide."""
    published = json.loads(shared("data/golden/tfjs/pose_squats.full.json").read_text())
    film = edgepose.watch(shared("data/video/tfjs_pose_squats.mp4"), **settings(models, f"{finder}bp_lite"))
    off, who = [], set()
    for poses, expected in zip(islice(film, 25), published, strict=False):
        assert len(poses) == 1
        who |= set(poses.track_id.tolist())
        off.append(np.hypot(*(poses.xy[0] - np.array(expected)[:, :2]).T))
    assert who == {1}
    assert np.nanmean(off) < bound


def test_its_metres_stand_in_the_camera(models: Path) -> None:
    published = np.array(json.loads(shared("data/golden/tfjs/pose_squats_3d.full.json").read_text())[:20])[..., :3]
    film = edgepose.watch(
        shared("data/video/tfjs_pose_squats.mp4"), **settings(models, PAIR, **{"lift.kind": "blazepose"})
    )
    found = list(islice(film, 20))
    space = found[-1].space
    assert space is not None
    assert (space.kind, space.frame) == ("lifted", "camera")
    xyz = np.stack([poses.xyz[0] for poses in found if poses.xyz is not None])
    off = np.linalg.norm(xyz - published, axis=2)
    assert np.nanmean(off) < 0.09
    assert 1.5 < space.root[0, 2] < 6


def test_a_finder_without_joints_goes_with_no_other_refiner(models: Path) -> None:
    with pytest.raises(ConfigError, match="no joint in common"):
        open_estimate(config.Config(engine=config.Engine(
            model="bp_detector+movenet_lightning_192", models_dir=str(models))))  # fmt: skip

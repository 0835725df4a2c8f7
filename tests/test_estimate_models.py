"""The shipped pairs and other ones, on real pictures and on a clip."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import Frame
from edgepose.estimate import Estimate, open_estimate
from edgepose.estimate.pairs import PAIRS
from edgepose.lab.demo import scene
from edgepose.pipeline.stages import tracker_of
from samples.shared import shared

pytestmark = pytest.mark.slow


def opened(model: str, people: int = 6, **estimate: Any) -> Estimate:
    engine = config.Engine(model=model, threads=1)
    decode = config.Decode(max_people=people)
    return open_estimate(config.Config(engine=engine, decode=decode, estimate=config.Estimate(**estimate)))


def picture(name: str) -> NDArray[np.uint8]:
    image = cv2.imread(str(Path(scene.__file__).parent / "pictures" / name), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def frame(image: NDArray[np.uint8], t: float = 0.0) -> Frame:
    return Frame(image, "bgr", t, t, round(t * 1000))


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_finds_one_small_person_and_looks_closer(name: str) -> None:
    """The photographer stands in the left half of a picture three times as wide as his own."""
    image = picture("camera.jpg")
    height, width = image.shape[:2]
    wide = np.full((height * 2, width * 3, 3), 128, np.uint8)
    wide[height:, :width] = image
    with closing(opened(name)) as estimate:
        poses = estimate(frame(wide), None).poses
        assert estimate.counts["crops"] >= 1
        assert len(estimate.engines) == (1 if name == "light" else 2)
        beside = 0 if estimate.engines[0].runtime.name == "litert" else 1  # without XNNPACK one weak joint
    assert len(poses) == 1
    assert poses.person_score[0] > 0.5
    seen = poses.xy[0][~np.isnan(poses.xy[0, :, 0])]
    assert len(seen) >= 8
    inside = ((seen > [0, height]) & (seen < [width, 2 * height])).all(axis=1)
    assert inside.sum() >= len(seen) - beside
    assert poses.coarse_xy is not None


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", ["grey", "noise", "checks"])
def test_no_pair_sees_anybody_where_nobody_is(name: str, kind: str) -> None:
    rng = np.random.default_rng(3)
    images = {
        "grey": np.full((240, 320, 3), 128),
        "noise": rng.integers(0, 256, (240, 320, 3)),
        "checks": np.kron(np.indices((8, 10)).sum(0) % 2 * 255, np.ones((30, 32)))[..., None].repeat(3, 2),
    }
    with closing(opened(name)) as estimate:
        assert len(estimate(frame(np.asarray(images[kind], np.uint8)), None).poses) == 0


def test_a_model_may_refine_what_another_size_of_it_finds() -> None:
    with closing(opened("movenet_multipose_192x256+movenet_lightning_192")) as estimate:
        assert [engine.manifest.name for engine in estimate.engines] == [
            "movenet_multipose_192x256", "movenet_lightning_192",
        ]  # fmt: skip
        assert len(estimate(frame(picture("astronaut.jpg")), None).poses) == 1


def test_without_crops_a_pair_is_its_finder() -> None:
    with closing(opened("default", crops=False)) as estimate:
        (engine,) = estimate.engines
        assert engine.manifest.name == PAIRS["default"].finder
        assert len(estimate(frame(picture("camera.jpg")), None).poses) >= 1
        assert estimate.counts == {"invokes": 1, "crops": 0}


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("movenet_multipose_256x256+movenet_multipose_192x256", "cannot refine"),
        ("movenet_multipose_256x256+movenet_lightnin_192", "did you mean movenet_lightning_192"),
        ("+movenet_lightning_192", "no model ''"),
    ],
    ids=["a finder refines", "a typing mistake", "no finder"],
)
def test_a_pair_that_cannot_work_is_refused(model: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        opened(model)


def test_three_dancers_cost_four_inferences_a_frame_at_most_and_keep_their_ids() -> None:
    clip = cv2.VideoCapture(str(shared("data/video/three_dancers.avi")))
    with closing(opened("default")) as estimate:
        tracker = tracker_of(config.Config(), estimate)
        told, frames = [], 60
        for step in range(frames):
            image = np.asarray(clip.read()[1], np.uint8)
            now = frame(image, step / 25)
            told.append(tracker.update(estimate(now, tracker.expected(now.t)).poses))
        clip.release()
        assert estimate.counts["invokes"] <= 4 * frames
    assert {int(identity) for poses in told for identity in poses.track_id} == {1, 2, 3}
    assert [len(poses) for poses in told[15:]].count(3) >= 40, [len(poses) for poses in told]


def test_one_person_followed_costs_one_inference_a_frame() -> None:
    clip = cv2.VideoCapture(str(shared("data/video/tfjs_pose_1.mp4")))
    with closing(opened("movenet_lightning_192", people=1)) as estimate:
        tracker = tracker_of(config.Config(), estimate)
        told = []
        for step in range(30):
            now = frame(np.asarray(clip.read()[1], np.uint8), step / 30)
            told.append(tracker.update(estimate(now, tracker.expected(now.t)).poses))
        clip.release()
        assert estimate.counts["invokes"] == 30
        assert estimate.counts["crops"] >= 25
    assert all(len(poses) == 1 for poses in told[3:])

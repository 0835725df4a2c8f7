"""The whole loop on real pictures, a real model and the in-memory ends."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, ModelError
from edgepose.core.poses import Poses
from edgepose.lab.demo.scene import MARKED, marked_xy
from edgepose.pipeline import build
from edgepose.sink import MemorySink
from edgepose.source import ListSource
from samples.shared import shared

PICTURES = Path(__file__).resolve().parents[1] / "edgepose" / "lab" / "demo" / "pictures"


def picture(name: str) -> NDArray[np.uint8]:
    image = cv2.imread(str(PICTURES / name), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def settings(**engine: object) -> config.Config:
    return config.Config(engine=config.Engine(**engine))  # type: ignore[arg-type]


def poses_of(images: list[NDArray[np.uint8]], cfg: config.Config | None = None) -> list[Poses]:
    """Of pictures that have nothing to do with each other."""
    memory = MemorySink()
    with build(cfg or config.Config(), source=ListSource(images, still=True), sinks=[memory]) as pipeline:
        pipeline.run()
    return list(memory.poses)


MODELS = ["movenet_lightning_192", "movenet_lightning_256", "movenet_thunder_256", "movenet_multipose_256x256",
          "movenet_multipose_192x256"]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", list(MARKED))
def test_every_model_finds_the_marked_person(model: str, name: str) -> None:
    marked = marked_xy(name)
    (poses,) = poses_of([picture(name)], settings(model=model))
    assert len(poses) >= 1
    size = np.nanmax(np.ptp(marked[~np.isnan(marked).any(axis=1)], axis=0))
    apart = np.linalg.norm(poses.xy[0] - marked, axis=1)
    assert np.nanmedian(apart) < 0.1 * size


def test_both_kernels_give_the_same_poses_of_real_pictures() -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    images = [picture(name) for name in MARKED]
    for model in ("movenet_lightning_192", "movenet_multipose_256x256"):
        fast, plain = (
            poses_of(images, config.Config(engine=config.Engine(model=model), decode=config.Decode(kernels=kernels)))
            for kernels in ("numba", "numpy")
        )
        for one, other in zip(fast, plain, strict=True):
            np.testing.assert_array_equal(one.xy, other.xy)
            np.testing.assert_array_equal(one.score, other.score)
            np.testing.assert_array_equal(one.person_score, other.person_score)


def test_the_same_picture_gives_the_same_poses_at_any_place_in_the_run() -> None:
    astronaut, camera = (picture(name) for name in MARKED)
    first, other, again = poses_of([astronaut, camera, astronaut])
    assert len(first) == len(other) == 1
    assert not np.array_equal(first.xy, other.xy)
    np.testing.assert_array_equal(first.xy, again.xy)
    np.testing.assert_array_equal(first.person_score, again.person_score)


def test_a_black_picture_has_nobody() -> None:
    (poses,) = poses_of([np.zeros((480, 640, 3), np.uint8)])
    assert len(poses) == 0


@pytest.mark.parametrize("size", [(1, 1, 3), (3, 20000, 3), (20000, 3, 3)], ids=str)
def test_an_absurd_picture_is_no_crash_and_no_nan_where_a_number_belongs(size: tuple[int, ...]) -> None:
    (poses,) = poses_of([np.full(size, 128, np.uint8)])
    assert poses.size_wh == (size[1], size[0])
    assert len(poses) <= 1
    assert np.isfinite(poses.person_score).all()
    assert np.isfinite(poses.score).all()


def test_a_bigger_picture_moves_the_joints_with_it() -> None:
    """Twice the pixels, twice the coordinates."""
    small = picture("astronaut.jpg")
    big = np.asarray(cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    one, two = poses_of([small, big], settings(model="movenet_lightning_192"))
    sure = (one.score[0] > 0.5) & (two.score[0] > 0.5)
    assert sure.sum() >= 4
    assert np.abs((two.xy[0] + 0.5) / 2 - 0.5 - one.xy[0])[sure].max() < 6


def test_every_frame_of_a_list_comes_out_once_and_in_order() -> None:
    poses = poses_of([picture("camera.jpg")[:64, :64]] * 20)
    assert [one.seq for one in poses] == list(range(20))


def test_an_unknown_model_is_told() -> None:
    with pytest.raises(ModelError, match="did you mean movenet_lightning_192"):
        build(settings(model="movenet_lightning_19"), source=ListSource([]))


def test_no_source_is_told() -> None:
    with pytest.raises(ConfigError, match="source"):
        build(config.Config())


@pytest.mark.slow
def test_three_people_in_a_real_video_are_found() -> None:
    """The three dancers are in view in nearly every frame; the many-people model sees at least two of them."""
    path = shared("data/video/three_dancers.avi")
    cfg = config.Config(source=config.Source(uri=str(path)), engine=config.Engine(model="movenet_multipose_192x256"))
    memory = MemorySink()
    with build(cfg, sinks=[memory]) as pipeline:
        pipeline.run()
    assert [poses.seq for poses in memory.poses] == list(range(393))
    assert np.median([len(poses) for poses in memory.poses]) >= 2

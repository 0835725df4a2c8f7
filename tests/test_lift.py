"""Lifting: rays and back exactly, a person put where the rays say, honest NaN where too little is seen."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.config import Lift
from edgepose.core.errors import ConfigError
from edgepose.core.poses import BLAZEPOSE33, COCO17, MPII16, Poses
from edgepose.lift import LIFTERS, mlp, open_lifter
from edgepose.lift.calibrate import lens_json
from edgepose.lift.camera import Camera
from edgepose.lift.rays import facing, normalised
from edgepose.lift.root import place

F = np.float32
LENS = Camera((1088, 1920), (1681.0, 1679.0), (540.0, 962.0), (-0.11, 0.13, 0.0007, -0.0004, 0.01))
STANDING = np.array(
    [
        (0, -62, -8), (3, -66, -6), (-3, -66, -6), (7, -64, 2), (-7, -64, 2), (17, -48, 0), (-17, -48, 0),
        (24, -20, 2), (-24, -20, 2), (27, 4, -4), (-27, 4, -4), (10.5, 0, 0), (-10.5, 0, 0),
        (11, 42, -1), (-11, 42, -1), (12, 82, 3), (-12, 82, 3),
    ],
    np.float64,
) / 100  # fmt: skip
"""(17, 3) metres from the mid hip of one who faces the camera, x right in the picture: that is the person's left."""
KINDS = sorted(LIFTERS)


def poses_of(*xyz: NDArray[np.float64], camera: Camera, t: float = 0.0) -> Poses:
    """What a perfect 2D network finds of people (17, 3) metres in the camera's axes."""
    xy = np.stack([camera.project(person) for person in xyz]).astype(F) if xyz else np.zeros((0, 17, 2), F)
    count = len(xyz)
    return Poses(
        t=t, taken_t=t, seq=0, name="", size_wh=camera.size_wh, skeleton=COCO17, xy=xy,
        score=np.full((count, 17), 0.9, F), person_score=np.ones(count, F), track_id=np.arange(count, dtype=np.int32),
    )  # fmt: skip


def without(poses: Poses, *joints: int) -> Poses:
    xy, score = poses.xy.copy(), poses.score.copy()
    xy[:, joints], score[:, joints] = np.nan, 0
    return replace(poses, xy=xy, score=score)


def camera_of(cfg: Lift) -> Camera:
    return Camera.with_view((1280, 720), cfg.fov_deg)


# ------------------------------------------------------------------------------------------------ camera


def test_points_fall_where_opencv_says() -> None:
    points = np.random.default_rng(0).uniform((-1, -1.5, 2), (1, 1.5, 6), (50, 3))
    matrix = np.array([[1681, 0, 540], [0, 1679, 962], [0, 0, 1.0]])
    theirs, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, np.array(LENS.distortion))
    np.testing.assert_allclose(LENS.project(points), theirs[:, 0], atol=1e-9)


def test_a_ray_leads_back_through_the_lens() -> None:
    points = np.random.default_rng(1).uniform((-0.8, -1.4, 3), (0.8, 1.4, 6), (200, 3))
    np.testing.assert_allclose(LENS.rays(LENS.project(points)), points[:, :2] / points[:, 2:], atol=1e-6)


def test_the_angle_of_view_is_that_of_the_longer_side() -> None:
    edge = Camera.with_view((640, 480), 90.0).rays(np.array([[639.5, 239.5]]))
    np.testing.assert_allclose(edge, [[1.0, 0.0]], atol=1e-12)


def test_what_lies_behind_the_camera_has_no_pixel() -> None:
    assert np.isnan(LENS.project(np.array([[0.0, 0.0, -1.0]]))).all()


# ------------------------------------------------------------------------------------------------ rays, root


@settings(max_examples=50, deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 2**32 - 1))
def test_turned_to_a_person_the_camera_keeps_angles(x: float, y: float, seed: int) -> None:
    rays = np.random.default_rng(seed).normal((x, y), 0.1, (1, 17, 2))
    seen = facing(rays, np.ones((1, 17), F))
    np.testing.assert_allclose(seen.turn[0] @ seen.turn[0].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(seen.turn[0]) == pytest.approx(1)
    direction = np.append(rays[0, 3], 1)
    turned = seen.turn[0] @ direction
    np.testing.assert_allclose(seen.xy[0, 3], turned[:2] / turned[2], atol=1e-9)
    assert np.abs(seen.xy.mean(axis=1)).max() < 0.1  # straight ahead


def test_the_normalised_pose_knows_neither_place_nor_size() -> None:
    xy, score = np.random.default_rng(2).normal(0, 0.1, (1, 17, 2)), np.full((1, 17), 0.9, F)
    one, extent = normalised(xy, score)
    other, larger = normalised(3 * xy + 0.2, score)
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert larger - extent == pytest.approx(np.log(3), abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(-2, 2), st.floats(-1, 1), st.floats(1.5, 9), st.integers(0, 2**17 - 1))
def test_without_noise_a_person_stands_exactly_where_the_rays_meet(x: float, y: float, z: float, missing: int) -> None:
    root = np.array([x, y, z])
    there = STANDING + root
    weight = np.array([[1.0 - (missing >> joint & 1) for joint in range(17)]])
    weight[0, [5, 12, 15]] = 1.0  # three rays fix a place
    rays = np.where(weight[..., None] > 0, there[None, :, :2] / there[None, :, 2:], np.nan)
    np.testing.assert_allclose(place(STANDING[None], rays, weight)[0], root, atol=1e-6)


# ------------------------------------------------------------------------------------------------ the stage


@pytest.mark.parametrize("kind", KINDS)
def test_someone_who_stands_there_is_lifted_to_a_hand(kind: str) -> None:
    cfg = Lift(kind=kind)  # type: ignore[arg-type]
    camera, root = camera_of(cfg), np.array([0.4, 0.1, 4.0])
    lifter = open_lifter(cfg, COCO17)
    assert lifter is not None
    found = lifter.update(poses_of(STANDING + root, STANDING + root * 1.5, camera=camera))
    assert found.xyz is not None
    assert found.space is not None
    assert (found.space.kind, found.space.frame) == ("lifted", "camera")
    off = np.linalg.norm(found.xyz - STANDING, axis=2)
    assert off.mean() < 0.12
    np.testing.assert_allclose(found.xyz[:, [11, 12]].mean(axis=1), 0, atol=1e-5)  # from the mid hip
    distance = np.linalg.norm(found.space.root, axis=1)
    np.testing.assert_allclose(distance, np.linalg.norm([root, root * 1.5], axis=1), rtol=0.12)
    np.testing.assert_allclose(found.space.root_sigma, 0.06 * distance, rtol=1e-5)
    assert (found.space.sigma > 0).all()
    assert not found.space.guessed.any()


def test_a_wrong_height_is_a_wrong_distance_in_proportion() -> None:
    camera = camera_of(Lift())
    poses = poses_of(STANDING + np.array((0, 0, 4.0)), camera=camera)
    tall, short = (open_lifter(Lift(kind="mlp", height_m=height), COCO17) for height in (2.0, 1.0))
    assert tall is not None
    assert short is not None
    far, near = tall.update(poses).space, short.update(poses).space
    assert far is not None
    assert near is not None
    np.testing.assert_allclose(far.root, 2 * near.root, rtol=1e-4)


def test_nobody_stays_nobody() -> None:
    lifter = open_lifter(Lift(kind="auto"), COCO17)
    assert lifter is not None
    poses = poses_of(camera=camera_of(Lift()))
    assert lifter.update(poses) is poses


@pytest.mark.parametrize("hidden", [(11, 12), (5, 6), tuple(range(3, 17)), tuple(range(17))], ids=len)
def test_without_a_trunk_there_is_no_third_dimension(hidden: tuple[int, ...]) -> None:
    lifter = open_lifter(Lift(kind="mlp"), COCO17)
    assert lifter is not None
    poses = poses_of(STANDING + np.array((0, 0, 4.0)), STANDING + np.array((1, 0, 4.0)), camera=camera_of(Lift()))
    poses = replace(without(poses, *hidden), xy=np.stack([without(poses, *hidden).xy[0], poses.xy[1]]),
                    score=np.stack([without(poses, *hidden).score[0], poses.score[1]]))  # fmt: skip
    found = lifter.update(poses)
    assert found.xyz is not None
    assert found.space is not None
    assert np.isnan(found.xyz[0]).all()
    assert np.isnan(found.space.root[0]).all()
    assert not np.isnan(found.xyz[1]).any()  # the other one is


@pytest.mark.parametrize("kind", KINDS)
def test_legs_that_are_not_seen_are_said_to_be_guessed_and_unsure(kind: str) -> None:
    lifter = open_lifter(Lift(kind=kind), COCO17)  # type: ignore[arg-type]
    assert lifter is not None
    whole = poses_of(STANDING + np.array((0, 0, 3.0)), camera=camera_of(Lift()))
    seen, hidden = lifter.update(whole).space, lifter.update(without(whole, 13, 14, 15, 16)).space
    assert seen is not None
    assert hidden is not None
    assert hidden.guessed[0].tolist() == [joint >= 13 for joint in range(17)]
    assert hidden.sigma[0, 15:].mean() > 1.5 * seen.sigma[0, 15:].mean()


def test_a_camera_that_looks_down_knows_who_stands_upright() -> None:
    pitch = np.radians(45)
    tilted = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    person = STANDING @ tilted.T
    poses = poses_of(person + np.array((0, 0, 4.0)), camera=camera_of(Lift()))
    off = {}
    for known in (None, 45.0):
        lifter = open_lifter(Lift(kind="mlp", pitch_deg=known), COCO17)
        assert lifter is not None
        found = lifter.update(poses)
        assert found.xyz is not None
        off[known] = np.linalg.norm(found.xyz[0] - person, axis=1).mean()
    assert off[45.0] < off[None] + 0.01
    assert off[45.0] < 0.12


def test_another_skeleton_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"only poses of skeleton coco17 are lifted.*mpii16"):
        open_lifter(Lift(kind="mlp"), MPII16)


def test_none_is_no_stage() -> None:
    assert open_lifter(Lift(), COCO17) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_network_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "lift"
    shutil.copytree(mlp.folder(), own)
    monkeypatch.setattr(mlp, "shipped_dir", lambda: tmp_path)
    for path in own.glob("*.tflite"), own.glob("*.npz"):
        for file in path:
            file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ConfigError, match="is damaged"):
        open_lifter(Lift(kind=kind), COCO17)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ BlazePose's metres


def blaze(root: NDArray[np.float64], *hidden: str, world: bool = True) -> Poses:
    """STANDING at a place as BlazePose's landmark model has it: 17 of its 33 joints, and its own metres."""
    coco = poses_of(STANDING + root, camera=camera_of(Lift()))
    xy, score = np.full((1, 33, 2), np.nan, F), np.zeros((1, 33), F)
    xyz = np.full((1, 33, 3), np.nan, F)
    for joint, name in enumerate(COCO17.joints):
        if name not in hidden:
            row = BLAZEPOSE33.joints.index(name)
            xy[0, row], score[0, row], xyz[0, row] = coco.xy[0, joint], 0.9, STANDING[joint] + 0.1
    return replace(coco, skeleton=BLAZEPOSE33, xy=xy, score=score, xyz=xyz if world else None)


def lifted(poses: Poses, **lift: object) -> Poses:
    lifter = open_lifter(Lift(**lift), poses.skeleton)  # type: ignore[arg-type]
    assert lifter is not None
    return lifter.update(poses)


@pytest.mark.parametrize("kind", ["auto", "blazepose"])
def test_blazeposes_own_metres_are_put_where_the_rays_are(kind: str) -> None:
    height = 1.34 / 0.79
    found = lifted(blaze(np.array((0.3, 0.1, 4.0))), kind=kind, height_m=height)
    assert found.xyz is not None
    assert found.space is not None
    assert (found.space.kind, found.space.frame) == ("lifted", "camera")
    nose = BLAZEPOSE33.joints.index("nose")
    np.testing.assert_allclose(
        found.xyz[0, nose], STANDING[0], atol=1e-5
    )  # from between the hips, not from 10 cm beside
    np.testing.assert_allclose(found.space.root, [[0.3, 0.1, 4.0]], atol=1e-3)
    pinky = BLAZEPOSE33.joints.index("left_pinky")
    assert found.space.guessed[0, pinky]
    assert not found.space.guessed[0, nose]
    far, near = (BLAZEPOSE33.joints.index(name) for name in ("left_ankle", "left_hip"))
    assert (found.space.sigma[0, far] > 2 * found.space.sigma[0, near]).all()


def test_a_taller_person_is_farther_away_by_blazeposes_metres_too() -> None:
    one, two = (lifted(blaze(np.array((0, 0, 4.0))), kind="blazepose", height_m=height).space for height in (1.0, 2.0))
    assert one is not None
    assert two is not None
    np.testing.assert_allclose(two.root, 2 * one.root, rtol=1e-4)


@pytest.mark.parametrize(
    "hidden", [("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")], ids=["hips", "chest"]
)
def test_without_a_trunk_blazeposes_metres_are_not_told(hidden: tuple[str, ...]) -> None:
    found = lifted(blaze(np.array((0, 0, 4.0)), *hidden), kind="blazepose")
    assert found.xyz is not None
    assert found.space is not None
    assert np.isnan(found.xyz).all()
    assert np.isnan(found.space.root).all()


def test_who_was_not_refined_has_no_metres() -> None:
    found = lifted(blaze(np.array((0, 0, 4.0)), world=False), kind="blazepose")
    assert found.xyz is not None
    assert np.isnan(found.xyz).all()


def test_blazeposes_metres_of_another_model_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"blazepose takes the metres of BlazePose's landmark model.*coco17"):
        open_lifter(Lift(kind="blazepose"), COCO17)


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    "wrong", [{"height_m": 0.0}, {"height_m": 9.0}, {"height_m": float("nan")}, {"fov_deg": 5.0}], ids=str
)
def test_sizes_that_no_person_or_lens_has_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"lift.{next(iter(wrong))}"):
        config.convert({"lift": wrong}, config.Config, "settings")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30], ids=str)
def test_a_joint_that_is_no_place_harms_no_other_person(kind: str, bad: float) -> None:
    people = poses_of(STANDING + np.array((0, 0, 4.0)), STANDING + np.array((1, 0, 4.0)), camera=camera_of(Lift()))
    xy = people.xy.copy()
    xy[0, 9] = bad  # and its score says that it is there
    found, alone = lifted(replace(people, xy=xy), kind=kind), lifted(people, kind=kind)
    assert found.xyz is not None
    assert alone.xyz is not None
    assert found.space is not None
    np.testing.assert_allclose(found.xyz[1], alone.xyz[1], atol=1e-5)
    assert np.isfinite(found.xyz[1]).all()
    if np.isnan(bad):
        assert found.space.guessed[0].tolist() == [joint == 9 for joint in range(17)]
        assert np.isfinite(found.xyz[0]).all()


def test_a_calibrated_lens_takes_the_place_of_the_angle_of_view(tmp_path: Path) -> None:
    path, root = tmp_path / "door.json", np.array((0.4, 0.1, 4.0))
    path.write_text(lens_json("door", LENS))
    poses = poses_of(STANDING + root, camera=LENS)
    right, guessed = (lifted(poses, kind="mlp", calibration=file).space for file in (str(path), ""))
    assert right is not None
    assert guessed is not None
    assert np.linalg.norm(right.root[0] - root) < 0.3
    assert abs(right.root[0, 2] - 4) < abs(guessed.root[0, 2] - 4)


def test_a_calibration_of_another_picture_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "door.json"
    path.write_text(lens_json("door", LENS))
    poses = poses_of(STANDING + np.array((0, 0, 4.0)), camera=camera_of(Lift()))
    with pytest.raises(ConfigError, match=r"is for pictures of 1088x1920, these are 1280x720"):
        lifted(poses, kind="mlp", calibration=str(path))


CAMERA = """[{name}]
name = "{name}"
size = [1280.0, 720.0]
matrix = [[900.0, 0.0, 640.0], [0.0, 900.0, 360.0], [0.0, 0.0, 1.0]]
distortions = [0.0, 0.0, 0.0, 0.0]
rotation = [0.0, 0.0, 0.0]
translation = [0.0, 0.0, 0.0]
fisheye = {fisheye}
"""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CAMERA.format(name="a", fisheye="true"), "is a fisheye"),
        (CAMERA.format(name="a", fisheye="false") + CAMERA.format(name="b", fisheye="false"), "holds 2 cameras"),
        ("nonsense", "not valid TOML"),
        (None, "No such file"),
    ],
    ids=["fisheye", "two", "none", "missing"],
)
def test_a_lens_file_that_is_of_no_use_is_refused_at_the_start(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "lens.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=says):
        open_lifter(Lift(kind="mlp", calibration=str(path)), COCO17)

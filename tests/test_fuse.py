"""Several cameras in one room: exact without noise, one id a person, cameras that lag, repeat or fall silent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.core.poses import COCO17, Poses
from edgepose.lift.camera import Camera
from edgepose.lift.fuse import PlacedCamera, Room, read_calibration
from edgepose.lift.fuse.calibration import rodrigues
from edgepose.lift.fuse.triangulate import triangulate
from samples.shared import shared
from tests.test_lift import STANDING

F = np.float32
Array = NDArray[np.float64]
UPRIGHT = STANDING @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) + np.array((0, 0, 0.9))
"""(17, 3) metres in the world, z up, standing at the origin."""
LENS = Camera((1280, 720), (900.0, 900.0), (639.5, 359.5), (-0.1, 0.05, 0.0, 0.0, 0.0))


def looking(
    name: str, position: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 1)
) -> PlacedCamera:
    """A camera that looks at a point, its picture upright."""
    ahead = np.array(at) - position
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(ahead, (0, 0, 1))
    right = right / np.linalg.norm(right)
    return PlacedCamera(name, LENS, np.stack([right, np.cross(ahead, right), ahead]), np.array(position, float))


RING = tuple(
    looking(f"cam{place}", (4.5 * np.cos(angle), 4.5 * np.sin(angle), 2.3))
    for place, angle in enumerate(np.radians([10, 100, 190, 280]))
)


def seen(camera: PlacedCamera, people: list[Array], t: float, ids: list[int] | None = None, noise: Any = None) -> Poses:
    xy = np.array([camera.project(person) for person in people]).reshape(-1, 17, 2)
    if noise is not None:
        xy = xy + noise.normal(0, 6, xy.shape)
    xy = xy.astype(F)
    score = np.where(np.isnan(xy[..., 0]), 0, 0.9).astype(F)
    identities = list(range(len(people))) if ids is None else ids
    return Poses(
        t=t, taken_t=t, seq=0, name="", size_wh=LENS.size_wh, skeleton=COCO17, xy=xy, score=score,
        person_score=np.ones(len(people), F), track_id=np.array(identities, np.int32),
    )  # fmt: skip


def places(fused: Poses) -> Array:
    assert fused.xyz is not None
    assert fused.space is not None
    found: Array = fused.xyz + fused.space.root[:, None].astype(float)
    return found


def step(room: Room, people: list[Array], t: float, **how: Any) -> Poses:
    """One moment of all cameras."""
    fused = [room.add(camera.name, t, seen(camera, people, t, **how)) for camera in room.cameras.values()]
    assert fused[-1] is not None
    return fused[-1]


# ------------------------------------------------------------------------------------------------ geometry


def test_without_noise_the_room_is_exact() -> None:
    people = [UPRIGHT, UPRIGHT + np.array((1.2, 0.6, 0))]
    fused = step(Room(RING, COCO17), people, 0.0)
    assert len(fused) == 2
    assert fused.space is not None
    assert (fused.space.kind, fused.space.frame) == ("triangulated", "world")
    for person in people:
        assert np.abs(places(fused) - person).max(axis=(1, 2)).min() < 1e-3
    hips = (UPRIGHT[11] + UPRIGHT[12]) / 2
    assert np.abs(fused.space.root - hips).max(axis=1).min() < 1e-3


def test_a_joint_that_one_camera_alone_sees_is_not_there() -> None:
    room = Room(RING[:2], COCO17)
    half = seen(RING[1], [UPRIGHT], 0.0)
    half.xy[0, 9], half.score[0, 9] = np.nan, 0
    room.add("cam0", 0.0, seen(RING[0], [UPRIGHT], 0.0))
    fused = room.add("cam1", 0.0, half)
    assert fused is not None
    assert np.isnan(places(fused)[0, 9]).all()
    assert fused.score[0, 9] == 0
    assert np.isfinite(np.delete(places(fused)[0], 9, axis=0)).all()


def test_a_ray_that_misses_the_others_is_cut() -> None:
    origin = np.stack([camera.position for camera in RING])
    direction = np.stack([camera.directions(camera.project(UPRIGHT)) for camera in RING])
    direction[2] = RING[2].directions(RING[2].project(UPRIGHT + np.array((0, 0, 0.5))))
    points = triangulate(origin, direction, np.ones((4, 17)))
    np.testing.assert_allclose(points.xyz, UPRIGHT, atol=1e-6)
    assert not points.kept[2].any()


def test_one_sigma_covers_two_thirds() -> None:
    random = np.random.default_rng(0)
    origin = np.stack([camera.position for camera in RING])
    covered = []
    for _ in range(40):
        off = random.normal(0, 0.034, (4, 17, 3))
        away = UPRIGHT + off - origin[:, None]
        points = triangulate(origin, away / np.linalg.norm(away, axis=-1, keepdims=True), np.ones((4, 17)))
        covered.append(np.abs(points.xyz - UPRIGHT) < points.sigma)
    assert 0.6 < np.nanmean(covered) < 0.85


# ------------------------------------------------------------------------------------------------ people


def walk(t: float) -> list[Array]:
    """Three people who pass each other."""
    return [
        UPRIGHT + np.array((-1.5 + t, 0.0, 0)),
        UPRIGHT + np.array((1.5 - t, 0.7, 0)),
        UPRIGHT + np.array((0.4, -1.4, 0)),
    ]


def test_people_who_pass_each_other_keep_their_ids_whatever_the_cameras_call_them() -> None:
    room, random = Room(RING, COCO17), np.random.default_rng(1)
    of_person: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    errors = []
    for frame in range(90):
        t = frame / 30
        order = random.permutation(3)
        people = walk(t)
        fused = step(room, [people[one] for one in order], t, ids=random.integers(0, 99, 3).tolist(), noise=random)
        assert len(fused) == 3
        for row, identity in enumerate(fused.track_id.tolist()):
            off = [np.nanmean(np.linalg.norm(places(fused)[row] - person, axis=1)) for person in people]
            of_person[int(np.argmin(off))].add(identity)
            errors.append(min(off))
    assert [len(ids) for ids in of_person.values()] == [1, 1, 1]
    assert np.mean(errors) < 0.06


def test_who_leaves_is_given_up_after_a_second_and_gets_a_new_id() -> None:
    room = Room(RING, COCO17)
    assert step(room, [UPRIGHT], 0.0).entered == (1,)
    left = {frame: step(room, [], frame / 10).left for frame in range(1, 13)}
    assert [(frame, ids) for frame, ids in left.items() if ids] == [(11, (1,))]
    back = step(room, [UPRIGHT], 1.3)
    assert back.entered == (2,)


def test_nobody_and_one_camera_give_nobody() -> None:
    assert len(step(Room(RING, COCO17), [], 0.0)) == 0
    alone = Room(RING[:1], COCO17)
    assert len(step(alone, [UPRIGHT], 0.0)) == 0


# ------------------------------------------------------------------------------------------------ time


def test_cameras_out_of_step_are_interpolated_to_one_moment() -> None:
    room = Room(RING, COCO17)
    offset = dict(zip(room.cameras, (0.0, 0.011, 0.019, 0.029), strict=True))
    errors = []
    for frame in range(30):
        for name, camera in room.cameras.items():
            taken = frame / 30 + offset[name]
            there = UPRIGHT + np.array((2 * taken - 1, 0, 0))  # 2 m a second
            fused = room.add(name, taken, seen(camera, [there], taken))
            if fused is not None and frame > 2:
                truth = UPRIGHT + np.array((2 * fused.t - 1, 0, 0))
                errors.append(np.linalg.norm(places(fused)[0] - truth, axis=1).mean())
    assert len(errors) > 20
    assert np.mean(errors) < 0.004


def test_repeated_late_and_foreign_poses_are_dropped_and_counted() -> None:
    room = Room(RING, COCO17)
    poses = seen(RING[0], [UPRIGHT], 1.0)
    room.add("cam0", 1.0, poses)
    assert room.add("cam0", 1.0, poses) is None
    assert room.add("cam0", 0.9, poses) is None
    assert room.add("cam0", 1.1, replace(poses, size_wh=(640, 480))) is None
    assert room.dropped["cam0"] == 3


def test_a_camera_that_falls_silent_does_not_hold_the_room_up() -> None:
    room = Room(RING, COCO17)
    step(room, [UPRIGHT], 0.0)
    last = None
    for frame in range(1, 20):
        for camera in RING[:3]:
            last = room.add(camera.name, frame / 30, seen(camera, [UPRIGHT], frame / 30)) or last
    assert last is not None
    assert last.t == pytest.approx(19 / 30)
    assert len(last) == 1


def test_clocks_that_are_set_back_begin_anew() -> None:
    room = Room(RING, COCO17)
    step(room, [UPRIGHT], 1000.0)
    assert len(step(room, [UPRIGHT], 10.0)) == 1


# ------------------------------------------------------------------------------------------------ cameras that moved


def watched(room: Room, seconds: float, moved: dict[str, PlacedCamera], begin_s: float = 0.0) -> list[float]:
    """Errors while three people pass each other, seen by cameras of which some stand elsewhere than the room thinks."""
    errors = []
    for frame in range(int(seconds * 15)):
        t = begin_s + frame / 15
        people = walk(1.5 + np.sin(t))
        for name, camera in room.cameras.items():
            fused = room.add(name, t, seen(moved.get(name, camera), people, t))
            if fused is not None and len(fused):
                off = np.linalg.norm(places(fused)[:, None] - np.array(people)[None], axis=-1).mean(axis=-1)
                errors.append(float(off.min(axis=1).mean()))
    return errors


@pytest.mark.parametrize("turn_deg", [4.0, 25.0])
def test_a_camera_that_was_moved_is_named_and_left_out_until_it_stands_right_again(turn_deg: float) -> None:
    room = Room(RING, COCO17)
    turn = cv2.Rodrigues(np.radians([0.0, turn_deg, 0.0]))[0]
    moved = {"cam2": replace(RING[2], rotation=turn @ RING[2].rotation)}
    watched(room, 6, {})
    assert room.trust.troubles == []
    assert max(room.trust.misses.values()) < 0.04
    watched(room, 12, moved, 6)
    (said,) = room.trust.troubles
    assert "cam2" in said
    assert "left out" in said
    assert np.mean(watched(room, 3, moved, 18)) < 1e-3
    watched(room, 15, {}, 21)
    assert room.trust.troubles == []


def test_two_cameras_cannot_tell_which_of_them_was_moved() -> None:
    room = Room(RING[:2], COCO17)
    watched(room, 6, {})
    turn = cv2.Rodrigues(np.radians([3.0, 0.0, 0.0]))[0]
    watched(room, 12, {"cam1": replace(RING[1], rotation=turn @ RING[1].rotation)}, 6)
    assert room.trust.left_out == frozenset()


# ------------------------------------------------------------------------------------------------ calibration files


def same_cameras(found: tuple[PlacedCamera, ...]) -> None:
    assert [camera.name for camera in found] == [camera.name for camera in RING]
    for mine, its in zip(RING, found, strict=True):
        np.testing.assert_allclose(its.project(UPRIGHT), mine.project(UPRIGHT), atol=1e-3)
        assert its.camera.size_wh == LENS.size_wh


def matrix_of(camera: Camera) -> list[list[float]]:
    return [[camera.focal_xy[0], 0, camera.centre_xy[0]], [0, camera.focal_xy[1], camera.centre_xy[1]], [0, 0, 1]]


def pose2sim(**change: Any) -> str:
    lines = []
    for camera in RING:
        row: dict[str, Any] = {
            "name": camera.name, "size": [float(side) for side in LENS.size_wh], "matrix": matrix_of(LENS),
            "distortions": list(LENS.distortion[:4]), "rotation": cv2.Rodrigues(camera.rotation)[0].ravel().tolist(),
            "translation": (-camera.rotation @ camera.position).tolist(), "fisheye": False,
        }  # fmt: skip
        lines += [f"[{camera.name}]", *(f"{key} = {json.dumps(value)}" for key, value in (row | change).items())]
    return "\n".join([*lines, "[metadata]", "adjusted = false"])


def test_pose2sim_and_anipose_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "Calib.toml").write_text(pose2sim())
    same_cameras(read_calibration(tmp_path / "Calib.toml"))


def test_a_rotation_vector_turns_as_opencv_says() -> None:
    vector = np.array([0.3, -1.1, 0.7])
    np.testing.assert_allclose(rodrigues(vector), cv2.Rodrigues(vector)[0], atol=1e-12)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_files_that_opencv_writes_are_read(suffix: str, tmp_path: Path) -> None:
    """One camera a file, as cv2.FileStorage writes it."""
    found: list[PlacedCamera] = []
    for camera in RING:
        path = tmp_path / f"{camera.name}.{suffix}"
        values = {
            "K": np.array(matrix_of(LENS)), "dist": np.array([LENS.distortion]), "R": camera.rotation,
            "T": (-camera.rotation @ camera.position)[:, None],
        }  # fmt: skip
        if suffix == "json":
            path.write_text(
                json.dumps({key: value.tolist() for key, value in values.items()} | {"image_size": [1280, 720]})
            )
        else:
            storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
            for key, value in values.items():
                storage.write(key, value)
            storage.write("image_width", 1280)
            storage.write("image_height", 720)
            storage.release()
        found += read_calibration(path)
    same_cameras(tuple(found))


def test_a_qualisys_file_is_read() -> None:
    cameras = read_calibration(shared("data/multiview/beam_4cam/Calib.qca.txt"))
    assert [camera.name for camera in cameras] == ["cam01", "cam02", "cam03", "cam04"]
    assert cameras[0].camera.size_wh == (1088, 1920)
    np.testing.assert_allclose(cameras[0].position, [1.460, -1.909, 1.897], atol=1e-3)


WRONG: dict[str, tuple[str, str]] = {
    "empty": ("", "no table has a matrix"),
    "no TOML": ("[cam", "Calib"),
    "a fisheye": (pose2sim(fisheye=True), "fisheye"),
    "two of one name": (pose2sim(name="door"), "is there 4 times"),
    "millimetres": (pose2sim(translation=[1500.0, 20000.0, 900.0]), "millimetres"),
    "no focal length": (pose2sim(matrix=[[0, 0, 1], [0, 0, 1], [0, 0, 1]]), "above 0"),
    "half a matrix": (pose2sim(matrix=[[900, 0, 640]]), "expected (3, 3)"),
    "a mirror": (json.dumps({"K": matrix_of(LENS), "R": np.diag([1, 1, -1]).tolist(), "T": [0, 0, 0],
                             "image_size": [9, 9]}), "mirrors the world"),
    "no rotation": (json.dumps({"K": matrix_of(LENS), "R": [[1, 0, 0]] * 3, "T": [0, 0, 0], "image_size": [9, 9]}),
                    "its rotation is none"),
    "no size": (json.dumps({"K": matrix_of(LENS), "R": np.eye(3).tolist(), "T": [0, 0, 0]}), "size"),
    "a bomb": ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_a_calibration_that_cannot_be_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "Calib.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r".") as refused:
        read_calibration(path)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


# ------------------------------------------------------------------------------------------------ four real videos


@pytest.mark.slow
@pytest.mark.video
def test_four_real_videos_reach_what_their_calibration_lets() -> None:
    import edgepose

    folder = shared("data/multiview/beam_4cam")
    cameras = read_calibration(folder / "Calib.qca.txt")
    films = [list(edgepose.watch(folder / f"{camera.name}.mp4", model="default"))[::2] for camera in cameras]
    found, off, left_out = [], [], []
    rooms = [Room(cameras, COCO17), *(Room([one for one in cameras if one != out], COCO17) for out in cameras)]
    for moment in zip(*films, strict=True):
        t = moment[0].t
        fused = [_fused(room, cameras, moment, t) for room in rooms]
        walker = fused[0]
        if walker is None:
            continue
        found.append(~np.isnan(walker[:, 0]))
        for camera, seen_there, without in zip(cameras, moment, fused[1:], strict=True):
            off.append(_miss(camera, seen_there, walker))
            if without is not None:
                left_out.append(_miss(camera, seen_there, without))
    assert len(found) > 0.9 * len(films[0])
    assert np.mean(found) >= 0.98
    assert np.nanmedian(np.concatenate(off)) <= 18  # pixels of 1920
    assert np.nanmedian(np.concatenate(left_out)) <= 31


def _fused(room: Room, cameras: tuple[PlacedCamera, ...], moment: tuple[Poses, ...], t: float) -> Array | None:
    """(17, 3) the one of the lowest id, who walks."""
    for camera, poses in zip(cameras, moment, strict=True):
        fused = room.add(camera.name, t, poses) if camera.name in room.cameras else None
        if fused is not None and len(fused):
            walker: Array = places(fused)[int(np.argmin(fused.track_id))]
            return walker
    return None


def _miss(camera: PlacedCamera, seen_there: Poses, person: Array) -> Array:
    """(17,) pixels from the pose that is theirs."""
    if not len(seen_there):
        return np.full(17, np.nan)
    apart = np.linalg.norm(camera.project(person) - seen_there.xy, axis=-1)
    nearest: Array = apart[int(np.argmin(np.nanmedian(apart, axis=1)))]
    return nearest


# ------------------------------------------------------------------------------------------------ what may come


def test_a_device_that_restarts_and_counts_its_ids_anew_changes_nothing() -> None:
    room = Room(RING, COCO17)
    ids = {tuple(step(room, [UPRIGHT], n / 15, ids=[7 if n < 15 else 1]).track_id) for n in range(30)}
    assert ids == {(1,)}


def test_poses_of_nothing_but_nan_are_nobody_and_harm_nobody() -> None:
    room = Room(RING, COCO17)
    for n in range(15):
        for camera in RING:
            poses = seen(camera, [UPRIGHT, UPRIGHT + np.array((1.0, 0, 0))], n / 15)
            poses.xy[1] = np.nan
            if camera.name == "cam3":
                poses.xy[:], poses.score[:] = np.nan, np.nan
            fused = room.add(camera.name, n / 15, poses)
        assert fused is not None
        assert len(fused) == 1
        assert np.abs(places(fused)[0] - UPRIGHT).max() < 1e-3

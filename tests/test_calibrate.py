"""`edgepose calibrate`: lenses from boards that OpenCV drew, rooms from a walk whose cameras are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose import wire
from edgepose.commands.cli import main
from edgepose.core.errors import ConfigError
from edgepose.core.poses import Poses
from edgepose.lift.calibrate import lens_json, place_cameras, read_marks
from edgepose.lift.camera import Camera
from edgepose.lift.fuse import PlacedCamera, read_calibration
from samples.shared import shared
from tests.test_fuse import LENS, RING, UPRIGHT, pose2sim, seen

Array = NDArray[np.float64]
LENSES = {camera.name: LENS for camera in RING}
TORSO = np.linalg.norm(UPRIGHT[[5, 6]].mean(axis=0) - UPRIGHT[[11, 12]].mean(axis=0))
LEG = np.linalg.norm(UPRIGHT[11] - UPRIGHT[13]) + np.linalg.norm(UPRIGHT[13] - UPRIGHT[15])
HEIGHT_M = float(TORSO + LEG) / 0.79
"""Of UPRIGHT, as lifting has it: torso, thigh and shank are .79 of it."""


def walker(t: float) -> Array:
    """Somebody who turns and wanders, upright."""
    turn = np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])
    there: Array = UPRIGHT @ turn.T + np.array([1.2 * np.cos(0.5 * t), 1.2 * np.sin(0.85 * t), 0])
    return there


def films(cameras: tuple[PlacedCamera, ...], seconds: float, noise: Any = None) -> dict[str, list[tuple[float, Poses]]]:
    return {
        camera.name: [(n / 10, seen(camera, [walker(n / 10)], n / 10, noise=noise)) for n in range(int(seconds * 10))]
        for camera in cameras
    }


def same_room(found: tuple[PlacedCamera, ...], off_m: float) -> None:
    """As far as a walk can tell: the world's origin and where its x points are a matter of taste."""
    mine, its = (np.stack([one.position for one in cameras]) for cameras in (RING, found))
    apart = [np.linalg.norm(at[:, None] - at[None], axis=-1) for at in (mine, its)]
    np.testing.assert_allclose(apart[1], apart[0], atol=off_m)
    np.testing.assert_allclose(its[:, 2], mine[:, 2], atol=off_m)  # the floor
    for one, other in zip(RING, found, strict=True):
        np.testing.assert_allclose(other.rotation[:, 2], one.rotation[:, 2], atol=off_m / 3)  # up


def test_without_noise_a_walk_gives_the_cameras_exactly() -> None:
    cameras, report = place_cameras(films(RING, 12), LENSES, HEIGHT_M)
    same_room(cameras, 1e-2)
    assert report.gap_m < 1e-3
    assert report.verdict == "good"
    first = cameras[0]
    np.testing.assert_allclose(first.position[:2], 0, atol=1e-6)
    assert first.rotation[2, 1] > 0  # y is ahead of it
    assert abs(first.rotation[2, 0]) < 1e-6


def test_with_noise_a_walk_gives_them_nearly() -> None:
    cameras, report = place_cameras(films(RING, 20, np.random.default_rng(0)), LENSES, HEIGHT_M)
    same_room(cameras, 0.15)
    assert report.gap_m < 0.04
    assert report.trusted


def test_two_cameras_are_enough() -> None:
    cameras, report = place_cameras(films(RING[:2], 12), dict(list(LENSES.items())[:2]), HEIGHT_M)
    apart = np.linalg.norm(RING[0].position - RING[1].position)
    assert np.linalg.norm(cameras[0].position - cameras[1].position) == pytest.approx(apart, abs=0.01)
    assert report.trusted


def test_who_stands_still_gives_nothing_to_trust() -> None:
    still = {
        camera.name: [(n / 10, seen(camera, [UPRIGHT], n / 10, noise=np.random.default_rng(n))) for n in range(80)]
        for camera in RING
    }
    _, report = place_cameras(still, LENSES, HEIGHT_M)
    assert not report.trusted


def test_clocks_that_are_apart_give_nothing_to_trust() -> None:
    late = films(RING, 15)
    late["cam1"] = [(t + 0.7, poses) for t, poses in late["cam1"]]
    try:
        _, report = place_cameras(late, LENSES, HEIGHT_M)
    except ConfigError:
        return
    assert not report.trusted, report.lines()


@pytest.mark.parametrize("cameras", [RING[:1], ()], ids=["one camera", "none"])
def test_too_little_is_refused_in_one_line(cameras: tuple[PlacedCamera, ...]) -> None:
    with pytest.raises(ConfigError, match="at least two cameras") as refused:
        place_cameras(films(cameras, 12), {camera.name: LENS for camera in cameras}, 1.7)
    assert "\n" not in str(refused.value)


def test_cameras_that_never_saw_the_walker_together_are_refused() -> None:
    apart = films(RING[:2], 20)
    apart["cam0"], apart["cam1"] = apart["cam0"][:100], apart["cam1"][101:]
    with pytest.raises(ConfigError, match="together"):
        place_cameras(apart, dict(list(LENSES.items())[:2]), HEIGHT_M)


def test_who_walks_to_and_fro_and_leans_shows_what_is_level() -> None:
    angle = np.radians(12)
    lean = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    film = {
        camera.name: [
            (n / 10, seen(camera, [UPRIGHT @ lean.T + np.array([1.8 * np.sin(n / 15), 0, 0])], n / 10))
            for n in range(120)
        ]
        for camera in RING
    }
    cameras, _ = place_cameras(film, LENSES, HEIGHT_M)
    for one, other in zip(RING, cameras, strict=True):
        np.testing.assert_allclose(other.rotation[:, 2], one.rotation[:, 2], atol=np.sin(np.radians(2)))


# ------------------------------------------------------------------------------------------------ marks

A, B = np.array([0.5, -0.4, 0.0]), np.array([0.5, 1.6, 0.0])


def marks_toml(names: tuple[str, ...] = ("cam0", "cam2"), apart_m: Any = 2.0, b: Array = B) -> str:
    lines = [f"apart_m = {apart_m}"]
    for camera in RING:
        if camera.name in names:
            places = [[round(float(one), 3) for one in camera.project(mark)] for mark in (A, b)]
            lines += [f"[{camera.name}]", f"a = {places[0]}", f"b = {places[1]}"]
    return "\n".join(lines)


def test_marks_say_how_large_the_room_is_and_where_its_axes_are(tmp_path: Path) -> None:
    (tmp_path / "marks.toml").write_text(marks_toml())
    cameras, report = place_cameras(films(RING, 12), LENSES, 1.2, read_marks(tmp_path / "marks.toml"))
    assert report.trusted  # although the height is wrong by a third
    for one, other in zip(RING, cameras, strict=True):
        off = one.position - A  # the first is the origin, x leads to the second, that is along y of the old world
        np.testing.assert_allclose(other.position, (off[1], -off[0], off[2]), atol=0.02)


WRONG_MARKS: dict[str, tuple[str, str]] = {
    "one camera": (marks_toml(("cam0",)), "two are needed"),
    "no distance": (marks_toml(apart_m='"far"'), "apart_m"),
    "millimetres": (marks_toml(apart_m=2000), "apart_m"),
    "no place": ("apart_m = 2.0\n[cam0]\na = [1, 2]\n[cam1]\na = [1, 2]\nb = [1, 2]", "cam0.b is None"),
    "a strange camera": (marks_toml().replace("cam2", "attic"), "camera attic is none of"),
    "one mark twice": (marks_toml(b=A), "do not meet"),
}


@pytest.mark.parametrize(("text", "says"), WRONG_MARKS.values(), ids=WRONG_MARKS)
def test_marks_that_cannot_be_are_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "marks.toml").write_text(text)
    with pytest.raises(ConfigError, match=says) as refused:
        place_cameras(films(RING, 12), LENSES, HEIGHT_M, read_marks(tmp_path / "marks.toml"))
    assert "\n" not in str(refused.value)


# ------------------------------------------------------------------------------------------------ four real videos


@pytest.mark.slow
@pytest.mark.video
def test_a_walk_through_four_real_videos_fits_as_well_as_their_calibration_and_is_not_trusted() -> None:
    import edgepose

    folder = shared("data/multiview/beam_4cam")
    given = read_calibration(folder / "Calib.qca.txt")
    seen_by = {
        camera.name: [(poses.t, poses) for poses in edgepose.watch(folder / f"{camera.name}.mp4", model="default")]
        for camera in given
    }
    cameras, report = place_cameras(seen_by, {camera.name: camera.camera for camera in given}, 1.75)
    assert report.gap_m < 1.5 * 0.031  # of the calibration given: 31 mm
    assert not report.trusted  # 0.8 m of way
    assert "0.8 m only" in report.verdict
    ours, theirs = (np.stack([camera.position for camera in one]) for one in (cameras, given))
    apart = [np.linalg.norm(at[:, None] - at[None], axis=-1) for at in (ours, theirs)]
    np.testing.assert_allclose(apart[0], apart[1], rtol=0.15)


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_makes_a_file_that_fuse_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["calibrate", "extrinsics", "--height", f"{HEIGHT_M:.4f}", "--out", str(tmp_path / "room.toml")]
    arguments += [word for name in LENSES for word in ("--lens", str(tmp_path / f"{name}.json"))]
    for name, film in films(RING, 12).items():
        (tmp_path / f"{name}.json").write_text(lens_json(name, LENS))
        lines = [wire.encode(poses, "pi", name, t, 1_790_000_000 + t) for t, poses in film]
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(line.rstrip(b"\n") + b"\n" for line in lines))
        arguments.append(str(tmp_path / f"{name}.jsonl"))
    assert main(arguments) == 0
    assert "verdict: good" in capsys.readouterr().out
    same_room(read_calibration(tmp_path / "room.toml"), 0.03)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--height", "9", "a.jsonl"], "nobody is that tall"),
        (["--height", "0", "a.jsonl"], "nobody is that tall"),
        (["--height", "1.7"], "either"),
        (["hall.jsonl"], "--height: says how large"),
        (["--marks", "wrong.jsonl", "hall.jsonl"], "wrong.jsonl"),
        (["--height", "1.7", "none.jsonl"], "No such file"),
        (["--height", "1.7", "wrong.jsonl"], "wrong.jsonl"),
        (["--height", "1.7", "hall.jsonl"], "has no lens"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    more: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lens.toml").write_text(pose2sim())
    Path("wrong.jsonl").write_text("nothing\n")
    Path("hall.jsonl").write_bytes(wire.encode(films(RING, 0.1)["cam0"][0][1], "pi", "c", 1.0, 1.0) + b"\n")
    assert main(["calibrate", "extrinsics", "--lens", "lens.toml", "--out", "room.toml", *more]) == 78
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not Path("room.toml").exists()


TRUE = Camera((640, 480), (520.0, 515.0), (325.0, 236.0), (-0.12, 0.03, 0.0, 0.0, 0.0))


def pictures(folder: Path, board: Any, count: int) -> None:
    """A flat board in many places, through a lens that bends."""
    random = np.random.default_rng(0)
    height, width = board.shape
    grid = np.stack(np.meshgrid(np.arange(640.0), np.arange(480.0)), axis=-1)
    rays = np.concatenate([TRUE.rays(grid), np.ones((480, 640, 1))], axis=-1)
    for number in range(count):
        turn = cv2.Rodrigues(random.uniform(-0.5, 0.5, 3) * (1, 1, 0.3))[0]
        place = np.array([random.uniform(-0.45, 0.45), random.uniform(-0.3, 0.3), random.uniform(0.9, 1.6)])
        depth = (place @ turn[:, 2]) / (rays @ turn[:, 2])
        on_board = (rays * depth[..., None] - place) @ turn[:, :2]  # the board is a metre wide
        at = (on_board * width + np.array([width, height]) / 2).astype(np.float32)
        picture: Any = cv2.remap(board, at[..., 0], at[..., 1], cv2.INTER_AREA, borderValue=180)
        cv2.imwrite(str(folder / f"{number:02d}.png"), cv2.GaussianBlur(picture, (3, 3), 0.6))


def checkerboard() -> NDArray[np.uint8]:
    squares = np.kron(np.indices((7, 10)).sum(axis=0) % 2, np.ones((90, 90))) * 200 + 30
    return np.pad(squares, 60, constant_values=230).astype(np.uint8)


def charuco() -> NDArray[np.uint8]:
    drawn = cv2.aruco.CharucoBoard((7, 5), 1.0, 0.75, cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50))
    return np.asarray(drawn.generateImage((980, 700), None, 30), np.uint8)


@pytest.mark.parametrize(("board", "drawn"), [("checkerboard:9x6", checkerboard), ("charuco:7x5", charuco)])
def test_a_lens_is_found_from_pictures_of_a_board(
    board: str, drawn: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()
    pictures(tmp_path / "pictures", drawn(), 24)
    out = tmp_path / "door.json"
    places = ["--source", str(tmp_path / "pictures"), "--out", str(out), "--picture", str(tmp_path / "seen.jpg")]
    ended = main(["calibrate", "intrinsics", "--board", board, *places])
    shown: Any = cv2.imread(str(tmp_path / "seen.jpg"))
    assert shown.shape == (480, 640, 3)
    assert not list(tmp_path.glob(".seen*"))
    said = capsys.readouterr().out
    assert ended == 0, said
    assert "verdict: " in said
    (found,) = read_calibration(out)
    assert found.name == "door"
    np.testing.assert_allclose(found.camera.focal_xy, TRUE.focal_xy, rtol=0.01)
    np.testing.assert_allclose(found.camera.centre_xy, TRUE.centre_xy, atol=5)
    assert found.camera.distortion[0] == pytest.approx(TRUE.distortion[0], abs=0.03)


def test_pictures_without_a_board_give_no_lens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((90, 120), 128, np.uint8))
    arguments = ["calibrate", "intrinsics", "--source", str(tmp_path), "--out", str(tmp_path / "l.json"), "--board"]
    assert main([*arguments, "checkerboard:9x6"]) == 78
    assert "seen in 0 different places" in capsys.readouterr().err
    assert main([*arguments, "paper:9"]) == 78
    assert "is no board" in capsys.readouterr().err
    assert not (tmp_path / "l.json").exists()


def test_a_lens_file_is_plain_json() -> None:
    row = json.loads(lens_json("door", TRUE))["cameras"][0]
    assert row["image_size"] == [640, 480]
    assert row["K"][0][0] == 520.0

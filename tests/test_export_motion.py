"""BVH, TRC and C3D as other people's readers open them: places, rates, gaps, ids, and planes that say so."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.commands.cli import main
from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import COCO17, MPII16, Poses, Space
from edgepose.sink.export import FORMATS
from edgepose.sink.export.bvh import euler_zxy
from edgepose.sink.export.gltf import quaternions
from edgepose.sink.export.mot import coordinates
from edgepose.sink.export.motion import Gathered, resampled
from edgepose.sink.export.rig import BONES, forward, rigged, targets
from edgepose.wire.recording.writer import Writer
from samples.people import frame
from samples.people import poses as flat
from samples.shared import shared
from tests.test_lift import STANDING
from tests.test_recording import session

Array = NDArray[np.float64]
SITTING = STANDING.copy()
SITTING[[13, 14], 1], SITTING[[13, 14], 2] = 0.05, -0.42
SITTING[[15, 16], 1], SITTING[[15, 16], 2] = 0.45, -0.40


def solid(t: float, *people: Array, ids: tuple[int, ...] = (1,), root: Any = (0.0, 0.0, 4.0)) -> Poses:
    """People (17, 3) metres from their root, camera axes."""
    count = len(people)
    xyz = np.array(people, np.float32).reshape(count, 17, 3)
    space = Space(
        "lifted", "camera", np.tile(np.array(root, np.float32), (count, 1)), np.full(count, 0.2, np.float32),
        np.full((count, 17, 2), 0.05, np.float32), np.isnan(xyz[..., 0]),
    )  # fmt: skip
    ids_of = np.array(ids[:count], np.int32)
    return flat(count, t=t, taken_t=t, xyz=xyz, space=space, track_id=ids_of)


def export(kind: str, path: Path, *frames: Poses) -> Path:
    sink = FORMATS[kind](path)
    for poses in frames:
        sink.write(poses, frame())
    sink.close()
    return path


def y_up(person: Array, root: Any = (0.0, 0.0, 4.0)) -> Array:
    turned: Array = (person + np.array(root)) * [1, -1, -1]
    return turned


def sway(t: float) -> Array:
    """Someone who lifts an arm and sits down in a second."""
    return STANDING + (SITTING - STANDING) * t


# ------------------------------------------------------------------------------------------------ motion


def test_a_camera_that_wavers_becomes_a_fixed_rate() -> None:
    gathered = Gathered()
    random = np.random.default_rng(0)
    for number in range(31):
        t = number / 30 + random.uniform(-0.004, 0.004)
        gathered.add(solid(t, sway(t)))
    assert gathered.fps == 30
    (motion,) = gathered.motions()
    moments = gathered.times[0] + (motion.first + np.arange(len(motion.xyz))) / 30
    truth = np.stack([y_up(sway(t)) for t in moments])
    np.testing.assert_allclose(motion.xyz, truth, atol=1e-4)


def test_short_gaps_are_bridged_and_long_ones_stay() -> None:
    times = np.array([0.0, 0.1, 0.3, 0.8])
    xyz = np.arange(4.0)[:, None, None] * np.ones((4, 1, 3))
    out = resampled(times, xyz, np.array([0.0, 0.05, 0.2, 0.5, 0.8]))[:, 0, 0]
    np.testing.assert_allclose(out, [0, 0.5, 1.5, np.nan, 3])


# ------------------------------------------------------------------------------------------------ rig, BVH


def test_the_rig_leads_to_the_joints_it_was_made_from() -> None:
    xyz = np.stack([y_up(sway(t)) for t in (0.0, 0.0, 0.0)])  # constant lengths: then it must be exact
    rig = rigged(xyz, COCO17.joints)
    wanted = targets(xyz, COCO17.joints)
    limbs = [number for number, bone in enumerate(BONES) if bone.parent >= 0 and bone.rest[1] <= 0]
    off = np.linalg.norm(forward(rig) - wanted, axis=2)[:, limbs]
    assert off.max() < 0.06  # hips and shoulders of a rig are level and square to the spine, a person's nearly
    turns = np.linalg.det(rig.turn)
    np.testing.assert_allclose(turns, 1, atol=1e-9)


def test_a_t_pose_is_rest() -> None:
    joints = {bone.target: np.zeros(3) for bone in BONES}
    for bone in BONES[1:]:
        joints[bone.target] = joints[BONES[bone.parent].target] + np.array(bone.rest, float) * 0.3
    xyz = np.full((1, 17, 3), np.nan)
    for name, place in joints.items():
        if name in COCO17.joints:
            xyz[0, COCO17.joints.index(name)] = place
    xyz[0, [3, 4]] = joints["head"]
    rig = rigged(xyz, COCO17.joints)
    np.testing.assert_allclose(rig.turn[0], np.tile(np.eye(3), (len(BONES), 1, 1)), atol=1e-9)


def test_angles_make_the_turn_they_came_from() -> None:
    random = np.random.default_rng(1)
    q = np.linalg.qr(random.normal(size=(50, 3, 3)))[0]
    turn = q * np.sign(np.linalg.det(q))[:, None, None]
    z, x, y = np.radians(euler_zxy(turn)).T

    def about(axis: int, angle: Array) -> Array:
        out = np.tile(np.eye(3), (len(angle), 1, 1))
        a, b = [(1, 2), (2, 0), (0, 1)][axis]
        out[:, a, a] = out[:, b, b] = np.cos(angle)
        out[:, a, b], out[:, b, a] = -np.sin(angle), np.sin(angle)
        return out

    np.testing.assert_allclose(about(2, z) @ about(0, x) @ about(1, y), turn, atol=1e-9)


def test_bvhio_finds_the_joints_where_our_own_kinematics_does(tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio", reason="pip install bvhio: another reader of BVH")
    frames = [solid(number / 30, sway(number / 30)) for number in range(31)]
    folder = export("bvh", tmp_path / "rigs", *frames)
    (path,) = folder.iterdir()
    assert path.name == "person_1.bvh"
    file = bvhio.readAsBvh(str(path))
    assert file.FrameCount == 31
    assert file.FrameTime == pytest.approx(1 / 30, abs=1e-7)
    gathered = Gathered()
    for poses in frames:
        gathered.add(poses)
    ours = forward(rigged(gathered.motions()[0].xyz, COCO17.joints)) * 100
    root = bvhio.readAsHierarchy(str(path))
    for number in (0, 15, 30):
        root.loadPose(number)
        for bone, place in zip(BONES, ours[number], strict=True):
            found = next(joint for joint, *_ in root.layout() if joint.Name == bone.name)
            there = found.PositionWorld
            np.testing.assert_allclose([there.x, there.y, there.z], place, atol=0.03)


def test_bones_keep_their_length_and_people_their_file(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    frames = [
        solid(number / 30, sway(0.5) + random.normal(0, 0.02, (17, 3)), STANDING, ids=(4, 9)) for number in range(20)
    ]  # fmt: skip
    folder = export("bvh", tmp_path / "rigs", *frames)
    assert sorted(path.name for path in folder.iterdir()) == ["person_4.bvh", "person_9.bvh"]
    gathered = Gathered()
    for poses in frames:
        gathered.add(poses)
    place = forward(rigged(gathered.motions()[0].xyz, COCO17.joints))
    length = np.linalg.norm(place[:, 10] - place[:, 9], axis=1)
    assert np.ptp(length) < 1e-9


# ------------------------------------------------------------------------------------------------ glTF


def test_quaternions_turn_as_their_matrices_do() -> None:
    random = np.random.default_rng(3)
    q = random.normal(size=(200, 4))
    q[:4] = np.eye(4)  # half turns about each axis, and none
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    turn = _turned(q)
    found = quaternions(turn)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(_turned(found), turn, atol=1e-12)
    assert ((found[1:] * found[:-1]).sum(axis=1) >= 0).all()


def _turned(q: Array) -> Array:
    """(F, 3, 3) of quaternions x, y, z, w: each axis as q a q* has it."""
    axes = np.eye(3)
    vector, real = q[:, None, :3], q[:, None, 3:]
    once = 2 * np.cross(vector, axes[None])
    turned: Array = axes[None] + real * once + np.cross(vector, once)
    return np.swapaxes(turned, 1, 2)


def test_pygltflib_finds_the_joints_where_our_own_kinematics_does(tmp_path: Path) -> None:
    pygltflib = pytest.importorskip("pygltflib", reason="pip install pygltflib: another reader of glTF")
    frames = [solid(number / 30, sway(number / 30), STANDING, ids=(4, 9)) for number in range(31)]
    file = pygltflib.GLTF2().load(str(export("gltf", tmp_path / "a.glb", *frames)))
    gathered = Gathered()
    for poses in frames:
        gathered.add(poses)
    binary, (animation,) = file.binary_blob(), file.animations

    def values(accessor: int) -> Array:
        what = file.accessors[accessor]
        view = file.bufferViews[what.bufferView]
        found = np.frombuffer(binary, "<f4", view.byteLength // 4, view.byteOffset).reshape(what.count, -1)
        np.testing.assert_allclose(what.max, found.max(axis=0))
        return found.astype(float)

    moves = {(one.target.node, one.target.path): animation.samplers[one.sampler] for one in animation.channels}
    assert len(file.scenes[0].nodes) == 2
    for root, motion in zip(file.scenes[0].nodes, gathered.motions(), strict=True):
        assert file.nodes[root].name == f"person_{motion.identity}_Hips"
        ours = forward(rigged(motion.xyz, COCO17.joints))
        np.testing.assert_allclose(values(moves[root, "rotation"].input)[:, 0], np.arange(31) / 30, atol=1e-6)

        def check(node: int, world: Array, at: Array, ours: Array = ours, root: int = root) -> None:
            np.testing.assert_allclose(at, ours[:, node - root], atol=1e-5)
            turn = moves.get((node, "rotation"))
            carried = world @ _turned(values(turn.output)) if turn else world
            for child in file.nodes[node].children or ():
                check(child, carried, at + carried @ np.array(file.nodes[child].translation))

        check(root, np.tile(np.eye(3), (31, 1, 1)), values(moves[root, "translation"].output))


# ------------------------------------------------------------------------------------------------ MOT


def pose2sims() -> tuple[Array, dict[str, Array]]:
    """(F, 17, 3) metres of markers that Pose2Sim made, and the joint angles that OpenSim found for them."""
    lines = shared("data/uses/mocap_files/pose2sim_markers.trc").read_text().splitlines()
    names = [name for name in lines[3].split("\t")[2:] if name.strip()]
    rows = [[float(cell) for cell in line.split("\t")[2 : 2 + 3 * len(names)]] for line in lines[5:] if line.strip()]
    markers = dict(zip(names, np.array(rows).reshape(len(rows), -1, 3).swapaxes(0, 1), strict=True))
    xyz = np.full((len(rows), 17, 3), np.nan)
    for number, joint in enumerate(COCO17.joints):
        side, _, part = joint.partition("_")
        name = f"{side[0].upper()}{part.capitalize()}" if part not in ("ear", "eye") else "Head"
        xyz[:, number] = markers.get(name, np.nan)
    lines = shared("data/uses/mocap_files/pose2sim_motion.mot").read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("time"))
    values = np.array([[float(cell) for cell in line.split()] for line in lines[begin + 1 :] if line.strip()])
    return xyz, dict(zip(lines[begin].split(), values.T, strict=True))


NEAR_DEG = {
    "pelvis_tilt": 5, "pelvis_list": 6, "pelvis_rotation": 5, "hip_flexion": 7, "hip_adduction": 9, "knee_angle": 8,
    "arm_flex": 10, "arm_add": 10, "elbow_flex": 18,
}  # fmt: skip
"""Bones' directions against a model that was fitted to 21 markers, with joint centres of its own: elbows most."""


def test_angles_are_nearly_those_that_opensim_finds_for_the_same_person() -> None:
    xyz, truth = pose2sims()
    ours = coordinates(xyz)
    for name, values in ours.items():
        limit = NEAR_DEG.get(name.removesuffix("_l").removesuffix("_r"))
        if limit is not None:
            assert np.abs(values - truth[name]).mean() < limit, name
            assert np.corrcoef(values, truth[name])[0, 1] > 0.85, name
    for name in ("pelvis_tx", "pelvis_ty", "pelvis_tz"):
        assert np.abs(ours[name] - truth[name]).mean() < 0.1, name


def test_a_mot_file_says_what_it_holds(tmp_path: Path) -> None:
    folder = export("mot", tmp_path / "angles", *(solid(n / 30, sway(n / 30), STANDING, ids=(4, 9)) for n in range(31)))
    assert sorted(path.name for path in folder.iterdir()) == ["person_4.mot", "person_9.mot"]
    lines = (folder / "person_4.mot").read_text().splitlines()
    begin = lines.index("endheader")
    assert lines[:5] == ["Coordinates", "version=1", "nRows=31", "nColumns=22", "inDegrees=yes"]
    assert "no inverse kinematics" in "".join(lines[:begin])
    names = lines[begin + 1].split("\t")
    assert len(names) == 22
    knee = [float(line.split("\t")[names.index("knee_angle_r")]) for line in lines[begin + 2 :]]
    assert knee[0] < 20 < 60 < knee[-1]  # from standing to sitting


def test_opensims_own_reader_opens_mot_and_trc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # it leaves a log where it is
    opensim = pytest.importorskip("opensim", reason="pip install opensim: OpenSim's own readers")
    frames = [solid(n / 30, sway(n / 30)) for n in range(31)]
    folder = export("mot", tmp_path / "angles", *frames)
    table = opensim.TimeSeriesTable(str(folder / "person_1.mot"))
    assert (table.getNumRows(), table.getNumColumns()) == (31, 21)
    assert table.getTableMetaDataString("inDegrees") == "yes"
    assert "knee_angle_l" in table.getColumnLabels()
    storage = opensim.Storage(str(folder / "person_1.mot"))
    assert storage.isInDegrees()
    assert storage.getSize() == 31
    markers = opensim.TimeSeriesTableVec3(str(export("trc", tmp_path / "walk.trc", *frames)))
    assert list(markers.getColumnLabels()) == list(COCO17.joints)
    place = markers.getRowAtIndex(0)[5]
    np.testing.assert_allclose([place[axis] for axis in range(3)], y_up(sway(0.0))[5], atol=1e-4)


# ------------------------------------------------------------------------------------------------ Blender

BLENDER = """
import json, sys
import bpy
bvh, glb, out = sys.argv[1:]
told = {}
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_anim.bvh(filepath=bvh, axis_forward="-Z", axis_up="Y", global_scale=0.01, update_scene_fps=True,
                        update_scene_duration=True)
rig = next(each for each in bpy.data.objects if each.type == "ARMATURE")
scene = bpy.context.scene
told["fps"] = scene.render.fps / scene.render.fps_base
first, last = rig.animation_data.action.frame_range
told["frames"] = last - first + 1
for frame in (1, 16, 31):
    scene.frame_set(frame)
    told[f"bvh {frame}"] = {bone.name: list((rig.matrix_world @ bone.matrix).translation) for bone in rig.pose.bones}
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = 30
bpy.ops.import_scene.gltf(filepath=glb)
for frame in (0, 15, 30):
    bpy.context.scene.frame_set(frame)
    places = {each.name: list(each.matrix_world.translation) for each in bpy.data.objects}
    for rig in (each for each in bpy.data.objects if each.type == "ARMATURE"):
        places |= {bone.name: list((rig.matrix_world @ bone.matrix).translation) for bone in rig.pose.bones}
    told[f"gltf {frame + 1}"] = places
open(out, "w").write(json.dumps(told))
"""


@pytest.mark.slow
def test_blender_finds_the_joints_where_our_own_kinematics_does(tmp_path: Path) -> None:
    python = os.environ.get("EDGEPOSE_BLENDER", "")
    if not python:
        pytest.skip("EDGEPOSE_BLENDER names no Python that has bpy (pip install bpy, 400 MB)")
    frames = [solid(number / 30, sway(number / 30)) for number in range(31)]
    (bvh,) = export("bvh", tmp_path / "rigs", *frames).iterdir()
    glb, script, out = export("gltf", tmp_path / "a.glb", *frames), tmp_path / "look.py", tmp_path / "told.json"
    script.write_text(BLENDER)
    subprocess.run([python, str(script), str(bvh), str(glb), str(out)], check=True, capture_output=True, timeout=240)
    told = json.loads(out.read_text())
    assert told["fps"] == pytest.approx(30, abs=1e-3)
    assert told["frames"] == 31
    gathered = Gathered()
    for poses in frames:
        gathered.add(poses)
    ours = forward(rigged(gathered.motions()[0].xyz, COCO17.joints))
    for number in (0, 15, 30):
        for bone, (x, y, z) in zip(BONES, ours[number], strict=True):
            there = x, -z, y  # Blender's z is up
            np.testing.assert_allclose(told[f"bvh {number + 1}"][bone.name], there, atol=1e-3, err_msg=bone.name)
            np.testing.assert_allclose(told[f"gltf {number + 1}"][f"person_1_{bone.name}"], there, atol=1e-3)


# ------------------------------------------------------------------------------------------------ TRC, C3D


def test_ezc3d_reads_points_gaps_and_labels(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d", reason="pip install ezc3d: another reader of C3D")
    hidden = STANDING.copy()
    hidden[9] = np.nan
    path = export("c3d", tmp_path / "a.c3d", *(solid(n / 25, hidden, SITTING, ids=(3, 5)) for n in range(10)))
    file = ezc3d.c3d(str(path))
    parameters = file["parameters"]["POINT"]
    assert parameters["RATE"]["value"][0] == 25
    assert parameters["UNITS"]["value"] == ["mm"]
    assert parameters["LABELS"]["value"][:2] == ["p3_nose", "p3_left_eye"]
    points = file["data"]["points"]
    assert points.shape == (4, 34, 10)
    np.testing.assert_allclose(points[:3, :17, 4].T, y_up(hidden) * 1000, atol=0.1)
    np.testing.assert_allclose(points[:3, 17:, 9].T, y_up(SITTING) * 1000, atol=0.1)
    assert np.isnan(points[:3, 9]).all()


@pytest.mark.filterwarnings("ignore:No analog data")
def test_the_c3d_package_reads_the_same(tmp_path: Path) -> None:
    c3d = pytest.importorskip("c3d", reason="pip install c3d: another reader of C3D")
    path = export("c3d", tmp_path / "a.c3d", *(solid(n / 30, STANDING) for n in range(5)))
    with path.open("rb") as file:
        reader = c3d.Reader(file)
        assert [label.strip() for label in reader.point_labels] == list(COCO17.joints)
        frames = [points for _, points, _ in reader.read_frames()]
    assert len(frames) == 5
    np.testing.assert_allclose(frames[2][:, :3], y_up(STANDING) * 1000, atol=0.1)


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    lines = path.read_text().splitlines()
    return lines[:5], [line.split("\t") for line in lines[6:]]


def test_a_trc_file_says_what_it_holds(tmp_path: Path) -> None:
    head, rows = rows_of(export("trc", tmp_path / "walk.trc", *(solid(n / 30, STANDING) for n in range(4))))
    assert head[0] == "PathFileType\t4\t(X/Y/Z)\twalk.trc"
    assert head[1].split("\t")[3] == "NumMarkers"
    assert head[2].split("\t") == ["30", "30", "4", "17", "m", "30", "1", "4"]
    assert [name for name in head[3].split("\t")[2:] if name] == list(COCO17.joints)
    assert len(rows) == 4
    np.testing.assert_allclose(np.array(rows[0][2:], float).reshape(17, 3), y_up(STANDING), atol=1e-5)
    assert float(rows[3][1]) == pytest.approx(0.1)


def test_opensims_own_file_and_ours_have_the_same_form(tmp_path: Path) -> None:
    theirs = shared("data/uses/mocap_files/opensim_walk1.trc").read_text().splitlines()
    ours, _ = rows_of(export("trc", tmp_path / "a.trc", *(solid(n / 30, STANDING) for n in range(4))))
    assert theirs[0].split("\t")[:3] == ours[0].split("\t")[:3]
    assert theirs[1].split("\t")[:8] == ours[1].split("\t")[:8]
    assert theirs[3].split("\t")[:2] == ours[3].split("\t")[:2]


@pytest.mark.parametrize("kind", ["trc", "c3d"])
def test_a_2d_recording_lies_in_a_plane_and_says_so(kind: str, tmp_path: Path) -> None:
    made = [flat(1, t=n / 30, taken_t=n / 30, track_id=np.array([1], np.int32)) for n in range(3)]
    path = export(kind, tmp_path / f"a.{kind}", *made)
    if kind == "trc":
        head, rows = rows_of(path)
        assert "planar" in head[0]
        assert {row[4] for row in rows} == {"0.00000"}
    else:
        assert b"planar" in path.read_bytes()


@pytest.mark.parametrize("kind", ["bvh", "trc", "c3d", "gltf", "mot"])
def test_a_recording_without_people_is_an_empty_file_or_folder(kind: str, tmp_path: Path) -> None:
    path = export(kind, tmp_path / "out", *(flat(0, t=n / 30) for n in range(3)))
    assert path.exists()
    assert kind not in ("bvh", "mot") or not list(path.iterdir())


@pytest.mark.parametrize("kind", ["bvh", "trc", "c3d", "gltf", "mot"])
def test_metres_after_pixels_are_refused(kind: str, tmp_path: Path) -> None:
    sink = FORMATS[kind](tmp_path / "out")
    sink.write(solid(0.0, STANDING), frame())
    with pytest.raises(SinkError, match="from pixels to metres"):
        sink.write(flat(1, t=0.1), frame())
    sink.abandon()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["bvh", "mot", "trc", "c3d", "gltf"])
def test_a_recording_of_a_day_is_written_in_parts_or_refused_and_never_held_whole(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgepose.sink.export.motion.MOST_POSES", 50)
    sink = FORMATS[kind](tmp_path / "out")
    frames = [solid(number / 30, STANDING) for number in range(120)]
    if kind in ("bvh", "mot"):
        for poses in frames:
            sink.write(poses, frame())
        sink.close()
        names = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert names == [f"person_1.{kind}", f"person_1_part2.{kind}", f"person_1_part3.{kind}"]
    else:
        for poses in frames[:50]:
            sink.write(poses, frame())
        with pytest.raises(SinkError, match="in parts with --from and --to"):
            sink.write(frames[50], frame())
        sink.abandon()
        assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="new or empty"):
        FORMATS["bvh"](tmp_path)


def test_another_skeleton_has_no_rig(tmp_path: Path) -> None:
    sink = FORMATS["bvh"](tmp_path / "out")
    other = replace(flat(1), skeleton=MPII16, xy=np.zeros((1, 16, 2), np.float32), score=np.ones((1, 16), np.float32))
    with pytest.raises(SinkError, match="coco17"):
        sink.write(other, frame())


@pytest.mark.parametrize("kind", ["bvh", "mot", "trc", "c3d", "gltf"])
def test_a_recording_that_is_cut_off_gives_what_is_there_and_an_empty_one_is_refused(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    writer = Writer(Path("whole.epr"), wait=True)
    random = np.random.default_rng(0)  # so that it does not shrink to nothing
    for run in range(4):
        writer.begin(session(followed=True, continues=run > 0))
        for number in range(30):
            there = STANDING + random.normal(0, 0.01, (17, 3))
            writer.add(solid(run + number / 30, there, ids=(5,)), 1.7e9)
    writer.close()
    content = Path("whole.epr").read_bytes()
    Path("cut.epr").write_bytes(content[: int(0.7 * len(content))])
    Path("empty.epr").write_bytes(b"")
    assert main(["export", "cut.epr", "out", "--format", kind]) == 0
    said = capsys.readouterr().err
    assert "Traceback" not in said
    written = Path("out") / f"person_5.{kind}" if kind in ("bvh", "mot") else Path("out")
    assert written.stat().st_size > 1000
    assert main(["export", "empty.epr", "none", "--format", kind]) != 0
    assert "Traceback" not in capsys.readouterr().err
    assert not Path("none").exists()

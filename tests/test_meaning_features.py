"""Angles, postures, scale: what is measured of a body, against what the stick was bent to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.core.poses import BLAZEPOSE33, COCO17, OPENPOSE18, SKELETONS
from edgepose.meaning import joints
from edgepose.meaning.body import Body, Scale
from edgepose.meaning.features import FEATURES, Table
from edgepose.meaning.posture import POSTURES
from samples.bodies import BENT, KNEELING, LYING, SITTING, SIZE_WH, STANDING, Stick

BENT_LEGS = Stick(thighs=(90.0, 45.0), shanks=(0.0, 0.0), arms=(90.0, 180.0), forearms=(180.0, 180.0))
ANGLES = {
    "knee_left": 90.0, "knee_right": 45.0, "hip_left": 90.0, "hip_right": 45.0,
    "elbow_left": 90.0, "elbow_right": 0.0,
}  # fmt: skip


def body_of(*sticks: Stick) -> Body:
    body = Body(np.array([stick.xy for stick in sticks]), SIZE_WH, 0.0)
    scale = Scale()
    scale.grow(len(sticks))
    scale.update(body, np.arange(len(sticks)), 0.0)
    return body


def values(stick: Stick, *names: str) -> dict[str, float]:
    body = body_of(stick)
    scale = Scale()
    scale.grow(1)
    scale.update(body, np.zeros(1, np.int64), 0.0)
    table = Table(names, scale)
    table.grow(1)
    return dict(zip(names, table.values(body)[0].tolist(), strict=True))


@pytest.mark.parametrize(("name", "degrees"), ANGLES.items())
def test_a_joint_is_bent_by_what_its_bones_turn(name: str, degrees: float) -> None:
    narrow = replace(BENT_LEGS, wide=0.0)
    assert values(narrow, name)[name] == pytest.approx(degrees, abs=0.01)


@pytest.mark.parametrize(("arm", "degrees"), [(0.0, 0.0), (90.0, 90.0), (180.0, 180.0)], ids=["hangs", "level", "up"])
def test_a_shoulder_counts_from_the_hanging_arm(arm: float, degrees: float) -> None:
    stick = Stick(arms=(arm, arm), wide=0.0)
    assert values(stick, "shoulder_left")["shoulder_left"] == pytest.approx(degrees, abs=0.01)


def test_segments_turn_anticlockwise_from_the_horizontal() -> None:
    told = values(Stick(wide=0.0, trunk=135.0), "trunk_deg", "shank_left_deg")
    assert told["trunk_deg"] == pytest.approx(45.0, abs=0.01)  # leans to the right of the picture
    assert told["shank_left_deg"] == pytest.approx(90.0, abs=0.01)


@pytest.mark.parametrize(
    ("stick", "name"),
    [(STANDING, "upright"), (SITTING, "sitting"), (LYING, "lying"), (BENT, "bent"), (KNEELING, "kneeling")],
    ids=POSTURES,
)
def test_a_posture_is_told_and_no_other(stick: Stick, name: str) -> None:
    told = values(stick, *POSTURES)
    assert told == {other: float(other == name) for other in POSTURES}


def test_a_posture_without_knees_cannot_be_judged() -> None:
    xy = STANDING.xy
    xy[13:] = np.nan
    body = Body(xy[None], SIZE_WH, 0.0)
    body.size = np.array([80.0])
    table = Table(("upright", "sitting"), Scale())
    assert np.isnan(table.values(body)).all()


def test_scale_is_the_torso_and_stays_when_it_is_foreshortened() -> None:
    scale = Scale()
    scale.grow(1)
    slots = np.zeros(1, np.int64)
    for n, trunk in enumerate([1.0] * 10 + [0.3] * 10):
        xy = STANDING.xy
        xy[:11, 1] = xy[11, 1] + (xy[:11, 1] - xy[11, 1]) * trunk
        body = Body(xy[None], SIZE_WH, n / 30)
        scale.update(body, slots, 1 / 30)
    assert body.size[0] == pytest.approx(80.0, rel=0.05)


def test_a_thigh_towards_the_camera_makes_its_angles_unreliable() -> None:
    scale = Scale()
    scale.grow(1)
    slots = np.zeros(1, np.int64)
    table = Table(("knee_left_plane", "elbow_left_plane"), scale)
    table.grow(1)
    for stick in (STANDING, replace(STANDING, thighs=(0.0, 0.0))):
        xy = stick.xy
        body = Body(xy[None], SIZE_WH, 0.0)
        scale.update(body, slots, 0.0)
        table.values(body)
    xy[13] = xy[11] + (0.0, 20.0)  # a quarter of a torso is seen of it
    body = Body(xy[None], SIZE_WH, 0.1)
    scale.update(body, slots, 0.1)
    knee, elbow = table.values(body)[0]
    assert knee == pytest.approx(20 / (0.85 * 80), abs=0.02)
    assert elbow == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("name", SKELETONS)
def test_joints_are_found_by_name_in_every_skeleton(name: str) -> None:
    skeleton = SKELETONS[name]
    where = joints.places(skeleton)
    for joint, place in zip(joints.NAMES, where.tolist(), strict=True):
        assert place < 0 or skeleton.joints[place] == joint or joint in joints.STAND_INS


@pytest.mark.parametrize("skeleton", [BLAZEPOSE33, OPENPOSE18], ids=lambda one: one.name)
def test_another_skeleton_gives_the_same_body(skeleton: object) -> None:
    where = joints.places(skeleton)  # type: ignore[arg-type]
    xy = np.full((1, len(skeleton.joints), 2), np.nan, np.float32)  # type: ignore[attr-defined]
    xy[0, where] = STANDING.xy
    np.testing.assert_allclose(joints.taken(xy, where)[0], STANDING.xy, rtol=1e-6)


def test_a_joint_with_one_number_missing_is_missing() -> None:
    xy = STANDING.xy[None].astype(np.float32)
    xy[0, 3, 1], xy[0, 4, 0] = np.inf, np.nan
    assert np.isnan(joints.taken(xy, None)[0, 3:5]).all()


def test_every_feature_can_be_asked_for_of_a_crowd_and_of_nobody() -> None:
    scale = Scale()
    scale.grow(50)
    table = Table(FEATURES, scale)
    table.grow(50)
    for count in (50, 1, 0):
        body = Body(np.repeat(STANDING.xy[None], count, axis=0), SIZE_WH, 0.0)
        scale.update(body, np.arange(count), 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            assert table.values(body).shape == (count, len(FEATURES))


def test_the_seventeen_are_cocos() -> None:
    assert joints.places(COCO17).tolist() == list(range(17))

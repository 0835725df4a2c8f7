"""Somebody whom one camera alone sees: lifted, marked, near where they are, and the same one before and after."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses, Space
from edgepose.lift.fuse import PlacedCamera, Room, alone_of
from edgepose.wire import binary, poses_json
from edgepose.wire.reading import read
from edgepose.wire.recording import frames
from tests.test_fuse import RING, UPRIGHT, places, seen

Array = NDArray[np.float64]
HEIGHT_M = 1.72
"""Of UPRIGHT: torso, thigh and shank are .79 of it."""


def room(cameras: tuple[PlacedCamera, ...] = RING) -> Room:
    return Room(cameras, COCO17, alone_of(config.Lift(kind="auto", height_m=HEIGHT_M)))


def watch(
    room: Room, seconds: float, people: list[Array], seeing: dict[str, list[int]], begin_s: float = 0.0
) -> Iterator[Poses]:
    """Each camera sees the people whose numbers it has; all others see everybody."""
    for frame in range(round(seconds * 15)):
        t = begin_s + frame / 15
        for name, camera in room.cameras.items():
            rows = seeing.get(name, list(range(len(people))))
            fused = room.add(name, t, seen(camera, [people[row] for row in rows], t, ids=rows))
            if fused is not None:
                yield fused


ALONE: dict[str, list[int]] = {"cam1": [], "cam2": [], "cam3": []}


def test_who_is_seen_by_one_camera_alone_is_lifted_and_keeps_the_id() -> None:
    here = room()
    (before,) = {tuple(fused.track_id) for fused in watch(here, 1, [UPRIGHT], {})}
    alone = list(watch(here, 3, [UPRIGHT], ALONE, 1.0))
    after = list(watch(here, 1, [UPRIGHT], {}, 4.0))
    assert {tuple(fused.track_id) for fused in (*alone, *after)} == {before}
    kinds = [fused.space.kind for fused in alone if fused.space]
    assert kinds[2:] == ["lifted"] * (len(alone) - 2)
    assert {fused.space.kind for fused in after[2:] if fused.space} == {"triangulated"}
    assert not [fused for fused in (*alone, *after) if fused.left or fused.entered]


def test_a_lifted_person_stands_where_their_height_says_and_says_how_unsure_that_is() -> None:
    *_, last = watch(room(RING[:2]), 2, [UPRIGHT], {"cam1": []})
    assert last.space is not None
    assert (last.space.kind, last.space.frame, last.space.measured) == ("lifted", "world", None)
    off = last.space.root[0] - UPRIGHT[[11, 12]].mean(axis=0)
    assert np.linalg.norm(off) < 3 * last.space.root_sigma[0] < 1.0
    assert abs(places(last)[0, [15, 16], 2].mean() - 0.08) < 0.25  # ankles near the floor
    assert np.nanmean(last.space.sigma) > 0.02
    assert not last.space.guessed.any()


def test_who_was_measured_does_not_leap_when_only_one_camera_is_left() -> None:
    here = room()
    list(watch(here, 1, [UPRIGHT * (1, 1, 1.15)], {}))  # taller than the height set: the room has measured that
    roots = [fused.space.root[0] for fused in watch(here, 2, [UPRIGHT * (1, 1, 1.15)], ALONE, 1.0) if fused.space]
    leap = np.linalg.norm(np.diff(roots, axis=0), axis=1)
    assert leap.max() < 0.1
    assert np.linalg.norm(roots[-1] - (UPRIGHT * (1, 1, 1.15))[[11, 12]].mean(axis=0)) < 0.3


def of_both_kinds() -> Poses:
    *_, last = watch(room(RING[:2]), 3, [UPRIGHT, UPRIGHT + np.array((1.5, -0.5, 0))], {"cam0": [0]})
    return last


def test_of_people_of_both_kinds_each_is_marked() -> None:
    last = of_both_kinds()
    assert last.space is not None
    assert last.space.kind == "lifted"
    assert last.space.measured is not None
    assert last.space.measured.tolist() == [True, False]
    message = poses_json.decode(poses_json.encode(last, "hall", "room", 1.0, 1_790_000_000.0))
    assert (message.space, [person.space for person in message.people]) == ("lifted", ["triangulated", ""])
    for heard in (read(poses_json.encode(last, "hall", "room")), read(binary.encode(last))):
        assert heard.space is not None
        assert heard.space.measured is not None
        assert heard.space.measured.tolist() == [True, False]


def test_a_recording_keeps_who_was_measured() -> None:
    last = of_both_kinds()
    flags, _ = frames._facts(last, None)
    assert flags & frames.MEASURED
    assert isinstance(last.space, Space)
    numbers = np.concatenate([np.asarray(one, "<f4").ravel() for one in frames._space(last.space)])
    again = frames._read_space(frames._Floats(numbers), 2, 17, mixed=True)
    assert again.measured is not None
    assert again.measured.tolist() == [True, False]


def test_a_glimpse_by_one_camera_is_nobody() -> None:
    here = room()
    assert not [fused for fused in watch(here, 0.4, [UPRIGHT], ALONE) if len(fused)]
    assert not [fused for fused in watch(here, 1, [], {}, 0.4) if len(fused) or fused.entered or fused.left]


def test_who_stands_in_the_view_of_others_that_do_not_see_them_is_not_believed() -> None:
    here = room()
    elsewhere = UPRIGHT + np.array((0.5, 0.5, 0))
    found = list(watch(here, 3, [elsewhere], {"cam1": [], "cam2": [], "cam3": []}))
    assert all(fused.space is not None for fused in found)
    assert not [fused for fused in found if len(fused)]


def test_a_second_pose_of_somebody_known_is_not_somebody_else() -> None:
    here = room()
    twin = UPRIGHT + np.random.default_rng(0).normal(0, 0.15, (17, 3))
    for fused in watch(here, 3, [UPRIGHT, twin], {name: [0] for name in ALONE}):
        assert len(fused) == 1


def test_without_a_lifter_they_are_left_out() -> None:
    here = Room(RING, COCO17)
    assert not [fused for fused in watch(here, 2, [UPRIGHT], ALONE) if len(fused)]


def test_who_walks_from_one_cameras_view_through_all_into_anothers_stays_one() -> None:
    here = room()
    ids: set[int] = set()
    for frame in range(90):
        t = frame / 15
        walker = [UPRIGHT + np.array((-0.6 + 0.2 * t, 0.1 * t, 0))]
        alone = "cam0" if t < 2 else "cam2" if t > 4 else ""
        for name, camera in here.cameras.items():
            fused = here.add(name, t, seen(camera, walker if alone in ("", name) else [], t))
            ids |= set() if fused is None else set(fused.track_id.tolist())
    assert len(ids) == 1


@pytest.mark.parametrize("wrong", ["nan", "few joints"])
def test_a_pose_of_too_little_is_not_lifted(wrong: str) -> None:
    here = room()
    for frame in range(30):
        for name, camera in here.cameras.items():
            poses = seen(camera, [UPRIGHT] if name == "cam0" else [], frame / 15)
            if len(poses):
                poses.xy[:, slice(None) if wrong == "nan" else slice(11, None)] = np.nan
            fused = here.add(name, frame / 15, poses)
            assert fused is None or not len(fused)

"""What three dimensions cost: a person lifted from one camera, a moment of a room fused from four."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.lift import open_lifter
from edgepose.lift.camera import Camera
from edgepose.lift.fuse import PlacedCamera, Room
from tools.benches.row import Row, interleaved_ms

ROUNDS = 40
LIFT_US, FUSE_MS = 100.0, 5.0
PEOPLE = 8
STANDING = np.array(
    [
        (0.0, 0.1, 1.6), (0.03, 0.08, 1.63), (-0.03, 0.08, 1.63), (0.07, 0.0, 1.62), (-0.07, 0.0, 1.62),
        (0.17, 0, 1.4), (-0.17, 0, 1.4), (0.22, 0.02, 1.12), (-0.22, 0.02, 1.12), (0.24, 0.1, 0.88), (-0.24, 0.1, 0.88),
        (0.1, 0, 0.92), (-0.1, 0, 0.92), (0.11, 0.03, 0.5), (-0.11, 0.03, 0.5), (0.11, 0, 0.08), (-0.11, 0, 0.08),
    ]
)  # fmt: skip
"""(17, 3) metres, z up."""
LENS = Camera((1280, 720), (900.0, 900.0), (639.5, 359.5), (-0.1, 0.05, 0.001, 0.0, 0.0))


def _placed(number: int) -> PlacedCamera:
    angle = 0.3 + number * np.pi / 2
    position = np.array((5 * np.cos(angle), 5 * np.sin(angle), 2.4))
    ahead = (0, 0, 1) - position
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, (0, 0, 1)) / np.linalg.norm(np.cross(ahead, (0, 0, 1)))
    return PlacedCamera(f"cam{number}", LENS, np.stack([right, np.cross(ahead, right), ahead]), position)


def _seen(camera: PlacedCamera, people: int, random: np.random.Generator) -> Poses:
    spread = [np.array((np.cos(angle), np.sin(angle), 0)) for angle in np.arange(people) * 2 * np.pi / people]
    xy = np.array([camera.project(STANDING + place) for place in spread]) + random.normal(0, 5, (people, 17, 2))
    return Poses(
        t=0.0, taken_t=0.0, seq=0, name="", size_wh=LENS.size_wh, skeleton=COCO17, xy=xy.astype(np.float32),
        score=np.full((people, 17), 0.8, np.float32), person_score=np.ones(people, np.float32),
        track_id=np.arange(people, dtype=np.int32),
    )  # fmt: skip


def lift_person() -> Row:
    """Microseconds a person, of eight in one frame; of one alone; and of eight by matching with known views."""
    lifter, matcher = (open_lifter(config.Lift(kind=kind), COCO17) for kind in ("auto", "exemplar"))
    if lifter is None or matcher is None:
        raise AssertionError("both are lifters")
    camera, random = _placed(0), np.random.default_rng(0)
    several, alone = _seen(camera, PEOPLE, random), _seen(camera, 1, random)
    runs: dict[str, Callable[[], object]] = {
        "several": lambda: lifter.update(several),
        "alone": lambda: lifter.update(alone),
        "matched": lambda: matcher.update(several),
    }
    taken = interleaved_ms(runs, ROUNDS)
    sides = {"alone_us": taken["alone"] * 1e3, "exemplar_us": taken["matched"] * 1e3 / PEOPLE}
    return Row("lift_person_us", taken["several"] * 1e3 / PEOPLE, "us", LIFT_US, sides)


def fuse_moment() -> Row:
    """Milliseconds of a moment of four cameras that see three people; of which the lenses' distortion is a part."""
    cameras, random = [_placed(number) for number in range(4)], np.random.default_rng(0)
    room, frames = Room(cameras, COCO17), [_seen(camera, 3, random) for camera in cameras]
    clock = 0.0

    def moment() -> None:
        nonlocal clock
        clock += 1 / 30
        for camera, poses in zip(cameras, frames, strict=True):
            fused = room.add(camera.name, clock, replace(poses, t=clock))
        if fused is None or len(fused) != len(poses):
            raise AssertionError("everybody is fused")

    for _ in range(9):  # from a fifth of a second on
        for camera, poses in zip(cameras, frames, strict=True):
            room.add(camera.name, clock, poses)
        clock += 1 / 30
    taken = interleaved_ms({"moment": moment, "lens": lambda: cameras[0].directions(frames[0].xy)}, ROUNDS)
    return Row("fuse_4cam_3p_ms", taken["moment"], "ms", FUSE_MS, {"lens_4cam_ms": 4 * taken["lens"]})


ROWS = {"lift_person_us": lift_person, "fuse_4cam_3p_ms": fuse_moment}

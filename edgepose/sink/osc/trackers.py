"""One person as VRChat's trackers: hips, chest, feet and head, in Unity's axes (x right, y up, z ahead, left-handed).

VRChat puts the avatar's own bones where trackers are, so it needs no avatar here; it moves trackers so that the head's
is the headset's. A joint that is not known is not sent: its tracker stays, and none is ever at the origin unasked.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17, Poses
from edgepose.sink.export.motion import places
from edgepose.sink.export.rig import BONES, posed, rigged
from edgepose.sink.osc.packet import message

Array = NDArray[np.float64]
TRACKERS = {"1": "Hips", "2": "Chest", "3": "LeftFoot", "4": "RightFoot", "head": "Head"}
"""Name in the address -> bone. Few good ones beat eight noisy ones."""
TO_UNITY = np.diag([-1.0, 1.0, 1.0])
ANKLE_M = 0.08
NUMBER = {bone.name: number for number, bone in enumerate(BONES)}
HIPS, ANKLES = [11, 12], [15, 16]


class Trackers:
    """Follows one person, the one of the lowest id."""

    def __init__(self) -> None:
        self._identity = -1
        self._xyz = np.full((17, 3), np.nan)
        self._first, self._floor = np.zeros(3), np.inf

    def messages(self, poses: Poses) -> Iterator[bytes]:
        """Of one frame; nothing while nobody is there."""
        if poses.skeleton != COCO17 or poses.space is None or not len(poses):
            return
        row = int(np.argmin(poses.track_id))
        xyz = places(poses, row)
        if np.isnan(xyz[HIPS]).any():
            return
        if poses.track_id[row] != self._identity:
            self._identity, self._xyz = int(poses.track_id[row]), np.full((17, 3), np.nan)
            self._first, self._floor = xyz[HIPS].mean(axis=0) * (1, 0, 1), np.inf
        yield from self._told(xyz, poses.space.frame == "world")

    def _told(self, xyz: Array, on_floor: bool) -> Iterator[bytes]:
        known = ~np.isnan(xyz[:, 0])
        self._xyz = np.where(known[:, None], xyz, self._xyz)
        low = np.min(xyz[ANKLES, 1], initial=np.inf, where=known[ANKLES])
        self._floor = min(self._floor, float(low) - ANKLE_M)
        under = 0.0 if on_floor or np.isinf(self._floor) else self._floor
        world, _ = posed(rigged(self._xyz[None], COCO17.joints))
        at = _points(xyz)
        for name, bone in TRACKERS.items():
            there = at[bone]
            if np.isnan(there).any():
                continue
            position = TO_UNITY @ (there - self._first - (0.0, under, 0.0))
            turn = TO_UNITY @ world[0, NUMBER[bone]] @ TO_UNITY
            yield message(f"/tracking/trackers/{name}/position", *position.tolist())
            yield message(f"/tracking/trackers/{name}/rotation", *euler(turn))


def _points(xyz: Array) -> dict[str, Array]:
    """Where trackers are worn; NaN where that is not known."""
    return {
        "Hips": xyz[HIPS].mean(axis=0), "Chest": xyz[[5, 6]].mean(axis=0), "LeftFoot": xyz[15], "RightFoot": xyz[16],
        "Head": xyz[[3, 4]].mean(axis=0),
    }  # fmt: skip


def euler(turn: Array) -> tuple[float, float, float]:
    """Unity's angles, degrees about x, y and z, of a matrix (3, 3) = Ry Rx Rz."""
    x = np.arcsin(np.clip(-turn[1, 2], -1, 1))
    y, z = np.arctan2(turn[0, 2], turn[2, 2]), np.arctan2(turn[1, 0], turn[1, 1])
    if abs(turn[1, 2]) > 1 - 1e-9:  # y and z turn about one axis: all of it is y's
        y, z = np.arctan2(-turn[2, 0], turn[0, 0]), 0.0
    return float(np.degrees(x)), float(np.degrees(y)), float(np.degrees(z))

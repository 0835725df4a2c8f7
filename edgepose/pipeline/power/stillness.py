"""Who keeps still: joints stay where they were, as far as a model can tell."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses

MOVED = 0.04
"""Mean way of the joints, as a share of the body's diagonal, from which somebody has moved."""
COMMON = 4
"""Joints that two poses must share to be compared."""

Box = tuple[float, float, float, float]


class Stillness:
    """For how long each identity has not moved."""

    def __init__(self) -> None:
        self._anchors: dict[int, tuple[float, NDArray[np.float32]]] = {}
        """Identity -> since when it is where it is, and its joints then."""
        self.moving: list[Box] = []
        """Boxes of those who moved within the last MOVING_S, x and y of two corners, pixels."""

    def update(self, poses: Poses) -> float:
        """Take one frame's people; seconds since any of them moved, 0 where one does."""
        before, self._anchors = self._anchors, {}
        for identity, xy in zip(poses.track_id.tolist(), poses.xy, strict=True):
            anchor = before.get(identity)
            stays = anchor is not None and not _moved(anchor[1], xy) and anchor[0] <= poses.t
            self._anchors[identity] = anchor if anchor is not None and stays else (poses.t, xy)
        since_s = [poses.t - since_t for since_t, _ in self._anchors.values()]
        self.moving = [
            box for xy, still_s in zip(poses.xy, since_s, strict=False) if still_s < MOVING_S and (box := _box(xy))
        ]
        return min(since_s, default=math.inf)


MOVING_S = 1.0


def _moved(before: NDArray[np.float32], xy: NDArray[np.float32]) -> bool:
    way = np.hypot(*(xy - before).T)
    known = ~np.isnan(way)
    box = _box(before)
    if box is None or known.sum() < COMMON:
        return True
    return bool(way[known].mean() > MOVED * math.hypot(box[2] - box[0], box[3] - box[1]))


def _box(xy: NDArray[np.float32]) -> Box | None:
    """Around the joints."""
    known = xy[~np.isnan(xy[:, 0])]
    if not len(known):
        return None
    (x, y), (x_to, y_to) = known.min(axis=0).tolist(), known.max(axis=0).tolist()
    return x, y, x_to, y_to

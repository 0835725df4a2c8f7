"""Models that know where people are: for tests of what looks at which part of a frame."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import FrameLostError
from edgepose.core.poses import COCO17, Frame, Poses, Skeleton
from edgepose.estimate import Found
from edgepose.estimate.predictor import Box, Predictor
from edgepose.estimate.turned import Turn

F = np.float32
SIZE_WH = (1000, 500)
BODY = np.array(
    [
        (0, -45), (3, -48), (-3, -48), (6, -46), (-6, -46), (12, -30), (-12, -30), (16, -10), (-16, -10),
        (18, 8), (-18, 8), (8, 5), (-8, 5), (9, 28), (-9, 28), (10, 50), (-10, 50),
    ],
    F,
)  # fmt: skip
"""(17, 2) a standing person 100 px high around (0, 0), in COCO's order."""


@dataclass
class Scene:
    """People at places, their height 100 times `size`; and junk that only a finder takes for people."""

    people: list[tuple[float, float]]
    junk: list[tuple[float, float]]
    size: float = 1.0

    def body(self, place: tuple[float, float]) -> NDArray[np.float32]:
        """(17, 2) pixels."""
        return (BODY * self.size + np.array(place, F)).astype(F)


class FakeEngine:
    """Nothing but what an estimate asks of one."""

    ran_on = ""
    manifest: Any = None

    def close(self) -> None:
        """Nothing is open."""


class FakeLook(Predictor):
    """Sees the whole scene, or whoever is nearest the middle of a box; each look takes `takes_s` on a fake clock."""

    def __init__(self, scene: Scene, counts: dict[str, int], size: int, skeleton: Skeleton = COCO17) -> None:
        self.scene, self.counts = scene, counts
        self.engine: Any = FakeEngine()
        self.skeleton = skeleton
        self.size_wh = size, size
        self.boxes: list[Box | None] = []
        self.lose = False
        self.takes_s = 0.0
        self.now = 0.0

    def __call__(self, frame: Frame, box: Box | None = None) -> Found:
        """People of the scene with raw score 0.9, junk with 0.1; in a box one person, or nobody at 0.01."""
        self.now += self.takes_s
        if self.lose:
            raise FrameLostError("lost")
        self.boxes.append(box)
        self.counts["invokes"] += 1
        self.counts["crops"] += box is not None
        began_t = time.monotonic()
        places = [(place, 0.9) for place in self.scene.people]
        if box is None:
            places += [(place, 0.1) for place in self.scene.junk]
        else:
            left, top, right, bottom = box
            middle = (left + right) / 2, (top + bottom) / 2
            inside = [(x, y) for x, y in self.scene.people if left <= x <= right and top <= y <= bottom]
            inside.sort(key=lambda place: abs(place[0] - middle[0]) + abs(place[1] - middle[1]))
            places = [(inside[0], 0.9)] if inside else [(middle, 0.01)]
        return Found(poses_at(self.scene, places, frame, self.skeleton), began_t, began_t, began_t)

    def turned(self, frame: Frame, box: Box, turn: Turn) -> Found:
        """As a call."""
        return self(frame, box)

    def min_joint(self, cfg: config.Decode) -> float:
        """None is hidden."""
        return 0.1


def poses_at(
    scene: Scene, places: list[tuple[tuple[float, float], float]], frame: Frame, skeleton: Skeleton = COCO17
) -> Poses:
    """Somebody at each place with that person score."""
    joints = [COCO17.joints.index(name) for name in skeleton.joints]
    xy = np.array([scene.body(place) for place, _ in places], F).reshape(-1, 17, 2)[:, joints]
    score = np.array([score for _, score in places], F)
    return Poses(
        t=frame.t, taken_t=frame.taken_t, seq=frame.seq, name=frame.name, size_wh=SIZE_WH, skeleton=skeleton,
        xy=xy, score=np.full(xy.shape[:2], 0.8, F), person_score=score,
        track_id=np.full(len(score), -1, np.int32), coarse_xy=xy.copy(),
    )  # fmt: skip


def frame_at(t: float) -> Frame:
    """An empty frame."""
    return Frame(np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8), "bgr", t, t, round(t * 10))

"""Two photographs seen by a camera that moves, and where their joints really are in each frame."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17, Frame
from edgepose.source.base import BaseSource

SIZE_WH = (640, 480)
FPS = 30.0
TURN_S = 4.0
"""Seconds the camera stays on one picture."""

ZOOM = {"astronaut.jpg": 0.86, "camera.jpg": 1.27}
"""Frame pixels per picture pixel, on average: the first hangs on a wall, the second fills the view."""
WALL_BGR = (96, 100, 104)

# Joints marked by hand, in pixels of the picture; what cannot be seen is left out.
MARKED: dict[str, dict[str, tuple[float, float]]] = {
    "astronaut.jpg": {
        "nose": (222, 125),
        "left_eye": (246, 103),
        "right_eye": (202, 101),
        "left_ear": (271, 125),
        "right_ear": (178, 119),
        "left_shoulder": (318, 262),
        "right_shoulder": (82, 262),
    },
    "camera.jpg": {
        "nose": (253, 163),
        "right_eye": (233, 147),
        "right_ear": (188, 141),
        "right_shoulder": (88, 180),
        "right_elbow": (55, 308),
        "right_wrist": (180, 235),
        "left_elbow": (245, 303),
        "left_wrist": (275, 245),
    },
}


def marked_xy(name: str) -> NDArray[np.float32]:
    """(K, 2) joints of a picture, pixels; NaN where not marked."""
    xy = np.full((len(COCO17.joints), 2), np.nan, np.float32)
    for joint, at in MARKED[name].items():
        xy[COCO17.joints.index(joint)] = at
    return xy


class SceneSource(BaseSource):
    """A live source of SIZE_WH frames at FPS for `seconds`: each picture in turn, panned, zoomed and tilted."""

    live = True

    def __init__(self, seconds: float) -> None:
        super().__init__()
        from edgepose.core.opencv import cv2

        self.frames = max(1, round(seconds * FPS))
        self.total = self.frames
        folder = Path(__file__).parent / "pictures"
        self.pictures: dict[str, NDArray[np.uint8]] = {}
        for name in MARKED:
            content = np.frombuffer((folder / name).read_bytes(), np.uint8)
            self.pictures[name] = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)
        self.views: dict[int, tuple[str, NDArray[np.float64]]] = {}
        """Frame number -> picture and (2, 3) matrix from its pixels to the frame's."""

    def __iter__(self) -> Iterator[Frame]:
        started_t = time.monotonic()
        for seq in range(self.frames):
            due_t = started_t + seq / FPS
            with self.changed:
                self.changed.wait_for(lambda: self.closed, max(0.0, due_t - time.monotonic()))
                if self.closed:
                    return
            if seq + 1 < self.frames and time.monotonic() > due_t + 1 / FPS:
                self.counts["dropped"] += 1  # as a camera does: who is late gets the next one
                continue
            self.see(seq)
            self.counts["frames"] += 1
            yield Frame(self.image(seq), "bgr", due_t, due_t, seq)

    def see(self, seq: int) -> None:
        """Turn the camera to where it looks in frame `seq`."""
        self.views[seq] = self._view(seq / FPS)

    def image(self, seq: int) -> NDArray[np.uint8]:
        """What the camera sees in frame `seq`, once it was given out."""
        from edgepose.core.opencv import cv2

        name, view = self.views[seq]
        seen = cv2.warpAffine(self.pictures[name], view, SIZE_WH, flags=cv2.INTER_LINEAR, borderValue=WALL_BGR)
        return np.asarray(seen, np.uint8)

    def _view(self, t: float) -> tuple[str, NDArray[np.float64]]:
        """What the camera looks at, `t` seconds into the scene."""
        names = list(MARKED)
        name = names[int(t / TURN_S) % len(names)]
        height, width = self.pictures[name].shape[:2]
        zoom = ZOOM[name] * (1 + 0.03 * math.sin(1.3 * t))
        angle = math.radians(1.5 * math.sin(0.9 * t))
        room_x, room_y = (width * zoom - SIZE_WH[0]) / 2, (height * zoom - SIZE_WH[1]) / 2
        look_x = width / 2 + 0.8 * room_x / zoom * math.sin(0.7 * t)
        look_y = height / 2 - abs(room_y) / zoom * (0.5 + 0.3 * math.cos(0.5 * t))
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        shift_x = SIZE_WH[0] / 2 - cos * look_x + sin * look_y
        shift_y = SIZE_WH[1] / 2 - sin * look_x - cos * look_y
        return name, np.array([[cos, -sin, shift_x], [sin, cos, shift_y]])

    def truth(self, seq: int) -> NDArray[np.float32]:
        """(K, 2) where the marked joints are in frame `seq`, pixels; NaN where not marked or out of view."""
        name, view = self.views[seq]
        xy = (marked_xy(name) @ view[:, :2].T + view[:, 2]).astype(np.float32)
        outside = ~((xy >= 0) & (xy < SIZE_WH)).all(axis=1)
        xy[outside] = np.nan
        return xy

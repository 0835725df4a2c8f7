"""A folder of OpenPose-style files, NAME_000000000012_keypoints.json, one a frame; the number is the frame's `seq`.

Of a run that was appended the name has the number of the run: NAME_2_000000000012_keypoints.json. Joints are those of
BODY_25 in its order; what the skeleton has not is 0, 0, 0, as is what was not found. Neck and MidHip are, where the
skeleton has none, half way between the shoulders or hips, with the lower of both scores. A skeleton with no joint of
BODY_25 at all is written in its own order.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import Frame, Poses, Skeleton
from edgepose.sink import Sink
from edgepose.sink.whole import put_whole, stem_of

BODY_25: tuple[tuple[str, ...], ...] = (
    ("nose",), ("neck", "upper_neck", "left_shoulder+right_shoulder"),
    ("right_shoulder",), ("right_elbow",), ("right_wrist",), ("left_shoulder",), ("left_elbow",), ("left_wrist",),
    ("mid_hip", "pelvis", "left_hip+right_hip"),
    ("right_hip",), ("right_knee",), ("right_ankle",), ("left_hip",), ("left_knee",), ("left_ankle",),
    ("right_eye",), ("left_eye",), ("right_ear",), ("left_ear",),
    ("left_big_toe", "left_foot_index"), ("left_small_toe",), ("left_heel",),
    ("right_big_toe", "right_foot_index"), ("right_small_toe",), ("right_heel",),
)  # fmt: skip
"""For each of its 25 joints the names it may have in a skeleton, best first; A+B is the middle of two."""
EMPTY = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")


@functools.lru_cache(maxsize=16)
def places(skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
    """For each joint that is written the one or two of the skeleton it is made of; none: it is not there."""
    index = {name: place for place, name in enumerate(skeleton.joints)}

    def made_of(names: tuple[str, ...]) -> tuple[int, ...]:
        parts = (name.split("+") for name in names)
        return next((tuple(index[part] for part in both) for both in parts if all(p in index for p in both)), ())

    found = tuple(made_of(names) for names in BODY_25)
    return found if any(found) else tuple((place,) for place in range(len(skeleton.joints)))


class OpenPoseFolder(Sink):
    """Writes into a folder, which is made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sent, self._run, self._last = 0, 1, -1
        self._closed = False
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; give a folder that can be written") from None

    @property
    def counts(self) -> dict[str, int]:
        """sent: files written."""
        return {"sent": self._sent}

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """Raises SinkError: the disk takes no more."""
        if self._closed:
            raise ValueError("OpenPoseFolder is closed")
        self._run += poses.seq <= self._last
        self._last = poses.seq
        run = f"_{self._run}" if self._run > 1 else ""
        path = self.path / f"{_stem(poses)}{run}_{poses.seq:012d}_keypoints.json"
        try:
            put_whole(path, json.dumps(body(poses), separators=(",", ":")).encode())
        except OSError as error:
            raise SinkError(f"{path}: {error.strerror} after {self._sent} frames; free some space") from None
        self._sent += 1

    def abandon(self) -> None:
        """What is written stays."""
        self.close()

    def close(self) -> None:
        """Write no more."""
        self._closed = True


def body(poses: Poses) -> dict[str, Any]:
    """The content of one file."""
    of = places(poses.skeleton)
    people = []
    for person in range(len(poses)):
        xy, score = poses.xy[person].astype(np.float64), poses.score[person].astype(np.float64)
        one: dict[str, Any] = {
            "person_id": [int(poses.track_id[person])],
            "pose_keypoints_2d": _flat(of, xy, score),
            **{key: [] for key in EMPTY},
            "pose_keypoints_3d": [] if poses.xyz is None else _flat(of, poses.xyz[person].astype(np.float64), score),
            **{key.replace("2d", "3d"): [] for key in EMPTY},
        }
        people.append(one)
    return {"version": 1.3, "people": people}


def _flat(of: tuple[tuple[int, ...], ...], points: NDArray[np.float64], score: NDArray[np.float64]) -> list[float]:
    """The coordinates of each joint and its score, in a row."""
    axes = points.shape[1]
    score = np.nan_to_num(score)
    row: list[float] = []
    for parts in of:
        where = points[list(parts)]
        if not parts or not np.isfinite(where).all():
            row += [0.0] * (axes + 1)
            continue
        row += [*np.round(where.mean(axis=0), 3).tolist(), round(float(score[list(parts)].min()), 4)]
    return row


def _stem(poses: Poses) -> str:
    return re.sub(r"[^\w.-]", "_", stem_of(poses.name), flags=re.ASCII) or "camera"

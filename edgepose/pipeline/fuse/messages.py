"""What devices publish, read back: both forms of a poses message as Poses and when they were taken."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np

from edgepose import wire
from edgepose.core.poses import COCO17, Poses
from edgepose.wire import binary
from edgepose.wire.binary import MAGIC

F = np.float32
NONE = [np.nan, np.nan, 0.0]


class Heard(NamedTuple):
    """Poses of one frame of one device."""

    taken_s: float
    """Seconds since 1970, by the device's clock."""
    poses: Poses


def read(payload: bytes) -> Heard:
    """A message of either form.

    Raises:
        ValueError: it is none, is of another skeleton, or does not say when its frame was taken.
    """
    return _binary(payload) if payload[: len(MAGIC)] == MAGIC else _json(payload)


def _json(payload: bytes) -> Heard:
    message = wire.decode(payload)
    if not message.captured:
        raise ValueError("message: does not say when it was captured")
    taken_s = datetime.fromisoformat(message.captured.replace("Z", "+00:00")).timestamp()
    rows = [[NONE if joint is None else joint for joint in person.keypoints] for person in message.people]
    joints = np.array(rows, F).reshape(-1, len(message.joints), 3)
    ids = [-1 if person.id is None else person.id for person in message.people]
    scores = [person.score for person in message.people]
    return _heard(taken_s, message.seq, message.size_wh, message.skeleton, joints[..., :2], joints[..., 2], ids, scores)


def _binary(payload: bytes) -> Heard:
    message = binary.decode(payload)
    if not message.captured_us:
        raise ValueError("message: does not say when it was captured")
    ids = [int(identity) or -1 for identity in message.id.tolist()]
    return _heard(
        message.captured_us / 1e6, message.seq, message.size_wh, message.skeleton, message.xy, message.score, ids,
        message.person_score.tolist(),
    )  # fmt: skip


def _heard(
    taken_s: float, seq: int, size_wh: tuple[int, int], skeleton: str, xy: np.ndarray, score: np.ndarray,
    ids: list[int], scores: list[float],
) -> Heard:  # fmt: skip
    if skeleton != COCO17.name or xy.shape[1:] != (len(COCO17.joints), 2):
        raise ValueError(f"message: skeleton is {skeleton[:40]!r}, only {COCO17.name} is fused")
    poses = Poses(
        t=taken_s, taken_t=taken_s, seq=seq, name="", size_wh=size_wh, skeleton=COCO17, xy=xy.astype(F),
        score=np.where(np.isnan(xy[..., 0]), F(0), score).astype(F), person_score=np.array(scores, F),
        track_id=np.array(ids, np.int64).clip(-1, 2**31 - 1).astype(np.int32),
    )  # fmt: skip
    return Heard(taken_s, poses)

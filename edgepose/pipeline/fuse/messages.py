"""What devices publish, read back: both forms of a poses message as Poses and when they were taken."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from edgepose.core.poses import COCO17, Poses
from edgepose.wire import reading


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
    poses = reading.read(payload)
    if poses.taken_wall is None:
        raise ValueError("message: does not say when it was captured")
    if poses.skeleton.name != COCO17.name or poses.xy.shape[1] != len(COCO17.joints):
        raise ValueError(f"message: skeleton is {poses.skeleton.name[:40]!r}, only {COCO17.name} is fused")
    return Heard(poses.taken_wall, replace(poses, t=poses.taken_wall, taken_t=poses.taken_wall, skeleton=COCO17))

"""A look at a part of the frame that is turned, mirrored or both, and its people back in the frame."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses, Skeleton

Affine = NDArray[np.float64]
"""(2, 3) model pixel -> source pixel, both in pixel centres."""


class Turn(NamedTuple):
    """How the picture is turned before the model sees it."""

    degrees: float = 0.0
    """The model's up is the frame's, turned clockwise by so much: who lies with the head to the right stands at 90."""
    mirror: bool = False


def placed(box: tuple[float, float, float, float], size_wh: tuple[int, int], turn: Turn) -> Affine:
    """Where the model's pixels lie in the frame for a turned look at a box; it grows to the model's shape."""
    left, top, right, bottom = box
    width, height = size_wh
    scale = max((right - left) / width, (bottom - top) / height)
    cos, sin = math.cos(math.radians(turn.degrees)), math.sin(math.radians(turn.degrees))
    way = -1.0 if turn.mirror else 1.0
    around = scale * np.array([[way * cos, -sin], [way * sin, cos]])
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    return np.column_stack((around, middle - around @ [(width - 1) / 2, (height - 1) / 2]))


def back(poses: Poses, affine: Affine, partner: NDArray[np.intp] | None) -> Poses:
    """People in model pixels as people in the frame; `partner` is each joint's other side where it was mirrored."""
    around, offset = affine[:, :2], affine[:, 2]
    xy = (poses.xy.astype(np.float64) @ around.T + offset).astype(np.float32)
    coarse = None if poses.coarse_xy is None else (poses.coarse_xy @ around.T + offset).astype(np.float32)
    xyz = poses.xyz
    if xyz is not None:
        unit = around / math.sqrt(abs(np.linalg.det(around)))
        xyz = np.concatenate((xyz[..., :2] @ unit.T, xyz[..., 2:]), axis=-1).astype(np.float32)
    if partner is None:
        return replace(poses, xy=xy, coarse_xy=coarse, xyz=xyz)
    return replace(
        poses,
        xy=xy[:, partner],
        score=poses.score[:, partner],
        coarse_xy=None if coarse is None else coarse[:, partner],
        xyz=None if xyz is None else xyz[:, partner],
    )


def partners(skeleton: Skeleton) -> NDArray[np.intp]:
    """(K,) the joint that each becomes in a mirror: left and right by name."""
    names = skeleton.joints
    other = [_other_side(name) for name in names]
    return np.array([names.index(name) if name in names else at for at, name in enumerate(other)])


def _other_side(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")

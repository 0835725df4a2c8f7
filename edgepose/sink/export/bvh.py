"""BVH for Blender, Maya and game engines: a folder with a file for each person, centimetres, T-pose, channels ZXY."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17
from edgepose.sink.export.motion import Gathered, Motion
from edgepose.sink.export.motionfile import RigFolder
from edgepose.sink.export.rig import BONES, Rigged, rigged

Array = NDArray[np.float64]
CM = 100.0
END_CM = 10.0
"""Of a hand, a foot, a head: BVH wants an end."""


class BvhFolder(RigFolder):
    """NAME/person_ID.bvh, written when the recording ends."""

    ending = "bvh"

    def text(self, motion: Motion, gathered: Gathered) -> str:
        """As RigFolder."""
        return bvh(motion, gathered)


def bvh(motion: Motion, gathered: Gathered) -> str:
    """One person's file."""
    rig = rigged(motion.xyz, COCO17.joints)
    return head(rig, len(rig.root), gathered.fps) + "".join(rows(rig))


def head(rig: Rigged, frames: int, fps: float) -> str:
    """What comes before the frames."""
    lines = ["HIERARCHY", *_hierarchy(rig, 0, 0), "MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.8f}"]
    return "\n".join(lines) + "\n"


def rows(rig: Rigged) -> Iterator[str]:
    """A line a frame."""
    angles = euler_zxy(rig.turn)[:, _order()]
    for root, turns in zip(rig.root * CM, angles, strict=True):
        numbers = [*root.tolist(), *turns.ravel().tolist()]
        yield " ".join(f"{number:.5f}" for number in numbers) + "\n"


def _order() -> list[int]:
    """Bones as the file has them: depth first."""
    order: list[int] = []

    def visit(number: int) -> None:
        order.append(number)
        for child, bone in enumerate(BONES):
            if bone.parent == number:
                visit(child)

    visit(0)
    return order


def _hierarchy(rig: Rigged, number: int, depth: int) -> list[str]:
    bone, indent = BONES[number], "\t" * depth
    offset = np.array(bone.rest, float) * rig.length[number] * CM
    channels = "Zrotation Xrotation Yrotation"
    root = bone.parent < 0
    lines = [
        f"{indent}{'ROOT' if root else 'JOINT'} {bone.name}",
        f"{indent}{{",
        f"{indent}\tOFFSET {offset[0]:.5f} {offset[1]:.5f} {offset[2]:.5f}",
        f"{indent}\tCHANNELS {f'6 Xposition Yposition Zposition {channels}' if root else f'3 {channels}'}",
    ]
    children = [child for child, other in enumerate(BONES) if other.parent == number]
    for child in children:
        lines += _hierarchy(rig, child, depth + 1)
    if not children:
        x, y, z = (END_CM * part for part in bone.rest)
        lines += [
            f"{indent}\tEnd Site",
            f"{indent}\t{{",
            f"{indent}\t\tOFFSET {x:.5f} {y:.5f} {z:.5f}",
            f"{indent}\t}}",
        ]
    return [*lines, f"{indent}}}"]


def euler_zxy(turn: Array) -> Array:
    """(..., 3) degrees z, x, y of matrices (..., 3, 3) = Rz Rx Ry."""
    x = np.arcsin(turn[..., 2, 1].clip(-1, 1))
    z = np.arctan2(-turn[..., 0, 1], turn[..., 1, 1])
    y = np.arctan2(-turn[..., 2, 0], turn[..., 2, 2])
    steep = np.abs(turn[..., 2, 1]) > 1 - 1e-9  # z and y turn about one axis: all of it is z's
    z = np.where(steep, np.arctan2(turn[..., 1, 0], turn[..., 0, 0]), z)
    y = np.where(steep, 0.0, y)
    return np.stack([z, x, y], axis=-1) * (180 / math.pi)

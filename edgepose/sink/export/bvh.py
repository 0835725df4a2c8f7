"""BVH for Blender, Maya and game engines: a folder with a file for each person, centimetres, T-pose, channels ZXY."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.core.secret import private
from edgepose.sink.export.motion import Gathered, Motion
from edgepose.sink.export.motionfile import MotionSink
from edgepose.sink.export.rig import BONES, Rigged, rigged

Array = NDArray[np.float64]
CM = 100.0
END_CM = 10.0
"""Of a hand, a foot, a head: BVH wants an end."""


class BvhFolder(MotionSink):
    """NAME/person_ID.bvh, written when the recording ends."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise ConfigError(f"{path}: is there already; give a folder that is new or empty")

    def write(self, poses: Poses, frame: Frame) -> None:
        """As MotionSink; raises SinkError: what cannot be a rig."""
        if poses.skeleton != COCO17:
            raise SinkError(f"{self.path}: a rig is made of skeleton {COCO17.name}, this is {poses.skeleton.name}")
        super().write(poses, frame)

    def save(self, gathered: Gathered) -> None:
        """As MotionSink."""
        self.path.mkdir(parents=True, exist_ok=True)
        for motion in gathered.motions():
            path = self.path / f"person_{motion.identity}.bvh"
            with open(path, "w", encoding="ascii", newline="\n", opener=private) as file:
                file.write(bvh(motion, gathered))


def bvh(motion: Motion, gathered: Gathered) -> str:
    """One person's file."""
    rig = rigged(motion.xyz, COCO17.joints)
    lines = ["HIERARCHY", *_hierarchy(rig, 0, 0), "MOTION", f"Frames: {len(rig.root)}"]
    lines.append(f"Frame Time: {1 / gathered.fps:.8f}")
    angles = euler_zxy(rig.turn)[:, _order()]
    for root, turns in zip(rig.root * CM, angles, strict=True):
        numbers = [*root.tolist(), *turns.ravel().tolist()]
        lines.append(" ".join(f"{number:.5f}" for number in numbers))
    return "\n".join(lines) + "\n"


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

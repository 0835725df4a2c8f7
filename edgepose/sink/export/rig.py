"""A person as a rig: bones of constant length that turn, found from joints; what BVH, VMC and glTF move.

Rest is a T-pose facing +z, y up, left is +x. The pelvis and the chest turn by two directions each, a limb by the
shortest turn from where its parent carries it: what joints alone cannot tell, the twist along a bone, is left at rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Bone(NamedTuple):
    """A joint of the rig and what leads to it."""

    name: str
    parent: int
    """-1: the root."""
    rest: tuple[float, float, float]
    """Direction from the parent at rest; of length 1."""
    target: str
    """Point it leads to: a joint of COCO, or one of POINTS."""


UP, DOWN, LEFT, RIGHT = (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)
BONES = (
    Bone("Hips", -1, (0, 0, 0), "hips"),
    Bone("Chest", 0, UP, "chest"),
    Bone("Head", 1, UP, "head"),
    Bone("LeftUpperArm", 1, LEFT, "left_shoulder"),
    Bone("LeftLowerArm", 3, LEFT, "left_elbow"),
    Bone("LeftHand", 4, LEFT, "left_wrist"),
    Bone("RightUpperArm", 1, RIGHT, "right_shoulder"),
    Bone("RightLowerArm", 6, RIGHT, "right_elbow"),
    Bone("RightHand", 7, RIGHT, "right_wrist"),
    Bone("LeftUpperLeg", 0, LEFT, "left_hip"),
    Bone("LeftLowerLeg", 9, DOWN, "left_knee"),
    Bone("LeftFoot", 10, DOWN, "left_ankle"),
    Bone("RightUpperLeg", 0, RIGHT, "right_hip"),
    Bone("RightLowerLeg", 12, DOWN, "right_knee"),
    Bone("RightFoot", 13, DOWN, "right_ankle"),
)
POINTS: dict[str, tuple[str, ...]] = {
    "hips": ("left_hip", "right_hip"),
    "chest": ("left_shoulder", "right_shoulder"),
    "head": ("left_ear", "right_ear"),
}
"""Point -> joints whose middle it is."""
BRANCHES = {0: ("left_hip", "right_hip"), 1: ("left_shoulder", "right_shoulder")}
"""Bones that carry a left and a right: these turn them, with the spine."""
USUAL_M = 0.25


class Rigged(NamedTuple):
    """A person's rig over time."""

    length: Array
    """(B,) metres of each bone, the same in all frames."""
    root: Array
    """(F, 3) metres of the hips."""
    turn: Array
    """(F, B, 3, 3) of each bone against its parent's axes; the identity is rest."""


def targets(xyz: Array, joints: tuple[str, ...]) -> Array:
    """(F, B, 3) where each bone leads to; NaN where that is not known."""
    place = {name: number for number, name in enumerate(joints)}
    columns = [[place[name] for name in POINTS.get(bone.target, (bone.target,))] for bone in BONES]
    return np.stack([xyz[:, column].mean(axis=1) for column in columns], axis=1)


def rigged(xyz: Array, joints: tuple[str, ...]) -> Rigged:
    """The rig that follows joints (F, K, 3), y up. A bone that is not known keeps its last turn, at first rest."""
    at = _held(targets(xyz, joints))
    parents = [bone.parent for bone in BONES]
    along = at - at[:, parents]
    length = np.linalg.norm(along, axis=2)
    known = ~np.isnan(length).all(axis=0)
    length = np.where(known, np.nanmedian(np.where(known, length, USUAL_M), axis=0), USUAL_M)
    length[0] = 0
    turn = np.zeros((len(xyz), len(BONES), 3, 3))
    world = np.tile(np.eye(3), (len(xyz), len(BONES), 1, 1))
    place = {bone.target: number for number, bone in enumerate(BONES)}
    for number, bone in enumerate(BONES):
        # a bone's own axes turn what leaves it: towards its children
        children = [child for child, other in enumerate(BONES) if other.parent == number]
        carried = world[:, bone.parent] if bone.parent >= 0 else np.tile(np.eye(3), (len(xyz), 1, 1))
        if number in BRANCHES:
            left, right = (at[:, place[name]] for name in BRANCHES[number])
            spine = next(child for child in children if BONES[child].rest == UP)
            world[:, number] = axes(left - right, at[:, spine] - at[:, number], carried)
        elif children:
            rest = carried @ np.array(BONES[children[0]].rest, float)
            world[:, number] = _shortest(rest, along[:, children[0]]) @ carried
        else:
            world[:, number] = carried
        turn[:, number] = np.swapaxes(carried, 1, 2) @ world[:, number]
    return Rigged(length, np.nan_to_num(at[:, 0]), turn)


def forward(rig: Rigged) -> Array:
    """(F, B, 3) places of the rig's joints: forward kinematics."""
    return posed(rig)[1]


def posed(rig: Rigged) -> tuple[Array, Array]:
    """(F, B, 3, 3) turns of the rig's bones against the world, (F, B, 3) places of its joints."""
    frames = len(rig.root)
    world, place = np.zeros((frames, len(BONES), 3, 3)), np.zeros((frames, len(BONES), 3))
    for number, bone in enumerate(BONES):
        if bone.parent < 0:
            world[:, number], place[:, number] = rig.turn[:, number], rig.root
            continue
        offset = np.array(bone.rest, float) * rig.length[number]
        place[:, number] = place[:, bone.parent] + world[:, bone.parent] @ offset
        world[:, number] = world[:, bone.parent] @ rig.turn[:, number]
    return world, place


def _held(at: Array) -> Array:
    """The last known place where there is none; before the first one that."""
    out = at.copy()
    for bone in range(at.shape[1]):
        known = np.flatnonzero(~np.isnan(at[:, bone, 0]))
        if len(known):
            last = known[np.searchsorted(known, np.arange(len(at)), side="right").clip(1) - 1]
            out[:, bone] = at[last, bone]
    return out


def axes(left: Array, up: Array, otherwise: Array) -> Array:
    """(F, 3, 3) columns x, y, z: x along left, y as near to up as is square to it; `otherwise` where these are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        x = left / np.linalg.norm(left, axis=1, keepdims=True)
        y = up - (up * x).sum(axis=1, keepdims=True) * x
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
    made = np.stack([x, y, np.cross(x, y)], axis=2)
    return np.where(np.isfinite(made).all(axis=(1, 2))[:, None, None], made, otherwise)


def _shortest(a: Array, b: Array) -> Array:
    """(F, 3, 3) the shortest turn of directions a (F, 3) to directions b; none where b is not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        b = b / np.linalg.norm(b, axis=1, keepdims=True)
    b = np.where(np.isfinite(b).all(axis=1, keepdims=True), b, a)
    axis, cosine = np.cross(a, b), (a * b).sum(axis=1)
    back = cosine < -1 + 1e-9
    square = np.cross(a, np.where(abs(a[:, :1]) < 0.9, (1.0, 0, 0), (0, 1.0, 0)))
    square /= np.linalg.norm(square, axis=1, keepdims=True)
    cross = np.zeros((len(a), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    cross -= np.swapaxes(cross, 1, 2)
    turn = np.eye(3) + cross + cross @ cross / np.where(back, 1, 1 + cosine)[:, None, None]
    half: Array = 2 * square[:, :, None] * square[:, None, :] - np.eye(3)
    return np.where(back[:, None, None], half, turn)

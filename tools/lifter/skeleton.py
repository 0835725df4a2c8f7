"""The mocap's 22 joints as bones, and what can be done to people. Torch: (N, 22, 3) metres, y up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / "data" / "cmu_train.npz"
HELD_OUT = ("06", "13", "16", "35")
"""Subjects that are never trained on."""
PELVIS, SPINE, THORAX, NECK, HEAD = range(17, 22)
PARENT = (21, 21, 21, 21, 21, 19, 19, 5, 6, 7, 8, 17, 17, 11, 12, 13, 14, -1, 17, 18, 19, 20)
"""Of each joint; the pelvis has none."""
MIRRORED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 17, 18, 19, 20, 21)
FACE = slice(0, 5)
LEFT_ARM, RIGHT_ARM, LEGS = [7, 9], [8, 10], [13, 14, 15, 16]
SIZE_M = 1.34
"""Torso + thigh + shank of the canonical person, about 1.70 m tall."""
HIPS = 1.15
"""MoveNet shows hips this much wider than the mocap's hip joints."""
LENGTHS = (
    ((5, 6), 0.06), ((7, 8), 0.06), ((9, 10), 0.08), ((11, 12), 0.09), ((13, 14), 0.05), ((15, 16), 0.05),
    ((18, 19), 0.06), ((20,), 0.10), ((21,), 0.10),
)  # fmt: skip
"""Joints whose bones vary together from person to person, and by how much (log, one sigma)."""
ARMS, OTHER_LEGS, SITTING = 0.35, 0.20, 0.12
"""Share of people who get the arms, the legs of somebody else; who sit."""


def _path() -> Tensor:
    """(22, 22) which bones lead from the pelvis to a joint."""
    path = torch.zeros(22, 22)
    for joint in range(22):
        at = joint
        while at >= 0:
            path[joint, at] = 1
            at = PARENT[at]
    return path


PATH = _path()


class Mocap(NamedTuple):
    """Frames of some subjects, and how often each is drawn."""

    joints: Tensor
    """(F, 22, 3)."""
    weight: np.ndarray
    """(F,) sums to 1; a subject counts by the square root of its frames."""
    subject: np.ndarray
    """(F,)."""


def load(held_out: bool) -> Mocap:
    """The frames to train on, or those held out."""
    with np.load(DATA) as file:
        joints, clip, start = file["joints"].astype(np.float32), file["clip"], file["start"]
    subject = np.array([name.split("_")[0] for name in clip])[
        np.searchsorted(start, np.arange(len(joints)), "right") - 1
    ]
    chosen = np.isin(subject, HELD_OUT) == held_out
    _, place, count = np.unique(subject[chosen], return_inverse=True, return_counts=True)
    weight = (count**-0.5)[place]
    return Mocap(torch.tensor(joints[chosen]), weight / weight.sum(), subject[chosen])


def bones(joints: Tensor) -> Tensor:
    """(N, 22, 3) from each joint's parent to it; the pelvis' is its place."""
    parents = torch.cat([joints, torch.zeros_like(joints[:, :1])], 1)[
        :, [parent if parent >= 0 else 22 for parent in PARENT]
    ]
    return joints - parents


def joints_of(bone: Tensor) -> Tensor:
    """The joints that bones lead to."""
    return torch.einsum("jk,nkc->njc", PATH, bone)


def size(joints: Tensor) -> Tensor:
    """(N,) torso + thigh + shank, metres."""

    def apart(one: int, other: int) -> Tensor:
        return (joints[:, one] - joints[:, other]).norm(dim=-1)

    torso = ((joints[:, 5] + joints[:, 6]) / 2 - (joints[:, 11] + joints[:, 12]) / 2).norm(dim=-1)
    return torso + (apart(11, 13) + apart(12, 14) + apart(13, 15) + apart(14, 16)) / 2


def mirrored(joints: Tensor, chosen: Tensor) -> Tensor:
    """Left and right swapped for the chosen."""
    other = joints[:, MIRRORED] * torch.tensor([-1.0, 1.0, 1.0])
    return torch.where(chosen[:, None, None], other, joints)


def _axes(left: Tensor, up: Tensor) -> Tensor:
    """(N, 3, 3) rows left, up, forward; up is made square to left."""
    left = left / left.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    up = up - (up * left).sum(-1, keepdim=True) * left
    up = up / up.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return torch.stack([left, up, torch.cross(left, up, dim=-1)], -2)


def _turned(axes: Tensor, vectors: Tensor) -> Tensor:
    return torch.einsum("nij,nkj->nki", axes, vectors)


def _back(axes: Tensor, vectors: Tensor) -> Tensor:
    return torch.einsum("nji,nkj->nki", axes, vectors)


def mixed(bone: Tensor, random: torch.Generator) -> Tensor:
    """New poses out of known ones: arms and legs of other people, and people who sit. Bones keep their length."""
    count = len(bone)
    bone = bone.clone()
    chest = _axes(bone[:, 5] - bone[:, 6], bone[:, SPINE] + bone[:, THORAX])
    pelvis = _axes(bone[:, 11] - bone[:, 12], bone[:, SPINE])
    for axes, joints, share in ((chest, LEFT_ARM, ARMS), (chest, RIGHT_ARM, ARMS), (pelvis, LEGS, OTHER_LEGS)):
        own = _turned(axes, bone[:, joints])
        other = torch.randperm(count, generator=random)
        _put(bone, joints, _back(axes, own[other]), torch.rand(count, generator=random) < share)
    _put(bone, LEGS, _back(pelvis, _sitting(count, random)), torch.rand(count, generator=random) < SITTING)
    return bone


def _put(bone: Tensor, joints: list[int], directions: Tensor, chosen: Tensor) -> None:
    """Turn the chosen people's bones to other directions; writes into `bone`."""
    length = bone[:, joints].norm(dim=-1, keepdim=True)
    new = directions / directions.norm(dim=-1, keepdim=True).clamp_min(1e-6) * length
    bone[:, joints] = torch.where(chosen[:, None, None], new, bone[:, joints])


def _sitting(count: int, random: torch.Generator) -> Tensor:
    """(N, 4, 3) directions of thighs and shanks of people who sit, in the pelvis' axes."""

    def angle(least: float, span: float, spread: float) -> Tensor:
        common = least + span * torch.rand(count, 1, generator=random)
        return (common + spread * torch.randn(count, 2, generator=random)) * math.pi / 180

    hip, apart, knee = angle(55, 65, 8), angle(-4, 30, 8), angle(20, 110, 12)
    side = torch.tensor([1.0, -1.0])
    thigh = torch.stack([apart.sin() * side, -hip.cos() * apart.cos(), hip.sin() * apart.cos()], -1)
    below = hip - knee
    return torch.cat([thigh, torch.stack([0.5 * apart.sin() * side, -below.cos(), below.sin()], -1)], 1)


def varied(bone: Tensor, random: torch.Generator) -> Tensor:
    """Other people's proportions, and faces that sit a little elsewhere on the head."""
    count = len(bone)
    scale = torch.ones(count, 22)
    for joints, spread in LENGTHS:
        scale[:, list(joints)] = torch.exp(spread * torch.randn(count, 1, generator=random))
    scale[:, FACE] = torch.exp(0.12 * torch.randn(count, 5, generator=random))
    bone = bone * scale[..., None]
    left = bone[:, 3] - bone[:, 4]
    head = _axes(left, bone[:, HEAD])
    shift = _back(head, 0.02 * torch.randn(count, 1, 3, generator=random))
    return torch.cat([bone[:, FACE] + shift, bone[:, 5:]], 1)

"""What a camera sees of a person: (2D, 3D) pairs, with the errors of a 2D network. Torch, batched.

The noise is MoveNet's, as measured on synchronised cameras: a bias per person and joint, more of it that lasts some
tenths of a second, white noise, joints far off, left and right taken for each other, joints missed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lifter.skeleton import HIPS, MIRRORED, SIZE_M, bones, joints_of, mirrored, mixed, size, varied

NOISE = torch.tensor([1.1] * 5 + [0.85, 0.85, 0.9, 0.9, 0.95, 0.95, 1.2, 1.2, 1.0, 1.0, 1.05, 1.05])
"""Of each joint, times what follows."""
BIAS_M, LASTING_M, WHITE_M, FAR_M = 0.022, 0.022, 0.012, 0.2
"""At the person, per axis, one sigma."""
FAR, MISSED = 0.02, 0.03
SWAPS = (([13, 14, 15, 16], 0.012), ([7, 8, 9, 10], 0.012), (list(range(17)), 0.0042))
"""Joints whose sides are taken for each other together, and how often."""
UNSEEN = (([13, 14, 15, 16], 0.06), ([15, 16], 0.04), ([0, 1, 2, 3, 4], 0.04))
"""Joints that are missed together: legs, feet, a face turned away."""
LEAST_SCORE = 0.2
DISTANCE_M, LYING, FOCAL = (1.6, 9.0), 0.12, 0.08
CLIP = 4.0


class Views(NamedTuple):
    """A batch."""

    x: Tensor
    """(N, 55) what the network takes: see `features`."""
    y: Tensor
    """(N, 17, 3) metres of the canonical person, camera axes (x right, y down, z forward), from the mid hip."""
    xy: Tensor
    """(N, 17, 3) x, y of the normalised pose, score; 0 where missed."""


def _rotation(axis: str, angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    o, i = torch.zeros_like(c), torch.ones_like(c)
    rows = {"x": [i, o, o, o, c, -s, o, s, c], "y": [c, o, s, o, i, o, -s, o, c], "z": [c, -s, o, s, c, o, o, o, i]}
    return torch.stack(rows[axis], -1).view(-1, 3, 3)


def _any_rotation(count: int, random: torch.Generator) -> Tensor:
    q = torch.randn(count, 4, generator=random)
    w, x, y, z = (q / q.norm(dim=1, keepdim=True)).T
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
            2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
            2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
        ],
        -1,
    ).view(-1, 3, 3)  # fmt: skip


def people(joints: Tensor, random: torch.Generator, augment: bool) -> Tensor:
    """(N, 22, 3) canonical people around their mid hip, y up."""
    if augment:
        joints = mirrored(joints, torch.rand(len(joints), generator=random) < 0.5)
    bone = bones(joints)
    if augment:
        bone = varied(mixed(bone, random), random)
    bone = torch.cat([bone[:, :11], bone[:, 11:13] * HIPS, bone[:, 13:]], 1)
    body = joints_of(bone)
    body = body * (SIZE_M / size(body))[:, None, None]
    body = body - (body[:, 11:12] + body[:, 12:13]) / 2
    if augment:
        turn = _any_rotation(len(body), random)
        turn[torch.rand(len(body), generator=random) >= LYING] = torch.eye(3)
        body = torch.einsum("nij,nkj->nki", turn, body)
    return body


def make(
    joints: Tensor, random: torch.Generator, augment: bool = True, noise: float = 1.0, gravity: float = 0.5
) -> Views:
    """Views of people from cameras all around.

    joints   (N, 22, 3) of the mocap
    augment  other proportions and poses
    noise    times the 2D network's errors; 0: a perfect one
    gravity  share of the views whose camera knows where down is
    """
    count = len(joints)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    body = people(joints, random, augment)
    yaw = uniform(count) * 2 * math.pi
    elevation = (-12 + 16 * normal(count)).clamp(-65, 30) * math.pi / 180
    roll = 8 * normal(count) * math.pi / 180
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    camera = _rotation("z", roll) @ _rotation("x", -elevation) @ flip @ _rotation("y", yaw)
    seen = torch.einsum("nij,nkj->nki", camera, body)
    down = -camera[:, :, 1]
    near, far = DISTANCE_M
    distance = near * (far / near) ** uniform(count)
    distance = torch.maximum(distance, seen[..., 2].abs().amax(1) + 0.5)
    xy = (seen[..., :2] / (seen[..., 2:] + distance[:, None, None]))[:, :17]
    score = torch.full((count, 17), 0.85)
    if noise:
        xy, score = _disturbed(xy, 1 / distance, noise, random)
    xy = xy * (1 + (FOCAL if augment else 0.05 * bool(noise)) * normal(count))[:, None, None]
    pose, extent = normalised(xy, score)
    known = (uniform(count) < gravity).float()[:, None]
    down = down + 0.04 * normal(count, 3)
    down = down / down.norm(dim=1, keepdim=True) * known
    return Views(torch.cat([pose.flatten(1), extent, down], 1), seen[:, :17], pose)


def _disturbed(xy: Tensor, per_m: Tensor, noise: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """What a 2D network makes of true places: places and scores."""
    count = len(xy)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    level = noise * torch.exp(0.35 * normal(count, 1)) * NOISE * per_m[:, None]
    spread = math.sqrt(BIAS_M**2 + LASTING_M**2 + WHITE_M**2)
    off = normal(count, 17, 2) * (spread * level)[..., None]
    away = uniform(count, 17) < FAR
    off = off + away[..., None] * normal(count, 17, 2) * (FAR_M * per_m)[:, None, None]
    xy = xy + off
    other = xy[:, MIRRORED[:17]]
    for joints, share in SWAPS:
        chosen = (uniform(count) < share)[:, None] & torch.isin(torch.arange(17), torch.tensor(joints))
        xy = torch.where(chosen[..., None], other, xy)
    metres = off.norm(dim=-1) / per_m[:, None]
    score = (0.88 - 2.2 * metres + 0.09 * normal(count, 17) - 0.15 * away).clamp(0.02, 0.97)
    missed = uniform(count, 17) < MISSED
    for joints, share in UNSEEN:
        missed |= (uniform(count) < share)[:, None] & torch.isin(torch.arange(17), torch.tensor(joints))
    score = torch.where(missed | (score < LEAST_SCORE), torch.zeros(()), score)
    return xy, score


def normalised(xy: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 17, 3) x, y, score around the found joints' middle in units of their spread; (N, 1) log of that spread.

    edgepose.lift.rays does the same in numpy; a test holds the two together.
    """
    found = (score > 0).float()
    few = found.sum(1, keepdim=True) < 4
    weight = torch.where(few, torch.ones_like(found), found)
    total = weight.sum(1, keepdim=True)
    middle = (xy * weight[..., None]).sum(1) / total
    spread = (((xy - middle[:, None]) ** 2).sum(-1) * weight).sum(1, keepdim=True).div(total).sqrt().clamp_min(1e-4)
    at = ((xy - middle[:, None]) / spread[..., None]).clamp(-CLIP, CLIP) * found[..., None]
    return torch.cat([at, score[..., None]], -1), torch.log(spread * 8)

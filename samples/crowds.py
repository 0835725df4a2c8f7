"""Crowds of known skeletons, and the heads a perfect network would give for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import OPENPOSE18, Crop, Frame, HeadSpec, Skeleton

F = np.float32

FRAME = Frame(np.zeros((480, 640, 3), np.uint8), "bgr", t=1.5, taken_t=2.5, seq=7, name="crowd.png")
AS_IS = Crop((0.0, 0.0), (1.0, 1.0))

STANDING: dict[str, tuple[float, float]] = {
    "nose": (0.0, -0.42), "left_eye": (0.045, -0.46), "right_eye": (-0.045, -0.46),
    "left_ear": (0.09, -0.43), "right_ear": (-0.09, -0.43), "neck": (0.0, -0.3),
    "left_shoulder": (0.13, -0.29), "right_shoulder": (-0.13, -0.29),
    "left_elbow": (0.2, -0.12), "right_elbow": (-0.2, -0.12), "left_wrist": (0.24, 0.05), "right_wrist": (-0.24, 0.05),
    "left_hip": (0.08, 0.02), "right_hip": (-0.08, 0.02), "left_knee": (0.1, 0.26), "right_knee": (-0.1, 0.26),
    "left_ankle": (0.11, 0.48), "right_ankle": (-0.11, 0.48),
}  # fmt: skip
"""x right, y down, the person 1 high around (0, 0)."""

SPREAD = {"wrist": 0.14, "elbow": 0.09, "ankle": 0.07, "knee": 0.05}
"""How far limbs swing, standard deviation."""


def crowd(
    people: int,
    size_wh: tuple[int, int],
    seed: int,
    skeleton: Skeleton = OPENPOSE18,
    tall: float = 30,
    apart: float = 3,
    limbs: Any = (),
) -> NDArray[np.float64]:
    """(people, K, 2) x, y in cells, limbs swinging across each other.

    tall   cells a person is high, give or take a fifth
    apart  least cells between the same part of two people: nearer ones share one peak
    limbs  (part, part, ...): none ends within 1.5 cells of somebody else's, whose field would cover it; they may cross
    """
    rng = np.random.default_rng(seed)
    width, height = size_wh
    still = np.array([STANDING[joint] for joint in skeleton.joints])
    swing = np.array([SPREAD.get(joint.partition("_")[2], 0.01) for joint in skeleton.joints])
    placed: list[NDArray[np.float64]] = []
    for _ in range(20000):
        if len(placed) == people:
            return np.array(placed)
        scale = tall * rng.uniform(0.8, 1.2)
        shape = (still + rng.normal(size=still.shape) * swing[:, None]) * scale
        at = shape + rng.uniform((0, 0), (width - 1, height - 1))
        if at.min() < 1 or (at > (width - 2, height - 2)).any():
            continue
        if placed and np.hypot(*np.moveaxis(at - np.array(placed), -1, 0)).min() < apart:
            continue
        if not any(_covered(at, other, limbs) for other in placed):
            placed.append(at)
    raise ValueError(f"{people} people do not fit on {size_wh} cells")


def _covered(one: NDArray[Any], other: NDArray[Any], limbs: Any, near: float = 1.5) -> bool:
    """Whether a limb of one person ends on the same limb of the other."""
    if not len(limbs):
        return False
    a, b = np.array([limb[:2] for limb in limbs]).T
    for mine, theirs in ((one, other), (other, one)):
        line = theirs[b] - theirs[a]
        for end in (mine[a], mine[b]):
            share = ((end - theirs[a]) * line).sum(axis=1) / np.maximum((line * line).sum(axis=1), 1e-9)
            nearest = theirs[a] + line * np.clip(share, 0, 1)[:, None]
            if np.hypot(*(end - nearest).T).min() < near:
                return True
    return False


def heatmaps(people: NDArray[Any], size_wh: tuple[int, int], sigma: float = 1.0) -> NDArray[np.float32]:
    """(H, W, K) a bump of height 1 at every joint, the highest of all people's; NaN joints give none."""
    columns, rows = np.arange(size_wh[0]), np.arange(size_wh[1])[:, None]
    maps = np.zeros((size_wh[1], size_wh[0], people.shape[1]))
    for person in people:
        for k, (x, y) in enumerate(person):
            if np.isfinite(x):
                bump = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
                maps[..., k] = np.maximum(maps[..., k], bump)
    return maps.astype(F)


def fields(
    people: NDArray[Any], limbs: Any, channels: int, size_wh: tuple[int, int], half_width: float = 1.0
) -> NDArray[np.float32]:
    """(H, W, channels) unit vectors along every limb, within `half_width` cells of it; their mean where several lie."""
    columns, rows = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    field = np.zeros((size_wh[1], size_wh[0], channels))
    for a, b, channel_x, channel_y in limbs:
        covered = np.zeros(columns.shape)
        for person in people:
            (x0, y0), (x1, y1) = person[a], person[b]
            length = np.hypot(x1 - x0, y1 - y0)
            if not length > 0:
                continue
            ux, uy = (x1 - x0) / length, (y1 - y0) / length
            along = (columns - x0) * ux + (rows - y0) * uy
            across = abs((columns - x0) * uy - (rows - y0) * ux)
            on = (along >= -half_width) & (along <= length + half_width) & (across <= half_width)
            field[on, channel_x] += ux
            field[on, channel_y] += uy
            covered += on
        field[..., [channel_x, channel_y]] /= np.maximum(covered, 1)[..., None]
    return field.astype(F)


def quantise(head: NDArray[Any], dtype: str, low: float, high: float) -> tuple[NDArray[Any], float, int]:
    """The head in another type, with its scale and zero point; float32 stays as it is."""
    if dtype == "float32":
        return head.astype(F), 1.0, 0
    limits = np.iinfo(dtype)
    scale = (high - low) / (limits.max - limits.min)
    zero = round(limits.min - low / scale)
    return np.clip(np.rint(head / scale) + zero, limits.min, limits.max).astype(dtype), scale, zero


def raw_heads(
    real: Mapping[str, tuple[NDArray[Any], float, float]], dtype: str
) -> tuple[dict[str, NDArray[Any]], dict[str, HeadSpec]]:
    """Role -> (real head, low, high) as raw heads of one type, and what a decoder is told of them."""
    heads, specs = {}, {}
    for role, (head, low, high) in real.items():
        heads[role], scale, zero = quantise(head, dtype, low, high)
        specs[role] = HeadSpec(role, head.shape, np.dtype(dtype), scale, zero)
    return heads, specs


def crossings(people: NDArray[Any], limbs: Any) -> int:
    """How many times a limb crosses the same limb of somebody else."""

    def side(p: Any, q: Any, r: Any) -> Any:
        return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    count = 0
    for a, b, *_ in limbs:
        for i, one in enumerate(people):
            for other in people[:i]:
                s = [side(one[a], one[b], other[a]), side(one[a], one[b], other[b])]
                t = [side(other[a], other[b], one[a]), side(other[a], other[b], one[b])]
                count += s[0] * s[1] < 0 and t[0] * t[1] < 0
    return count


def match(found: NDArray[Any], people: NDArray[Any], near: float) -> list[int]:
    """For each known person the index in `found` of one with all joints within `near`; -1 where there is none."""
    indices = []
    for person in people:
        known = np.isfinite(person[:, 0])
        miss = np.hypot(*np.moveaxis(found - person, -1, 0))
        same = (np.isnan(found[..., 0]) == ~known).all(axis=1) & (np.where(known, miss, 0) <= near).all(axis=1)
        indices.append(int(np.argmax(same)) if same.any() else -1)
    return indices

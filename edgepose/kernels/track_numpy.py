"""The same functions as `track`, in numpy: the same answer but for rounding, where numba is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def read(xy: Array, coarse_xy: Array, score: Array, seen: Array, known: Array) -> None:
    """As track.read."""
    there: Array = np.isfinite(xy[..., 0]) & np.isfinite(xy[..., 1])
    known[:] = there.sum(axis=1)
    seen[..., :2] = np.where(there[..., None], xy, np.nan)
    seen[..., 2:4] = coarse_xy
    seen[..., 4] = score


def move(joints: Array, motion: Array, unseen_s: Array, step: float, width: float, height: float, laws: Array) -> None:
    """As track.move."""
    keep_s, unrest, coast_s = laws[:3]
    kept = np.exp(-step / keep_s)
    reach = keep_s * (1 - kept)
    by = motion[:, 1:3] * reach
    lost = unseen_s > 0
    if lost.any():
        middle = _middles(joints[lost, :, :2])
        by[lost] = np.clip(middle + by[lost], 0, (width, height)) - middle
        by[unseen_s >= coast_s] = 0
    joints[..., :4] += np.concatenate((by, by), axis=1)[:, None]
    motion[:, 3:5] += by
    motion[:, 1:3] *= kept
    both, speed = motion[:, 6].copy(), motion[:, 7].copy()
    unsure_speed = keep_s / 2 * (1 - kept * kept)
    motion[:, 5] += reach * (2 * both + reach * speed) + unrest * keep_s * keep_s * (step - 2 * reach + unsure_speed)
    motion[:, 6] = kept * (both + reach * speed) + unrest * reach * reach / 2
    motion[:, 7] = kept * kept * speed + unrest * unsure_speed


def alike(
    joints: Array, motion: Array, unseen_s: Array, trust: Array, seen: Array, looseness: Array, laws: Array,
    value: Array, off: Array, common: Array,
) -> None:  # fmt: skip
    """As track.alike."""
    most_lost, slack, stopped, least, limb_s = laws[3:8]
    ours, theirs = joints[..., :2], seen[..., :2]
    known, seen_known = (~np.isnan(xy[..., 0]) for xy in (ours, theirs))
    common[:] = known.astype(float) @ seen_known.T
    for axis in range(2):
        here, there = np.where(known, ours[..., axis], 0), np.where(seen_known, theirs[..., axis], 0)
        off[..., axis] = (known @ there.T - here @ seen_known.T) / np.maximum(common, 1)
    size2 = motion[:, 0] ** 2
    spread = -0.5 / ((np.minimum(motion[:, 5], most_lost) + slack) * size2)[:, None]
    on = np.exp(spread * (off**2).sum(axis=2))
    still = np.exp(spread * ((off + motion[:, None, 3:5]) ** 2).sum(axis=2))
    value[:] = trust[:, None] * np.maximum(on, stopped * still) * common / (common + 1)
    value[value < least] = 0
    m, n = value.nonzero()
    pose = -0.5 / (np.minimum(1 + unseen_s / limb_s, 3) ** 2 * size2)
    distance2 = ((theirs[n] - ours[m] - off[m, n, None]) ** 2).sum(axis=2)
    similar = np.exp(pose[m, None] / looseness * distance2)
    value[m, n] *= 0.5 + 0.5 * np.where(known[m] & seen_known[n], similar, 0).sum(axis=1) / common[m, n]
    value[value < least] = 0


def follow(
    joints: Array, motion: Array, unseen_s: Array, seen: Array, of: Array, off: Array, common: Array, laws: Array
) -> None:
    """As track.follow."""
    noise, joint_s, shrink_s = laws[8:]
    m = np.flatnonzero(of >= 0)
    if not len(m):
        return
    n = of[m]
    own, there, to = motion[m], seen[n], off[m, n]
    known = ~np.isnan(there[..., 0])
    certain = 1 / (own[:, 5] + noise * joints.shape[1] / common[m, n])
    gain, gain_speed = own[:, 5] * certain, own[:, 6] * certain
    joint = joints[m]
    joint[..., :2] = np.where(
        known[..., None],
        there[..., :2] - ((1 - gain)[:, None] * to)[:, None],
        joint[..., :2] + (gain[:, None] * to)[:, None],
    )
    joint[..., 2:4] = there[..., 2:4]
    joint[..., 4] = np.where(known, there[..., 4], joint[..., 4])
    joint[..., 5] = np.where(known, 0, joint[..., 5] + unseen_s[m, None])
    joint[joint[..., 5] > joint_s, :2] = np.nan
    joints[m] = joint
    box = (np.fmax.reduce(joint[..., :2], axis=1) - np.fmin.reduce(joint[..., :2], axis=1)).max(axis=1)
    own[:, 0] = np.maximum(own[:, 0] * 0.5 ** (unseen_s[m] / shrink_s), box)
    own[:, 1:3] += gain_speed[:, None] * to
    own[:, 3:5] = 0
    own[:, 7] -= gain_speed * own[:, 6]
    own[:, 5:7] *= (1 - gain)[:, None]
    motion[m] = own


def _middles(xy: Array) -> Array:
    """(M, 2) mean of the known joints (M, K, 2)."""
    known = ~np.isnan(xy)
    middle: Array = np.where(known, xy, 0).sum(axis=1) / known.sum(axis=1)
    return middle

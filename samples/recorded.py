"""Recorded motion seen by a made-up camera and a detector as noisy as a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import H36M17
from edgepose.follow.smooth import Smoother
from edgepose.kernels import Choice
from samples.people import poses

NOISE = 0.0075
"""A detector's noise on each axis, body sizes: MoveNet Lightning's on a person 222 pixels high, tfjs_pose_1.mp4."""
DELAYS_S = (0.05, 0.08, 0.12)


def clips(mocap: Path) -> list[NDArray[np.float64]]:
    """24 clips (T, 17, 2) at 30 Hz, up to 12 s each, seen by a camera 4 m away: people some 260 pixels high."""
    seen = []
    with np.load(mocap) as file:
        for index, name in enumerate(file.files):
            world = file[name].astype(np.float64)
            root = world[:, 0]
            turn = 0.7 * index
            across = np.array(((np.cos(turn), 0, np.sin(turn)), (0, 1, 0), (-np.sin(turn), 0, np.cos(turn))))
            x, y, z = np.moveaxis((world - (root.min(0) + root.max(0)) / 2) @ across.T, -1, 0)
            depth = z + 4 + max(0.0, -float(z.min()) - 1.5)
            seen.append(np.stack((320 + 600 * x / depth, 240 - 600 * y / depth), axis=-1)[:360])
    return seen


def detected(true: list[NDArray[np.float64]], noise: float = NOISE) -> list[NDArray[np.float64]]:
    """The clips as a detector sees them: white noise, its spread a share of the person's size in that frame."""
    rng = np.random.default_rng(0)
    return [
        clip + rng.normal(size=clip.shape) * noise * np.ptp(clip, axis=1).max(axis=1)[:, None, None] for clip in true
    ]


def told_by(cfg: config.Smooth, noisy: list[NDArray[np.float64]], loops: Choice = "numpy") -> list[NDArray[np.float64]]:
    """What the stage makes of each clip, all of them people of one camera."""
    stage = Smoother(cfg, H36M17, live=False, kernels=loops)
    told: list[list[NDArray[Any]]] = [[] for _ in noisy]
    for index in range(max(map(len, noisy))):
        here = [clip for clip in range(len(noisy)) if index < len(noisy[clip])]
        xy = np.array([noisy[clip][index] for clip in here], np.float32)
        made = poses(
            len(here), t=index / 30, size_wh=(640, 480), skeleton=H36M17, xy=xy, track_id=np.array(here, np.int32) + 1
        )
        for clip, one in zip(here, stage.update(made).xy, strict=True):
            told[clip].append(one)
    return [np.array(one, np.float64) for one in told]


def miss(told: list[NDArray[np.float64]], true: list[NDArray[np.float64]], delay_s: float) -> float:
    """Mean distance, body sizes, of what is told of a moment to where joints are `delay_s` later; after 0.5 s."""
    from scipy.interpolate import CubicSpline

    misses = []
    for one, clip in zip(told, true, strict=True):
        times = np.arange(len(clip)) / 30
        known = (times + delay_s <= times[-1]) & (times >= 0.5)
        later = CubicSpline(times, clip)(times[known] + delay_s)
        size = np.median(np.ptp(clip, axis=1).max(axis=1))
        misses.append(np.linalg.norm(one[known] - later, axis=-1).ravel() / size)
    return float(np.concatenate(misses).mean())

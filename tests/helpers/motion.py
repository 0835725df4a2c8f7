"""People who walk as told, and what a camera would make of them: every place and identity is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17, Poses, Skeleton
from samples.crowds import STANDING

F = np.float32
Path = Callable[[float], tuple[float, float]]
"""Seconds -> where the middle of the body is, pixels."""

SIZE_WH = (640, 480)

SWING = {"wrist": 0.12, "elbow": 0.05, "knee": 0.05, "ankle": 0.12}
"""How far limbs swing along x, in body heights; left and right against each other."""

STRIDE_HZ = 0.9
LEAST_JOINTS = 4
"""Nobody is found by fewer."""


@dataclass(frozen=True)
class Walker:
    """Somebody whose place is known at any time."""

    path: Path
    tall: float = 200.0
    """Pixels."""
    there: tuple[tuple[float, float], ...] = ((-math.inf, math.inf),)
    """Seconds from and until which they are to be seen at all."""
    score: float = 0.8
    phase: float = 0.0
    """Of the stride, radians."""

    def joints(self, t: float, skeleton: Skeleton = COCO17) -> NDArray[np.float64]:
        """(K, 2) pixels at `t`."""
        shape = [STANDING.get(name, _somewhere(index)) for index, name in enumerate(skeleton.joints)]
        xy: NDArray[np.float64] = np.array(shape) * self.tall + np.array(self.path(t))
        for k, name in enumerate(skeleton.joints):
            side, _, part = name.partition("_")
            way = 1 if side == "left" else -1
            angle = 2 * math.pi * STRIDE_HZ * t + self.phase
            xy[k, 0] += way * SWING.get(part, 0.0) * self.tall * math.sin(angle)
        return xy

    def is_there(self, t: float) -> bool:
        """Whether they are to be seen at all."""
        return any(start <= t < end for start, end in self.there)


@dataclass(frozen=True)
class Scene:
    """Walkers in front of a camera."""

    walkers: Sequence[Walker]
    size_wh: tuple[int, int] = SIZE_WH
    skeleton: Skeleton = COCO17
    pillars: Sequence[tuple[float, float]] = ()
    """Ranges of x behind which nothing is seen."""
    noise: float = 0.01
    """Standard deviation of a seen joint, in body heights."""
    misses: float = 0.0
    """Share of joints that are not found."""
    split: Callable[[int, float], bool] = field(default=lambda *_: False)
    """Whether a walker is found as two halves, upper and lower, at a time."""

    def frame(self, t: float, rng: np.random.Generator, seq: int = 0) -> tuple[Poses, list[int]]:
        """What is found at `t`, best first, and the walker whom each row shows."""
        found = [
            (walker.score + 0.01 * rng.standard_normal(), who, xy)
            for who, walker in enumerate(self.walkers)
            if walker.is_there(t)
            for xy in self._seen(who, walker, t, rng)
        ]
        found.sort(key=lambda one: -one[0])
        joints = len(self.skeleton.joints)
        xy = np.array([one for _, _, one in found], F).reshape(-1, joints, 2)
        return poses_of(xy, [score for score, _, _ in found], t, seq, self.size_wh, self.skeleton), [
            who for _, who, _ in found
        ]

    def film(self, times: Iterable[float], seed: int = 0) -> Iterator[tuple[Poses, list[int]]]:
        """A frame at each of the times."""
        rng = np.random.default_rng(seed)
        for seq, t in enumerate(times):
            yield self.frame(t, rng, seq)

    def _seen(self, who: int, walker: Walker, t: float, rng: np.random.Generator) -> list[NDArray[np.float64]]:
        xy = walker.joints(t, self.skeleton)
        width, height = self.size_wh
        hidden = (xy < 0).any(axis=1) | (xy[:, 0] > width - 1) | (xy[:, 1] > height - 1)
        for left, right in self.pillars:
            hidden |= (xy[:, 0] >= left) & (xy[:, 0] <= right)
        hidden |= rng.random(len(xy)) < self.misses
        xy = xy + self.noise * walker.tall * rng.standard_normal(xy.shape)
        xy[hidden] = np.nan
        least = min(LEAST_JOINTS, len(xy))
        if not self.split(who, t):
            return [xy] if (~hidden).sum() >= least else []
        upper = np.where((np.arange(len(xy)) < len(xy) // 2 + 3)[:, None], xy, np.nan)
        lower = np.where((np.arange(len(xy)) >= len(xy) // 2 + 3)[:, None], xy, np.nan)
        return [half for half in (upper, lower) if (~np.isnan(half[:, 0])).sum() >= least]


def _somewhere(index: int) -> tuple[float, float]:
    """A place of its own for a joint that STANDING does not know."""
    return 0.15 * math.cos(2.4 * index), 0.08 * index - 0.4


def poses_of(
    xy: NDArray[np.floating],
    person_score: Sequence[float],
    t: float,
    seq: int = 0,
    size_wh: tuple[int, int] = SIZE_WH,
    skeleton: Skeleton = COCO17,
) -> Poses:
    """Poses (N, K, 2) that no one has tracked."""
    xy = np.asarray(xy, F)
    return Poses(
        t=t,
        taken_t=t,
        seq=seq,
        name="",
        size_wh=size_wh,
        skeleton=skeleton,
        xy=xy,
        score=np.where(np.isnan(xy[..., 0]), 0, 0.8).astype(F),
        person_score=np.array(person_score, F),
        track_id=np.full(len(xy), -1, np.int32),
        coarse_xy=xy + F(1),
    )


def standing(x: float, y: float = 240.0) -> Path:
    """Stays where it is."""
    return lambda _: (x, y)


def walking(x: float, speed: float, y: float = 240.0) -> Path:
    """Is at x at t = 0 and goes `speed` pixels a second to the right."""
    return lambda t: (x + speed * t, y)


def swaying(x: float, reach: float, hz: float, y: float = 240.0) -> Path:
    """Goes to and fro around x."""
    return lambda t: (x + reach * math.sin(2 * math.pi * hz * t), y)


def at_rate(hz: float, seconds: float, start: float = 0.0) -> list[float]:
    """Time stamps of a steady camera."""
    return [start + index / hz for index in range(round(hz * seconds))]

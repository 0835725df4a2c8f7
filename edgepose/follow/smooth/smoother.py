"""The stage: Poses -> Poses, each tracked person's joints smoothed, and told for the moment they are used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import exp
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.core import config
from edgepose.core.poses import Poses, Skeleton
from edgepose.follow.smooth.kalman import DOUBT_S, LONGEST_S, Kalman
from edgepose.follow.smooth.one_euro import PRESETS, OneEuro, Tuning
from edgepose.follow.smooth.people import Array, People, Seen, grown
from edgepose.kernels import Choice

USUAL_S = 1.0
"""Time constant of a person's size and of what score is usual for a joint."""
DOUBTFUL = 0.6
"""A joint whose score falls below this share of its usual one counts less, by the square; detectors waver less."""
LEAST_WEIGHT = 0.05
"""And never less than this."""
UNKNOWN_SIZE = 0.25
"""Share of the picture's longer side that somebody is taken for of whom one joint at most is seen."""


class Smoother:
    """Smooths and predicts xy, and xyz in the same way; people without identity stay as they are.

    Without prediction joints go through One Euro filters. With it, Kalman filters are fed with the joints as measured,
    and what they tell is the answer: at rest they are as calm as `light`, in motion they do not lag. `strong` and
    `custom` put their One Euro filters behind them. A joint's score is multiplied by exp(-horizon / 0.5 s).

    live    frames come from a camera, on the clock `clock`; of a recording "send" means predict_ms after capture
    """

    def __init__(
        self,
        cfg: config.Smooth,
        skeleton: Skeleton,
        live: bool,
        *,
        clock: Callable[[], float] = time.monotonic,
        kernels: Choice = "auto",
    ) -> None:
        self._live = live and cfg.predict == "send"
        self._predict_s = 0.0 if cfg.predict == "off" else cfg.predict_ms / 1e3
        self._clock = clock
        predicts = self._live or self._predict_s > 0
        tuning = _tuning(cfg)
        self.off = tuning is None and not predicts
        """True if every pose goes through unchanged."""
        if predicts and cfg.preset == "light":
            tuning = None
        self._people = People()
        if self.off:
            return
        loops = _loops(kernels)
        self._weigh = loops.weigh
        self._usual = np.zeros((0, len(skeleton.joints)))
        self._xy = _Channel(tuning, predicts, len(skeleton.joints), 2, loops)
        self._xyz = _Channel(tuning, predicts, len(skeleton.joints), 3, loops)
        self._warm_up(len(skeleton.joints))

    def __len__(self) -> int:
        """How many people it remembers."""
        return len(self._people)

    def update(self, poses: Poses) -> Poses:
        """The same people, their joints smoothed and predicted; NaN stays NaN."""
        if self.off:
            return poses
        for identity in poses.left:
            self._people.forget(identity)
        now, step = self._people.tick(poses.t)
        rows = np.flatnonzero(poses.track_id >= 0)
        if not len(rows):
            return poses
        seen = self._people.see(poses.track_id[rows].tolist(), now, step)
        self._grow()
        ahead_s = self._ahead_s(poses)
        every = len(rows) == len(poses)
        score = poses.score if every else poses.score[rows]
        kept = np.exp(seen.steps / -USUAL_S)
        weights = np.empty(score.shape)
        self._weigh(score.astype(np.float64), seen.slots, kept, DOUBTFUL, LEAST_WEIGHT, self._usual, weights)

        def moved(channel: _Channel, points: NDArray[np.float32], fallback: float) -> NDArray[np.float32]:
            mine = points if every else points[rows]
            new = channel.update(mine.astype(np.float64), weights, kept, fallback, seen, ahead_s).astype(np.float32)
            if every:
                return new
            mixed = points.copy()
            mixed[rows] = new
            return mixed

        xy = moved(self._xy, poses.xy, UNKNOWN_SIZE * max(poses.size_wh))
        xyz = None if poses.xyz is None else moved(self._xyz, poses.xyz, 1.0)
        if not ahead_s:
            return replace(poses, xy=xy, xyz=xyz)
        faded = poses.score.copy()
        faded[rows] *= np.float32(exp(-ahead_s / DOUBT_S))
        return replace(poses, xy=xy, xyz=xyz, score=faded, predicted_s=ahead_s)

    def _warm_up(self, joints: int) -> None:
        """Every kernel is compiled or read from its cache before the first frame."""
        nobody, none = Seen(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), 0.0, 0.0), np.zeros(0)
        weights = np.zeros((0, joints))
        self._weigh(weights, nobody.slots, none, DOUBTFUL, LEAST_WEIGHT, self._usual, weights)
        self._xy.update(np.zeros((0, joints, 2)), weights, none, 1.0, nobody, 0.0)

    def _ahead_s(self, poses: Poses) -> float:
        late_s = self._clock() - poses.taken_t if self._live else 0.0
        return min(max(late_s + self._predict_s, 0.0), LONGEST_S)

    def _grow(self) -> None:
        room = self._people.room
        if len(self._usual) < room:
            self._usual = grown(self._usual, room)
            self._xy.grow(room)
            self._xyz.grow(room)


class _Channel:
    """What is done with one kind of coordinates."""

    def __init__(self, tuning: Tuning | None, predicts: bool, joints: int, axes: int, loops: ModuleType) -> None:
        self._measure = loops.measure
        self._size = np.zeros(0)
        self._kalman = Kalman(joints, axes, loops) if predicts else None
        self._one_euro = OneEuro(tuning, joints, axes, loops) if tuning else None

    def grow(self, people: int) -> None:
        self._size = grown(self._size, people)
        for one in (self._kalman, self._one_euro):
            if one:
                one.grow(people)

    def update(self, points: Array, weights: Array, kept: Array, fallback: float, seen: Seen, ahead_s: float) -> Array:
        sizes = np.empty(len(points))
        self._measure(points, seen.slots, kept, fallback, self._size, sizes)
        if self._kalman:
            points = self._kalman.update(points, weights, sizes, seen, ahead_s)
        if self._one_euro:
            points = self._one_euro.update(points, weights, sizes, seen)
        return points


def _tuning(cfg: config.Smooth) -> Tuning | None:
    if cfg.preset == "custom":
        return Tuning(cfg.min_cutoff_hz, cfg.beta, cfg.d_cutoff_hz)
    return PRESETS.get(cfg.preset)


def _loops(choice: Choice) -> ModuleType:
    return kernels.family("smooth", choice)

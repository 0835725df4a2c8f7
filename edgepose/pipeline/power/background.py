"""What a scene looks like when nothing happens: a mean for each cell, and how much it wavers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgepose.pipeline.power.luma import LEVEL, Plane

Cells = NDArray[np.float32]
Mask = NDArray[np.bool_]

SMOOTH_S = 0.1
"""Time constant of the picture that is compared: sensor noise and fast flicker are averaged over it."""
MEAN_S = 8.0
"""Time constant of the background: longer than somebody slow stays in one cell."""
REFUTED_S = 2.0
"""The same where something changed and the finder said that it is nobody."""
NOISE_S = 40.0
"""Time constant of the noise."""
FIRST_S = 8.0
"""For so long after the start, or a new scene, mean and noise are the means of all that was seen since, ..."""
SETTLE_S, TRUST_S = 0.2, 2.0
"""... of this long at least: the mean; the noise, FIRST_NOISE counting for what is missing."""
LEARN_S = 0.2
"""The background is learnt so often."""
FIRST_NOISE, LEAST_NOISE, MOST_NOISE = 3.0 * LEVEL, 0.5 * LEVEL, 60.0 * LEVEL
"""Standard deviation of a cell, as planes count."""
OUTLIER = 3.0
"""A deviation counts as so many standard deviations at most: who walks by adds little, what goes on is learnt."""
NEAR = 4.0
"""Standard deviations up to which a cell says something of the light of its row."""
PATCH = 3
"""Side of the patches that are compared beside single cells."""
LINES = 16
"""Columns from which a row is wide enough to tell a band of light from what moves in it."""


class Background:
    """Learns a scene; says how far each cell is from it, in standard deviations."""

    def __init__(self, plane: Plane, t: float, ignored: Mask | None = None) -> None:
        """Start from one picture.

        ignored  (rows, columns) cells that never differ
        """
        self._ignored = ignored
        self.mean = plane.astype(np.float32)
        self._now = self.mean.copy()
        self._off, self._near = np.zeros_like(self.mean), np.zeros_like(self.mean)
        self._variance = np.full(plane.shape, FIRST_NOISE**2, np.float32)
        self._t = self._learnt_t = self._renewed_t = self._noise_t = t
        self._patch = np.zeros_like(self.mean)
        self._patch_variance = np.full(plane.shape, PATCH * PATCH, np.float32)
        """Of the sum of a patch's deviations; PATCH * PATCH where each wavers by itself."""
        self._light = np.zeros((plane.shape[0], 1), np.float32)
        """Of each row: how much brighter it is than the background, as a share."""
        self._left = self._left_learnt = 1.0
        """Of a picture's variance that averaging over SMOOTH_S leaves: at this frame rate; where noise was learnt."""
        self._use_noise()

    @property
    def noise(self) -> Cells:
        """(rows, columns) standard deviation, grey levels."""
        return (self._noise / LEVEL).astype(np.float32)

    def deviation(self, plane: Plane, t: float) -> tuple[Cells, Cells]:
        """(rows, columns) how far each cell, and the PATCH x PATCH around it, is from the background; signed.

        In standard deviations, of the cell's own noise and of the patch's: neighbours may waver together.
        """
        from edgepose.core.opencv import cv2

        share = _share(t - self._t, SMOOTH_S)
        self._t, self._left = t, share / (2 - share)
        cv2.accumulateWeighted(plane, self._now, share)
        np.subtract(self._now, self.mean, out=self._off)
        if self._off.shape[1] >= LINES:
            self._follow_light()
        z: Cells = np.multiply(self._off, self._weight, out=self._near)
        if self._left > self._left_learnt:
            z *= np.float32(math.sqrt(self._left_learnt / self._left))
        cv2.boxFilter(z, -1, (PATCH, PATCH), self._patch, normalize=False)
        return z, self._patch * self._patch_weight

    def _follow_light(self) -> None:
        """Take out what brightens or darkens a whole row alike: bands of flickering lamps, exposure, drifting light."""
        from edgepose.core.opencv import cv2

        off, near = self._off, self._near
        off -= np.multiply(self.mean, self._light, out=near)
        near = np.minimum(np.maximum(off, self._least, out=near), self._most, out=near)
        more = cv2.reduce(near, 1, cv2.REDUCE_SUM) / self._row_sum
        off -= np.multiply(self.mean, more, out=near)
        self._light += more

    def learn(self, changed: Mask, refuted: bool, moving: Mask | None = None) -> None:
        """Take the picture last compared into the background.

        changed  (rows, columns) cells that differ
        refuted  the finder looked, and nobody is there
        moving   (rows, columns) cells of people who move: how much these waver is not the scene's doing
        """
        since_s = self._t - self._learnt_t
        if since_s < LEARN_S:
            return
        self._learnt_t = self._t
        self._learn_mean(since_s, changed if refuted else None)
        share = max(_share(since_s, NOISE_S), _first(since_s, self._t - self._noise_t, TRUST_S))
        for values, variance in ((self._off, self._variance), (self._patch, self._patch_variance)):
            step = np.minimum(values * values, np.float32(OUTLIER**2) * variance)
            step -= variance
            if moving is not None:
                step[moving] = 0
            variance += step * np.float32(share)
        np.clip(self._variance, LEAST_NOISE**2, MOST_NOISE**2, out=self._variance)
        np.maximum(self._patch_variance, PATCH * PATCH, out=self._patch_variance)
        self._left_learnt += share * (self._left - self._left_learnt)
        self._use_noise()

    def _learn_mean(self, since_s: float, refuted: Mask | None) -> None:
        from edgepose.core.opencv import cv2

        share = max(_share(since_s, MEAN_S), _first(since_s, self._t - self._renewed_t, SETTLE_S))
        if refuted is not None and refuted.any():
            step = self._off[refuted]  # without the light, which is the row's
            self.mean[refuted] += step * np.float32(_share(since_s, REFUTED_S))
        cv2.accumulateWeighted(self._now, self.mean, share)

    def renew(self, plane: Plane, t: float) -> None:
        """Start anew from this picture, with the noise known so far as a first guess."""
        self.mean[...] = self._now[...] = plane
        self._light[...] = 0
        self._t = self._learnt_t = self._renewed_t = t
        self._noise_t = t - FIRST_S / 2

    def _use_noise(self) -> None:
        self._noise = np.sqrt(self._variance)
        self._most = NEAR * self._noise
        self._row_sum = np.maximum(self.mean.sum(axis=1, keepdims=True), 1)
        self._weight: Cells = np.reciprocal(self._noise)
        if self._ignored is not None:
            self._weight[self._ignored] = self._most[self._ignored] = 0
        self._least = -self._most
        self._patch_weight: Cells = np.reciprocal(np.sqrt(self._patch_variance))


def _share(step_s: float, constant_s: float) -> float:
    return 1 - math.exp(-step_s / constant_s)


def _first(step_s: float, age_s: float, least_s: float) -> float:
    """Share of the latest in the mean of all since the start; 0 once that was FIRST_S ago."""
    return min(1.0, step_s / max(age_s, least_s)) if age_s < FIRST_S else 0.0

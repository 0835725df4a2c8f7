"""Where joints will be: Kalman filters of constant velocity, with any time step.

The model, in body sizes and seconds. Each joint has a place and a speed; so has the body as a whole, by what all joints
do together: a detector's noise is each joint's own, so the body's speed is known much better than a joint's. A joint
moves with the sum of both. From plain constant velocity it differs where recorded motion asked for it:

- Speeds fade (DAMP_S): limbs turn round. It bounds every prediction to speed * DAMP_S.
- A speed changes by more the faster it is (q grows with it): at rest the noise is averaged away, in motion not.
- The noise of a measurement is learned for each person: innovations that keep their sign say that the filter lags and
  the noise is less than thought, those that alternate that it is more. A far person's joints are much noisier.
- A jump, beyond two standard deviations, moves the place; the speed moves as for two, but its variance grows, so that
  it follows if the joint moves on: detectors mistake a left leg for a right one and back again.
- Trust: how much of the steps announced in the last second came true, 0 to 1, is how much is announced of the next.

It is fed with joints as measured, never with smoothed ones, which lag: their speed would come too late.
"""

from __future__ import annotations

from math import exp
from types import ModuleType

import numpy as np

from edgepose.follow.smooth.people import Array, Seen, grown

DAMP_S, BODY_DAMP_S, MEMORY_S = 0.3, 0.6, 1.0
"""Time constants: a joint's speed, the body's, and what trust remembers."""
TUNING = np.array((
    0.003, 1.6,             # q at rest, body sizes^2 / s^3, and more per body size a second, of a joint
    0.003, 0.8,             # of the body
    0.0075**2,              # variance of a measurement at first, body sizes^2
    0.002**2, 0.05**2,      # and its bounds
    0.1,                    # rate at which it is learned
    2.0,                    # Huber's limit, standard deviations
    0.3,                    # variance of a speed at first, (body sizes / s)^2
    0.5,                    # longest move announced, body sizes
    0.2,                    # share of a jump's speed that opens the speed's variance
))  # fmt: skip
LONGEST_S = 0.5
"""Furthest ahead that anything is told."""
DOUBT_S = 0.5
"""A joint's score falls to 1/e over this horizon."""


class Kalman:
    """Filters for each joint of each person."""

    def __init__(self, joints: int, axes: int, kernels: ModuleType) -> None:
        self._kernels = kernels
        shapes = ((joints, axes),) * 3 + ((joints, 5), (joints,), (axes + 4,))
        self._state = [np.zeros((0, *shape)) for shape in shapes]
        self._work = np.zeros((joints, axes + 1))

    def grow(self, people: int) -> None:
        """Make room for that many."""
        self._state = [grown(old, people) for old in self._state]

    def update(self, points: Array, weights: Array, sizes: Array, seen: Seen, ahead_s: float) -> Array:
        """Where the points will be `ahead_s` later.

        points   (N, K, D) as measured
        weights  (N, K)
        sizes    (N,)
        """
        out = np.empty(points.shape)
        ahead = np.array((act(DAMP_S, ahead_s), act(BODY_DAMP_S, ahead_s)))
        self._kernels.kalman(
            points, weights, sizes, seen.slots, _steps(seen.steps), seen.oldest, seen.now, TUNING, ahead,
            *self._state, self._work, out,
        )  # fmt: skip
        return out


_RATES = -1 / np.array((DAMP_S, BODY_DAMP_S, MEMORY_S))
_TIMES = np.array((DAMP_S, BODY_DAMP_S))


def _steps(since: Array) -> Array:
    """(N, 6) what a step does, as the kernel takes it."""
    steps = np.empty((len(since), 6))
    steps[:, 0] = since
    np.exp(np.multiply.outer(since, _RATES), out=steps[:, 3:])
    np.multiply(_TIMES, 1 - steps[:, 3:5], out=steps[:, 1:3])
    steps[np.isinf(since), 0] = 0
    return steps


def act(damp_s: float, ahead_s: float) -> float:
    """Seconds of full speed that a fading one makes in `ahead_s`."""
    return damp_s * (1 - exp(-ahead_s / damp_s))

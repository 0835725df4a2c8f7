"""Who lies, hangs or bends is looked at once more, turned as they are: models know people upright."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Skeleton
from edgepose.estimate.boxes import TORSO

AGAIN_S, MOST_AGAIN_S = 0.3, 5.0
"""Seconds between two tries with the same person; twice as long after each that showed no more."""
TIPPED = 35.0
"""Degrees from upright from which the last torso says how to turn; else the sides are tried."""
SIDES = (90.0, -90.0, 180.0)


class _Tried(NamedTuple):
    t: float
    tries: int


class SecondLook:
    """Which way each person is turned for the refiner."""

    def __init__(self, skeleton: Skeleton) -> None:
        names = skeleton.joints
        self._torso = [names.index(name) for name in TORSO] if set(TORSO) <= set(names) else []
        self._turned: dict[int, float] = {}
        """Identity -> degrees by which they were seen best."""
        self._tried: dict[int, _Tried] = {}

    def keep(self, identities: set[int]) -> None:
        """Forget all others."""
        self._turned = {who: turn for who, turn in self._turned.items() if who in identities}
        self._tried = {who: tried for who, tried in self._tried.items() if who in identities}

    def now(self, identity: int, before: NDArray[np.float32] | None) -> float:
        """Degrees by which somebody is turned in a first look; who stands again is not."""
        turned = self._turned.get(identity, 0.0)
        axis = self._axis(before) if turned else None
        return 0.0 if axis is not None and abs(axis) < TIPPED else turned

    def other(self, identity: int, before: NDArray[np.float32] | None, t: float) -> float | None:
        """Degrees of a second look; None: one was tried just now."""
        last = self._tried.get(identity, _Tried(-math.inf, 0))
        if 0 <= t - last.t < min(AGAIN_S * 2 ** max(last.tries - 1, 0), MOST_AGAIN_S):
            return None
        self._tried[identity] = _Tried(t, last.tries + 1)
        if self.now(identity, before):
            return 0.0
        lies = self._axis(before)
        if lies is not None and abs(lies) >= TIPPED and last.tries % 2 == 0:
            return lies
        return SIDES[last.tries // 2 % len(SIDES)]

    def worked(self, identity: int, degrees: float) -> None:
        """They are seen better turned like that."""
        self._turned[identity] = degrees
        self._tried[identity] = _Tried(self._tried[identity].t, 0) if identity in self._tried else _Tried(-math.inf, 0)

    def lies(self, before: NDArray[np.float32] | None) -> bool:
        """Whether the last torso was tipped over."""
        axis = self._axis(before)
        return axis is not None and abs(axis) >= TIPPED

    def _axis(self, xy: NDArray[np.float32] | None) -> float | None:
        """Degrees clockwise from the frame's up to the direction from the hips to the shoulders; None: not known."""
        if xy is None or not self._torso:
            return None
        shoulders, hips = (xy[part][~np.isnan(xy[part, 0])] for part in (self._torso[:2], self._torso[2:]))
        if not len(shoulders) or not len(hips):
            return None
        x, y = shoulders.mean(axis=0) - hips.mean(axis=0)
        return round(math.degrees(math.atan2(x, -y)) / 15) * 15.0

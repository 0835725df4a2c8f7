"""What goes to and fro, whatever it is: repetitions without a word about the exercise."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.body import Body

Floats = NDArray[np.float64]


class Periods:
    """Looks for a period in the last seconds of each station."""

    least = 0.5

    def __init__(self, min_period_s: float, max_period_s: float) -> None:
        self._shortest, self._longest = min_period_s, max_period_s
        self.score = np.zeros(0)
        """(S,) how periodic it is."""

    def grow(self, room: int) -> None:
        """Room for so many slots."""
        self.score = np.concatenate((self.score, np.zeros(room - len(self.score))))

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self.score[slot] = 0.0

    def update(self, body: Body) -> Iterable[tuple[int, float, float, float]]:
        """Each repetition found with this frame: person, when it was done, its period, how periodic."""
        return ()

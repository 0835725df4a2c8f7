"""How sure it is that a track is a person: evidence of many looks, which are not independent of each other.

A look says a chance; its logarithm of odds is evidence. Of n looks that agree with each other as ALIKE says, the mean
counts n / (1 + (n - 1) ALIKE) times: fifteen equal pictures of a table's foot are hardly more than two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

ALIKE = 0.35
"""Correlation of what two looks at the same thing say."""
WINDOW = 12
"""Looks over which the mean is taken; older ones fade."""
MOST = 5.0
"""No single look says more, log-odds."""
JUDGED = 8
"""Looks after which who is not believed is nobody, until something changes."""


def log_odds(chance: float | Floats) -> Floats:
    """Of a chance 0..1, within MOST on both sides; of what is no chance, the least."""
    known = np.nan_to_num(np.asarray(chance, np.float64), nan=0.0)
    odds = np.clip(known, 1e-9, 1 - 1e-9)
    return np.clip(np.log(odds / (1 - odds)), -MOST, MOST)


def gather(mean: Floats, looks: Index, chance: Floats, seen: NDArray[np.bool_]) -> tuple[Floats, Index]:
    """Mean log-odds and number of looks (M,) with one look more at those seen."""
    looks = looks + seen
    share = 1 / np.clip(looks, 1, WINDOW)
    return np.where(seen, mean + share * (log_odds(chance) - mean), mean), looks


def belief(mean: Floats, looks: Index) -> Floats:
    """(M,) log-odds of being a person."""
    return mean * looks / (1 + (np.maximum(looks, 1) - 1) * ALIKE)

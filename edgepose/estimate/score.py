"""How sure it is that somebody is there: raw scores become chances, so that 0.5 means the same for every model."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F = np.float32
LEAST = 1e-4
"""Raw scores below it say no more than it does."""


class Logistic(NamedTuple):
    """chance = 1 / (1 + exp(-(bias + weights . features))). Source: Platt 1999, on the logarithm of the score."""

    bias: float
    weights: tuple[float, ...]

    def __call__(self, *features: float) -> float:
        """The chance, 0..1, that features of this kind belong to a person."""
        total = self.bias + sum(weight * feature for weight, feature in zip(self.weights, features, strict=True))
        return 1 / (1 + math.exp(-total)) if total > -700 else 0.0


def log(score: float) -> float:
    """Logarithm of a raw score, as the chances take it; a NaN is no score."""
    return math.log(score) if score > LEAST else math.log(LEAST)


def more(chance: float, by: float) -> float:
    """The chance whose log-odds are larger by so much."""
    return chance / (chance + (1 - chance) * math.exp(-by)) if chance > 0 else 0.0


def chances(raw: NDArray[np.float32], chance: Logistic | None) -> NDArray[np.float32]:
    """(N,) chances of raw scores (N,); None: these are chances already, or the best there is."""
    if chance is None:
        return raw
    return np.array([chance(log(float(score))) for score in raw], F)


def raw_of(chance: float, bias: float, slope: float) -> float:
    """The raw score whose chance is this."""
    if chance <= 0:
        return 0.0
    if chance >= 1:
        return 1.0
    return min(1.0, math.exp((math.log(chance / (1 - chance)) - bias) / slope))

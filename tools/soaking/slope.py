"""Does it grow? A straight line through what was measured, and how sure that line is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

BLOCKS = 12
STUDENT_95 = 2.228
"""Of Student's t with BLOCKS - 2 degrees of freedom: 95 of 100 true slopes lie within so many standard errors."""
LEAST = 4 * BLOCKS
"""Fewer samples tell nothing."""


class Slope(NamedTuple):
    """Per unit of x, with its 95 % interval."""

    slope: float
    low: float
    high: float
    span: float
    """From the first x to the last."""

    def level(self, resolution: float) -> bool:
        """Indistinguishable from 0: the interval holds 0, or all of the span adds less than `resolution` to y."""
        return self.low <= 0 <= self.high or abs(self.slope) * self.span < resolution

    def verdict(self, resolution: float, unit: str) -> str:
        """Which of the two it is, in words."""
        if self.low <= 0 <= self.high:
            return "indistinguishable from 0"
        if self.level(resolution):
            return (
                f"{abs(self.slope) * self.span:.2f} {unit} in all, less than can be told from 0 ({resolution:g} {unit})"
            )
        return "NOT 0"


def slope(x: ArrayLike, y: ArrayLike) -> Slope | None:
    """Least squares through the means of BLOCKS equal blocks; None: too few samples.

    Neighbours are alike (memory comes in steps), so samples one by one would look surer than they are. Means are less
    alike; what likeness is left (of the residuals, one block apart) widens the interval.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < LEAST:
        return None
    blocks = np.array_split(np.arange(len(x)), BLOCKS)
    across = np.array([x[block].mean() for block in blocks])
    up = np.array([y[block].mean() for block in blocks])
    centred = across - across.mean()
    steepness = float(centred @ up / (centred @ centred))
    residual = up - up.mean() - steepness * centred
    error = float(np.sqrt(residual @ residual / (BLOCKS - 2) / (centred @ centred)))
    if residual.any():
        alike = float(residual[1:] @ residual[:-1] / (residual @ residual))
        error *= float(np.sqrt((1 + max(0.0, alike)) / max(0.05, 1 - max(0.0, alike))))
    return Slope(steepness, steepness - STUDENT_95 * error, steepness + STUDENT_95 * error, float(x[-1] - x[0]))

"""Slow, obvious twins of kernels/heatmap.py: one joint at a time, plain Python numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def peak(heat: NDArray[Any]) -> tuple[int, int]:
    """Row and column of the highest value of one map, the first of equals in row order."""
    best = (0, 0)
    for y, x in np.ndindex(*heat.shape):
        if heat[y, x] > heat[best]:
            best = (y, x)
    return best


def window(real: NDArray[np.float64], cell: tuple[int, int], size: int, smooth: int) -> NDArray[np.float64]:
    """The window around a cell after a Gaussian of `smooth` cells, narrowed near the border; -inf outside the map."""
    half, widest = size // 2, smooth // 2
    sigma = 0.3 * (widest - 1) + 0.8

    def kernel(axis: int) -> dict[int, float]:
        room = min(cell[axis] - half, real.shape[axis] - 1 - half - cell[axis])
        reach = max(0, min(widest, room))
        weights = {step: math.exp(-(step**2) / (2 * sigma**2)) for step in range(-reach, reach + 1)}
        return {step: weight / sum(weights.values()) for step, weight in weights.items()}

    rows, columns = kernel(0), kernel(1)
    out = np.full((size, size), -np.inf)
    for i, j in np.ndindex(size, size):
        y, x = cell[0] - half + i, cell[1] - half + j
        if 0 <= y < real.shape[0] and 0 <= x < real.shape[1]:
            out[i, j] = sum(rows[dy] * columns[dx] * real[y + dy, x + dx] for dy in rows for dx in columns)
    return out

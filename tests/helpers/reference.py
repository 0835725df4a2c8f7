"""Slow, obvious twins of the kernels: one cell at a time, in the words of the definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

F = np.float32
Array = NDArray[Any]
Cell = tuple[int, int]


def nearest_center(center: Array, weight: Array, zero: float) -> Cell:
    """The cell with the highest (value - zero) * weight, the first in row order of equal ones."""
    best, at = -math.inf, (0, 0)
    for y, x in np.ndindex(center.shape):
        value = float((F(center[y, x]) - F(zero)) * weight[y, x])
        if value > best:
            best, at = value, (y, x)
    return at


def center_peaks(center: Array, least: Any, radius: int, most: int) -> list[Cell]:
    """Cells that no cell within `radius` beats, highest first; of equal neighbours the first in row order wins."""
    height, width = center.shape
    peaks = []
    for y, x in np.ndindex(center.shape):
        if center[y, x] < least:
            continue
        window = [
            (-float(center[j, i]), j, i)
            for j in range(max(0, y - radius), min(height, y + radius + 1))
            for i in range(max(0, x - radius), min(width, x + radius + 1))
        ]
        if min(window)[1:] == (y, x):
            peaks.append((-float(center[y, x]), y, x))
    return [(y, x) for _, y, x in sorted(peaks)][:most]


def joint_by_distance(heat: Array, zero: float, bias: float, start_yx: Array) -> Cell:
    """The cell with the highest value / (distance to start + bias); (-1, -1) where no value is above zero."""
    best, at = F(0), (-1, -1)
    for y, x in np.ndindex(heat.shape):
        dy, dx = F(y) - start_yx[0], F(x) - start_yx[1]
        weighted = (F(heat[y, x]) - F(zero)) / (np.sqrt(dy * dy + dx * dx) + F(bias))
        if weighted > best:
            best, at = weighted, (y, x)
    return at


def joint_in_box(log_value: Array, spread: float, box: Array, start_yx: Array) -> Cell:
    """The cell inside the box with the highest log(value) - distance^2 / spread; (-1, -1) where there is none."""
    best, at = F(-np.inf), (-1, -1)
    for y, x in np.ndindex(log_value.shape):
        if not (box[0] <= y < box[2] and box[1] <= x < box[3]):
            continue
        dy, dx = F(y) - start_yx[0], F(x) - start_yx[1]
        weighted = log_value[y, x] - (dy * dy + dx * dx) / F(spread)
        if weighted > best:
            best, at = weighted, (y, x)
    return at

"""The same functions as `integral`, in numpy: the same answer, bit for bit on integer heads, where numba is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = np.float32
Array = NDArray[Any]


def sums_last(
    head: Array, maxima: Array, table: Array, sharpness: np.float32, row: Array, row_x: Array, total: Array
) -> None:
    """As integral.sums_last; row and row_x are not needed here."""
    best = np.repeat(maxima, head.shape[2] // len(maxima))
    column = np.arange(head.shape[1], dtype=F)[:, None]
    total[:] = 0
    for y, line in enumerate(head):
        weight = _weights(line, best, table, sharpness)
        _add(total, y, _in_order(weight), _in_order(weight * column))


def sums_first(head: Array, maxima: Array, table: Array, sharpness: np.float32, total: Array) -> None:
    """As integral.sums_first."""
    best = np.repeat(maxima, head.shape[0] // len(maxima))
    column = np.arange(head.shape[2], dtype=F)[:, None]
    total[:] = 0
    for y in range(head.shape[1]):
        weight = _weights(head[:, y].T, best, table, sharpness)
        _add(total, y, _in_order(weight), _in_order(weight * column))


def _add(total: Array, y: int, row: Array, row_x: Array) -> None:
    total[0] += row
    total[1] += row.astype(np.float64) * y
    total[2] += row_x


def _in_order(weight: Array) -> Array:
    """Sum of each column, one row after the other: numpy's own sum adds in pairs where it likes."""
    total: Array = np.add.accumulate(weight, axis=0)[-1]
    return total


def _weights(line: Array, best: Array, table: Array, sharpness: np.float32) -> Array:
    """(W, C) weights of one row of the map."""
    if len(table) == 0:
        weight: Array = np.exp(sharpness * (line.astype(F) - best.astype(F)))
        return weight
    below: Array = table[best.astype(np.int64) - line]
    return below

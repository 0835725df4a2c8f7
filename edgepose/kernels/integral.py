"""Loops of the `integral` decoder: soft-argmax sums over raw heads of any dtype.

Sums of a row are float32 in the order written, sums of rows float64, so that the numpy twin gives the same bits on
integer heads. An integer head takes its exponentials from a table; a float head has none (length 0).
"""

from __future__ import annotations

import numpy as np
from numba import njit

F = np.float32


@njit(cache=True, nogil=True)
def sums_last(head, maxima, table, sharpness, row, row_x, total):
    """Add up exp(sharpness * (value - maximum)) of each channel, and that times y and x. Channels innermost.

    head       (H, W, C)  raw, C = K * D
    maxima     (K,)       same type, the highest raw value of each joint over all its cells
    table      (L,)       float32, the exponential by how many raw steps a value is below its maximum; empty: float head
    sharpness  float32    for a float head
    row        (C,)       scratch, float32
    row_x      (C,)       scratch, float32
    total      (3, C)     out: float64 sum, sum * y, sum * x
    """
    depth = head.shape[2] // maxima.shape[0]
    total[:] = 0
    for y in range(head.shape[0]):
        row[:] = 0
        row_x[:] = 0
        for x in range(head.shape[1]):
            cell = head[y, x]
            for k in range(maxima.shape[0]):
                for c in range(k * depth, (k + 1) * depth):
                    weight = _weight(cell[c], maxima[k], table, sharpness)
                    row[c] += weight
                    row_x[c] += weight * F(x)
        for c in range(row.shape[0]):
            total[0, c] += row[c]
            total[1, c] += np.float64(row[c]) * y
            total[2, c] += row_x[c]


@njit(cache=True, nogil=True)
def sums_first(head, maxima, table, sharpness, total):
    """As sums_last for a head (C, H, W)."""
    depth = head.shape[0] // maxima.shape[0]
    total[:] = 0
    for c in range(head.shape[0]):
        best = maxima[c // depth]
        for y in range(head.shape[1]):
            row = F(0)
            row_x = F(0)
            line = head[c, y]
            for x in range(line.shape[0]):
                weight = _weight(line[x], best, table, sharpness)
                row += weight
                row_x += weight * F(x)
            total[0, c] += row
            total[1, c] += np.float64(row) * y
            total[2, c] += row_x


@njit(cache=True, nogil=True)
def _weight(value, best, table, sharpness):
    if table.shape[0] == 0:
        return np.exp(sharpness * (F(value) - F(best)))
    # never negative; told so, the compiler leaves out the check for it
    return table[np.uint64(int(best) - int(value))]


EXPORTS = {
    "sums_last": (
        "void(q[:,:,::1], q[::1], float32[::1], float32, out float32[::1], out float32[::1], out float64[:,::1])"
    ),
    "sums_first": "void(q[:,:,::1], q[::1], float32[::1], float32, out float64[:,::1])",
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""

"""Loops of the top-down heatmap decoders on raw heads of any dtype. Ties go to the first cell in row order.

All arithmetic is float32 in the order written, so that the numpy twin gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

F = np.float32


@njit(cache=True, nogil=True)
def peaks(heat, channel, row_max, cell_yx):
    """Find the highest cell of each joint's heatmap: rows first, channels innermost, so the compiler vectorises it.

    heat     (H, W, C)  raw heatmaps
    channel  (K,)       int32, channel of each joint; C may hold more, such as a background
    row_max  (H, C)     scratch, same type as heat
    cell_yx  (K, 2)     out: row, column, int32
    """
    for y in range(heat.shape[0]):
        best = row_max[y]
        first = heat[y, 0]
        for c in range(best.shape[0]):
            best[c] = first[c]
        for x in range(1, heat.shape[1]):
            cell = heat[y, x]
            for c in range(best.shape[0]):
                best[c] = max(best[c], cell[c])
    for k in range(channel.shape[0]):
        c = channel[k]
        top = 0
        for y in range(1, heat.shape[0]):
            if row_max[y, c] > row_max[top, c]:
                top = y
        row = heat[top]
        x = 0
        while x < heat.shape[1] - 1 and row[x, c] != row_max[top, c]:
            x += 1
        cell_yx[k, 0] = top
        cell_yx[k, 1] = x


@njit(cache=True, nogil=True)
def windows(flat, step, quant, taps, channel, cell_yx, column, window):
    """Read the smoothed surroundings of each peak; nothing else of a heatmap is dequantised.

    The smoothing's radius shrinks near the border, per axis, until it needs no cell outside the map, so that
    a Gaussian peak stays Gaussian there. Cells of the window outside the map are -inf.

    flat     (N,)       raw heatmaps, flat; cell (y, x) of channel c is flat[y * step[2] + x * step[3] + c * step[4]]
    step     (5,)       int64 H, W and the three strides
    quant    (2,)       float32 scale, zero point
    taps     (R + 1, 2 R + 1)  float32 kernel of each radius around column R; the last is the one wanted
    channel  (K,)       int32
    cell_yx  (K, 2)     int32
    column   (S, S + 2 R)      scratch, float32
    window   (K, S, S)  out: float32 real values, S odd, the peak in the middle
    """
    height, width = step[0], step[1]
    widest = taps.shape[0] - 1
    half = window.shape[1] // 2
    for k in range(window.shape[0]):
        top = cell_yx[k, 0] - half
        left = cell_yx[k, 1] - half
        reach_y = max(0, min(widest, top, height - 1 - cell_yx[k, 0] - half))
        reach_x = max(0, min(widest, left, width - 1 - cell_yx[k, 1] - half))
        base = channel[k] * step[4]
        for i in range(window.shape[1]):
            y = top + i
            for j in range(-reach_x, window.shape[2] + reach_x):
                x = left + j
                total = F(-np.inf)
                if 0 <= y < height and 0 <= x < width:
                    total = F(0)
                    for t in range(-reach_y, reach_y + 1):
                        raw = flat[(y + t) * step[2] + x * step[3] + base]
                        total += taps[reach_y, widest + t] * ((F(raw) - quant[1]) * quant[0])
                column[i, widest + j] = total
        for i in range(window.shape[1]):
            for j in range(window.shape[2]):
                total = F(0)
                for t in range(-reach_x, reach_x + 1):
                    total += taps[reach_x, widest + t] * column[i, widest + j + t]
                window[k, i, j] = total


EXPORTS = {
    "peaks": "void(q[:,:,::1], int32[::1], out q[:,::1], out int32[:,::1])",
    "windows": (
        "void(q[::1], int64[::1], float32[::1], float32[:,::1], int32[::1], int32[:,::1], out float32[:,::1], "
        "out float32[:,:,::1])"
    ),
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""

"""Peaks of heatmaps: all of every part, or the one of every box and joint; ties go to the first in row order.

All arithmetic is float32 in the order written, so that the numpy twin gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

F = np.float32


@njit(cache=True, nogil=True)
def part_peaks(heat, first, least, radius, quant, some_yx, count, cell_yx, peak_xy, peak_score):
    """Find the local maxima of every part, highest first, each with its place between the cells.

    A peak is the highest cell within `radius` cells each way, of equal ones the first; a parabola through it and its
    neighbours gives the fraction. The weakest are left out when a part has more than M.

    K parts, at most M peaks of each

    heat        (H, W, C)   raw head; part k is channel first + k
    least       same type   raw value a peak must reach
    quant       (2,)        float32 scale, zero point of heat
    some_yx     (H * W, 2)  scratch: int32
    count       (K,)        out: peaks of each part, int32
    cell_yx     (K, M, 2)   out: row, column, int32
    peak_xy     (K, M, 2)   out: float32 cells
    peak_score  (K, M)      out: float32 real value
    """
    height, width = heat.shape[:2]
    parts, most = peak_score.shape
    for k in range(count.shape[0]):
        count[k] = 0
    for at_cell in range(_cells_reaching(heat, first, parts, least, some_yx)):
        y = some_yx[at_cell, 0]
        x = some_yx[at_cell, 1]
        for k in range(parts):
            value = heat[y, x, first + k]
            if value < least or not _highest(heat, y, x, first + k, radius):
                continue
            # insertion keeps the list sorted; equal values stay in row order because we come in row order
            at = count[k]
            while at > 0 and heat[cell_yx[k, at - 1, 0], cell_yx[k, at - 1, 1], first + k] < value:
                at -= 1
            if at == most:
                continue
            count[k] = min(count[k] + 1, most)
            for i in range(count[k] - 1, at, -1):
                cell_yx[k, i, 0] = cell_yx[k, i - 1, 0]
                cell_yx[k, i, 1] = cell_yx[k, i - 1, 1]
            cell_yx[k, at, 0] = y
            cell_yx[k, at, 1] = x
    for k in range(parts):
        for i in range(count[k]):
            y = cell_yx[k, i, 0]
            x = cell_yx[k, i, 1]
            here = F(heat[y, x, first + k])
            peak_xy[k, i, 0] = F(x)
            peak_xy[k, i, 1] = F(y)
            if 0 < x < width - 1:
                peak_xy[k, i, 0] += _vertex(F(heat[y, x - 1, first + k]), here, F(heat[y, x + 1, first + k]))
            if 0 < y < height - 1:
                peak_xy[k, i, 1] += _vertex(F(heat[y - 1, x, first + k]), here, F(heat[y + 1, x, first + k]))
            peak_score[k, i] = (here - quant[1]) * quant[0]


@njit(cache=True, nogil=True)
def _cells_reaching(heat, first, parts, least, some_yx):
    """List the cells where some part reaches `least`: few do, and this loop looks at many channels at once."""
    found = 0
    for y in range(heat.shape[0]):
        row = heat[y]
        for x in range(heat.shape[1]):
            cell = row[x, first : first + parts]
            some = False
            for k in range(parts):
                some |= cell[k] >= least
            if some:
                some_yx[found, 0] = y
                some_yx[found, 1] = x
                found += 1
    return found


@njit(cache=True, nogil=True)
def _highest(heat, y, x, channel, radius):
    value = heat[y, x, channel]
    row = heat[y]
    # the four neighbours rule out nearly every cell
    if (x > 0 and row[x - 1, channel] >= value) or (x + 1 < row.shape[0] and row[x + 1, channel] > value):
        return False
    if (y > 0 and heat[y - 1, x, channel] >= value) or (y + 1 < heat.shape[0] and heat[y + 1, x, channel] > value):
        return False
    for j in range(max(0, y - radius), min(heat.shape[0], y + radius + 1)):
        for i in range(max(0, x - radius), min(heat.shape[1], x + radius + 1)):
            other = heat[j, i, channel]
            if other > value or (other == value and (j < y or (j == y and i < x))):
                return False
    return True


@njit(cache=True, nogil=True)
def _vertex(before, here, after):
    """Where a parabola through three neighbours is highest, in cells from the middle one, -0.5 to 0.5."""
    bend = before - F(2) * here + after
    if bend >= F(0):
        return F(0)
    return min(max(F(0.5) * (before - after) / bend, F(-0.5)), F(0.5))


@njit(cache=True, nogil=True)
def hot_cells(heat, layout, quant, falloff, xy, score):
    """Find the highest cell of every joint's own map, its place between the cells, and its share of a softmax.

    heat     (T,)       raw logits of N boxes, K joints, all maps in one row
    layout   (6,)       int64 rows, columns of a map; how far apart boxes, joints, rows, columns lie in heat
    quant    (2,)       float32 scale, zero point
    falloff  (E,)       float32 exp(-i / 64); beyond its end it is 0
    xy       (N, K, 2)  out: float32 cells     score  (N, K)  out: float32 0..1
    """
    height = layout[0]
    width = layout[1]
    step_y = layout[4]
    step_x = layout[5]
    for n in range(score.shape[0]):
        for k in range(score.shape[1]):
            start = n * layout[2] + k * layout[3]
            best = start
            best_y = 0
            best_x = 0
            for y in range(height):
                for x in range(width):
                    at = start + y * step_y + x * step_x
                    if heat[at] > heat[best]:
                        best = at
                        best_y = y
                        best_x = x
            here = F(heat[best])
            xy[n, k, 0] = F(best_x)
            xy[n, k, 1] = F(best_y)
            if 0 < best_x < width - 1:
                xy[n, k, 0] += _vertex(F(heat[best - step_x]), here, F(heat[best + step_x]))
            if 0 < best_y < height - 1:
                xy[n, k, 1] += _vertex(F(heat[best - step_y]), here, F(heat[best + step_y]))
            total = F(0)
            for y in range(height):
                for x in range(width):
                    below = (here - F(heat[start + y * step_y + x * step_x])) * quant[0] * F(64)
                    if below < F(falloff.shape[0] - 1):
                        i = int(below)
                        total += falloff[i] + (below - F(i)) * (falloff[i + 1] - falloff[i])
            score[n, k] = F(1) / total


EXPORTS = {
    "part_peaks": (
        "void(q[:,:,::1], int64, q, int64, float32[::1], out int32[:,::1], out int32[::1], out int32[:,:,::1], "
        "out float32[:,:,::1], out float32[:,::1])"
    ),
    "hot_cells": "void(q[::1], int64[::1], float32[::1], float32[::1], out float32[:,:,::1], out float32[:,::1])",
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""

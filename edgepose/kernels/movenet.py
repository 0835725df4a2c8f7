"""Loops of the `movenet` decoder on raw heads of any dtype. Cells are (row, column); ties go to the first in row order.

All arithmetic is float32 in the order written, so that the numpy twin gives the same bits. A row of a heatmap is
looked at only if its best value, at the smallest distance the row allows, could still win: most rows cannot.
"""

from __future__ import annotations

import numpy as np
from numba import njit

F = np.float32


@njit(cache=True, nogil=True, error_model="numpy")
def nearest_center(center, weight, zero, cell_yx):
    """Find the person nearest the middle: the highest centre value times weight.

    center   (H, W)     raw person-centre map
    weight   (H, W)     float32, highest in the middle
    zero     float32    raw value that means 0
    cell_yx  (1, 2)     out: row, column, int32
    """
    best = F(-np.inf)
    for y in range(center.shape[0]):
        row = center[y]
        row_weight = weight[y]
        for x in range(row.shape[0]):
            value = (F(row[x]) - zero) * row_weight[x]
            if value > best:
                best = value
                cell_yx[0, 0] = y
                cell_yx[0, 1] = x


@njit(cache=True, nogil=True, error_model="numpy")
def center_peaks(center, least, radius, cell_yx):
    """Find local maxima of the person-centre map, highest first; returns how many.

    A peak is the highest cell within `radius` cells each way; of equal ones the first in row order.
    What is found is sorted by value, then row, then column; the weakest are left out when cell_yx is full.

    center   (H, W)     raw person-centre map
    least    same type  raw value a peak must reach
    cell_yx  (P, 2)     out: row, column, int32
    """
    height, width = center.shape
    found = 0
    for y in range(height):
        row = center[y]
        for x in range(width):
            value = row[x]
            if value < least:
                continue
            peak = True
            for j in range(max(0, y - radius), min(height, y + radius + 1)):
                for i in range(max(0, x - radius), min(width, x + radius + 1)):
                    other = center[j, i]
                    if other > value or (other == value and (j < y or (j == y and i < x))):
                        peak = False
                        break
                if not peak:
                    break
            if not peak:
                continue
            # insertion keeps the list sorted; equal values stay in row order because we come in row order
            at = found
            while at > 0 and center[cell_yx[at - 1, 0], cell_yx[at - 1, 1]] < value:
                at -= 1
            if at == cell_yx.shape[0]:
                continue
            found = min(found + 1, cell_yx.shape[0])
            for k in range(found - 1, at, -1):
                cell_yx[k, 0] = cell_yx[k - 1, 0]
                cell_yx[k, 1] = cell_yx[k - 1, 1]
            cell_yx[at, 0] = y
            cell_yx[at, 1] = x
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def row_maxima(heat, row_max):
    """Find the highest value of each row of each heatmap; channels innermost, so the compiler vectorises it.

    heat     (H, W, K)  raw joint heatmaps
    row_max  (H, K)     out: same type
    """
    for y in range(heat.shape[0]):
        best = row_max[y]
        first = heat[y, 0]
        for k in range(best.shape[0]):
            best[k] = first[k]
        for x in range(1, heat.shape[1]):
            cell = heat[y, x]
            for k in range(best.shape[0]):
                best[k] = max(best[k], cell[k])


@njit(cache=True, nogil=True, error_model="numpy")
def regressed(regress, quant, center_yx, coarse_yx):
    """Read the coarse pose regressed at each person's centre cell.

    regress    (H, W, 2K)   raw, (y, x) of each joint relative to the cell
    quant      (2,)         float32 scale, zero point of regress
    center_yx  (P, 2)       int32
    coarse_yx  (P, K, 2)    out: float32 cells
    """
    for p in range(center_yx.shape[0]):
        here = regress[center_yx[p, 0], center_yx[p, 1]]
        for k in range(coarse_yx.shape[1]):
            coarse_yx[p, k, 0] = F(center_yx[p, 0]) + (F(here[2 * k]) - quant[1]) * quant[0]
            coarse_yx[p, k, 1] = F(center_yx[p, 1]) + (F(here[2 * k + 1]) - quant[1]) * quant[0]


@njit(cache=True, nogil=True, error_model="numpy")
def joints_by_distance(heat, row_max, zero, bias, start_yx, cell_yx):
    """For each joint find the cell with the highest value / (distance to its start + bias).

    heat      (H, W, K)  raw joint heatmaps
    row_max   (H, K)     of row_maxima
    zero      float32    raw value that means 0
    bias      float32    cells added to every distance
    start_yx  (P, K, 2)  float32 cells, where the search is anchored
    cell_yx   (P, K, 2)  out: row, column, int32; -1 where no cell is above zero
    """
    height, width, joints = heat.shape
    for p in range(start_yx.shape[0]):
        for k in range(joints):
            start_y = start_yx[p, k, 0]
            start_x = start_yx[p, k, 1]
            best = F(0)
            best_y = -1
            best_x = -1
            # start where the bound is highest: what is found there rules out nearly all other rows
            first = 0
            first_bound = F(-1)
            for y in range(height):
                bound = (F(row_max[y, k]) - zero) / (abs(F(y) - start_y) + bias)
                if bound > first_bound:
                    first_bound = bound
                    first = y
            for turn in range(-1, height):
                y = first if turn < 0 else turn
                dy = F(y) - start_y
                if turn == first or (F(row_max[y, k]) - zero) / (abs(dy) + bias) < best:
                    continue
                dy2 = dy * dy
                # a value below this cannot win at any distance; the margin covers the rounding of the product
                least = best * bias * F(0.999999)
                row = heat[y]
                for x in range(width):
                    value = F(row[x, k]) - zero
                    if value < least or value <= F(0):
                        continue
                    dx = F(x) - start_x
                    weighted = value / (np.sqrt(dy2 + dx * dx) + bias)
                    if weighted > best or (weighted == best and (y < best_y or (y == best_y and x < best_x))):
                        best = weighted
                        best_y = y
                        best_x = x
                        least = best * bias * F(0.999999)
            cell_yx[p, k, 0] = best_y
            cell_yx[p, k, 1] = best_x


@njit(cache=True, nogil=True, error_model="numpy")
def joints_in_box(heat, row_max, level, first_level, spread, box_yx, start_yx, cell_yx):
    """For each joint find the cell inside its person's box with the highest value x exp(-distance^2 / spread).

    Compared as log(value) - distance^2 / spread: no exponential per cell, and `level` holds the logarithms.

    heat         (H, W, K)  raw joint heatmaps
    row_max      (H, K)     of row_maxima
    level        (L,)       float32 log of the real value of raw value first_level + i; L = 0: heat is float
    spread       float32    cells squared
    box_yx       (P, 4)     float32 top, left, bottom, right in cells; top <= y < bottom
    start_yx     (P, K, 2)  float32 cells
    cell_yx      (P, K, 2)  out: row, column, int32; -1 where the box holds nothing above zero
    """
    height, width, joints = heat.shape
    for p in range(start_yx.shape[0]):
        top = max(0, int(np.ceil(box_yx[p, 0])))
        left = max(0, int(np.ceil(box_yx[p, 1])))
        bottom = min(height, int(np.ceil(box_yx[p, 2])))
        right = min(width, int(np.ceil(box_yx[p, 3])))
        for k in range(joints):
            start_y = start_yx[p, k, 0]
            start_x = start_yx[p, k, 1]
            best = F(-np.inf)
            best_y = -1
            best_x = -1
            for y in range(top, bottom):
                dy = F(y) - start_y
                dy2 = dy * dy
                if _log(row_max[y, k], level, first_level) - dy2 / spread <= best:
                    continue
                row = heat[y]
                for x in range(left, right):
                    value = _log(row[x, k], level, first_level)
                    if value <= best:
                        continue
                    dx = F(x) - start_x
                    weighted = value - (dy2 + dx * dx) / spread
                    if weighted > best:
                        best = weighted
                        best_y = y
                        best_x = x
            cell_yx[p, k, 0] = best_y
            cell_yx[p, k, 1] = best_x


@njit(cache=True, nogil=True, error_model="numpy")
def _log(raw, level, first_level):
    if level.shape[0] == 0:
        return np.log(F(raw)) if raw > 0 else F(-np.inf)
    return level[int(raw) - first_level]


@njit(cache=True, nogil=True, error_model="numpy")
def read_offsets(offset, quant, cell_yx, yx):
    """Dequantise where the joints found are: their cell and the offset read there.

    offset   (H, W, 2K)  raw (y, x) in cells
    quant    (2,)        float32 scale, zero point of offset
    cell_yx  (P, K, 2)   int32, -1 where none
    yx       (P, K, 2)   out: float32 cells, NaN where none
    """
    for p in range(cell_yx.shape[0]):
        for k in range(cell_yx.shape[1]):
            y = cell_yx[p, k, 0]
            x = cell_yx[p, k, 1]
            if y < 0:
                yx[p, k, 0] = np.nan
                yx[p, k, 1] = np.nan
                continue
            yx[p, k, 0] = F(y) + (F(offset[y, x, 2 * k]) - quant[1]) * quant[0]
            yx[p, k, 1] = F(x) + (F(offset[y, x, 2 * k + 1]) - quant[1]) * quant[0]


@njit(cache=True, nogil=True, error_model="numpy")
def read_scores(heat, quant, cell_yx, score):
    """Dequantise the heatmaps at the cells found.

    heat     (H, W, K)  raw joint heatmaps
    quant    (2,)       float32 scale, zero point of heat
    cell_yx  (P, K, 2)  int32, -1 where none
    score    (P, K)     out: float32, 0 where none
    """
    for p in range(cell_yx.shape[0]):
        for k in range(cell_yx.shape[1]):
            y = cell_yx[p, k, 0]
            x = cell_yx[p, k, 1]
            score[p, k] = F(0) if y < 0 else (F(heat[y, x, k]) - quant[1]) * quant[0]


@njit(cache=True, nogil=True, error_model="numpy")
def person_scores(center, center_quant, center_yx, score, least, person_score):
    """Score each person: the value at its centre times the mean of its joints that score more than `least`.

    center        (H, W)   raw person-centre map    center_quant  (2,) float32 scale, zero point
    center_yx     (P, 2)   int32
    score         (P, K)   float32
    least         float32
    person_score  (P,)     out: float32; 0 where no joint counts
    """
    for p in range(center_yx.shape[0]):
        total = F(0)
        count = F(0)
        for k in range(score.shape[1]):
            if score[p, k] > least:
                total += score[p, k]
                count += F(1)
        value = (F(center[center_yx[p, 0], center_yx[p, 1]]) - center_quant[1]) * center_quant[0]
        person_score[p] = value * (total / max(count, F(1)))


@njit(cache=True, nogil=True, error_model="numpy")
def to_pixels(yx, score, order, pixels, least, xy, kept):
    """Hand over the chosen people in source pixels, joints below `least` as lost.

    yx      (P, K, 2)  float32 cells      score  (P, K) float32
    order   (N,)       int32 people, as they shall come out
    pixels  (4,)       float64: pixels per cell in x, x of cell 0, pixels per cell in y, y of cell 0
    least   float32
    xy      (N, K, 2)  out: float32 pixels, NaN where lost
    kept    (N, K)     out: float32 score, 0 where lost
    """
    for n in range(order.shape[0]):
        p = order[n]
        for k in range(score.shape[1]):
            if score[p, k] >= least:
                xy[n, k, 0] = yx[p, k, 1] * pixels[0] + pixels[1]
                xy[n, k, 1] = yx[p, k, 0] * pixels[2] + pixels[3]
                kept[n, k] = score[p, k]
            else:
                xy[n, k, 0] = np.nan
                xy[n, k, 1] = np.nan
                kept[n, k] = 0


EXPORTS = {
    "nearest_center": "void(q[:,::1], float32[:,::1], float32, out int32[:,::1])",
    "center_peaks": "int64(q[:,::1], q, int64, out int32[:,::1])",
    "row_maxima": "void(q[:,:,::1], out q[:,::1])",
    "regressed": "void(q[:,:,::1], float32[::1], int32[:,::1], out float32[:,:,::1])",
    "joints_by_distance": "void(q[:,:,::1], q[:,::1], float32, float32, float32[:,:,::1], out int32[:,:,::1])",
    "joints_in_box": (
        "void(q[:,:,::1], q[:,::1], float32[::1], int64, float32, float32[:,::1], float32[:,:,::1], out int32[:,:,::1])"
    ),
    "read_offsets": "void(q[:,:,::1], float32[::1], int32[:,:,::1], out float32[:,:,::1])",
    "read_scores": "void(q[:,:,::1], float32[::1], int32[:,:,::1], out float32[:,::1])",
    "person_scores": "void(q[:,::1], float32[::1], int32[:,::1], float32[:,::1], float32, out float32[::1])",
    "to_pixels": (
        "void(float32[:,:,::1], float32[:,::1], int32[::1], float64[::1], float32, out float32[:,:,::1], "
        "out float32[:,::1])"
    ),
}
"""What is compiled ahead of time: tools/kernels_build/signature.py says how to read it."""

"""The same functions as `peaks`, in whole-array numpy: the same answer, bit for bit, where numba is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = np.float32
Array = NDArray[Any]


def part_peaks(
    heat: Array,
    first: int,
    least: Any,
    radius: int,
    quant: Array,
    some_yx: Array,
    count: Array,
    cell_yx: Array,
    peak_xy: Array,
    peak_score: Array,
) -> None:
    """As peaks.part_peaks; some_yx is not needed here."""
    parts, most = peak_score.shape
    part = heat[..., first : first + parts]
    height, width = part.shape[:2]
    y, x, k = np.nonzero(part >= least)
    value = part[y, x, k]
    peak = np.ones(len(y), bool)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            j, i = y + dy, x + dx
            on = (j >= 0) & (j < height) & (i >= 0) & (i < width)
            other = part[np.clip(j, 0, height - 1), np.clip(i, 0, width - 1), k]
            earlier = (dy, dx) < (0, 0)
            peak &= ~(on & ((other >= value) if earlier else (other > value)))
    y, x, k, value = y[peak], x[peak], k[peak], value[peak].astype(F)
    count[:] = 0
    for at in np.lexsort((x, y, -value)):
        part_at = k[at]
        if count[part_at] < most:
            cell_yx[part_at, count[part_at]] = y[at], x[at]
            count[part_at] += 1
    for part_at in range(parts):
        y, x = cell_yx[part_at, : count[part_at]].T
        one = part[..., part_at]
        here = one[y, x].astype(F)
        left, right = one[y, np.maximum(x - 1, 0)].astype(F), one[y, np.minimum(x + 1, width - 1)].astype(F)
        up, down = one[np.maximum(y - 1, 0), x].astype(F), one[np.minimum(y + 1, height - 1), x].astype(F)
        away_x = np.where((x > 0) & (x < width - 1), _vertex(left, here, right), F(0))
        away_y = np.where((y > 0) & (y < height - 1), _vertex(up, here, down), F(0))
        peak_xy[part_at, : count[part_at]] = np.stack((x.astype(F) + away_x, y.astype(F) + away_y), axis=1)
        peak_score[part_at, : count[part_at]] = (here - quant[1]) * quant[0]


def _vertex(before: Array, here: Array, after: Array) -> NDArray[np.float32]:
    bend = before - F(2) * here + after
    away = F(0.5) * (before - after) / np.where(bend < 0, bend, F(-1))
    return np.where(bend < 0, np.clip(away, F(-0.5), F(0.5)), F(0)).astype(F)


def hot_cells(heat: Array, layout: Array, quant: Array, falloff: Array, xy: Array, score: Array) -> None:
    """As peaks.hot_cells."""
    height, width, step_box, step_joint, step_y, step_x = layout.tolist()
    boxes, joints = score.shape
    n, k = np.ogrid[:boxes, :joints]
    y, x = np.ogrid[:height, :width]
    at = (n * step_box + k * step_joint)[..., None, None] + y * step_y + x * step_x
    maps = heat[at].reshape(boxes, joints, -1).astype(F)
    hot = maps.argmax(axis=2)
    hot_y, hot_x = np.divmod(hot, width)
    here = np.take_along_axis(maps, hot[..., None], axis=2)
    around = np.take_along_axis(at.reshape(maps.shape), hot[..., None], axis=2)[..., 0]
    xy[..., 0], xy[..., 1] = hot_x, hot_y
    for axis, place, size, step in ((0, hot_x, width, step_x), (1, hot_y, height, step_y)):
        inner = (place > 0) & (place < size - 1)
        before, after = (heat[np.where(inner, around + side, around)].astype(F) for side in (-step, step))
        xy[..., axis] += np.where(inner, _vertex(before, here[..., 0], after), F(0))
    below = (here - maps) * quant[0] * F(64)
    near = below < F(len(falloff) - 1)
    below = np.where(near, below, F(0))
    i = below.astype(np.int64)
    share = np.where(near, falloff[i] + (below - i.astype(F)) * (falloff[i + 1] - falloff[i]), F(0))
    score[:] = F(1) / np.cumsum(share, axis=2, dtype=F)[..., -1]  # added one after the other, as the loop does

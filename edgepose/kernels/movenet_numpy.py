"""The same functions as `movenet`, in whole-array numpy: the same answer, bit for bit, where numba is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = np.float32
Array = NDArray[Any]


def nearest_center(center: Array, weight: Array, zero: np.float32, cell_yx: Array) -> None:
    """As movenet.nearest_center."""
    weighted = (center.astype(F) - zero) * weight
    cell_yx[0] = np.unravel_index(int(weighted.argmax()), center.shape)


def center_peaks(center: Array, least: Any, radius: int, cell_yx: Array) -> int:
    """As movenet.center_peaks."""
    height, width = center.shape
    ys, xs = np.nonzero(center >= least)
    peaks = []
    for y, x in zip(ys.tolist(), xs.tolist(), strict=True):
        top, left = max(0, y - radius), max(0, x - radius)
        window = center[top : min(height, y + radius + 1), left : min(width, x + radius + 1)]
        # argmax gives the first of equal cells in row order: the one that keeps the peak
        if divmod(int(window.argmax()), window.shape[1]) == (y - top, x - left):
            peaks.append((y, x))
    peaks.sort(key=lambda peak: -float(center[peak]))  # stable: equal values stay in row order
    found = min(len(peaks), len(cell_yx))
    if found:
        cell_yx[:found] = peaks[:found]
    return found


def row_maxima(heat: Array, row_max: Array) -> None:
    """As movenet.row_maxima."""
    heat.max(axis=1, out=row_max)


def regressed(regress: Array, quant: Array, center_yx: Array, coarse_yx: Array) -> None:
    """As movenet.regressed."""
    here = (regress[center_yx[:, 0], center_yx[:, 1]].astype(F) - quant[1]) * quant[0]
    np.add(center_yx[:, None].astype(F), here.reshape(coarse_yx.shape), out=coarse_yx)


def joints_by_distance(
    heat: Array, row_max: Array, zero: np.float32, bias: np.float32, start_yx: Array, cell_yx: Array
) -> None:
    """As movenet.joints_by_distance; row_max is not needed here."""
    value = heat.astype(F) - zero
    for person, start in enumerate(start_yx):
        weighted = value / (np.sqrt(_distance2(heat.shape, start)) + bias)
        _best_cells(weighted, F(0), cell_yx[person])


def joints_in_box(
    heat: Array,
    row_max: Array,
    level: Array,
    first_level: int,
    spread: np.float32,
    box_yx: Array,
    start_yx: Array,
    cell_yx: Array,
) -> None:
    """As movenet.joints_in_box; row_max is not needed here."""
    if len(level) == 0:
        with np.errstate(divide="ignore"):
            value = np.log(np.maximum(heat, 0))
    else:
        value = level[heat.astype(np.int64) - first_level]
    height, width, _ = heat.shape
    for person, start in enumerate(start_yx):
        top, left, bottom, right = np.maximum(np.ceil(box_yx[person]), 0).astype(int)
        weighted = np.full(heat.shape, -np.inf, F)
        inside = slice(top, min(height, bottom)), slice(left, min(width, right))
        weighted[inside] = (value - _distance2(heat.shape, start) / spread)[inside]
        _best_cells(weighted, F(-np.inf), cell_yx[person])


def read_offsets(offset: Array, quant: Array, cell_yx: Array, yx: Array) -> None:
    """As movenet.read_offsets."""
    y, x = cell_yx[..., 0], cell_yx[..., 1]
    k = np.arange(cell_yx.shape[1])
    pair = np.stack((offset[y, x, 2 * k], offset[y, x, 2 * k + 1]), axis=-1).astype(F)
    np.add(cell_yx.astype(F), (pair - quant[1]) * quant[0], out=yx)
    yx[y < 0] = np.nan


def read_scores(heat: Array, quant: Array, cell_yx: Array, score: Array) -> None:
    """As movenet.read_scores."""
    y, x = cell_yx[..., 0], cell_yx[..., 1]
    score[:] = (heat[y, x, np.arange(heat.shape[2])].astype(F) - quant[1]) * quant[0]
    score[y < 0] = 0


def person_scores(
    center: Array, center_quant: Array, center_yx: Array, score: Array, least: np.float32, person_score: Array
) -> None:
    """As movenet.person_scores; cumsum adds one after the other, as the loop does."""
    counted = score > least
    total = np.cumsum(np.where(counted, score, F(0)), axis=1, dtype=F)[:, -1]
    value = (center[center_yx[:, 0], center_yx[:, 1]].astype(F) - center_quant[1]) * center_quant[0]
    person_score[:] = value * (total / np.maximum(counted.sum(axis=1), 1).astype(F))


def to_pixels(yx: Array, score: Array, order: Array, pixels: Array, least: np.float32, xy: Array, kept: Array) -> None:
    """As movenet.to_pixels."""
    wide = yx[order].astype(np.float64)  # numpy 1 would multiply in float32
    xy[..., 0] = wide[..., 1] * pixels[0] + pixels[1]
    xy[..., 1] = wide[..., 0] * pixels[2] + pixels[3]
    kept[:] = score[order]
    lost = ~(kept >= least)
    xy[lost] = np.nan
    kept[lost] = 0


def _distance2(shape: tuple[int, ...], start_yx: Array) -> NDArray[np.float32]:
    """Squared distance of every cell to each joint's start, (H, W, K)."""
    dy = np.arange(shape[0], dtype=F)[:, None] - start_yx[:, 0]
    dx = np.arange(shape[1], dtype=F)[:, None] - start_yx[:, 1]
    distance2: NDArray[np.float32] = (dy * dy)[:, None, :] + (dx * dx)[None, :, :]
    return distance2


def _best_cells(weighted: Array, above: np.float32, cell_yx: Array) -> None:
    """Cell of the highest value of each channel, -1 where none is above `above`."""
    flat = weighted.reshape(-1, weighted.shape[2])
    at = flat.argmax(axis=0)
    best = flat[at, np.arange(flat.shape[1])]
    cell_yx[:] = np.stack(np.unravel_index(at, weighted.shape[:2]), axis=-1)
    cell_yx[best <= above] = -1

"""The same functions as `heatmap`, in whole-array numpy: the same answer, bit for bit, where numba is absent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = np.float32
Array = NDArray[Any]


def peaks(heat: Array, channel: Array, row_max: Array, cell_yx: Array) -> None:
    """As heatmap.peaks."""
    heat.max(axis=1, out=row_max)
    top = row_max.argmax(axis=0)[channel]
    cell_yx[:, 0] = top
    cell_yx[:, 1] = heat[top, :, channel].argmax(axis=1)


def windows(
    flat: Array, step: Array, quant: Array, taps: Array, channel: Array, cell_yx: Array, column: Array, window: Array
) -> None:
    """As heatmap.windows; column is not needed here."""
    height, width = int(step[0]), int(step[1])
    widest, size = len(taps) - 1, window.shape[1]
    half = size // 2
    last = np.array([height - 1, width - 1]) - half
    reach = np.clip(np.minimum(cell_yx - half, last - cell_yx), 0, widest)
    rows = cell_yx[:, :1] - half + np.arange(-widest, size + widest)
    columns = cell_yx[:, 1:] - half + np.arange(-widest, size + widest)
    at = (
        np.clip(rows, 0, height - 1)[:, :, None] * step[2]
        + np.clip(columns, 0, width - 1)[:, None, :] * step[3]
        + (channel * step[4])[:, None, None]
    )
    real = (flat[at].astype(F) - quant[1]) * quant[0]
    tall = np.zeros((len(window), size, size + 2 * widest), F)
    for t in range(2 * widest + 1):
        tall += taps[reach[:, 0], t][:, None, None] * real[:, t : t + size, :]
    window[:] = 0
    for t in range(2 * widest + 1):
        window += taps[reach[:, 1], t][:, None, None] * tall[:, :, t : t + size]
    rows, columns = rows[:, widest : widest + size], columns[:, widest : widest + size]
    inside_y, inside_x = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    window[~(inside_y[:, :, None] & inside_x[:, None, :])] = -np.inf

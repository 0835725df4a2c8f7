"""Slow, obvious twin of the integral decoder: a softmax over all cells of one joint, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_cell(real: NDArray[Any], sharpness: float, debias: bool) -> NDArray[np.float64]:
    """(3,) y, x, depth of the mean cell of (D, H, W) real values."""
    weight = np.exp(sharpness * (real.astype(np.float64) - real.max()))
    if debias:
        weight = weight - np.exp(-sharpness * float(real.max()))
    depth, y, x = np.meshgrid(*(np.arange(size) for size in real.shape), indexing="ij")
    mean: NDArray[np.float64] = np.array([(weight * axis).sum() for axis in (y, x, depth)]) / weight.sum()
    return mean

"""From the highest cell to where the peak really is: small windows around K peaks in, fractions of a cell out.

A window (K, S, S) holds real values with the peak's cell in the middle, -inf outside the map. Offsets are (K, 2) y, x.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

F = np.float32
Window = NDArray[Any]
Offset = NDArray[Any]
Method = Literal["none", "quarter", "dark", "udp", "centroid", "softargmax"]


class Refinement(NamedTuple):
    """One way to refine a peak."""

    offset: Callable[[Window], Offset]
    half: int | None
    """Cells of the window each side of the peak; None: as many as the manifest's radius."""
    smooth: bool
    """Whether the window is smoothed first."""


def quarter(window: Window) -> Offset:
    """A quarter cell towards the higher neighbour, on each axis that has two. Source: Newell et al., ECCV 2016."""
    middle = window.shape[1] // 2
    ends = np.stack(
        (window[:, [middle - 1, middle + 1], middle], window[:, middle, [middle - 1, middle + 1]]), axis=1
    )  # (K, axis, before and after)
    known: NDArray[np.bool_] = np.isfinite(ends).all(axis=2)
    ends = np.where(known[..., None], ends, 0)
    toward: Offset = np.sign(ends[..., 1] - ends[..., 0]).astype(F) * F(0.25)
    return toward


def dark(window: Window) -> Offset:
    """The top of the parabola through the logarithm; exact where the peak is a Gaussian.

    Derivatives as DarkPose takes them, the second over two cells. Where they do not tell of a peak within a cell,
    or the border is nearer than that, a quarter step. Source: Zhang et al., CVPR 2020, equation 8 and section 3.2.
    """
    return _newton(window, DARK)


def udp(window: Window) -> Offset:
    """As dark, with the second derivatives of neighbouring cells. Source: Huang et al., CVPR 2020, as in mmpose."""
    return _newton(window, UDP)


def centroid(window: Window) -> Offset:
    """The mean of the window's cells, weighted by their value above zero."""
    return _mean(np.maximum(window, 0))


def softargmax(window: Window, sharpness: float) -> Offset:
    """The mean of the window's cells, weighted by exp(sharpness * value)."""
    peak = window.max(axis=(1, 2), keepdims=True)
    return _mean(np.exp(F(sharpness) * (window - peak)))


def refinement(method: Method, sharpness: float) -> Refinement | None:
    """How to refine, None: not at all; `sharpness` is for softargmax."""
    soft = partial(softargmax, sharpness=sharpness)
    return {
        "none": None,
        "quarter": Refinement(quarter, 1, smooth=False),
        "dark": Refinement(dark, 2, smooth=True),
        "udp": Refinement(udp, 1, smooth=True),
        "centroid": Refinement(centroid, None, smooth=False),
        "softargmax": Refinement(soft, None, smooth=False),
    }[method]


def gaussian_taps(size: int) -> NDArray[np.float32]:
    """(R + 1, 2 R + 1) normalised Gaussian kernels of radius 0 to R = size // 2, each around column R.

    Their spread is what OpenCV takes for a kernel of `size`, as DarkPose does: 2 cells for size 11.
    """
    widest = size // 2
    sigma = 0.3 * (widest - 1) + 0.8
    distance = np.abs(np.arange(-widest, widest + 1))
    weight = np.exp(-(distance**2) / (2 * sigma**2))
    taps = np.where(distance <= np.arange(widest + 1)[:, None], weight, 0)
    return np.ascontiguousarray(taps / taps.sum(axis=1, keepdims=True), F)


def _stencils(size: int, *places: dict[tuple[int, int], float]) -> NDArray[np.float32]:
    """(S * S, 5) what to multiply a window by for dy, dx, dyy, dxx, dxy; places count y, x from the middle."""
    table = np.zeros((size, size, len(places)), F)
    for index, weights in enumerate(places):
        for (y, x), weight in weights.items():
            table[size // 2 + y, size // 2 + x, index] = weight
    return table.reshape(size * size, len(places))


SLOPES: tuple[dict[tuple[int, int], float], ...] = ({(1, 0): 0.5, (-1, 0): -0.5}, {(0, 1): 0.5, (0, -1): -0.5})
DARK = _stencils(
    5,
    *SLOPES,
    {(2, 0): 0.25, (0, 0): -0.5, (-2, 0): 0.25},
    {(0, 2): 0.25, (0, 0): -0.5, (0, -2): 0.25},
    {(1, 1): 0.25, (1, -1): -0.25, (-1, 1): -0.25, (-1, -1): 0.25},
)
UDP = _stencils(
    3,
    *SLOPES,
    {(1, 0): 1, (0, 0): -2, (-1, 0): 1},
    {(0, 1): 1, (0, 0): -2, (0, -1): 1},
    {(1, 1): 0.5, (0, 1): -0.5, (1, 0): -0.5, (0, 0): 1, (0, -1): -0.5, (-1, 0): -0.5, (-1, -1): 0.5},
)


def _newton(window: Window, stencils: NDArray[np.float32]) -> Offset:
    """One Newton step; a quarter step where the surface is no peak within a cell, or is not known all around."""
    log = np.log(np.maximum(window, F(1e-10))).reshape(len(window), -1)
    dy, dx, dyy, dxx, dxy = (log @ stencils).T
    determinant = dyy * dxx - dxy * dxy
    peak = np.isfinite(window).all(axis=(1, 2)) & (determinant > 1e-12) & (dyy < 0)
    safe = np.where(peak, determinant, 1)
    step: Offset = np.stack((dxy * dx - dxx * dy, dxy * dy - dyy * dx), axis=1) / safe[:, None]
    peak &= (np.abs(step) <= 1).all(axis=1)
    if peak.all():
        return step
    middle = window.shape[1] // 2
    near = window[:, middle - 1 : middle + 2, middle - 1 : middle + 2]
    return np.where(peak[:, None], step, quarter(near)).astype(F)


def _mean(weight: Window) -> Offset:
    cells = np.arange(weight.shape[1], dtype=F) - F(weight.shape[1] // 2)
    total = np.maximum(weight.sum(axis=(1, 2)), F(1e-30))
    y = (weight.sum(axis=2) * cells).sum(axis=1) / total
    x = (weight.sum(axis=1) * cells).sum(axis=1) / total
    return np.stack((y, x), axis=1).astype(F)

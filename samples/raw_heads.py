"""Heads for decoder tests: real values made raw, with the spec that tells how."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import Crop, Frame, HeadSpec, Poses
from edgepose.estimate.decode import open_decoder

F = np.float32
AS_IS = Crop((0.0, 0.0), (1.0, 1.0))
FRAME = Frame(np.zeros((240, 320, 3), np.uint8), "bgr", t=1.5, taken_t=2.5, seq=7, name="a.jpg")
DTYPES = ("float32", "int8", "uint8", "int16")

Head = tuple[NDArray[Any], HeadSpec]


def head(role: str, real: NDArray[Any], dtype: str = "float32", low: float | None = None, high: float = 1.0) -> Head:
    """A head of those real values; an integer one spans low..high with all its levels."""
    if dtype == "float32":
        return np.ascontiguousarray(real, F), HeadSpec(role, real.shape, np.dtype(F), 1.0, 0)
    limits = np.iinfo(dtype)
    low = 0.0 if low is None else low
    scale = (high - low) / (int(limits.max) - int(limits.min))
    zero = round(limits.min - low / scale)
    raw = np.clip(np.round(real / scale) + zero, limits.min, limits.max).astype(dtype)
    return np.ascontiguousarray(raw), HeadSpec(role, real.shape, np.dtype(dtype), scale, zero)


def decode(
    name: str,
    options: dict[str, Any],
    skeleton: str,
    heads: dict[str, Head],
    crop: Crop = AS_IS,
    **settings: Any,
) -> Poses:
    """One frame through a decoder made for it."""
    specs = {role: spec for role, (_, spec) in heads.items()}
    decoder = open_decoder("test", name, options, skeleton, specs, config.Decode(**settings))
    return decoder({role: raw for role, (raw, _) in heads.items()}, crop, FRAME)


def gaussians(size_yx: tuple[int, int], yx: NDArray[Any], sigma: float = 2.0) -> NDArray[np.float64]:
    """(H, W, K) a Gaussian of height 1 at each of (K, 2) sub-cell places."""
    y, x = np.mgrid[: size_yx[0], : size_yx[1]]
    distance2 = (y[..., None] - yx[:, 0]) ** 2 + (x[..., None] - yx[:, 1]) ** 2
    spread: NDArray[np.float64] = np.exp(-distance2 / (2 * sigma**2))
    return spread

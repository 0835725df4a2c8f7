"""A frame of a camera that hangs on its side, upside down, or looks into a mirror: turned before anybody sees it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import Layout

Image = NDArray[np.uint8]
Turn = Callable[[Image, Layout], Image]
"""A picture and its layout -> the same, turned."""


def turn_of(cfg: config.Source) -> Turn | None:
    """What source.rotate and source.mirror ask for; None: nothing."""
    if not cfg.rotate and not cfg.mirror:
        return None
    return lambda image, layout: turned(image, layout, cfg.rotate, mirror=cfg.mirror)


def turned(image: Image, layout: Layout, rotate: int, *, mirror: bool) -> Image:
    """A new picture, turned clockwise by `rotate` degrees (0, 90, 180, 270), then mirrored left to right.

    Planes of YUV 4:2:0 are turned one by one: sides of an even number of pixels swap.
    """
    if layout not in ("i420", "nv12"):
        return _plane(image, rotate, mirror)
    height, width = image.shape[0] * 2 // 3, image.shape[1]
    luma = _plane(image[:height], rotate, mirror)
    chroma = np.ascontiguousarray(image[height:])
    shape = (2, height // 2, width // 2) if layout == "i420" else (1, height // 2, width // 2, 2)
    small = [_plane(plane, rotate, mirror).reshape(-1) for plane in chroma.reshape(shape)]
    return np.concatenate([luma, np.concatenate(small).reshape(-1, luma.shape[1])])


def _plane(plane: Image, rotate: int, mirror: bool) -> Image:
    """(H, W, ...) one picture."""
    plane = np.rot90(plane, -rotate // 90)
    return np.array(plane[:, ::-1] if mirror else plane, order="C")

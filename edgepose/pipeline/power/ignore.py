"""Polygons of a picture in which nothing counts: a road behind a window, a television."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepose.core.errors import ConfigError
from edgepose.pipeline.power.background import Mask
from edgepose.pipeline.power.luma import Grid

Polygon = Sequence[tuple[float, float]]
"""Corners, x and y as shares of the picture's width and height."""


def polygons_of(texts: Sequence[str], where: str = "power.ignore") -> list[Polygon]:
    """Read "0.1,0.2 0.5,0.2 0.5,0.6": a polygon a text.

    Raises:
        ConfigError: not numbers, fewer than three corners, or a corner outside the picture.
    """
    return [_polygon(text, f"{where}[{index}]") for index, text in enumerate(texts)]


def _polygon(text: str, where: str) -> Polygon:
    try:
        corners = [(float(x), float(y)) for x, y in (corner.split(",") for corner in text.split())]
    except ValueError:
        raise ConfigError(f'{where} is {text[:80]!r}, expected corners as "0.1,0.2 0.5,0.2 0.5,0.6"') from None
    if len(corners) < 3:
        raise ConfigError(f"{where} has {len(corners)} corners, expected at least 3")
    for x, y in corners:
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ConfigError(
                f"{where}: {x:g},{y:g} is outside the picture; 0,0 is its upper left, 1,1 its lower right"
            )
    return corners


def mask_of(polygons: Sequence[Polygon], grid: Grid) -> Mask:
    """(rows, columns) cells that a polygon touches."""
    from edgepose.core.opencv import cv2

    mask = np.zeros((grid.rows, grid.columns), np.uint8)
    size = np.array([grid.columns, grid.rows])
    for polygon in polygons:
        cells = np.minimum((np.array(polygon) * size).astype(np.int32), size - 1)
        cv2.fillPoly(mask, [cells.astype(np.int32)], 1)
    return mask.astype(np.bool_)

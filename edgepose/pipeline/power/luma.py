"""A small plane of brightness, taken before any conversion of colour or full resize: what the motion gate looks at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Frame

SAMPLES = 320
"""Points taken along the longer side of a picture, as nearly as whole steps allow."""
ACROSS, DOWN = 4, 2
"""Points in a cell; rows are twice as far apart as columns, so a cell is square, 4 steps wide."""
GREEN = 1
"""Channel of bgr and rgb that stands for brightness: the largest part of it, and least compressed."""

LEVEL = 2
"""Of a plane's numbers: so many to a grey level."""

Plane = NDArray[np.uint16]
"""(rows, columns) mean brightness of each cell, 0..510, half grey levels."""


class Grid(NamedTuple):
    """Where the cells of a picture are; what is left over at its right and lower edge is in none."""

    step: int
    """Pixels between two points of a row."""
    rows: int
    columns: int

    @property
    def cell_px(self) -> int:
        """Side of a cell, pixels."""
        return ACROSS * self.step


def grid_of(size_wh: tuple[int, int]) -> Grid:
    """The cells of pictures of this size: 80 x 60 of 8 pixels for 640 x 480, of 24 pixels for 1920 x 1080."""
    width, height = size_wh
    step = max(1, round(max(width, height) / SAMPLES))
    return Grid(step, max(1, -(-height // (DOWN * step)) // DOWN), max(1, -(-width // step) // ACROSS))


def plane_of(frame: Frame, grid: Grid) -> Plane:
    """The cells' brightness; YUV pictures have it for the taking."""
    from edgepose.core.opencv import cv2

    image, height = frame.image, frame.size_wh[1]
    bright = image[:height] if image.ndim == 2 else image[..., GREEN]
    points = np.ascontiguousarray(bright[:: DOWN * grid.step, :: grid.step])
    points = points[: DOWN * grid.rows, : ACROSS * grid.columns]
    pairs = cv2.resize(points, (2 * grid.columns, grid.rows), interpolation=cv2.INTER_AREA)  # 2 x 2: the quick one
    return np.add(pairs[:, ::2], pairs[:, 1::2], dtype=np.uint16)

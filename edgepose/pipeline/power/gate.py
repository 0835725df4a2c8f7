"""The motion gate: whether anything in the picture changed that is not light, noise or a plant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgepose.core.poses import Frame
from edgepose.pipeline.power.background import Background, Cells, Mask
from edgepose.pipeline.power.ignore import Polygon, mask_of
from edgepose.pipeline.power.luma import Grid, Plane, grid_of, plane_of

STILL, MOTION, SCENE, STUCK = "still", "motion", "scene", "stuck"
"""Kinds of Signal: nothing; something somewhere; another picture as a whole; the same buffer again and again."""

CELL_Z, PATCH_Z = 6.0, 5.5
"""Standard deviations by which one cell, or a patch of them, has to differ."""
SCENE_SHARE = 0.4
"""Of all cells, from which it is the light or the camera that changed, and not somebody in the picture."""
LOOK_S = 0.05
"""A frame nearer to the last one is taken to show the same."""
GAP_S = 10.0
"""After a longer time without a picture, or one that comes before the last, nothing is known of the scene."""
STUCK_S = 30.0
"""A sensor never gives the same picture twice; a stream may repeat one until its next key frame."""


Box = tuple[float, float, float, float]
"""x and y of two corners, pixels."""


class Signal(NamedTuple):
    """What one frame shows."""

    kind: str
    at_xy: tuple[int, int] | None = None
    """Where it differs most, pixels; None where nothing does."""
    cells: int = 0
    """How many differ."""


class Gate:
    """Looks at the frames of a source, at most one every LOOK_S."""

    def __init__(self, ignore: Sequence[Polygon] = (), sensitivity: float = 1.0) -> None:
        """`ignore`: polygons in which nothing counts; `sensitivity`: more than 1 takes less for a change."""
        self._ignore, self._scale = ignore, 1 / sensitivity
        self._size_wh = (0, 0)
        self._grid: Grid = grid_of((1, 1))
        self.ignored: Mask | None = None
        """(rows, columns) cells in which nothing counts."""
        self._background: Background | None = None
        self._latest: Plane | None = None
        self._t = self._fresh_t = 0.0
        self._signal = Signal(STILL)
        self.changed: Mask | None = None
        """(rows, columns) cells of the latest frame that differ."""

    @property
    def cell_px(self) -> int:
        """Side of a cell, pixels."""
        return self._grid.cell_px

    def see(self, frame: Frame, refuted: bool = False, moving: Sequence[Box] = ()) -> Signal:
        """Compare a frame with the scene as it was, and learn it.

        refuted  somebody looked at the frame before, and nobody is there
        moving   boxes of people who move
        """
        if frame.size_wh != self._size_wh:
            self._begin(frame.size_wh)
        step_s = frame.t - self._t
        if self._background is None or not 0 <= step_s < LOOK_S:
            self._t = frame.t
            self._signal = self._compare(frame, step_s, refuted, moving)
        return self._signal

    def _compare(self, frame: Frame, step_s: float, refuted: bool, moving: Sequence[Box]) -> Signal:
        plane, before = plane_of(frame, self._grid), self._latest
        self._latest = plane
        if self._background is None or not 0 <= step_s <= GAP_S:
            return self._new_scene(plane)
        if before is not None and plane[0].tobytes() == before[0].tobytes() and np.array_equal(plane, before):
            return Signal(STUCK if frame.t - self._fresh_t >= STUCK_S else STILL)
        self._fresh_t = frame.t
        cell_z, patch_z = self._background.deviation(plane, frame.t)
        changed: Mask = np.abs(cell_z, out=cell_z) > CELL_Z * self._scale
        changed |= np.abs(patch_z, out=patch_z) > PATCH_Z * self._scale
        cells = int(np.count_nonzero(changed))
        if cells > SCENE_SHARE * changed.size:
            return self._new_scene(plane)
        self.changed = changed
        self._background.learn(changed, refuted, self._cells_of(moving))
        return Signal(MOTION, self._where(patch_z), cells) if cells else Signal(STILL)

    def _begin(self, size_wh: tuple[int, int]) -> None:
        """Forget everything: pictures have another size."""
        self._size_wh, self._grid = size_wh, grid_of(size_wh)
        self.ignored = mask_of(self._ignore, self._grid) if self._ignore else None
        self._background = self._latest = self.changed = None

    def _new_scene(self, plane: Plane) -> Signal:
        if self._background is None:
            self._background = Background(plane, self._t, self.ignored)
        else:
            self._background.renew(plane, self._t)
        self._fresh_t = self._t
        self.changed = np.ones(plane.shape, np.bool_)
        return Signal(SCENE, None, plane.size)

    def _where(self, z: Cells) -> tuple[int, int]:
        row, column = divmod(int(np.argmax(np.abs(z))), z.shape[1])
        px = self._grid.cell_px
        return column * px + px // 2, row * px + px // 2

    def _cells_of(self, boxes: Sequence[Box]) -> Mask | None:
        if not boxes:
            return None
        mask, px = np.zeros((self._grid.rows, self._grid.columns), np.bool_), self._grid.cell_px
        for x, y, x_to, y_to in boxes:
            if math.isfinite(x + y + x_to + y_to):
                mask[
                    max(0, int(y // px)) : max(0, int(y_to // px) + 1),
                    max(0, int(x // px)) : max(0, int(x_to // px) + 1),
                ] = True
        return mask

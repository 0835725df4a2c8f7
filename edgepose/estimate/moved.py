"""Where the picture changes: people move; noise, exposure and a shaking camera are no motion."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Frame
from edgepose.estimate.predictor import Box

CELLS = 48
"""Along the longer side of a frame."""
SAMPLES = 4
"""Pixels read along the side of a cell."""
PAST_S = 0.7
"""The picture before is a mean that forgets like this."""
LEAST, NOISES = 7.0, 5.0
"""Change of a cell that counts: grey levels, and standard deviations of what cells change anyway."""
AROUND = np.ones((3, 3), np.uint8)
EVERYWHERE = 0.4
"""Of all cells: the camera moves or the light changes, and nothing can be said."""


class Moved:
    """Compares each frame with those just before it."""

    def __init__(self) -> None:
        self._past: NDArray[np.float32] | None = None
        self._t = 0.0
        self._changed: NDArray[np.bool_] | None = None
        self._cell = 1.0
        """Pixels of the frame along the side of a cell."""

    def see(self, frame: Frame) -> None:
        """One more frame, in the order of time."""
        from edgepose.core.opencv import cv2

        cells, past, step_s = small(frame), self._past, frame.t - self._t
        self._t, self._cell = frame.t, max(frame.size_wh) / CELLS
        if past is None or past.shape != cells.shape or not 0 <= step_s < 10 * PAST_S:
            self._past, self._changed = cells, None
            return
        gain = float(np.median(cells) + 1) / float(np.median(past) + 1)
        past_now = past * np.float32(gain)
        noise = 1.48 * float(np.median(np.abs(cells - past_now)))
        # a shaking camera shows in a cell what its neighbours showed before
        above, below = cells - cv2.dilate(past_now, AROUND), cv2.erode(past_now, AROUND) - cells
        changed = np.maximum(above, below) > max(LEAST, NOISES * noise)
        self._changed = changed if changed.mean() <= EVERYWHERE else None
        self._past = past + np.float32(1 - math.exp(-step_s / PAST_S)) * (cells - past)

    def within(self, box: Box) -> float:
        """Share of a box, 0..1, in which the picture changes; 0 where that is not known."""
        if self._changed is None:
            return 0.0
        height, width = self._changed.shape
        left, top, right, bottom = (side / self._cell for side in box)
        rows = slice(max(math.floor(top), 0), min(max(math.ceil(bottom), 0), height))
        columns = slice(max(math.floor(left), 0), min(max(math.ceil(right), 0), width))
        inside = self._changed[rows, columns]
        return float(inside.mean()) if inside.size else 0.0


def small(frame: Frame) -> NDArray[np.float32]:
    """(h, w) brightness of a frame in cells."""
    from edgepose.core.opencv import cv2

    width, height = frame.size_wh
    every = max(1, max(width, height) // (CELLS * SAMPLES))
    image = frame.image[:height:every, :width:every]
    bright = np.ascontiguousarray(image if image.ndim == 2 else image[..., 1], dtype=np.float32)
    size = tuple(max(1, round(side * CELLS / max(width, height))) for side in (width, height))
    return np.asarray(cv2.resize(bright, size, interpolation=cv2.INTER_AREA), np.float32)

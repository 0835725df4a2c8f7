"""What wakes a camera, drawn on a picture: for whoever aims it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgepose.core.opencv import cv2
from edgepose.sink.base import GateView
from edgepose.sink.draw import DARK, WHITE, Image, badge, half_of

CHANGED = (0, 90, 255)
"""Blue, green, red of cells that changed."""
TINT = 0.45
"""Share of that colour."""
IGNORED = 0.35
"""What is left of the light where nothing counts."""


def draw_gate(image: Image, view: GateView) -> None:
    """Draw on the picture itself: what is ignored darker, what changed tinted, the place of most change ringed."""
    if view.ignored is not None:
        _mix(image, view.ignored, view.cell_px, (0, 0, 0), 1 - IGNORED)
    if view.changed is not None:
        _mix(image, view.changed, view.cell_px, CHANGED, TINT)
    if view.at_xy is not None:
        radius = 2 * view.cell_px
        cv2.circle(image, view.at_xy, radius, DARK, 4, cv2.LINE_AA)
        cv2.circle(image, view.at_xy, radius, WHITE, 2, cv2.LINE_AA)
    height, width = image.shape[:2]
    scale = min(max(min(height, width) / 1100, 0.4), 2.0)
    half_w, half_h = half_of(view.text, scale)
    badge(image, view.text, (width - half_w - half_h // 2, height - half_h - half_h // 2), scale, WHITE, DARK)


def _mix(image: Image, cells: NDArray[np.bool_], cell_px: int, colour: tuple[int, int, int], share: float) -> None:
    """So much of a colour in cells; what is left over at the picture's right and lower edge is in none."""
    height, width = image.shape[:2]
    rows, columns = min(cells.shape[0], -(-height // cell_px)), min(cells.shape[1], -(-width // cell_px))
    mask = np.repeat(np.repeat(cells[:rows, :columns], cell_px, 0), cell_px, 1)[:height, :width]
    part = image[: mask.shape[0], : mask.shape[1]]
    part[mask] = (part[mask] * (1 - share) + np.array(colour) * share).astype(np.uint8)

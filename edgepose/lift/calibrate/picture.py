"""A picture for whoever holds the board: where it is, where it was, and where it is still to be shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.lift.calibrate.lens import CELLS, View, Views

Picture = NDArray[np.uint8]
GREEN, GREY, WHITE = (80, 220, 80), (170, 170, 170), (255, 255, 255)
"""Blue, green, red."""
DARK = 0.45
TEXT_PX = 18
"""Height of letters, of a picture of 480 rows."""


def drawn(picture: Picture, view: View | None, views: Views) -> Picture:
    """Parts that were not covered are dark; corners seen now green, those kept grey."""
    from edgepose.core.opencv import cv2

    shown = picture.copy()
    height, width = shown.shape[:2]
    covered = views.cover() if views.kept else np.zeros((CELLS, CELLS), bool)
    for row, column in np.argwhere(~covered).tolist():
        top, low = row * height // CELLS, (row + 1) * height // CELLS
        left, right = column * width // CELLS, (column + 1) * width // CELLS
        shown[top:low, left:right] = (shown[top:low, left:right] * DARK).astype(np.uint8)
    size = max(1, height // 240)
    dots = [(GREY, kept.xy) for kept in views.kept] + ([(GREEN, view.xy)] if view is not None else [])
    for colour, corners in dots:
        for x, y in np.rint(corners).astype(int).tolist():
            cv2.circle(shown, (x, y), size, colour, -1)
    scale = height / 480 * TEXT_PX / 30
    seen = "board seen" if view is not None else "no board"
    said = f"{len(views.kept)} places, {seen}", "dark: show it there"
    for line, text in enumerate(said):
        cv2.putText(shown, text, (8, int((line + 1) * 34 * scale) + 6), 0, scale, WHITE, max(1, round(scale)), 16)
    return shown


def write_picture(path: Path, picture: Picture) -> None:
    """Put there whole, so that whoever looks never sees half of it.

    Raises:
        ConfigError: it cannot be written.
    """
    from edgepose.core.opencv import cv2

    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        good, content = cv2.imencode(path.suffix or ".jpg", picture)
    except cv2.error:
        good = False
    if not good:
        raise ConfigError(f"--picture {path}: {path.suffix or 'no ending'} is no kind of picture; call it .jpg or .png")
    try:
        part.write_bytes(content.tobytes())
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"--picture {path}: {error.strerror}; give a file that can be written") from None

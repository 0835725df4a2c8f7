"""What OpenCV hands over, as frames want it."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from edgepose.core.opencv import cv2
from edgepose.core.poses import Layout

RETRIES = 10
"""Damaged frames in a row that a camera may send."""

QUICK_S = 0.2
"""A read that fails faster met a damaged frame; a slower one ran into a time-out and is not repeated."""


def read_live(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """The next frame as OpenCV gives it, damaged ones skipped; None when there are no more."""
    for _ in range(RETRIES):
        began = time.monotonic()
        good, image = capture.read()
        if good:
            return np.asarray(image, np.uint8)
        if time.monotonic() - began > QUICK_S:
            break
    return None


def colour(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Layout]:
    """(H, W), (H, W, 1), (H, W, 3) bgr or (H, W, 4) bgrx as one of the layouts of a frame."""
    if image.ndim == 2:
        return image, "gray"
    if image.shape[2] == 1:
        return image[..., 0], "gray"
    return np.ascontiguousarray(image[..., :3]), "bgr"

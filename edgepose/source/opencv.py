"""What OpenCV hands over, as frames want it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.opencv import cv2
from edgepose.core.poses import Layout

RETRIES = 10
"""Damaged frames in a row that a camera may send."""

QUICK_S = 0.2
"""A read that fails faster met a damaged frame; a slower one ran into a time-out and is not repeated."""


def read_live(capture: cv2.VideoCapture, packets: bool = False) -> NDArray[np.uint8] | None:
    """The next frame as OpenCV gives it, damaged ones skipped; None when there are no more.

    packets  `by_packets` is on
    """
    for _ in range(RETRIES):
        began = time.monotonic()
        good, image = capture.read()
        picture = _decoded(image) if good and packets else image if good else None
        if picture is not None:
            return np.asarray(picture, np.uint8)
        if time.monotonic() - began > QUICK_S:
            break
    return None


def _decoded(packet: NDArray[Any]) -> NDArray[Any] | None:
    """The picture of a JPEG; None where it is damaged."""
    packet = np.asarray(packet, np.uint8)
    return cv2.imdecode(packet, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def by_packets(capture: cv2.VideoCapture) -> bool:
    """Have FFmpeg hand over the JPEGs of motion JPEG as they are from now on; False for any other codec.

    A packet that nobody looks at then costs nothing. There is no way back.
    """
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    return code == cv2.VideoWriter.fourcc(*"MJPG") and bool(capture.set(cv2.CAP_PROP_FORMAT, -1))


def colour(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Layout]:
    """(H, W), (H, W, 1), (H, W, 3) bgr or (H, W, 4) bgrx as one of the layouts of a frame."""
    if image.ndim == 2:
        return image, "gray"
    if image.shape[2] == 1:
        return image[..., 0], "gray"
    return np.ascontiguousarray(image[..., :3]), "bgr"

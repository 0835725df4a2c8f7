"""YUV 4:2:0 buffers as cameras lay them out: rows padded to a stride. All functions copy the picture out of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Layout

Image = NDArray[np.uint8]


def i420(buffer: Image, size_wh: tuple[int, int]) -> Image:
    """(H * 3 / 2, stride) with U and V rows of stride / 2 packed behind Y -> (H * 3 / 2, W) without padding."""
    width, height = size_wh
    stride = buffer.shape[1]
    if stride == width:
        return buffer.copy()
    flat = np.ascontiguousarray(buffer).reshape(-1)
    image = np.empty(width * height * 3 // 2, np.uint8)
    taken = filled = 0
    for rows, columns, pitch in ((height, width, stride), *2 * ((height // 2, width // 2, stride // 2),)):
        plane = flat[taken : taken + rows * pitch].reshape(rows, pitch)[:, :columns]
        image[filled : filled + rows * columns].reshape(rows, columns)[:] = plane
        taken, filled = taken + rows * pitch, filled + rows * columns
    return image.reshape(height * 3 // 2, width)


def rows(buffer: Image, size_wh: tuple[int, int]) -> Image:
    """(H * 3 / 2, stride) NV12, whose UV rows are as long as its Y rows, or (H, stride, 3) colour."""
    return np.array(buffer[:, : size_wh[0]], order="C")


LAYOUTS: dict[str, tuple[Layout, Callable[[Image, tuple[int, int]], Image]]] = {
    "YUV420": ("i420", i420),
    "NV12": ("nv12", rows),
    "RGB888": ("bgr", rows),
    "BGR888": ("rgb", rows),
}
"""Stream format in libcamera's words -> layout of the frame, and how to take it out of its buffer."""

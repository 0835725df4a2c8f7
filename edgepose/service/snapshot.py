"""One picture with its people drawn on it, small enough for a message. It is never stored."""

from __future__ import annotations

import base64
from typing import Any

from edgepose.core.opencv import cv2
from edgepose.core.poses import Frame, Poses
from edgepose.sink.draw import Image, bgr, draw_on

MOST_BYTES = 192 * 1024
"""Of the JPEG; a third more as base64."""
LONGEST_PX = 1280
QUALITIES = (85, 70, 50, 30)


def jpeg(poses: Poses, frame: Frame) -> dict[str, Any]:
    """The result of the command: `jpeg` in base64, and of which frame it is."""
    image = bgr(frame)
    draw_on(image, poses)
    data = _encoded(image)
    height, width = image.shape[:2]
    return {"jpeg": base64.b64encode(data).decode(), "seq": poses.seq, "people": len(poses), "size_wh": [width, height]}


def _encoded(image: Image) -> bytes:
    scale = min(1.0, LONGEST_PX / max(image.shape[:2]))
    while True:
        small = image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for quality in QUALITIES:
            done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if done and data.size <= MOST_BYTES:
                return data.tobytes()
        scale /= 2

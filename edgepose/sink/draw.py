"""Skeletons on a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.opencv import cv2
from edgepose.poses import Frame, Poses

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (80, 200, 255), (255, 180, 60), (120, 230, 90), (200, 110, 255), (70, 120, 255),
    (255, 240, 80), (170, 130, 255), (90, 255, 220), (255, 120, 150), (160, 220, 250),
)  # fmt: skip
"""Blue, green, red; one per person, bright on dark and outlined for bright pictures."""
DARK = (30, 25, 25)
WHITE = (255, 255, 255)

SHIFT = 4
"""Bits below the pixel in the coordinates of cv2's drawing calls."""
FAR = 1 << 14
"""Pixels; cv2's fixed-point coordinates overflow further out."""

TO_BGR = {
    "rgb": cv2.COLOR_RGB2BGR,
    "gray": cv2.COLOR_GRAY2BGR,
    "i420": cv2.COLOR_YUV2BGR_I420,
    "nv12": cv2.COLOR_YUV2BGR_NV12,
}


def bgr(frame: Frame) -> Image:
    """(H, W, 3) a copy of the frame's picture in blue, green, red."""
    if frame.layout == "bgr":
        return frame.image.copy()
    return np.asarray(cv2.cvtColor(frame.image, TO_BGR[frame.layout]), np.uint8)


def draw(image_bgr: Image, poses: Poses) -> Image:
    """A copy of the picture with everybody in `poses` on it; lines are as thick as suits each person's size.

    image_bgr  (H, W, 3), of the size the poses are in
    """
    image = image_bgr.copy()
    shorter = min(image.shape[:2])
    for index in reversed(range(len(poses))):  # the surest person ends on top
        found = np.isfinite(poses.xy[index]).all(axis=1)
        if not found.any():
            continue
        xy = np.clip(poses.xy[index].astype(np.float64), -FAR, FAR)
        extent = float(np.ptp(xy[found], axis=0).max())
        thick = max(1, round(min(extent / 55, shorter / 110)))
        identity = int(poses.track_id[index])
        colour = COLOURS[(identity if identity >= 0 else index) % len(COLOURS)]
        _skeleton(image, xy, found, poses.skeleton.bones, colour, thick)
        name = f"#{identity} " if identity >= 0 else ""
        _label(image, f"{name}{poses.person_score[index]:.2f}", xy[found], colour, thick)
    return image


def _skeleton(
    image: Image,
    xy: NDArray[Any],
    found: NDArray[np.bool_],
    bones: tuple[tuple[int, int], ...],
    colour: Colour,
    thick: int,
) -> None:
    points = [tuple(point) for point in np.rint(np.where(found[:, None], xy, 0) * (1 << SHIFT)).astype(int).tolist()]
    lines = [(points[a], points[b]) for a, b in bones if found[a] and found[b]]
    dots = [point for point, there in zip(points, found.tolist(), strict=True) if there]
    radius = round((thick + 0.5) * (1 << SHIFT))
    rim = max(1, round(thick / 2)) << SHIFT
    for start, end in lines:
        cv2.line(image, start, end, DARK, thick + 2 * max(1, thick // 2), cv2.LINE_AA, SHIFT)
    for point in dots:
        cv2.circle(image, point, radius + rim, DARK, cv2.FILLED, cv2.LINE_AA, SHIFT)
    for start, end in lines:
        cv2.line(image, start, end, colour, thick, cv2.LINE_AA, SHIFT)
    for point in dots:
        cv2.circle(image, point, radius, colour, cv2.FILLED, cv2.LINE_AA, SHIFT)
        cv2.circle(image, point, radius // 2, WHITE, cv2.FILLED, cv2.LINE_AA, SHIFT)


def _label(image: Image, text: str, xy: NDArray[Any], colour: Colour, thick: int) -> None:
    """Above the topmost joint, kept inside the picture where it fits."""
    height, width = image.shape[:2]
    scale = min(max(min(height, width) / 1000, 0.4), 2.0)
    stroke = max(1, round(scale * 1.5))
    (text_w, text_h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
    pad = max(2, text_h // 3)
    head_x, head_y = xy[np.argmin(xy[:, 1])]
    left = int(np.clip(head_x - text_w / 2, pad, max(pad, width - text_w - pad)))
    foot = int(np.clip(head_y - 6 * thick, text_h + pad, max(text_h + pad, height - pad - base)))
    corner, opposite = (left - pad, foot - text_h - pad), (left + text_w + pad, foot + pad)
    cv2.rectangle(image, corner, opposite, colour, cv2.FILLED, cv2.LINE_AA)
    cv2.rectangle(image, corner, opposite, DARK, 1, cv2.LINE_AA)
    cv2.putText(image, text, (left, foot), cv2.FONT_HERSHEY_SIMPLEX, scale, DARK, stroke, cv2.LINE_AA)

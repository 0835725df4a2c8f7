"""Skeletons on a picture."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.opencv import cv2
from edgepose.core.poses import Frame, Poses, Skeleton

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""

COLOURS: tuple[Colour, ...] = (
    (61, 190, 255), (167, 191, 0), (255, 188, 221), (47, 119, 240), (173, 246, 83),
    (255, 148, 124), (155, 164, 255), (67, 182, 102), (255, 219, 116), (149, 106, 241),
    (74, 225, 209), (240, 176, 0), (247, 165, 255), (0, 153, 196), (255, 243, 0),
    (227, 120, 201),
)  # fmt: skip
"""Blue, green, red, one a person; light enough for dark writing (contrast 5 and more).

OKLCH colours of chroma 0.17, lightness 0.87 and 0.7 in turn, hues 112.5 degrees apart from 70 on: of all such steps
the one after which the nearest two of any six in a row, and of the first ten, differ most.
"""
DARK = (30, 25, 25)
WHITE = (255, 255, 255)
FINE = 40.0
"""Pixels; lines on who is larger show their colour, not only its rim."""
FONT = cv2.FONT_HERSHEY_SIMPLEX

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


def colour_of(identity: int) -> Colour:
    """An identity's colour: for ever the same, unlike those of its neighbours."""
    return COLOURS[(identity - 1) % len(COLOURS)]


def draw(image_bgr: Image, poses: Poses) -> Image:
    """A copy of the picture with everybody in `poses` on it; lines are as thick as suits each person's size.

    image_bgr  (H, W, 3), of the size the poses are in
    """
    image = image_bgr.copy()
    draw_on(image, poses)
    return image


def draw_on(image: Image, poses: Poses) -> None:
    """As draw, on the picture itself."""
    shorter = min(image.shape[:2])
    taken: list[Box] = []
    labels = []
    for index in reversed(range(len(poses))):  # the surest person ends on top
        found = np.isfinite(poses.xy[index]).all(axis=1)
        if not found.any():
            continue
        xy = np.clip(poses.xy[index].astype(np.float64), -FAR, FAR)
        extent = float(np.ptp(xy[found], axis=0).max())
        thick = max(2 if extent > FINE else 1, round(min(extent / 55, shorter / 110)))
        identity = int(poses.track_id[index])
        colour = colour_of(identity) if identity >= 0 else COLOURS[index % len(COLOURS)]
        _skeleton(image, xy, found, poses.skeleton.bones, colour, thick)
        text = str(identity) if identity >= 0 else f"{poses.person_score[index]:.2f}"
        labels.append((text, _head(xy, found, poses.skeleton), colour, thick))
    for text, head_xy, colour, thick in reversed(labels):  # the surest person's stays where it belongs
        _label(image, text, head_xy, colour, thick, taken)
    if poses.predicted_s:
        _caption(image, f"{poses.predicted_s * 1e3:+.0f} ms")
    elif poses.held and len(poses):
        _caption(image, "held")


@functools.lru_cache(maxsize=16)
def _head_joints(skeleton: Skeleton) -> list[int]:
    """Those above the neck."""
    parts = ("nose", "eye", "ear", "mouth", "head")
    return [index for index, name in enumerate(skeleton.joints) if any(part in name for part in parts)]


def _head(xy: NDArray[Any], found: NDArray[np.bool_], skeleton: Skeleton) -> tuple[float, float]:
    """Where the head is, at the height of its topmost joint; without one, the topmost joint of all."""
    head = [index for index in _head_joints(skeleton) if found[index]]
    points = xy[head] if head else xy[found]
    top = points[:, 1].argmin()
    return (float(points[:, 0].mean()) if head else float(points[top, 0])), float(points[top, 1])


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


def _label(image: Image, text: str, head_xy: tuple[float, float], colour: Colour, thick: int, taken: list[Box]) -> None:
    """Above the head, inside the picture where it fits, clear of those drawn before; dark on the person's colour."""
    height, width = image.shape[:2]
    text_scale = min(max(thick / 6, min(height, width) / 1100, 0.4), 2.0)
    half_w, half_h = half_of(text, text_scale)
    x = round(min(max(head_xy[0], half_w + 1), max(half_w + 1, width - half_w - 2)))
    y = round(min(max(head_xy[1] - 5 * thick - half_h, half_h + 1), max(half_h + 1, height - half_h - 2)))
    for _ in taken:
        box = x - half_w, y - half_h, x + half_w, y + half_h
        other = next((one for one in taken if _meet(one, box)), None)
        if not other:
            break
        if other[1] - 2 * half_h > 2:
            y = other[1] - half_h - 2
        elif other[2] + 2 * half_w < width - 2:
            x = other[2] + half_w + 2
        else:
            y = other[3] + half_h + 2
    taken.append((x - half_w, y - half_h, x + half_w, y + half_h))
    badge(image, text, (x, y), text_scale, DARK, colour)


def _caption(image: Image, text: str) -> None:
    """In the lower left corner."""
    height, width = image.shape[:2]
    text_scale = min(max(min(height, width) / 1100, 0.4), 2.0)
    half_w, half_h = half_of(text, text_scale)
    badge(image, text, (half_w + half_h // 2, height - half_h - half_h // 2), text_scale, WHITE, DARK)


def _stroke(text_scale: float) -> int:
    return max(1, round(text_scale * 1.6))


def half_of(text: str, text_scale: float) -> tuple[int, int]:
    """Half the width and height of a badge."""
    (text_w, text_h), _ = cv2.getTextSize(text, FONT, text_scale, _stroke(text_scale))
    half_h = text_h // 2 + max(3, round(text_h * 0.45))
    return max(text_w // 2 + half_h // 2, half_h), half_h


def badge(image: Image, text: str, xy: tuple[int, int], text_scale: float, ink: Colour, ground: Colour) -> None:
    """Text on a lozenge with round ends and a dark rim, centred."""
    (text_w, text_h), _ = cv2.getTextSize(text, FONT, text_scale, _stroke(text_scale))
    half_w, half_h = half_of(text, text_scale)
    span, rim = half_w - half_h, max(1, round(text_scale * 2))
    ends = (xy[0] - span, xy[1]), (xy[0] + span, xy[1])
    cv2.line(image, *ends, DARK, 2 * (half_h + rim), cv2.LINE_AA)
    cv2.line(image, *ends, ground, 2 * half_h, cv2.LINE_AA)
    at = xy[0] - text_w // 2, xy[1] + text_h // 2
    cv2.putText(image, text, at, FONT, text_scale, ink, _stroke(text_scale), cv2.LINE_AA)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]

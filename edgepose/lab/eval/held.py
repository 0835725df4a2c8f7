"""Pictures held still before a camera that is a little noisy: what a fixed camera sees of an empty room."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.core.opencv import cv2
from edgepose.core.poses import Frame

TILE = 4
"""Noise is drawn once for so many frames' worth of pixels and cut out anew for each frame."""


@dataclass(frozen=True)
class Camera:
    """What a camera adds to a scene in which nothing moves."""

    fps: float = 10.0
    noise: float = 3.0
    """Standard deviation of a pixel, of 255."""
    drift: float = 0.02
    """Of brightness, up and down within DRIFT_S."""
    shake_px: float = 0.4
    """Standard deviation of where the picture lies, pixels."""
    quality: int = 90
    """Of the JPEG that it is sent as; 0 is none."""
    light: float = 1.0
    """Of the scene, before the noise."""
    grey: bool = False


DRIFT_S = 7.0


def held(image: NDArray[np.uint8], camera: Camera, seconds: float, seed: int, name: str = "") -> Iterator[Frame]:
    """Frames of a picture (H, W, 3) bgr that is held still for so long; the same for the same seed."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    noise = (camera.noise * rng.standard_normal((TILE * height * width * 3,), np.float32)).astype(np.float32)
    phase = rng.uniform(0, 2 * math.pi)
    for seq in range(max(1, round(seconds * camera.fps))):
        t = seq / camera.fps
        light = camera.light * (1 + camera.drift * math.sin(2 * math.pi * t / DRIFT_S + phase))
        yield Frame(_frame(image, camera, light, noise, rng), "bgr", t, time.monotonic(), seq, name)


def _frame(
    image: NDArray[np.uint8], camera: Camera, light: float, noise: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    (by_x, by_y), start = rng.normal(0, camera.shake_px, 2), int(rng.integers(len(noise) - image.size + 1))
    move = np.array([[1, 0, by_x], [0, 1, by_y]])
    moved = cv2.warpAffine(image, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if camera.grey:
        moved = cv2.cvtColor(cv2.cvtColor(moved, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    seen = moved.astype(np.float32) * light + noise[start : start + image.size].reshape(image.shape)
    shown: NDArray[np.uint8] = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    if not camera.quality:
        return shown
    _, packed = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)

"""A dark or noisy picture of a camera is made brighter and smoother before a model sees it.

Models were trained by daylight: of a picture at a fifth of its light with noise they see nobody. How much light and
noise there is, is measured on frames that follow each other, so single pictures stay as they are.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Frame

SAMPLES = 96
"""Pixels along the longer side that light and noise are measured on."""
BRIGHT, HIGH = 98, 200.0
"""Percentile of brightness that is brought up to HIGH ..."""
MOST_GAIN, LEAST_GAIN = 8.0, 1.8
"""... by so much at most; less than LEAST_GAIN is daylight, unless it is noisy."""
NOISY = 8.0
"""Standard deviation of a pixel, grey levels after the gain, from which noise is smoothed."""
PER_PIXEL, MOST_BLUR = 15.0, 1.8
"""Noise for which a blur of one pixel is right, and the strongest blur."""
OF_MODEL = 0.3
"""Least blur, in pixels of the model that sees whole frames: what it skips would be noise to it."""
EVERY_S = 0.2
"""Between two measurements."""
SLOWLY = 0.3
"""Of the latest measurement in what is known of light and noise."""


class Night:
    """Knows how dark and noisy a camera's picture is."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self._t = -math.inf
        self.light, self.noise = 255.0, 0.0
        """Grey levels: brightest places, and standard deviation of a pixel."""
        self._frames = 0

    def see(self, frame: Frame) -> None:
        """One more frame of the same camera."""
        if self._frames and 0 <= frame.t - self._t < EVERY_S:
            return
        now, before = sampled(frame), self._before
        self._before, self._t = now, frame.t
        if before is None or before.shape != now.shape:
            self.light, self.noise, self._frames = 255.0, 0.0, 0
            return
        self._frames += 1
        share = max(SLOWLY, 1 / self._frames)
        self.light += share * (float(np.percentile(now, BRIGHT)) - self.light)
        self.noise += share * (_noise(now, before) - self.noise)

    def shown(self, frame: Frame, pixels: float) -> Frame:
        """The frame as models get it; `pixels` of it are one of the model that sees whole frames."""
        gain = round(min(max(HIGH / max(self.light, 1.0), 1.0), MOST_GAIN), 1)
        noise = self.noise * gain
        if not self._frames or (gain < LEAST_GAIN and noise < NOISY):
            return frame
        blur = 0.0 if noise < NOISY else round(max(min(noise / PER_PIXEL, MOST_BLUR), OF_MODEL * pixels), 1)
        return brightened(frame, gain, blur)


def _noise(now: NDArray[np.float32], before: NDArray[np.float32]) -> float:
    """Standard deviation of a pixel: of neighbours in time or in space, whichever differ less."""
    in_time = np.abs(now - before * np.float32((np.median(now) + 1) / (np.median(before) + 1)))
    in_space = np.abs(now[:, ::2] - now[:, 1::2])
    return 1.48 / 2**0.5 * min(float(np.median(in_time)), float(np.median(in_space)))


def sampled(frame: Frame) -> NDArray[np.float32]:
    """(h, 2 w) brightness of pairs of neighbouring pixels all over a frame."""
    width, height = frame.size_wh
    every = max(2, max(width, height) // SAMPLES)
    columns = np.arange(0, width - 1, every)
    pairs = np.stack((columns, columns + 1), axis=1).reshape(-1)
    rows = frame.image[:height:every]
    bright = rows[:, pairs] if rows.ndim == 2 else rows[:, pairs, 1]
    return bright.astype(np.float32)


def brightened(frame: Frame, gain: float, blur: float) -> Frame:
    """The frame with `gain` times the light, blurred by so many pixels."""
    from edgepose.core.opencv import cv2

    height = frame.size_wh[1]
    table = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8)
    image = frame.image.copy()
    bright = image[:height]  # of planar frames: not the colours
    bright[:] = cv2.LUT(bright, table)
    if blur:
        bright[:] = cv2.GaussianBlur(bright, (0, 0), blur)
    return replace(frame, image=image)

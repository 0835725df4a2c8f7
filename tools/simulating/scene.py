"""A scene that can be asked for its picture at any time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Frame
from tools.simulating.cutouts import Cutout

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Visit:
    """Somebody who walks in, may stop, and walks out; rigid, but for the bobbing of a walk."""

    who: Cutout
    """Already scaled."""
    from_t: float
    until_t: float
    path: Callable[[float], tuple[float, float]]
    """Seconds since `from_t` -> x of the middle and y of the feet, pixels."""
    bob_px: float = 0.0

    def at(self, t: float) -> tuple[float, float] | None:
        """Where the middle and the feet are; None: not there."""
        if not self.from_t <= t < self.until_t:
            return None
        x, y = self.path(t - self.from_t)
        return x, y + self.bob_px * math.sin(2 * math.pi * 1.8 * (t - self.from_t))


def walk(from_x: float, px_s: float, feet_y: float) -> Callable[[float], tuple[float, float]]:
    """Along a level line at a steady speed."""
    return lambda t: (from_x + px_s * t, feet_y)


@dataclass(frozen=True, eq=False)
class Scene:
    """A background with visits, light, noise and what else a camera sees."""

    background: Image
    visits: Sequence[Visit] = ()
    sigma: float = 3.0
    """Noise of a pixel, grey levels."""
    light: Callable[[float], float] = lambda _: 1.0
    """Seconds -> factor."""
    change: Callable[[NDArray[np.float32], float], NDArray[np.float32]] | None = None
    """Changes the picture before the noise: flicker, a plant, a screen."""
    grey: bool = False
    seed: int = 0
    quality: int = 0
    """JPEG quality that it is sent with; 0: as it is."""
    _noise: list[NDArray[np.float32]] = field(default_factory=list)

    def image(self, t: float, seq: int) -> Image:
        """(H, W, 3) bgr at a time."""
        picture = self.background.astype(np.float32)
        for visit in self.visits:
            where = visit.at(t)
            if where is not None:
                _draw(picture, visit.who, *where)
        picture *= np.float32(self.light(t))
        if self.change is not None:
            picture = self.change(picture, t)
        if self.grey:
            picture[...] = picture.mean(axis=2, keepdims=True)
        if self.sigma:
            picture += self._noise_at(seq)
        image = np.clip(picture, 0, 255).astype(np.uint8)
        if not self.quality:
            return image
        sent = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
        return np.asarray(cv2.imdecode(sent, cv2.IMREAD_COLOR), np.uint8)

    def people(self, t: float) -> int:
        """How many are there."""
        return sum(visit.at(t) is not None for visit in self.visits)

    def frames(self, seconds: float, fps: float = 30.0, from_t: float = 100.0) -> Iterator[Frame]:
        """As a camera gives them; a frame's time is that of the scene plus `from_t`."""
        for seq in range(round(seconds * fps)):
            t = seq / fps
            yield Frame(self.image(t, seq), "bgr", from_t + t, from_t + t, seq)

    def _noise_at(self, seq: int) -> NDArray[np.float32]:
        """One of a few noise pictures, shifted, so that none comes twice soon."""
        if not self._noise:
            rng = np.random.default_rng(self.seed)
            shape = (*self.background.shape[:2], 1 if self.grey else 3)
            self._noise.extend(rng.normal(0, self.sigma, shape).astype(np.float32) for _ in range(4))
        rng = np.random.default_rng((self.seed, seq))
        rows, columns = rng.integers(0, self.background.shape[0]), rng.integers(0, self.background.shape[1])
        return np.roll(self._noise[int(rng.integers(4))], (int(rows), int(columns)), (0, 1))


def _draw(picture: NDArray[np.float32], who: Cutout, x: float, feet_y: float) -> None:
    """Blend somebody in, to a fraction of a pixel; what is outside the picture is cut off."""
    height, width = who.alpha.shape
    left, top = x - width / 2, feet_y - height
    column, row = math.floor(left), math.floor(top)
    shift = np.array([[1, 0, left - column], [0, 1, top - row]], np.float32)
    image, alpha = (cv2.warpAffine(part, shift, (width + 1, height + 1)) for part in who)
    rows = slice(max(0, row), min(picture.shape[0], row + height + 1))
    columns = slice(max(0, column), min(picture.shape[1], column + width + 1))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = slice(rows.start - row, rows.stop - row), slice(columns.start - column, columns.stop - column)
    share = alpha[part][..., None]
    picture[rows, columns] += share * (image[part] - picture[rows, columns])

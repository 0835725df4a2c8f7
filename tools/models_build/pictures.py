"""The pictures of the build: photographs in scikit-image's wheel whose licence is clear, and crops of them.

Licences as scikit-image's own documentation states them:
  astronaut  Eileen Collins, NASA; public domain          coffee   Rachel Michetti; CC0
  camera     Lav Varshney; CC0                            chelsea  Stefan van der Walt; CC0
  rocket     SpaceX; released into the public domain
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models_build.environment import BuildError, sha256

PICTURES = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
"""File in the wheel -> its sha256."""

TURNS = ("astronaut.png",) * 3 + ("camera.png",) * 3 + ("coffee.png", "chelsea.png", "rocket.jpg")
"""Calibration takes the pictures in this turn: mostly the two that show a person."""


def read_picture(name: str) -> NDArray[np.uint8]:
    """(H, W, 3) rgb."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise BuildError("scikit-image is not in this environment; run tools/build_models, it makes its own")
    path = Path(spec.origin).parent / "data" / name
    content = path.read_bytes()
    if sha256(content) != PICTURES[name]:
        raise BuildError(f"{path}: not the picture this build was made with (sha256 {sha256(content)})")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image[:, :, ::-1], np.uint8)


def calibration_views(count: int, size_hw: tuple[int, int], seed: int) -> list[NDArray[np.uint8]]:
    """`count` random views (H, W, 3): half to all of a picture, moved, mirrored, brighter or darker, black around."""
    random = np.random.default_rng(seed)
    pictures = {name: read_picture(name) for name in PICTURES}
    return [_view(pictures[TURNS[index % len(TURNS)]], size_hw, random) for index in range(count)]


def _view(image: NDArray[np.uint8], size_hw: tuple[int, int], random: np.random.Generator) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    centre_xy = random.uniform(0.3, 0.7) * width, random.uniform(0.3, 0.7) * height
    side = random.uniform(0.5, 1.15) * max(height, width)
    view = warp_square(image, centre_xy, side, size_hw).astype(np.float32)
    if random.random() < 0.5:
        view = view[:, ::-1]
    view = view * np.float32(random.uniform(0.7, 1.25)) + np.float32(random.uniform(-15, 15))
    return np.ascontiguousarray(np.clip(view, 0, 255).astype(np.uint8))


def warp_square(
    image: NDArray[Any], centre_xy: tuple[float, float], side: float, size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """The square of `side` pixels around a centre, fitted into (H, W); black outside the picture."""
    height, width = size_hw
    scale = min(size_hw) / side
    shrink = max(1, int(1 / scale))
    if shrink > 1:  # far down, bilinear alone would skip pixels
        image = cv2.resize(image, (image.shape[1] // shrink, image.shape[0] // shrink), interpolation=cv2.INTER_AREA)
    x, y = centre_xy
    matrix = np.array(
        [[scale * shrink, 0, width / 2 - scale * x], [0, scale * shrink, height / 2 - scale * y]], np.float64
    )
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)

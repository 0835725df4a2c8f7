"""People cut out of annotated pictures, and pictures without people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

LEAST_JOINTS, LEAST_PX = 15, 160
"""Labelled joints and height of a person worth cutting out."""


class Cutout(NamedTuple):
    """A person without surroundings."""

    image: NDArray[np.uint8]
    """(H, W, 3) bgr."""
    alpha: NDArray[np.float32]
    """(H, W) 0..1."""

    def scaled(self, height: int) -> Cutout:
        """The same person so many pixels tall."""
        width = max(1, round(self.image.shape[1] * height / self.image.shape[0]))
        image, alpha = (cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA) for part in self)
        return Cutout(np.asarray(image, np.uint8), np.asarray(alpha, np.float32))

    @property
    def mirrored(self) -> Cutout:
        """The same person seen in a mirror."""
        return Cutout(np.ascontiguousarray(self.image[:, ::-1]), np.ascontiguousarray(self.alpha[:, ::-1]))


def cutouts(folder: Path) -> list[Cutout]:
    """Everybody in a set of pictures whose outline and nearly all joints are known, upright, tallest first."""
    found = []
    for annotation, picture in _annotated(folder):
        x, y, width, height = (round(value) for value in annotation["bbox"])
        upright = height > 1.6 * width
        if annotation["num_keypoints"] < LEAST_JOINTS or height < LEAST_PX or not upright or annotation["iscrowd"]:
            continue
        image = cv2.imread(str(folder / "images" / picture))
        mask = np.zeros(image.shape[:2], np.uint8)
        for ring in annotation["segmentation"]:
            cv2.fillPoly(mask, [np.array(ring, np.float32).reshape(-1, 2).round().astype(np.int32)], 255)
        part = slice(max(0, y), y + height), slice(max(0, x), x + width)
        soft = cv2.GaussianBlur(mask[part], (3, 3), 0).astype(np.float32) / 255
        found.append(Cutout(np.ascontiguousarray(image[part]), soft))
    return sorted(found, key=lambda cutout: -cutout.image.shape[0])


def backgrounds(folder: Path, size_wh: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """The pictures of a set in which nobody is, landscape ones only, filled up to a size."""
    annotated = {picture for _, picture in _annotated(folder)}
    found = []
    for path in sorted((folder / "images").iterdir()):
        image = None if path.name in annotated else cv2.imread(str(path))
        if image is not None and image.shape[1] > image.shape[0]:
            found.append(_filled(np.asarray(image, np.uint8), size_wh))
    return found


def _filled(image: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of a picture, scaled so that it fills the size."""
    scale = max(size_wh[0] / image.shape[1], size_wh[1] / image.shape[0])
    whole = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (whole.shape[0] - size_wh[1]) // 2, (whole.shape[1] - size_wh[0]) // 2
    return np.ascontiguousarray(whole[top : top + size_wh[1], left : left + size_wh[0]], np.uint8)


def _annotated(folder: Path) -> list[tuple[dict[str, Any], str]]:
    raw = json.loads((folder / "person_keypoints.json").read_text())
    names = {image["id"]: image["file_name"] for image in raw["images"]}
    return [(annotation, names[annotation["image_id"]]) for annotation in raw["annotations"]]

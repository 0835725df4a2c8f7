"""Scores a one-person model on ground-truth crops by mean OKS. For tests and tools/build_models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
"""COCO's spread of each joint."""

CROP = 1.25
"""Side of a crop over the longer side of the ground-truth box."""

LEAST_JOINTS = 8
"""Labelled joints that a person must have to count."""

Predict = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]
"""Square rgb crop -> (17, 2) joints as x, y in pixels of the crop."""


@dataclass(frozen=True)
class Person:
    """One annotated person and the picture around."""

    image: NDArray[np.uint8]
    """(H, W, 3) rgb."""
    box_xywh: tuple[float, float, float, float]
    area: float
    joints: NDArray[np.float64]
    """(17, 3) x, y, labelled (0 is not)."""


def people(folder: Path) -> Iterator[Person]:
    """Everybody with LEAST_JOINTS labelled joints in a set: person_keypoints.json and images/."""
    data = json.loads((folder / "person_keypoints.json").read_text())
    files = {image["id"]: image["file_name"] for image in data["images"]}
    for note in data["annotations"]:
        joints = np.array(note["keypoints"], np.float64).reshape(17, 3)
        if note.get("iscrowd") or np.count_nonzero(joints[:, 2]) < LEAST_JOINTS:
            continue
        image = cv2.imread(str(folder / "images" / files[note["image_id"]]), cv2.IMREAD_COLOR)
        assert image is not None, files[note["image_id"]]
        yield Person(np.asarray(image[:, :, ::-1], np.uint8), tuple(note["bbox"]), float(note["area"]), joints)


def crop_matrix(person: Person, size: int) -> NDArray[np.float64]:
    """(2, 3) picture pixels -> pixels of the square crop around the box."""
    x, y, width, height = person.box_xywh
    scale = size / (CROP * max(width, height))
    centre = np.array([x + width / 2, y + height / 2])
    return np.column_stack([np.eye(2) * scale, size / 2 - scale * centre])


def oks(person: Person, xy: NDArray[np.floating[Any]]) -> float:
    """Object keypoint similarity over the labelled joints."""
    labelled = person.joints[:, 2] > 0
    distance2 = np.square(xy - person.joints[:, :2]).sum(1)
    exponent = distance2 / (2 * np.square(2 * SIGMAS) * (person.area + np.spacing(1)))
    return float(np.exp(-exponent)[labelled].mean())


def crop_oks(persons: list[Person], predict: Predict, size: int) -> NDArray[np.float64]:
    """(N,) OKS of each person in a crop of `size` pixels."""
    found = np.zeros(len(persons))
    for index, person in enumerate(persons):
        matrix = crop_matrix(person, size)
        crop = np.asarray(cv2.warpAffine(person.image, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)
        xy = (predict(crop) - matrix[:, 2]) / matrix[0, 0]
        found[index] = oks(person, xy)
    return found

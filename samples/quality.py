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

from samples.reference_movenet import read_multi, read_single

SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
"""COCO's spread of each joint."""

CROP = 1.25
"""Side of a crop over the longer side of the ground-truth box."""

LEAST_JOINTS = 8
"""Labelled joints that a person must have to count."""

LEAST_SCORE = 0.05
"""Of a person that counts as an answer."""

STRIDE = 4
"""Model pixels per cell of a head."""


@dataclass(frozen=True)
class Person:
    """One annotated person and the picture around."""

    picture: str
    """Its file name."""
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
        yield Person(
            files[note["image_id"]],
            np.asarray(image[:, :, ::-1], np.uint8),
            tuple(note["bbox"]),
            float(note["area"]),
            joints,
        )


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


@dataclass(frozen=True)
class Model:
    """A model with its way to read the outputs."""

    size_hw: tuple[int, int]
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float64]]
    """Rgb picture of that size -> (N, 17, 2) joints of N answers, x, y in its pixels."""


def one_person(content: bytes) -> Model:
    """A model that ends at the heads of the one-person graph."""
    run, size_hw = open_model(content)

    def predict(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        heads = {name.removeprefix("edgepose/"): value for name, value in run(picture).items()}
        return read_single(heads)[None, :, 1::-1] * STRIDE

    return Model(size_hw, predict)


def many_people(content: bytes) -> Model:
    """A model that ends at the heads of the many-people graph."""
    run, size_hw = open_model(content)

    def predict(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        heads = {name.removeprefix("edgepose/"): value for name, value in run(picture).items()}
        joints, _, scores = read_multi(heads)
        return joints[scores >= LEAST_SCORE][..., 1::-1] * STRIDE

    return Model(size_hw, predict)


def whole_model(content: bytes) -> Model:
    """A one-person model that does its own reading: (1, 1, 17, 3) y, x, score in 0..1 from uint8."""
    run, size_hw = open_model(content)

    def predict(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        (joints,) = run(picture).values()
        return joints[..., 1::-1].astype(np.float64) * size_hw[::-1]

    return Model(size_hw, predict)


def open_model(content: bytes) -> tuple[Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]], tuple[int, int]]:
    """A function from an rgb picture to real outputs by name, and the picture's size."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    outputs = interpreter.get_output_details()

    def run(picture: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        interpreter.set_tensor(source["index"], INPUTS[source["dtype"]](picture)[None])
        interpreter.invoke()
        return {output["name"]: _real(interpreter.get_tensor(output["index"])[0], output) for output in outputs}

    _, height, width, _ = source["shape"]
    return run, (int(height), int(width))


INPUTS: dict[type, Callable[[NDArray[np.uint8]], NDArray[Any]]] = {
    np.uint8: lambda picture: picture,
    np.int8: lambda picture: (picture ^ 0x80).view(np.int8),
    np.float32: lambda picture: picture.astype(np.float32) / np.float32(127.5) - np.float32(1),
}
"""Bytes of a picture as an input of each type takes them."""


def _real(raw: NDArray[Any], output: dict[str, Any]) -> NDArray[Any]:
    scale, zero = output["quantization"]
    return raw if raw.dtype == np.float32 else np.asarray((raw.astype(np.float32) - zero) * np.float32(scale))


def crop_oks(persons: list[Person], model: Model) -> NDArray[np.float64]:
    """(N,) OKS of each person in their own square crop."""
    size, _ = model.size_hw
    found = np.zeros(len(persons))
    for index, person in enumerate(persons):
        (xy,) = _predict(model, person.image, crop_matrix(person, size))
        found[index] = oks(person, xy)
    return found


def picture_oks(persons: list[Person], model: Model) -> NDArray[np.float64]:
    """(N,) best OKS of each person among a model's answers to the whole picture, letterboxed."""
    found = np.zeros(len(persons))
    answers: dict[str, NDArray[np.float64]] = {}
    for index, person in enumerate(persons):
        if person.picture not in answers:
            answers = {person.picture: _predict(model, person.image, _letterbox(person.image, model.size_hw))}
        found[index] = max((oks(person, xy) for xy in answers[person.picture]), default=0.0)
    return found


def _predict(model: Model, image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 17, 2) answers in pixels of the image, which `matrix` takes to the model's input."""
    height, width = model.size_hw
    crop = np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)
    return np.asarray((model.predict(crop) - matrix[:, 2]) / matrix[0, 0])


def _letterbox(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """(2, 3) the whole image, middle to middle."""
    size, model = np.array(image.shape[1::-1], np.float64), np.array(size_hw[::-1], np.float64)
    scale = float((model / size).min())
    return np.column_stack([np.eye(2) * scale, (model - size * scale) / 2])

"""Small drawn heads for the decoders that read one person, or answers as rows, and where their joints were drawn.

`python -m tests.helpers.topdown_scene` writes tests/golden/FAMILY_drawn.npz: raw heads, and the poses decoded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import SKELETONS, HeadSpec, Poses
from samples.raw_heads import Head, decode, gaussians, head

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SCORES = {"min_person_score": 0.1, "min_joint_score": 0.1}
STRIDE = 4


class Scene(NamedTuple):
    """Heads, how to read them, and what was drawn."""

    options: dict[str, Any]
    skeleton: str
    heads: dict[str, Head]
    drawn_xy: NDArray[Any]
    """(K, 2) pixels of the model's input."""
    near: float
    """Pixels that the raw heads may be off."""


def places(skeleton: str, size_yx: tuple[int, int], margin: float = 5.0) -> NDArray[Any]:
    """(K, 2) y, x of each joint in cells: spread over the map by a golden ratio, never on a cell's centre."""
    turn = np.arange(1, len(SKELETONS[skeleton].joints) + 1)
    part = np.stack((turn * 0.618034 % 1, turn * 0.754878 % 1), axis=1)
    room: NDArray[Any] = margin + part * (np.array(size_yx) - 1 - 2 * margin)
    return room


def cells_to_xy(yx: NDArray[Any]) -> NDArray[Any]:
    """Cell centres, as heatmaps trained on averaged pictures have them."""
    xy: NDArray[Any] = (yx[:, ::-1] + 0.5) * STRIDE - 0.5
    return xy


def heatmap() -> Scene:
    """Gaussians, DARK."""
    yx = places("coco17", (32, 24))
    heads = {"heatmap": head("heatmap", gaussians((32, 24), yx), "int8")}
    options = {"stride": float(STRIDE), "refine": "dark", "cells": "half_pixel"}
    return Scene(SCORES | options, "coco17", heads, cells_to_xy(yx), 0.1)


def heatmap_depth() -> Scene:
    """Gaussians and a depth for each joint."""
    yx = places("mpii16", (32, 32))
    heads = {
        "heatmap": head("heatmap", gaussians((32, 32), yx), "uint8"),
        "depth": head("depth", np.linspace(0.1, 0.9, 16), "float32"),
    }
    options = {"stride": float(STRIDE), "refine": "dark", "cells": "half_pixel"}
    return Scene(SCORES | options, "mpii16", heads, cells_to_xy(yx), 0.1)


def integral() -> Scene:
    """Logits whose soft-argmax is the middle of each Gaussian."""
    yx = places("coco17", (24, 24), margin=7.0)
    y, x = np.mgrid[:24, :24]
    logits = -((y[..., None] - yx[:, 0]) ** 2 + (x[..., None] - yx[:, 1]) ** 2) / 4
    heads = {"heatmap": head("heatmap", np.maximum(logits, -12), "int8", low=-12.0, high=0.0)}
    options = {"stride": float(STRIDE), "cells": "half_pixel"}
    return Scene(SCORES | options, "coco17", heads, cells_to_xy(yx), 0.3)


def simcc() -> Scene:
    """Two rows of bins per joint, two bins a pixel."""
    xy = places("coco17", (64, 48))[:, ::-1]
    heads = {}
    for axis, (role, bins) in enumerate((("simcc_x", 96), ("simcc_y", 128))):
        real = np.exp(-((np.arange(bins) - 2 * xy[:, axis, None]) ** 2) / 18)
        heads[role] = head(role, real, "int8")
    return Scene(dict(SCORES), "coco17", heads, xy, 0.3)


def regression() -> Scene:
    """Coordinates in 0..1 of the input."""
    xy = places("coco17", (64, 48))[:, ::-1]
    heads = {"pose": head("pose", ((xy + 0.5) / [48, 64]).ravel(), "int16")}
    options = {"kind": "joints", "input_wh": [48, 64], "units": "normalised", "origin": "edge"}
    return Scene(SCORES | options, "coco17", heads, xy, 0.1)


def yolo_pose() -> Scene:
    """One person, seen by one of eighty anchors."""
    xy = (places("coco17", (64, 64))[:, ::-1] + 0.5) / 64
    rows = np.zeros((56, 80))
    low, high = xy.min(axis=0), xy.max(axis=0)
    rows[:5, 11] = *(low + high) / 2, *(high - low), 0.9
    rows[5:, 11] = np.hstack((xy, np.full((17, 1), 0.8))).ravel()
    heads = {"pose": head("pose", rows, "int16")}
    return Scene(SCORES | {"input_wh": [64, 64], "units": "normalised"}, "coco17", heads, xy * 64 - 0.5, 0.1)


def blazepose() -> Scene:
    """Landmarks in pixels of the crop, everybody visible."""
    xy = places("blazepose33", (256, 256), margin=30.0)[:, ::-1]
    landmarks = np.zeros((39, 5))
    landmarks[:33, :2] = xy + 0.5
    landmarks[:, 3:] = 6.0
    heads = {"landmarks": head("landmarks", landmarks.ravel()), "flag": head("flag", np.ones(1))}
    return Scene(SCORES | {"part": "landmarks"}, "blazepose33", heads, xy, 0.1)


SCENES: dict[str, Callable[[], Scene]] = {
    scene.__name__: scene for scene in (heatmap, heatmap_depth, integral, simcc, regression, yolo_pose, blazepose)
}


def file_of(name: str) -> Path:
    """Where a family's golden lies."""
    return GOLDEN / f"{name}_drawn.npz"


def write(name: str) -> Poses:
    """Keep a scene's heads and the poses decoded from them."""
    scene = SCENES[name]()
    poses = decode(name, scene.options, scene.skeleton, scene.heads, kernels="numpy")
    specs = {role: [spec.scale, spec.zero_point] for role, (_, spec) in scene.heads.items()}
    told = json.dumps({"options": scene.options, "skeleton": scene.skeleton, "specs": specs})
    kept: dict[str, Any] = {f"head_{role}": raw for role, (raw, _) in scene.heads.items()}
    kept |= {"told": np.array(told), "xy": poses.xy, "score": poses.score, "person_score": poses.person_score}
    if poses.xyz is not None:
        kept["xyz"] = poses.xyz
    np.savez_compressed(file_of(name), **kept)
    return poses


def read(name: str) -> tuple[dict[str, Any], dict[str, Head], dict[str, NDArray[Any]]]:
    """What `write` kept: options and skeleton, heads, answers."""
    with np.load(file_of(name)) as kept:
        arrays = {key: kept[key] for key in kept.files}
    told = json.loads(str(arrays.pop("told")))
    heads: dict[str, Head] = {}
    for role, (scale, zero) in told["specs"].items():
        raw = arrays.pop(f"head_{role}")
        heads[role] = raw, HeadSpec(role, raw.shape, raw.dtype, scale, zero)
    return told, heads, arrays


if __name__ == "__main__":
    for family in SCENES:
        found = write(family)
        off = np.abs(found.xy[0] - SCENES[family]().drawn_xy).max() if len(found) else "nobody"
        print(family, file_of(family).stat().st_size, "bytes, largest error", off, "px")

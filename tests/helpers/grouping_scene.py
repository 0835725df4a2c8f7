"""Golden heads of the decoders that group: int8 heads of small crowds, and what is found in them.

`python -m tests.helpers.grouping_scene` writes tests/golden/NAME_crowd.npz anew; say in the commit what moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, OPENPOSE18, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import open_decoder
from edgepose.estimate.decode.paf import OPENPOSE_LIMBS
from samples.crowds import AS_IS, FRAME, crowd, fields, heatmaps, raw_heads
from tests import test_decode_ae, test_decode_scmap

FOLDER = Path(__file__).resolve().parents[1] / "golden"
TRUNK = Skeleton(
    "trunk",
    ("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip"),
    ((0, 1), (0, 2), (1, 3), (2, 4)),
    (0.05,) * 5,
)
LEAST = {"min_person_score": 0.1, "min_joint_score": 0.2}
SIZE_WH = 54, 46
DECODERS: dict[str, tuple[Skeleton, dict[str, Any]]] = {
    "paf": (OPENPOSE18, LEAST | {"stride": 1}),
    "ae": (COCO17, LEAST | {"stride": 1}),
    "scmap": (TRUNK, LEAST | {"stride": 8, "pairwise_std": [50.0] * 40, "pairwise_mean": [3.0] * 40}),
    "box_heatmap": (COCO17, LEAST | {"stride": 1, "people": "shared"}),
}
"""Name -> skeleton and options; coordinates are cells, in scmap model pixels."""


def people_of(name: str) -> NDArray[np.float64]:
    """(3, K, 2) who is drawn, in cells."""
    limbs = OPENPOSE_LIMBS if name == "paf" else ()
    return crowd(3, SIZE_WH, seed=33, skeleton=DECODERS[name][0], tall=26, limbs=limbs)


def draw(name: str) -> tuple[dict[str, NDArray[Any]], dict[str, HeadSpec]]:
    """Raw int8 heads, and what a decoder is told of them."""
    people = people_of(name)
    if name == "ae":
        return test_decode_ae.drawn(people, "int8", SIZE_WH)  # type: ignore[no-any-return]
    if name == "scmap":
        return test_decode_scmap.drawn(people, "int8", SIZE_WH)  # type: ignore[no-any-return]
    real = {"heatmap": (heatmaps(people, SIZE_WH), 0.0, 1.0)}
    if name == "paf":
        real["paf"] = fields(people, OPENPOSE_LIMBS, 38, SIZE_WH), -1.0, 1.0
    heads, specs = raw_heads(real, "int8")
    if name == "box_heatmap":
        boxes = np.concatenate((people.min(axis=1) - 1, people.max(axis=1) + 1), axis=1).astype(np.float32) + 0.5
        heads["boxes"], specs["boxes"] = boxes, HeadSpec("boxes", boxes.shape, boxes.dtype, 1.0, 0)
    return heads, specs


def decode(name: str, heads: dict[str, NDArray[Any]], specs: dict[str, HeadSpec], kernels: Any) -> Poses:
    """The people in these heads."""
    skeleton, options = DECODERS[name]
    made = open_decoder("golden", name, options, skeleton, specs, config.Decode(kernels=kernels))
    return made(heads, AS_IS, FRAME)


def read(name: str) -> tuple[dict[str, NDArray[Any]], dict[str, HeadSpec], dict[str, NDArray[Any]]]:
    """Heads and specs as they were written, and the answers: drawn_xy, xy, score, person_score."""
    with np.load(FOLDER / f"{name}_crowd.npz") as kept:
        heads = {key[5:]: kept[key] for key in kept if key.startswith("head_")}
        quant = {role: kept[f"quant_{role}"] for role in heads}
        answers = {key: kept[key] for key in ("drawn_xy", "xy", "score", "person_score")}
    specs = {
        role: HeadSpec(role, head.shape, head.dtype, float(quant[role][0]), int(quant[role][1]))
        for role, head in heads.items()
    }
    return heads, specs, answers


def write(name: str) -> None:
    """Draw, decode with the plain kernels, and keep both."""
    heads, specs = draw(name)
    poses = decode(name, heads, specs, "numpy")
    kept: dict[str, NDArray[Any]] = {f"head_{role}": head for role, head in heads.items()}
    kept |= {f"quant_{role}": np.array([spec.scale, spec.zero_point]) for role, spec in specs.items()}
    drawn = people_of(name)
    kept["drawn_xy"] = test_decode_scmap.middle(drawn) if name == "scmap" else drawn
    kept |= {"xy": poses.xy, "score": poses.score, "person_score": poses.person_score}
    np.savez_compressed(FOLDER / f"{name}_crowd.npz", **kept)  # type: ignore[arg-type]


if __name__ == "__main__":
    for each in DECODERS:
        write(each)

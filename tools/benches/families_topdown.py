"""Top-down and one-stage decoders on int8 heads of usual sizes: microseconds per frame, and against a floor.

The floor is one np.max over the largest head, or over the scores where only these must be looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import Crop, Frame, HeadSpec
from edgepose.estimate.decode import open_decoder
from tools.benches.row import Row, interleaved_ms

ROUNDS = 30
AS_IS = Crop((0.0, 0.0), (1.0, 1.0))
FRAME = Frame(np.zeros((480, 640, 3), np.uint8), "bgr", 0.0, 0.0, 0)
LOOSE = {"min_person_score": 0.1, "min_joint_score": 0.1}
Head = NDArray[np.int8]


def raw(real: NDArray[Any]) -> Head:
    """Real values of 0..1 as int8."""
    return np.ascontiguousarray(np.round(np.clip(real, 0, 1) * 255) - 128, np.int8)


def measured(
    name: str, options: dict[str, Any], skeleton: str, heads: dict[str, Head], floor: Head, scale: float = 1.0
) -> Row:
    """One decoder against np.max over `floor`; `scale` stretches the heads' 0..1."""
    specs = {role: HeadSpec(role, head.shape, head.dtype, scale / 255, -128) for role, head in heads.items()}
    decoder = open_decoder("bench", name, LOOSE | options, skeleton, specs, config.Decode(kernels="aot"))
    if len(decoder(heads, AS_IS, FRAME)) == 0:
        raise RuntimeError(f"the heads of decode_{name} hold nobody")
    taken = interleaved_ms({"decode": lambda: decoder(heads, AS_IS, FRAME), "floor": floor.max}, ROUNDS)
    sides = {"floor_us": taken["floor"] * 1e3, "of_floor": taken["decode"] / taken["floor"]}
    return Row(f"decode_{name}", taken["decode"] * 1e3, "us", None, sides)


def peaks(height: int, width: int, joints: int) -> NDArray[np.float64]:
    """(H, W, K) a Gaussian for each joint, somewhere inside."""
    places = np.random.default_rng(1).uniform([8, 8], [height - 9, width - 9], (joints, 2))
    y, x = np.mgrid[:height, :width]
    distance2 = (y[..., None] - places[:, 0]) ** 2 + (x[..., None] - places[:, 1]) ** 2
    return np.asarray(np.exp(-distance2 / 8))


def heatmap() -> Row:
    """192 x 256 input, 17 joints, DARK."""
    head = raw(peaks(64, 48, 17))
    return measured("heatmap", {"stride": 4.0, "refine": "dark"}, "coco17", {"heatmap": head}, head)


def heatmap_depth() -> Row:
    """256 x 256 input, 16 joints and their depths."""
    head = raw(peaks(64, 64, 16))
    heads = {"heatmap": head, "depth": raw(np.linspace(0, 1, 16))}
    return measured("heatmap_depth", {"stride": 4.0, "refine": "dark"}, "mpii16", heads, head)


def integral() -> Row:
    """A volume of 64 cells each way for 17 joints, as 3DMPPE's: 4.5 million cells."""
    flat = peaks(64, 64, 17)
    volume = flat[..., None] * np.exp(-((np.arange(64) - 30) ** 2) / 8)
    head = raw(volume.reshape(64, 64, 17 * 64))
    return measured("integral", {"stride": 4.0, "depth": 64}, "h36m17", {"heatmap": head}, head, scale=16.0)


def simcc() -> Row:
    """RTMPose's 192 x 256."""
    place = np.linspace(40, 340, 17)[:, None]
    heads = {
        role: raw(np.exp(-((np.arange(bins) - place) ** 2) / 72)) for role, bins in (("simcc_x", 384), ("simcc_y", 512))
    }
    return measured("simcc", {}, "coco17", heads, heads["simcc_y"])


def regression() -> Row:
    """MoveNet MultiPose's own output."""
    people = np.random.default_rng(2).uniform(0.2, 0.9, (6, 56))
    head = raw(people)
    return measured("regression", {"kind": "movenet_multi", "input_wh": [256, 256]}, "coco17", {"pose": head}, head)


def yolo_pose() -> Row:
    """640 x 640 input, 8400 anchors, three people seen by twenty anchors each."""
    rows = np.zeros((8400, 56))
    rng = np.random.default_rng(3)
    for person in range(3):
        joints = np.concatenate((rng.uniform(0.3 * person, 0.3 * person + 0.3, (17, 2)), np.full((17, 1), 0.8)), axis=1)
        low, high = joints[:, :2].min(axis=0), joints[:, :2].max(axis=0)
        for anchor in range(20):
            row = rows[person * 2000 + anchor]
            row[:5] = *(low + high) / 2, *(high - low), 0.9 - anchor / 100
            row[5:] = joints.ravel()
    head = raw(rows.T)
    return measured("yolo_pose", {"input_wh": [640, 640]}, "coco17", {"pose": head}, head[4:5])


def blazepose() -> Row:
    """Landmarks of one crop, sharpened by their heatmaps."""
    point = np.random.default_rng(4).uniform(0.2, 0.8, (39, 5))
    heads = {
        "landmarks": raw(point.reshape(195)),
        "flag": raw(np.ones(1)),
        "heatmap": raw(peaks(64, 64, 39)),
        "world": raw(np.linspace(0, 1, 117)),
    }
    return measured("blazepose", {"part": "landmarks"}, "blazepose33", heads, heads["heatmap"], scale=256.0)


ROWS = {
    f"decode_{bench.__name__}": bench
    for bench in (heatmap, integral, heatmap_depth, simcc, regression, yolo_pose, blazepose)
}

"""Decoders that find many people: time of a frame against the floor, one np.max over its heatmap.

The heads are those a perfect network would give for a crowd of known skeletons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, HeadSpec
from edgepose.estimate.decode import open_decoder
from edgepose.estimate.decode.paf import OPENPOSE_LIMBS
from samples.crowds import AS_IS, FRAME, crowd, fields, heatmaps, raw_heads
from tools.benches import upsampled
from tools.benches.row import Row, interleaved_ms

MAP_WH = 54, 46
"""Cells of a 432x368 input at stride 8."""
PEOPLE = 2
ROUNDS = 40

Heads = dict[str, NDArray[Any]]


def decoder(
    name: str, options: Mapping[str, Any], skeleton: str, heads: Heads, specs: dict[str, HeadSpec]
) -> Callable[[], object]:
    """One call decodes one frame."""
    cfg = config.Decode(max_people=20)
    decode = open_decoder("bench", name, dict(options), skeleton, specs, cfg)
    return lambda: decode(heads, AS_IS, FRAME)


def against_floor(name: str, decode: Callable[[], object], heatmap: NDArray[Any]) -> Row:
    """Microseconds of a frame, and how many times np.max over its heatmap that is."""
    taken = interleaved_ms({"decode": decode, "floor": heatmap.max}, ROUNDS)
    sides = {"floor_us": taken["floor"] * 1e3, "of_floor": taken["decode"] / taken["floor"]}
    return Row(name, taken["decode"] * 1e3, "us", None, sides)


PAF_OPTIONS = {"stride": 8, "min_person_score": 0.2, "min_joint_score": 0.1}


def paf_heads(people: int, dtype: str) -> tuple[Heads, dict[str, HeadSpec]]:
    who = crowd(people, MAP_WH, seed=people, tall=20, apart=3)
    background = np.zeros((*MAP_WH[::-1], 1), np.float32)
    heat = np.concatenate((heatmaps(who, MAP_WH), background), axis=2)
    return raw_heads({"heatmap": (heat, 0, 1), "paf": (fields(who, OPENPOSE_LIMBS, 38, MAP_WH), -1, 1)}, dtype)


def decode_paf() -> Row:
    heads, specs = paf_heads(PEOPLE, "int8")
    return against_floor("decode_paf", decoder("paf", PAF_OPTIONS, "openpose18", heads, specs), heads["heatmap"])


def paf_vs_upsampled() -> Row:
    """The usual way / ours, on the same float heads with two people; then what each number of people costs us."""
    sides = {}
    for people in (1, 2, 5, 10, 20):
        heads, specs = paf_heads(people, "float32")
        runs = {"ours": decoder("paf", PAF_OPTIONS, "openpose18", heads, specs)}
        if people == PEOPLE:
            usual = interleaved_ms(
                runs | {"usual": lambda heads=heads: upsampled.decode(heads["heatmap"], heads["paf"])}, 4, 3
            )
        sides[f"people_{people}_us"] = interleaved_ms(runs, ROUNDS)["ours"] * 1e3
    sides = {"ours_ms": usual["ours"], "usual_ms": usual["usual"]} | sides
    sides["each_person_us"] = (sides["people_20_us"] - sides["people_1_us"]) / 19
    return Row("paf_vs_upsampled", usual["usual"] / usual["ours"], "x", 50, sides, at_least=True)


def decode_ae() -> Row:
    """A heatmap of 128x128 cells, as HigherHRNet gives for 256x256 pixels."""
    size_wh = 128, 128
    who = crowd(PEOPLE, size_wh, seed=PEOPLE, skeleton=COCO17, tall=60)
    columns, rows = np.meshgrid(np.arange(128), np.arange(128))
    near = [np.hypot(columns[..., None] - one[:, 0], rows[..., None] - one[:, 1]) for one in who]
    tag = np.argmin(near, axis=0) * 2.0
    heads, specs = raw_heads({"heatmap": (heatmaps(who, size_wh), 0, 1), "tag": (tag, 0, 8)}, "int8")
    options = {"stride": 2, "min_person_score": 0.1, "min_joint_score": 0.2}
    return against_floor("decode_ae", decoder("ae", options, "coco17", heads, specs), heads["heatmap"])


def decode_scmap() -> Row:
    """One animal of 17 parts in 80x60 cells of 8 pixels."""
    size_wh = 80, 60
    who = crowd(1, size_wh, seed=1, skeleton=COCO17, tall=40)
    real = {"heatmap": (heatmaps(who, size_wh), 0, 1), "locref": (np.zeros((60, 80, 34), np.float32), -1, 1)}
    heads, specs = raw_heads(real, "int8")
    options = {"min_person_score": 0.1, "min_joint_score": 0.2}
    return against_floor("decode_scmap", decoder("scmap", options, "coco17", heads, specs), heads["heatmap"])


def decode_box_heatmap() -> Row:
    """Two boxes with 17 maps of 56x56 each."""
    rng = np.random.default_rng(1)
    boxes = np.array([[20, 20, 200, 300], [150, 10, 300, 310]], np.float32)
    real = {"heatmap": (rng.normal(0, 3, (PEOPLE, 17, 56, 56)).astype(np.float32), -12, 12)}
    heads, specs = raw_heads(real, "int8")
    heads["boxes"], specs["boxes"] = boxes, HeadSpec("boxes", boxes.shape, boxes.dtype, 1.0, 0)
    options = {"people": "per_box", "min_person_score": 0.0, "min_joint_score": 0.0}
    decode = decoder("box_heatmap", options, "coco17", heads, specs)
    return against_floor("decode_box_heatmap", decode, heads["heatmap"])


ROWS: dict[str, Callable[[], Row]] = {
    "paf_vs_upsampled": paf_vs_upsampled,
    "decode_paf": decode_paf,
    "decode_ae": decode_ae,
    "decode_scmap": decode_scmap,
    "decode_box_heatmap": decode_box_heatmap,
}

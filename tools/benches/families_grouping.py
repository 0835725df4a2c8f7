"""Decoders that find many people: time of a frame against the floor, one np.max over its heatmap.

The heads are those a perfect network would give for a crowd of known skeletons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgepose import config, kernels
from edgepose.decode import DECODERS, open_decoder
from edgepose.decode.paf import OPENPOSE_LIMBS
from edgepose.poses import HeadSpec
from tests.crowds import AS_IS, FRAME, crowd, fields, heatmaps, raw_heads
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
    loops = DECODERS[name].loops
    choice: Literal["numba", "auto"] = "auto"
    if loops and kernels.in_use(kernels.family(loops)) == "numpy":
        choice = "numba"  # the library is still being built
    cfg = config.Decode(max_people=20, kernels=choice)
    decode = open_decoder("bench", name, dict(options), skeleton, specs, cfg)
    return lambda: decode(heads, AS_IS, FRAME)


def against_floor(name: str, decode: Callable[[], object], heatmap: NDArray[Any]) -> Row:
    """Time of a frame / time of np.max over its heatmap."""
    taken = interleaved_ms({"decode": decode, "floor": heatmap.max}, ROUNDS)
    sides = {"decode_us": taken["decode"] * 1e3, "floor_us": taken["floor"] * 1e3}
    return Row(name, taken["decode"] / taken["floor"], "ratio", None, sides)


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


ROWS: dict[str, Callable[[], Row]] = {
    "paf_vs_upsampled": paf_vs_upsampled,
    "decode_paf": decode_paf,
}

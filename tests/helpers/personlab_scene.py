"""PoseNet heads rendered from known skeletons: what a perfect network would say.

`python -m tests.helpers.personlab_scene` writes tests/golden/personlab_three.npz anew; say in the commit what moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import HeadSpec
from edgepose.estimate.decode.personlab import BONES, CHANNELS
from tests.helpers import reference_personlab

F = np.float32
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "personlab_three.npz"
STRIDE = 16
CELLS = (23, 31)
"""Rows and columns of a 353x481 picture."""
NEAR = 40.0
"""Pixels around a joint within which a cell knows it."""

STANDING = np.array(
    [
        (0, -90), (6, -95), (-6, -95), (13, -92), (-13, -92), (25, -60), (-25, -60), (38, -25), (-38, -25),
        (42, 8), (-42, 8), (16, 10), (-16, 10), (18, 60), (-18, 60), (19, 108), (-19, 108),
    ],
    F,
)  # fmt: skip
"""(17, 2) x, y of a person who faces us, pixels around its middle."""

QUANT = {
    "uint8": {"heatmap": (0.047, 128), "short_offset": (0.39, 128), "mid_offset": (1.39, 117)},
    "int8": {"heatmap": (0.089, 52), "short_offset": (0.39, 6), "mid_offset": (1.39, -10)},
    "int16": {"heatmap": (0.0004, 0), "short_offset": (0.002, 0), "mid_offset": (0.005, 0)},
    "float32": {"heatmap": (1.0, 0), "short_offset": (1.0, 0), "mid_offset": (1.0, 0)},
}
"""Type -> role -> scale, zero point; the bytes' are much like those of Coral's models."""

Heads = dict[str, NDArray[Any]]


def specs(heads: Heads) -> dict[str, HeadSpec]:
    """What a decoder is told of these heads."""
    quant = QUANT[heads["heatmap"].dtype.name]
    return {role: HeadSpec(role, head.shape, head.dtype, *quant[role]) for role, head in heads.items()}


def real_heads(people: list[NDArray[Any]], peaks: list[float], cells: tuple[int, int] = CELLS) -> Heads:
    """Real-valued heads of people (17, 2) x, y in pixels; `peaks` is each person's logit at a joint itself.

    Where two people know a cell, that of the nearer joint counts. Unknown offsets are 0.
    """
    heads = {role: np.zeros((*cells, count)) for role, count in CHANNELS.items()}
    heads["heatmap"] -= 5
    y, x = np.mgrid[: cells[0], : cells[1]] * float(STRIDE)
    for joint in range(17):
        distance = np.stack([np.hypot(x - xy[joint, 0], y - xy[joint, 1]) for xy in people])
        nearest = distance.argmin(axis=0)
        for person, xy in enumerate(people):
            near = (nearest == person) & (distance[person] < NEAR)
            heads["heatmap"][near, joint] = peaks[person] - (distance[person][near] / 12) ** 2
            heads["short_offset"][near, joint] = xy[joint, 1] - y[near]
            heads["short_offset"][near, joint + 17] = xy[joint, 0] - x[near]
            for bone, (inner, outer) in enumerate(BONES):
                for source, target, channel in ((inner, outer, bone), (outer, inner, bone + 32)):
                    if source == joint:
                        heads["mid_offset"][near, channel] = xy[target, 1] - y[near]
                        heads["mid_offset"][near, channel + 16] = xy[target, 0] - x[near]
    return heads


def raw_heads(real: Heads, dtype: str) -> Heads:
    """The same heads as a network of that type gives them."""
    if dtype == "float32":
        return {role: head.astype(F) for role, head in real.items()}
    limits = np.iinfo(dtype)
    raw = {}
    for role, (scale, zero) in QUANT[dtype].items():
        raw[role] = np.clip(np.round(real[role] / scale) + zero, limits.min, limits.max).astype(dtype)
    return raw


def three_people() -> tuple[list[NDArray[Any]], list[float]]:
    """Two who stand side by side, their arms crossing, and a small one to the right that leans."""
    near = STANDING + np.array([130, 150])
    beside = STANDING * np.array([1.1, 1.05]) + np.array([210, 155])
    turn = np.array([[0.8, -0.6], [0.6, 0.8]], F)
    small = (STANDING * 0.75) @ turn.T + np.array([385, 190])
    return [near, beside, small], [3.0, 4.0, 2.0]


def main() -> None:
    people, peaks = three_people()
    heads = raw_heads(real_heads(people, peaks), "int8")
    found = reference_personlab.decode(heads, QUANT["int8"])
    kept: dict[str, Any] = heads | {
        "drawn_xy": np.stack(people).astype(F),
        "xy": np.stack([one.xy for one in found]).astype(F),
        "score": np.stack([one.score for one in found]).astype(F),
        "person_score": np.array([one.person_score for one in found], F),
    }
    np.savez_compressed(GOLDEN, **kept)
    print(GOLDEN, GOLDEN.stat().st_size, "bytes;", len(found), "people")


if __name__ == "__main__":
    main()

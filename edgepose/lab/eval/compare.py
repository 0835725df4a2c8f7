"""Two runs on the same pictures: differences, and how sure they are, by drawing the pictures again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.lab.eval.measure import RATIOS, SUMS, Measured

DRAWS = 2000
SURE = 0.95
COMPARED = (
    "AP", "mean_oks", "pck", "precision", "recall", "false_people_per_picture", "false_people_per_empty",
    "ms_per_picture", "invokes_per_picture",
)  # fmt: skip
"""Metrics with an interval."""

LESS_IS_BETTER = {
    "false_people_per_picture", "false_people_per_empty", "ms_per_picture", "invokes_per_picture", "ece",
    "joint_error_px", "joint_error_torso", "crops_per_picture", "candidate_invokes_per_picture",
}  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """B - A of one metric."""

    a: float
    b: float
    low: float
    high: float
    """SURE of all draws lie between."""

    @property
    def sure(self) -> bool:
        """Whether the interval is on one side of 0."""
        return self.low > 0 or self.high < 0


def differences(a: Measured, b: Measured, draws: int = DRAWS, seed: int = 0) -> dict[str, Difference]:
    """Of each metric that both have: values, and the interval of their difference.

    Paired bootstrap: pictures are drawn with replacement, the same for both, `draws` times. AP is computed again for
    each draw, its matches are not.
    """
    random = np.random.default_rng(seed)
    pictures, ranked = len(a.sums), len(a.ranking.people)
    found: dict[str, list[tuple[float, float]]] = {key: [] for key in COMPARED}
    for _ in range(draws):
        weight = np.bincount(random.integers(0, pictures, pictures), minlength=pictures).astype(np.float64)
        for key in COMPARED:
            found[key].append((_value(a, key, weight, ranked), _value(b, key, weight, ranked)))
    table = {}
    for key in COMPARED:
        value_a, value_b = a.numbers[key], b.numbers[key]
        pairs = np.array(found[key])
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        if value_a is None or value_b is None or not len(pairs):
            continue
        low, high = np.quantile(pairs[:, 1] - pairs[:, 0], [(1 - SURE) / 2, (1 + SURE) / 2])
        table[key] = Difference(value_a, value_b, float(low), float(high))
    return table


def _value(of: Measured, key: str, weight: NDArray[np.float64], ranked: int) -> float:
    if key == "AP":
        return of.ranking.ap(weight[:ranked])
    if key == "ms_per_picture":
        return _weighted_median(of.ms_of, weight)
    above, below = (of.sums[:, SUMS.index(name)] @ weight for name in RATIOS[key])
    return float(above / below) if below else float("nan")


def _weighted_median(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Of values (NaN: none), each weight[i] times there."""
    drawn = np.repeat(values, weight.astype(int))
    drawn = drawn[np.isfinite(drawn)]
    return float(np.median(drawn)) if drawn.size else float("nan")

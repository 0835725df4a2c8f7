"""What a benchmark reports: one row per number."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median


class SkipRowError(Exception):
    """A row cannot be measured here; says why."""


@dataclass(frozen=True)
class Row:
    """One measured number."""

    name: str
    value: float
    unit: str
    target: float | None
    """The value should be at most this, or at least; None: no target."""
    sides: Mapping[str, float] = field(default_factory=dict)
    """What the value was made of, unit in each name."""
    at_least: bool = False
    """The higher the better: the target is the least the value should be."""

    @property
    def met(self) -> bool:
        """Whether the value is on the right side of the target."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target


def interleaved_ms(runs: Mapping[str, Callable[[], object]], rounds: int, burst: int = 10) -> dict[str, float]:
    """Median milliseconds of one call of each, taken in turns so that a noisy machine disturbs all alike.

    rounds  how often each has its turn
    burst   calls per turn; the first of each turn warms the caches and does not count
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            for _ in range(burst):
                started = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - started) * 1e3)
    return {name: median(taken) for name, taken in times.items()}

"""How long things take: percentiles from counters of a fixed size, however long a run lasts."""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgepose.core.poses import Poses

STEPS = 32
"""Buckets for each doubling of the duration."""
FIRST, LAST = -20, 12
"""Powers of two between which durations are told apart: from about 1 us to 68 minutes."""
WIDTH = 1 / STEPS
"""What `Histogram.quantile` may be too high by, as a share of the true value; it is never too low."""


class Histogram:
    """Durations in buckets, each wider than the last. Adding one costs the same however many there are.

    One thread adds; any thread may read meanwhile, and may then miss the latest.
    """

    __slots__ = ("_buckets", "count", "longest_s", "shortest_s", "sum_s")

    def __init__(self) -> None:
        self._buckets = array("Q", bytes(8 * STEPS * (LAST - FIRST)))
        self.count = 0
        self.sum_s = 0.0
        self.shortest_s, self.longest_s = math.inf, 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; one below 0, of clocks that disagree, counts as 0; what is no number not at all."""
        if not math.isfinite(seconds):
            return
        seconds = max(seconds, 0.0)
        mantissa, power = math.frexp(seconds)  # seconds = mantissa * 2 ** power, mantissa in 0.5..1
        at = (power - 1 - FIRST) * STEPS + int((2 * mantissa - 1) * STEPS) if seconds else 0
        self._buckets[min(max(at, 0), len(self._buckets) - 1)] += 1
        self.count += 1
        self.sum_s += seconds
        if seconds < self.shortest_s:
            self.shortest_s = seconds
        if seconds > self.longest_s:
            self.longest_s = seconds

    def quantile(self, share: float) -> float:
        """Seconds that `share` (0..1) of the durations do not exceed; NaN when there are none.

        The upper end of the right bucket, so never below the true value and at most WIDTH of it above, for durations
        between 2 ** FIRST and 2 ** LAST seconds; the highest one is exact.
        """
        count = self.count
        if not count:
            return math.nan
        wanted, seen = max(1, math.ceil(share * count)), 0
        for at, held in enumerate(self._buckets):
            seen += held
            if seen >= wanted and at < len(self._buckets) - 1:
                doublings, step = divmod(at, STEPS)
                return min(math.ldexp(1 + (step + 1) / STEPS, FIRST + doublings), self.longest_s)
        return self.longest_s

    def buckets(self) -> Iterator[tuple[float, float, int]]:
        """From where to where each bucket with something in it reaches, seconds, and how many are in it."""
        for at, held in enumerate(self._buckets):
            if held:
                doublings, step = divmod(at, STEPS)
                low, high = (math.ldexp(1 + (step + end) / STEPS, FIRST + doublings) for end in (0, 1))
                yield max(low, self.shortest_s), min(high, self.longest_s), held

    def up_to(self, bounds_s: Sequence[float]) -> list[int]:
        """How many durations are below each bound; exact at powers of two and steps of 1 / STEPS between them.

        bounds_s  rising
        """
        told, seen, at = [], 0, 0
        for bound in bounds_s:
            mantissa, power = math.frexp(bound)
            until = min((power - 1 - FIRST) * STEPS + math.floor((2 * mantissa - 1) * STEPS), len(self._buckets))
            seen += sum(self._buckets[at:until])
            told.append(seen)
            at = until
        return told

    def copy(self) -> Histogram:
        """As it is now."""
        other = Histogram()
        other._buckets = self._buckets[:]
        other.count, other.sum_s = sum(other._buckets), self.sum_s  # the other thread may be adding
        other.shortest_s, other.longest_s = self.shortest_s, self.longest_s
        return other

    def since(self, earlier: Histogram) -> Histogram:
        """What was added after `earlier` was copied; shortest and longest are of all."""
        later = self.copy()
        later._buckets = array("Q", map(operator.sub, later._buckets, earlier._buckets))
        later.count -= earlier.count
        later.sum_s -= earlier.sum_s
        return later

    @property
    def mean_s(self) -> float:
        """The exact mean; NaN when there are none."""
        return self.sum_s / self.count if self.count else math.nan


class Percentiles(NamedTuple):
    """What is told of a histogram, milliseconds."""

    p50: float
    p95: float
    p99: float
    longest: float


def percentiles_ms(of: Histogram) -> Percentiles:
    """p50, p95, p99 and the longest; NaN when there are none."""
    p50, p95, p99 = (of.quantile(share) * 1e3 for share in (0.5, 0.95, 0.99))
    return Percentiles(p50, p95, p99, of.longest_s * 1e3 if of.count else math.nan)


STAGES = {
    "wait": "captured until taken by the loop",
    "infer": "taken until the last inference was done",
    "decode": "inferred until the people were decoded",
    "publish": "decoded until sent: ids, smoothing, encoding, handing over",
    "latency": "captured until sent: all of it",
}
"""Name -> between which of the five stamps of a frame (captured, taken, inferred, decoded, sent) it lies."""

REMEMBERED = 128
"""Frames between decoded and sent that are told apart; more than all queues hold together."""


class StageTimes:
    """How long each stage took, from the stamps of every frame. Monotonic seconds throughout."""

    def __init__(self) -> None:
        self.stages = {name: Histogram() for name in STAGES}
        self._decoded = [(-1, 0.0)] * REMEMBERED

    def decoded(self, seq: int, captured_t: float, taken_t: float, inferred_t: float, decoded_t: float) -> None:
        """The first four stamps of a frame; called by one thread."""
        self.stages["wait"].add(taken_t - captured_t)
        self.stages["infer"].add(inferred_t - taken_t)
        self.stages["decode"].add(decoded_t - inferred_t)
        self._decoded[seq % REMEMBERED] = seq, decoded_t

    def sent(self, seq: int, captured_t: float, sent_t: float) -> None:
        """The fifth; called by one thread, not always the same as the others."""
        self.stages["latency"].add(sent_t - captured_t)
        self.stages["publish"].add(sent_t - self.decoded_t(seq))

    def poses_sent(self, poses: Poses, sent_t: float) -> None:
        """The same, for a sink that knows when poses really went out."""
        if not poses.held:
            self.sent(poses.seq, poses.taken_t, sent_t)

    def restart(self) -> None:
        """Count anew from here; any thread."""
        self.stages = {name: Histogram() for name in STAGES}

    def decoded_t(self, seq: int) -> float:
        """When the people of a frame were decoded; NaN where that is long ago or unknown."""
        known, decoded_t = self._decoded[seq % REMEMBERED]
        return decoded_t if known == seq else math.nan

    def table_ms(self) -> dict[str, Percentiles]:
        """Stage -> its percentiles, milliseconds."""
        return {name: percentiles_ms(times) for name, times in self.stages.items()}

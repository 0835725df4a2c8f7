"""Percentiles from counters of a fixed size are as exact as they say."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.core.timing import FIRST, STAGES, WIDTH, Histogram, StageTimes

SECONDS = st.floats(2.0**FIRST, 3600.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(SECONDS, min_size=1, max_size=80), st.floats(0.0, 1.0))
def test_a_quantile_is_never_too_low_and_at_most_its_width_too_high(durations: list[float], share: float) -> None:
    times = Histogram()
    for seconds in durations:
        times.add(seconds)
    true = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]
    assert true <= times.quantile(share) <= true * (1 + WIDTH) * (1 + 1e-12)


def test_the_highest_the_lowest_the_mean_and_the_number_are_exact() -> None:
    times = Histogram()
    for seconds in (0.004, 0.001, 0.0013):
        times.add(seconds)
    assert (times.count, times.shortest_s, times.longest_s) == (3, 0.001, 0.004)
    assert times.mean_s == pytest.approx(0.0021)
    assert times.quantile(1.0) == 0.004


@pytest.mark.parametrize("odd", [0.0, -1.0, 1e-12, 5000.0, 1e9], ids=str)
def test_no_duration_is_refused(odd: float) -> None:
    times = Histogram()
    times.add(odd)
    assert times.count == 1
    assert times.quantile(0.5) == max(odd, 0.0)


@pytest.mark.parametrize("none", [math.nan, math.inf, -math.inf], ids=str)
def test_what_is_no_number_is_no_duration_and_nothing_has_no_median(none: float) -> None:
    times = Histogram()
    times.add(none)
    assert times.count == 0
    assert math.isnan(times.quantile(0.5))
    assert math.isnan(times.mean_s)


def test_counting_takes_no_more_memory_with_time() -> None:
    times = Histogram()
    size = sys.getsizeof(times._buckets)
    for seconds in np.random.default_rng(0).exponential(0.01, 5000).tolist():
        times.add(seconds)
    assert sys.getsizeof(times._buckets) == size < 10_000


def test_stages_lie_between_their_stamps() -> None:
    times = StageTimes()
    times.decoded(5, captured_t=10.0, taken_t=10.001, inferred_t=10.011, decoded_t=10.0115)
    times.sent(5, captured_t=10.0, sent_t=10.0135)
    times.sent(4, captured_t=9.0, sent_t=9.02)  # decoded before anybody counted
    told = {name: row.longest for name, row in times.table_ms().items()}
    assert told == pytest.approx({"wait": 1.0, "infer": 10.0, "decode": 0.5, "publish": 2.0, "latency": 20.0})
    assert set(told) == set(STAGES)

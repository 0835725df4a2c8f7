"""Pairs have the largest sum there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgepose.follow.track.assign import assign, cheapest

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7)
VALUES = hnp.arrays(np.float64, SHAPES, elements=st.sampled_from([0, 0, 0, 0.25, 0.5, 0.75, 1]))


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_the_sum_is_the_largest_and_nothing_is_used_twice(value: NDArray[np.float64]) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
    pairs = assign(value)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(value[pair] > 0 for pair in pairs)
    best = value[optimize.linear_sum_assignment(value, maximize=True)].sum()
    assert sum(value[pair] for pair in pairs) == pytest.approx(best)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_the_cheapest_columns_cost_least(cost: NDArray[np.float64]) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
    if cost.shape[0] > cost.shape[1]:
        cost = cost.T
    columns = cheapest(cost.tolist())
    assert len(set(columns)) == len(columns) == len(cost)
    least = cost[optimize.linear_sum_assignment(cost)].sum()
    assert sum(cost[row, column] for row, column in enumerate(columns)) == pytest.approx(least)


def test_the_second_best_is_taken_where_the_best_costs_another_more() -> None:
    assert assign(np.array([[0.9, 0.8], [0.8, 0.1]])) == [(0, 1), (1, 0)]


def test_nobody_is_paired_with_nothing() -> None:
    assert assign(np.zeros((0, 3))) == assign(np.zeros((3, 0))) == assign(np.zeros((2, 2))) == []
    assert assign(np.array([[0.0, 0.5], [0.0, 0.4]])) == [(0, 1)]

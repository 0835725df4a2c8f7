"""Pairs of rows and columns with the largest sum of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pairs = list[tuple[int, int]]


def assign(value: NDArray[np.floating]) -> Pairs:
    """(row, column) pairs of `value` (M, N), none used twice, with the largest sum; a value of 0 is no pair."""
    if not value.size:
        return []
    best = value.argmax(axis=1).tolist()
    pairs = [(row, best[row]) for row, top in enumerate(value.max(axis=1).tolist()) if top > 0]
    if len({column for _, column in pairs}) == len(pairs):
        return pairs  # nobody wants what another wants: each its best is the best of all
    return [pair for rows, columns in _groups(value) for pair in _best_pairs(value, rows, columns)]


def _groups(value: NDArray[np.floating]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that have no value in common with any other: each group is a problem of its own."""
    of_row: list[list[int]] = [[] for _ in range(value.shape[0])]
    of_column: list[list[int]] = [[] for _ in range(value.shape[1])]
    for row, column in zip(*(index.tolist() for index in value.nonzero()), strict=True):
        of_row[row].append(column)
        of_column[column].append(row)
    groups = []
    new_row = [bool(columns) for columns in of_row]
    new_column = [True] * len(of_column)
    for first in range(len(of_row)):
        if not new_row[first]:
            continue
        new_row[first] = False
        rows, columns = [first], list[int]()
        for row in rows:  # grows while it is read
            for column in of_row[row]:
                if new_column[column]:
                    new_column[column] = False
                    columns.append(column)
                    others = [other for other in of_column[column] if new_row[other]]
                    rows += others
                    for other in others:
                        new_row[other] = False
        groups.append((rows, columns))
    return groups


def _best_pairs(value: NDArray[np.floating], rows: list[int], columns: list[int]) -> Pairs:
    part = value[np.ix_(rows, columns)]
    if len(rows) > len(columns):
        chosen = [(row, column) for column, row in enumerate(cheapest((-part.T).tolist()))]
    else:
        chosen = list(enumerate(cheapest((-part).tolist())))
    return [(rows[row], columns[column]) for row, column in chosen if part[row, column] > 0]


def cheapest(cost: Sequence[Sequence[float]]) -> list[int]:
    """The column of each row, none used twice, with the least sum of cost (M, N); M <= N.

    Shortest augmenting paths with potentials (Kuhn 1955, Munkres 1957; Jonker and Volgenant 1987): M * M * N steps.
    """
    wide = len(cost[0])
    row_price, column_price = [0.0] * len(cost), [0.0] * wide
    row_of = [-1] * wide
    for start in range(len(cost)):
        least, came_from = [float("inf")] * wide, [-1] * wide
        open_columns = list(range(wide))
        reached: list[tuple[int, int]] = []  # row of the path's tree, the column it was reached by
        row, column = start, -1
        while True:
            reached.append((row, column))
            nearest, step = -1, float("inf")
            costs, price = cost[row], row_price[row]
            for other in open_columns:
                slack = costs[other] - price - column_price[other]
                if slack < least[other]:
                    least[other], came_from[other] = slack, column
                if least[other] < step:
                    nearest, step = other, least[other]
            for tree_row, tree_column in reached:
                row_price[tree_row] += step
                if tree_column >= 0:
                    column_price[tree_column] -= step
            open_columns.remove(nearest)
            for other in open_columns:
                least[other] -= step
            column = nearest
            if row_of[column] < 0:
                break
            row = row_of[column]
        while column >= 0:
            before = came_from[column]
            row_of[column] = start if before < 0 else row_of[before]
            column = before
    columns = [-1] * len(cost)
    for column, row in enumerate(row_of):
        if row >= 0:
            columns[row] = column
    return columns

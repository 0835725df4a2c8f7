"""Slow, obvious twins of the grouping kernels: one peak, pair or link at a time, as the definition says."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Part = tuple[int, int]
"""Part, number of its peak."""


def peaks(part: Array, least: Any, radius: int, most: int) -> list[tuple[int, int]]:
    """Cells (row, column) of one map that no cell within `radius` beats, highest first."""
    height, width = part.shape
    found = []
    for y, x in np.ndindex(part.shape):
        window = [
            (-float(part[j, i]), j, i)
            for j in range(max(0, y - radius), min(height, y + radius + 1))
            for i in range(max(0, x - radius), min(width, x + radius + 1))
        ]
        if part[y, x] >= least and min(window)[1:] == (y, x):
            found.append((-float(part[y, x]), y, x))
    return [(y, x) for _, y, x in sorted(found)][:most]


def vertex(before: float, here: float, after: float) -> float:
    """Where the parabola through (-1, before), (0, here), (1, after) is highest, within half a cell."""
    bend = before - 2 * here + after
    return min(max((before - after) / (2 * bend), -0.5), 0.5) if bend < 0 else 0.0


def between(field: Array, y: float, x: float) -> float:
    """Bilinear value of a map."""
    total = 0.0
    for j, i in np.ndindex(field.shape):
        total += float(field[j, i]) * max(0.0, 1 - abs(j - y)) * max(0.0, 1 - abs(i - x))
    return total


def line_score(
    field_x: Array, field_y: Array, start: Array, end: Array, samples: int, need: int, least: float
) -> tuple[float, float]:
    """Score of a line through real fields, 0 where too few samples reach `least`; and how near a sample came to it."""
    delta = end.astype(float) - start
    length = math.hypot(*delta)
    if length < 1e-6:
        return 0.0, math.inf
    dots = []
    for fraction in np.linspace(0, 1, samples):
        x, y = start + delta * fraction
        dots.append((between(field_x, y, x) * delta[0] + between(field_y, y, x) * delta[1]) / length)
    score = sum(dots) / samples + min(0.0, 0.5 * len(field_x) / length - 1)
    passed = sum(dot >= least for dot in dots) >= need
    return (max(score, 0.0) if passed else 0.0), min(abs(dot - least) for dot in dots)


def best_total(gain: Array, alone: float = 0.0) -> float:
    """The highest sum of gains in which each row has another column; rows without one count `alone`."""
    rows, columns = gain.shape
    padded = np.full((rows, max(rows, columns)), alone)
    padded[:, :columns] = gain
    choices = itertools.permutations(range(padded.shape[1]), rows)
    return max(sum(float(padded[i, j]) for i, j in enumerate(choice)) for choice in choices)


def people_of(links: list[tuple[Part, Part, bool]]) -> list[set[Part]]:
    """Sets of parts that links join in order; a link that would give a person two of one part is dropped."""
    people: list[set[Part]] = []
    for one, other, may_found in links:
        touched = [person for person in people if one in person or other in person]
        joined = {one, other}.union(*touched)
        if len({part for part, _ in joined}) < len(joined) or (not touched and not may_found):
            continue
        people = [person for person in people if person not in touched] + [joined]
    return people

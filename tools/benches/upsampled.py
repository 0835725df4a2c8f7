"""How part affinity fields are usually decoded: enlarge everything to the picture's size, then search in Python.

Written after the public Python decoders of OpenPose-type networks (cubic enlarging by the stride, peaks by comparing
with four neighbours, ten nearest samples along each line, people as rows of a list); no code of theirs.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgepose.estimate.decode.paf import OPENPOSE_LIMBS

Array = NDArray[Any]
Peak = tuple[int, int, float, int]
"""Column, row, score, number among all peaks."""

LEAST_PEAK = 0.1
LEAST_FIELD = 0.05
SAMPLES = 10
NEAR = 6


def decode(heatmap: Array, paf: Array, stride: int = 8) -> tuple[list[list[int]], list[Peak]]:
    """People as rows of 18 peak numbers (-1 where none), and all peaks, in pixels of the enlarged maps.

    heatmap  (H, W, 19) float32     paf  (H, W, 38) float32
    """
    heatmap = cv2.resize(heatmap, None, fx=stride, fy=stride, interpolation=cv2.INTER_CUBIC)
    paf = cv2.resize(paf, None, fx=stride, fy=stride, interpolation=cv2.INTER_CUBIC)
    by_part: list[list[Peak]] = []
    every: list[Peak] = []
    for part in range(18):
        by_part.append(_peaks(heatmap[..., part], len(every)))
        every += by_part[-1]
    return _people(by_part, every, paf), every


def _peaks(heat: Array, first: int) -> list[Peak]:
    padded = np.pad(np.where(heat < LEAST_PEAK, 0, heat), 1)
    middle = padded[1:-1, 1:-1]
    highest = (middle > padded[1:-1, :-2]) & (middle > padded[1:-1, 2:])
    highest &= (middle > padded[:-2, 1:-1]) & (middle > padded[2:, 1:-1])
    rows, columns = np.nonzero(highest)
    found: list[Peak] = []
    for column, row in sorted(zip(columns.tolist(), rows.tolist(), strict=True)):
        if all(math.hypot(column - other[0], row - other[1]) >= NEAR for other in found):
            found.append((column, row, float(heat[row, column]), first + len(found)))
    return found


def _line_score(paf: Array, limb: tuple[int, int, int, int], a: Peak, b: Peak) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy)
    if length == 0:
        return 0.0
    passed, total = 0, 0.0
    for x, y in zip(np.linspace(a[0], b[0], SAMPLES), np.linspace(a[1], b[1], SAMPLES), strict=True):
        column, row = round(x), round(y)
        dot = (paf[row, column, limb[2]] * dx + paf[row, column, limb[3]] * dy) / length
        if dot > LEAST_FIELD:
            total += dot
            passed += 1
    if passed <= 0.8 * SAMPLES:
        return 0.0
    return float(total / passed + min(0.5 * paf.shape[0] / length - 1, 0))


def _people(by_part: list[list[Peak]], every: list[Peak], paf: Array) -> list[list[int]]:
    rows: list[tuple[list[int], list[float]]] = []
    for number, limb in enumerate(OPENPOSE_LIMBS):
        lines = [(_line_score(paf, limb, a, b), a[3], b[3]) for a in by_part[limb[0]] for b in by_part[limb[1]]]
        used: set[int] = set()
        for score, a_at, b_at in sorted(lines, reverse=True):
            if score <= 0 or a_at in used or b_at in used:
                continue
            used |= {a_at, b_at}
            owners = [row for row in rows if row[0][limb[0]] == a_at or row[0][limb[1]] == b_at]
            if len(owners) == 1:
                owners[0][0][limb[0]], owners[0][0][limb[1]] = a_at, b_at
                owners[0][1].append(score)
            elif len(owners) == 2:
                one, other = owners
                if all(a < 0 or b < 0 for a, b in zip(one[0], other[0], strict=True)):
                    one[0][:] = [max(a, b) for a, b in zip(one[0], other[0], strict=True)]
                    one[1].extend([*other[1], score])
                    rows.remove(other)
            elif number < 17:
                row = [-1] * 18
                row[limb[0]], row[limb[1]] = a_at, b_at
                rows.append((row, [score]))
    people = []
    for row, scores in rows:
        parts = [every[at][2] for at in row if at >= 0]
        if len(parts) >= 4 and (sum(parts) + sum(scores)) / len(parts) >= 0.2:
            people.append(row)
    return people

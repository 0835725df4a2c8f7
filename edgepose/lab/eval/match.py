"""Which pose is whose: object keypoint similarity to annotated people, and COCO's matching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.lab.eval.truth import Person

MOST = 20
"""Poses of one picture that count, best first: COCO's limit."""

WRONG, IGNORED = -1, -2
"""Instead of a person: nobody is there; or it lies on a crowd or on somebody without joints."""


@dataclass(frozen=True, eq=False)
class People:
    """Poses of one picture in the joints of the truth, best first."""

    xy: NDArray[np.float64]
    """(N, K, 2) pixels; NaN where not found."""
    score: NDArray[np.float64]
    """(N, K)."""
    person_score: NDArray[np.float64]
    """(N,)."""

    def __len__(self) -> int:
        return len(self.person_score)


def similarity(xy: NDArray[np.float64], people: Sequence[Person], sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, P) OKS of poses (N, K, 2) and annotated people, over the labelled joints; a joint not found scores 0.

    For people without joints it says how near a pose lies to their doubled box. Source: COCO keypoint evaluation.
    """
    alike = np.zeros((len(xy), len(people)))
    for index, person in enumerate(people):
        labelled = person.labelled
        if labelled.any():
            distance2 = ((xy[:, labelled] - person.xy[labelled]) ** 2).sum(axis=2)
            spread = sigmas[labelled]
        else:
            x, y, width, height = person.box_xywh
            low, high = np.array([x - width, y - height]), np.array([x + 2 * width, y + 2 * height])
            distance2 = (np.maximum(np.maximum(low - xy, xy - high), 0) ** 2).sum(axis=2)
            spread = sigmas
        exponent = distance2 / (2 * (2 * spread) ** 2 * (person.area + np.spacing(1)))
        alike[:, index] = np.where(np.isnan(exponent), 0, np.exp(-np.nan_to_num(exponent))).mean(axis=1)
    return alike


def matches(alike: NDArray[np.float64], people: Sequence[Person], least: float) -> NDArray[np.int64]:
    """(N,) person that each pose, best first, is taken for at OKS `least`: an index, WRONG or IGNORED.

    Each person is found once, a crowd any number of times; poses beyond MOST are wrong. Source: COCO evaluateImg.
    """
    given = np.full(len(alike), WRONG)
    order = sorted(range(len(people)), key=lambda index: not people[index].counts)
    free = [True] * len(people)
    for pose in range(min(len(alike), MOST)):
        best, chosen = min(least, 1 - 1e-10), -1
        for index in order:
            person = people[index]
            if not free[index] and not person.crowd:
                continue
            if chosen >= 0 and people[chosen].counts and not person.counts:
                break
            if alike[pose, index] >= best:
                best, chosen = alike[pose, index], index
        if chosen >= 0:
            free[chosen] = False
            given[pose] = chosen if people[chosen].counts else IGNORED
    return given


def pairs(alike: NDArray[np.float64]) -> list[tuple[int, int]]:
    """(pose, person) one to one, most alike first."""
    found: list[tuple[int, int]] = []
    left = alike.copy()
    while left.size and left.max() > 0:
        pose, person = (int(index) for index in np.unravel_index(left.argmax(), left.shape))
        found.append((pose, person))
        left[pose, :] = left[:, person] = 0
    return found

"""Whose pose in one camera is whose in another: known people first, then by how near their rays pass each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
GAP_M = 0.12
"""Median gap between the rays of one person's joints in two cameras."""
REACH_M = 0.25
"""Median distance of a known person's joints from the rays of a pose that is theirs."""
LEAST_JOINTS = 5
NEAREST_M = 0.3
FAR = np.inf


class Sight(NamedTuple):
    """One person in one camera."""

    camera: int
    origin: Array
    """(3,) metres."""
    direction: Array
    """(K, 3) unit vectors in the world."""
    weight: Array
    """(K,) scores; 0 where the joint is missing."""


Group = list[int]
"""Sights of one person, at most one a camera."""


def match(known: Sequence[Array], sights: Sequence[Sight]) -> tuple[dict[int, Group], list[Group]]:
    """Known person -> sights; and groups of sights that are of one new person.

    known  (K, 3) each: where a person's joints are expected, NaN where unknown
    """
    of_known = _known(known, sights)
    taken = {index for group in of_known.values() for index in group}
    return of_known, _new([index for index in range(len(sights)) if index not in taken], sights)


def _known(known: Sequence[Array], sights: Sequence[Sight]) -> dict[int, Group]:
    """Each person gets the nearest sight of each camera, nearest pairs first."""
    rows = sorted(
        (distance, person, index)
        for person, xyz in enumerate(known)
        for index, sight in enumerate(sights)
        if (distance := _distance(xyz, sight)) <= REACH_M
    )
    found: dict[int, Group] = {}
    for _, person, index in rows:
        taken = any(index in group for group in found.values())
        cameras = {sights[other].camera for other in found.get(person, [])}
        if not taken and sights[index].camera not in cameras:
            found.setdefault(person, []).append(index)
    return found


def _distance(xyz: Array, sight: Sight) -> float:
    """Median distance of a person's joints from a pose's rays, metres."""
    common = (sight.weight > 0) & ~np.isnan(xyz[:, 0])
    if common.sum() < LEAST_JOINTS:
        return FAR
    to, along = xyz[common] - sight.origin, sight.direction[common]
    depth = (to * along).sum(axis=1, keepdims=True)
    return float(np.median(np.linalg.norm(to - depth * along, axis=1)))


def gap(one: Sight, other: Sight) -> float:
    """Median gap between the rays of two poses, metres; infinite where they cannot be one person."""
    common = (one.weight > 0) & (other.weight > 0)
    if common.sum() < LEAST_JOINTS:
        return FAR
    a, b, between = one.direction[common], other.direction[common], one.origin - other.origin
    cosine, from_a, from_b = (a * b).sum(axis=1), a @ between, b @ between
    square = np.maximum(1 - cosine**2, 1e-6)
    depth_a, depth_b = (cosine * from_b - from_a) / square, (from_b - cosine * from_a) / square
    ahead = (depth_a > NEAREST_M) & (depth_b > NEAREST_M)
    if ahead.sum() < LEAST_JOINTS:
        return FAR
    apart = between + depth_a[:, None] * a - depth_b[:, None] * b
    return float(np.median(np.linalg.norm(apart[ahead], axis=1)))


def _new(indices: Iterable[int], sights: Sequence[Sight]) -> list[Group]:
    """Groups merged best pair first, where every pair across them fits and no camera is in both."""
    pairs = {
        (one, other): value
        for one, other in combinations(indices, 2)
        if sights[one].camera != sights[other].camera and (value := gap(sights[one], sights[other])) < GAP_M
    }
    group_of: dict[int, Group] = {}
    for one, other in sorted(pairs, key=lambda pair: pairs[pair]):
        first, second = group_of.get(one, [one]), group_of.get(other, [other])
        cameras = [sights[index].camera for index in (*first, *second)]
        fits = all((min(a, b), max(a, b)) in pairs for a in first for b in second)
        if first is not second and fits and len(set(cameras)) == len(cameras):
            merged = sorted((*first, *second))
            group_of.update(dict.fromkeys(merged, merged))
    return list({id(group): group for group in group_of.values()}.values())

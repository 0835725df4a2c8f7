"""Whose pose in one camera is whose in another: known people first, then by how near their rays pass each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.lift.fuse.people import Track

Array = NDArray[np.float64]
GAP_M = 0.12
"""Median gap between the rays of one person's joints in two cameras."""
REACH_M = 0.25
"""Median distance of a known person's joints from the rays of a pose that is theirs."""
OTHER_M = 0.8
"""The same of a person who is lifted, and of the rays of another camera than the one that saw them."""
LEAST_JOINTS = 5
NEAREST_M = 0.3
FAR = np.inf


class Sights(NamedTuple):
    """People in cameras, N in all."""

    camera: NDArray[np.int64]
    """(N,) number of the camera."""
    origin: Array
    """(N, 3) metres: where it stands."""
    direction: Array
    """(N, K, 3) unit vectors in the world."""
    weight: Array
    """(N, K) scores; 0 where the joint is missing."""


Group = list[int]
"""Sights of one person, at most one a camera."""


class Matched(NamedTuple):
    """Who is who."""

    known: dict[int, Group]
    """Known person -> sights."""
    new: list[Group]
    """Sights of one new person each."""
    distance: Array
    """(P, N) metres of known people from sights."""


def match(known: Array, sights: Sights, trusted: NDArray[np.bool_] | None = None) -> Matched:
    """Sights that are of one person.

    known    (P, K, 3) where people's joints are expected, NaN where unknown
    trusted  (N,) sights that may count; None: all
    """
    distance = _distances(known, sights)
    usable = np.ones(len(sights.camera), bool) if trusted is None else trusted
    of_known = _known(np.where(usable, distance, FAR), sights)
    taken = {index for group in of_known.values() for index in group}
    left = [index for index in np.flatnonzero(usable).tolist() if index not in taken]
    return Matched(of_known, _new(left, sights), distance)


def singles(matched: Matched, trusted: NDArray[np.bool_]) -> list[Group]:
    """Sights that are nobody's: of one camera alone."""
    taken = {index for group in (*matched.known.values(), *matched.new) for index in group}
    return [[index] for index in np.flatnonzero(trusted).tolist() if index not in taken]


def claims(
    tracks: Sequence[Track], groups: Sequence[Group], sights: Sights, t: float
) -> list[tuple[int | None, Group]]:
    """Whose each group is among people who were not measured lately; None: somebody new.

    The camera that saw somebody last says it best; another one may be as far off as a lifted pose is.
    """
    known = np.array([track.expected(t) for track in tracks]).reshape(len(tracks), *sights.direction.shape[1:])
    distance = _distances(known, sights)
    near: list[tuple[float, int, int]] = []
    for person, track in enumerate(tracks):
        for number, group in enumerate(groups):
            own = [index for index in group if sights.camera[index] == track.alone]
            reach = REACH_M if own else OTHER_M
            away = float(distance[person, own or group].min())
            if away <= reach:
                near.append((away / reach, person, number))
    whose: dict[int, int] = {}
    for _, person, number in sorted(near):
        if number not in whose and person not in whose.values():
            whose[number] = person
    return [(whose.get(number), group) for number, group in enumerate(groups)]


def _known(distance: Array, sights: Sights) -> dict[int, Group]:
    """Each person gets the nearest sight of each camera, nearest pairs first."""
    near = np.argwhere(distance <= REACH_M).tolist()
    found: dict[int, Group] = {}
    taken: set[int] = set()
    used: set[tuple[int, int]] = set()
    for person, index in sorted(near, key=lambda pair: float(distance[pair[0], pair[1]])):
        camera = int(sights.camera[index])
        if index not in taken and (person, camera) not in used:
            found.setdefault(person, []).append(index)
            taken.add(index)
            used.add((person, camera))
    return found


def _distances(known: Array, sights: Sights) -> Array:
    """(P, N) median distance of people's joints from the rays of sights, metres."""
    common = (sights.weight > 0) & ~np.isnan(known[:, None, :, 0])
    to = known[:, None] - sights.origin[:, None]
    depth = (to * sights.direction).sum(axis=-1, keepdims=True)
    return _medians(np.linalg.norm(to - depth * sights.direction, axis=-1), common)


def _medians(values: Array, counts: NDArray[np.bool_]) -> Array:
    """(...) median of the values (..., K) that count; infinite where these are too few."""
    ordered = np.sort(np.where(counts, values, FAR), axis=-1)
    count = counts.sum(axis=-1, keepdims=True)
    low, high = (np.take_along_axis(ordered, at.clip(0), axis=-1)[..., 0] for at in ((count - 1) // 2, count // 2))
    return np.where(count[..., 0] >= LEAST_JOINTS, (low + high) / 2, FAR)


def gaps(one: NDArray[np.int64], other: NDArray[np.int64], sights: Sights) -> Array:
    """(M,) median gap between the rays of M pairs of sights, metres; infinite where they cannot be one person."""
    common = (sights.weight[one] > 0) & (sights.weight[other] > 0)
    a, b = sights.direction[one], sights.direction[other]
    between = (sights.origin[one] - sights.origin[other])[:, None]
    cosine, from_a, from_b = (a * b).sum(axis=-1), (a * between).sum(axis=-1), (b * between).sum(axis=-1)
    square = np.maximum(1 - cosine**2, 1e-6)
    depth_a, depth_b = (cosine * from_b - from_a) / square, (from_b - cosine * from_a) / square
    ahead = common & (depth_a > NEAREST_M) & (depth_b > NEAREST_M)
    apart = between + depth_a[..., None] * a - depth_b[..., None] * b
    return _medians(np.linalg.norm(apart, axis=-1), ahead)


def _new(indices: list[int], sights: Sights) -> list[Group]:
    """Groups merged best pair first, where every pair across them fits and no camera is in both."""
    couples = np.array(list(combinations(indices, 2)), np.int64).reshape(-1, 2)
    couples = couples[sights.camera[couples[:, 0]] != sights.camera[couples[:, 1]]]
    values = gaps(couples[:, 0], couples[:, 1], sights)
    pairs = {(one, other): value for (one, other), value in zip(couples.tolist(), values, strict=True) if value < GAP_M}
    group_of: dict[int, Group] = {}
    for one, other in sorted(pairs, key=lambda pair: pairs[pair]):
        first, second = group_of.get(one, [one]), group_of.get(other, [other])
        cameras = [int(sights.camera[index]) for index in (*first, *second)]
        fits = all((min(a, b), max(a, b)) in pairs for a in first for b in second)
        if first is not second and fits and len(set(cameras)) == len(cameras):
            merged = sorted((*first, *second))
            group_of.update(dict.fromkeys(merged, merged))
    return list({id(group): group for group in group_of.values()}.values())

"""Moments of somebody who walks: the same joints, at the same time, as rays of each camera."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses
from edgepose.lift.camera import Camera
from edgepose.lift.fuse.clock import Ring

Array = NDArray[np.float64]
Film = Sequence[tuple[float, Poses]]
"""When, seconds, and who; rising."""
LEAST_SCORE, JOINTS = 0.3, 17
LEAST_STEP_S, MOST_MOMENTS, BEHIND_S = 1 / 30, 500, 0.2


class Walk(NamedTuple):
    """C cameras, M moments of K joints."""

    rays: Array
    """(C, M, K, 2) x / z, y / z; 0 where there is none."""
    weight: Array
    """(C, M, K) 0: no ray."""


def walk(films: Mapping[str, Film], lenses: Mapping[str, Camera]) -> Walk:
    """Everything on common moments, interpolated; names in the order of `lenses`."""
    walkers = {name: _walker(film) for name, film in films.items()}
    rings = {name: Ring() for name in lenses}
    events = heapq.merge(*([(t, name, poses) for t, poses in films[name]] for name in lenses), key=lambda each: each[0])
    span = [film[end][0] for film in films.values() if film for end in (0, -1)]
    step = max(LEAST_STEP_S, (max(span) - min(span)) / MOST_MOMENTS) if span else LEAST_STEP_S
    rows, next_t = [], min(span, default=0.0)
    ends = [(max(span, default=0.0) + BEHIND_S + step, "", None)]
    for t, name, poses in [*events, *ends]:
        while next_t < t - BEHIND_S:
            rows.append([_joints(rings[each].at(next_t), walkers[each]) for each in lenses])
            next_t += step
        if poses is not None:
            rings[name].add(t, poses)
    joints = np.array(rows, np.float64).reshape(len(rows), len(lenses), JOINTS, 3).transpose(1, 0, 2, 3)
    weight = np.where((joints[..., 2] >= LEAST_SCORE) & ~np.isnan(joints[..., 0]), joints[..., 2], 0.0)
    rays = np.zeros((*weight.shape, 2))
    for place, lens in enumerate(lenses.values()):
        rays[place] = lens.rays(joints[place, ..., :2])
    return Walk(np.where(weight[..., None] > 0, rays, 0.0), weight)


def _walker(film: Film) -> int:
    """Who of several walks: the identity that gets about most."""
    places: dict[int, list[Array]] = {}
    for _, poses in film:
        for identity, xy in zip(poses.track_id.tolist(), poses.xy, strict=True):
            known = xy[~np.isnan(xy[:, 0])]
            if len(known):
                places.setdefault(identity, []).append(np.median(known, axis=0))
    travelled = {identity: float(np.ptp(at, axis=0).sum()) for identity, at in places.items()}
    return max(travelled, key=lambda identity: travelled[identity], default=-1)


def _joints(poses: Poses | None, walker: int) -> Array:
    """(K, 3) x, y, score of the one who is there, or of several the one who walks."""
    if poses is not None and len(poses):
        rows = [0] if len(poses) == 1 else np.flatnonzero(poses.track_id == walker).tolist()
        if rows:
            return np.concatenate([poses.xy[rows[0]], poses.score[rows[0]][:, None]], axis=1).astype(np.float64)
    return np.full((JOINTS, 3), np.nan)

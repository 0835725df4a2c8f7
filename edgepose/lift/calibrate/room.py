"""Cameras placed in a world of metres, z up, by somebody of known height who walks through their pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.lift.calibrate.marks import Marks, founded, scaled
from edgepose.lift.calibrate.report import Report
from edgepose.lift.calibrate.solve import Stand, Stands, adjusted, misses, points, stand_of_all
from edgepose.lift.calibrate.walk import Film, Walk, walk
from edgepose.lift.camera import Camera
from edgepose.lift.fuse.calibration import PlacedCamera
from edgepose.lift.fuse.triangulate import triangulate
from edgepose.lift.stage import PER_HEIGHT

Array = NDArray[np.float64]
LEAST_MOMENTS = 30
HELD_OUT, BLOCK = 5, 4
"""One in five blocks of four moments is kept to judge by."""
ANKLE_M = 0.08
"""Of an ankle that stands, above the floor."""
FLOOR_M, LEVEL = 0.3, 0.96
"""How long ways must be to show that they are level, how wide to show the floor, standard deviation; cosine of how far
it may be from square to people."""
SHOULDERS, HIPS, ANKLES = [5, 6], [11, 12], [15, 16]


def place_cameras(
    films: Mapping[str, Film], lenses: Mapping[str, Camera], height_m: float, marks: Marks | None = None
) -> tuple[tuple[PlacedCamera, ...], Report]:
    """Where the cameras stand, and what that is worth.

    The floor under the first camera is the origin, y ahead of it; of marks the first is it, x leads to the second, and
    how far they are apart counts instead of the height.

    Raises:
        ConfigError: they saw too little together.
    """
    names = tuple(lenses)
    seen = walk(films, lenses)
    together = ((seen.weight > 0).any(axis=2)).sum(axis=0) >= 2
    seen = Walk(seen.rays[:, together], seen.weight[:, together])
    if len(names) < 2 or together.sum() < LEAST_MOMENTS:
        raise ConfigError(
            f"{len(names)} cameras saw the walker together at {int(together.sum())} moments, at least two cameras and "
            f"{LEAST_MOMENTS} moments are needed; are their clocks in step?"
        )
    judged = np.arange(together.sum()) // BLOCK % HELD_OUT == HELD_OUT - 1
    rays, weight = _flat(seen, ~judged)
    focal = np.array([np.mean(lens.focal_xy) for lens in lenses.values()])
    stands = _metric(stand_of_all(rays, weight, names), rays, weight, height_m)
    stands = _metric(adjusted(stands, rays, weight, focal), rays, weight, height_m)
    stands = scaled(marks, stands, lenses) if marks else stands
    up, floor = _up(_people(stands, rays, weight))
    stands = founded(marks, stands, lenses, up) if marks else _upright(stands, up, floor)
    cameras = tuple(
        PlacedCamera(name, lens, stand.rotation, stand.position)
        for (name, lens), stand in zip(lenses.items(), stands, strict=True)
    )
    return cameras, _report(stands, names, seen, judged, focal)


def _flat(seen: Walk, moments: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Rays (C, P, 2) and weights (C, P) of some moments."""
    cameras = len(seen.rays)
    return seen.rays[:, moments].reshape(cameras, -1, 2), seen.weight[:, moments].reshape(cameras, -1)


def _people(stands: Stands, rays: Array, weight: Array) -> Array:
    """(M, 17, 3) the walker at each moment."""
    return points(stands, rays, weight).reshape(-1, 17, 3)


def _metric(stands: Stands, rays: Array, weight: Array, height_m: float) -> Stands:
    """In metres, by how tall the walker is."""
    xyz = _people(stands, rays, weight)

    def length(a: int, b: int) -> Array:
        lengths: Array = np.linalg.norm(xyz[:, a] - xyz[:, b], axis=1)
        return lengths

    torso = np.linalg.norm(xyz[:, SHOULDERS].mean(axis=1) - xyz[:, HIPS].mean(axis=1), axis=1)
    size = torso + (length(11, 13) + length(12, 14) + length(13, 15) + length(14, 16)) / 2
    if np.isnan(size).all():
        raise ConfigError("the walker was never seen from shoulders to feet by two cameras; walk farther from them")
    scale = height_m * PER_HEIGHT / float(np.nanmedian(size))
    return [Stand(stand.rotation, stand.shift * scale) for stand in stands]


def _up(xyz: Array) -> tuple[Array, float]:
    """(3,) up, and the floor's place along it: as people stand, or square to what they walk on where that shows."""
    body = xyz[:, SHOULDERS].mean(axis=1) - xyz[:, ANKLES].mean(axis=1)
    body = body[~np.isnan(body[:, 0])]
    up = np.median(body / np.linalg.norm(body, axis=1, keepdims=True), axis=0)
    up /= np.linalg.norm(up)
    ankles = xyz[:, ANKLES].reshape(-1, 3)
    ankles = ankles[~np.isnan(ankles[:, 0])]
    return _floor(ankles, up)


def _upright(stands: Stands, up: Array, floor: float) -> Stands:
    """In a world whose z is up, with the origin on the floor under the first camera."""
    first = stands[0]
    ahead = first.rotation[2] - (first.rotation[2] @ up) * up
    if np.linalg.norm(ahead) < 0.1:  # it looks straight down
        ahead = -first.rotation[1] + (first.rotation[1] @ up) * up
    ahead /= np.linalg.norm(ahead)
    turn = np.stack([np.cross(ahead, up), ahead, up])
    origin = first.position + (floor - first.position @ up) * up
    return [Stand(stand.rotation @ turn.T, stand.shift + stand.rotation @ origin) for stand in stands]


def _floor(ankles: Array, up: Array) -> tuple[Array, float]:
    """(3,) the floor's direction up and its place along that: by the ankles that are lowest.

    Who walks to and fro on one line leans along it: that line is level, and only across it people show what is up.
    """
    for _ in range(3):
        along = ankles @ up
        low = ankles[along <= np.quantile(along, 0.5)]
        _, wide, axes = np.linalg.svd(low - low.mean(axis=0), full_matrices=False)
        wide = wide / np.sqrt(len(low))
        if wide[0] < FLOOR_M:
            break
        level = up - (up @ axes[0]) * axes[0]
        normal = axes[2] * np.sign(axes[2] @ up) if wide[1] >= FLOOR_M else level / np.linalg.norm(level)
        if normal @ up < LEVEL:
            break
        up = normal
    return up, float(np.quantile(ankles @ up, 0.25)) - ANKLE_M


def _report(stands: Stands, names: tuple[str, ...], seen: Walk, judged: NDArray[np.bool_], focal: Array) -> Report:
    """By moments that were kept out."""
    rays, weight = _flat(seen, judged)
    ahead = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1)
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    direction = np.stack([line @ stand.rotation for line, stand in zip(ahead, stands, strict=True)])
    met = triangulate(np.stack([stand.position for stand in stands]), direction, weight)
    gap = np.where((weight > 0).sum(axis=0) >= 2, met.gap, np.nan)
    off = np.linalg.norm(misses(stands, rays, weight, met.xyz), axis=-1)
    off = np.where((weight > 0) & ~np.isnan(met.xyz[:, 0]), off, np.nan)
    depth = np.stack([met.xyz @ stand.rotation[2] + stand.shift[2] for stand in stands])
    people = _people(stands, *_flat(seen, np.ones(len(judged), bool)))
    middle = _medians(people, 1)
    middle = middle[~np.isnan(middle[:, 0])]
    way = np.linalg.norm(np.quantile(middle, 0.95, axis=0) - np.quantile(middle, 0.05, axis=0))
    return Report(
        moments=seen.weight.shape[1],
        seen=dict(zip(names, (seen.weight > 0).any(axis=2).sum(axis=1).tolist(), strict=True)),
        miss_px=dict(zip(names, _medians(off * focal[:, None], 1).tolist(), strict=True)),
        miss_m=dict(zip(names, _medians(off * depth, 1).tolist(), strict=True)),
        gap_m=float(_medians(gap, 0)),
        way_m=float(way),
    )


def _medians(values: Array, axis: int) -> Array:
    """Along an axis, of what is known; NaN where nothing is."""
    known = ~np.isnan(values).all(axis=axis)
    spread = np.expand_dims(known, axis)
    middle = np.nanmedian(np.where(spread, values, 0.0), axis=axis)
    medians: Array = np.where(known, middle, np.nan)
    return medians

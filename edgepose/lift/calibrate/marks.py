"""Two marks on the floor, a known way apart, that cameras see: they say how large the room is, and where its floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import read_toml
from edgepose.core.errors import ConfigError
from edgepose.lift.calibrate.solve import Stand, Stands, points
from edgepose.lift.camera import Camera

Array = NDArray[np.float64]
Pixel = tuple[float, float]
NEAREST_M, FARTHEST_M = 0.3, 100.0


@dataclass(frozen=True, slots=True)
class Marks:
    """As a file has them."""

    apart_m: float
    seen: Mapping[str, tuple[Pixel, Pixel]]
    """Camera -> where it sees the first and the second, pixels."""


def read_marks(path: Path) -> Marks:
    """A TOML file: apart_m = 3.0, and a table a camera: [door] a = [x, y], b = [x, y].

    Raises:
        ConfigError: it says anything else.
    """
    table = dict(read_toml(path))
    apart_m = table.pop("apart_m", None)
    if not isinstance(apart_m, int | float) or not NEAREST_M <= apart_m <= FARTHEST_M:
        raise ConfigError(f"{path}: apart_m is {apart_m}; give metres between the marks, {NEAREST_M} to {FARTHEST_M:g}")
    seen = {name: (_pixel(row, "a", name, path), _pixel(row, "b", name, path)) for name, row in table.items()}
    if len(seen) < 2:
        raise ConfigError(
            f"{path}: {len(seen)} cameras see the marks, two are needed; add [CAMERA] a = [x, y], b = [x, y]"
        )
    return Marks(float(apart_m), seen)


def _pixel(row: Any, key: str, name: str, path: Path) -> Pixel:
    place = row.get(key) if isinstance(row, Mapping) else None
    if not isinstance(place, Sequence) or len(place) != 2 or not all(isinstance(one, int | float) for one in place):
        raise ConfigError(f"{path}: {name}.{key} is {place}; give where that camera sees the mark, [x, y] in pixels")
    return float(place[0]), float(place[1])


def places(marks: Marks, stands: Stands, lenses: Mapping[str, Camera]) -> Array:
    """(2, 3) where the marks are, in the cameras' unit.

    Raises:
        ConfigError: of a camera that has no lens or no place, or rays that do not meet.
    """
    if strange := [name for name in marks.seen if name not in lenses]:
        raise ConfigError(f"marks: camera {strange[0]} is none of {', '.join(lenses)}")
    weight = np.array([[float(name in marks.seen)] * 2 for name in lenses])
    rays = np.stack(
        [lens.rays(np.array(marks.seen.get(name, ((0, 0), (0, 0))), float)) for name, lens in lenses.items()]
    )
    found = points(stands, rays, weight)
    if np.isnan(found).any() or np.linalg.norm(found[1] - found[0]) < 1e-6:
        raise ConfigError("marks: their rays do not meet; are a and b the same marks for every camera?")
    return found


def scaled(marks: Marks, stands: Stands, lenses: Mapping[str, Camera]) -> Stands:
    """In metres, by how far the marks are apart."""
    first, second = places(marks, stands, lenses)
    scale = marks.apart_m / float(np.linalg.norm(second - first))
    return [Stand(stand.rotation, stand.shift * scale) for stand in stands]


def founded(marks: Marks, stands: Stands, lenses: Mapping[str, Camera], up: Array) -> Stands:
    """In the marks' world: the first is the origin, x leads to the second, z is up as far as people say across that."""
    first, second = places(marks, stands, lenses)
    x = (second - first) / np.linalg.norm(second - first)
    z = up - (up @ x) * x
    z /= np.linalg.norm(z)
    turn = np.stack([x, np.cross(z, x), z])
    return [Stand(stand.rotation @ turn.T, stand.shift + stand.rotation @ first) for stand in stands]

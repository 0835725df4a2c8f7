"""Who is in which zone: every polygon and everybody at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning.body import Body
from edgepose.meaning.ground import Floor, contact, feet
from edgepose.meaning.settings import Zone

Floats = NDArray[np.float64]


class Polygons:
    """Even-odd test of points against several polygons."""

    def __init__(self, polygons: Sequence[Sequence[tuple[float, float]]]) -> None:
        edges = [(*a, *b) for polygon in polygons for a, b in zip(polygon, (*polygon[1:], polygon[0]), strict=True)]
        self._x1, self._y1, self._x2, self._y2 = np.array(edges, np.float64).reshape(-1, 4).T
        counts = [len(polygon) for polygon in polygons]
        self._starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.intp)
        height = self._y2 - self._y1
        self._slope = (self._x2 - self._x1) / np.where(height == 0, 1.0, height)

    def inside(self, points: Floats) -> Floats:
        """(N, polygons) 1 inside, 0 outside, NaN for a point that is NaN."""
        x, y = points[:, :1], points[:, 1:]
        crosses = ((self._y1 > y) != (self._y2 > y)) & (x < self._x1 + (y - self._y1) * self._slope)
        odd = np.add.reduceat(crosses.astype(np.intp), self._starts, axis=1) % 2
        return np.where(np.isnan(x), np.nan, odd)


class Zones:
    """The zones of a picture or a room: areas by the feet, surfaces by the hips, in metres by the feet."""

    def __init__(self, zones: Sequence[Zone], floor: Floor | None = None) -> None:
        self.zones, self._floor = tuple(zones), floor
        self._polygons = Polygons([zone.polygon_m or zone.polygon_px for zone in zones]) if zones else None
        self._metres = np.array([bool(zone.polygon_m) for zone in zones], bool)
        self._surface = np.array([zone.kind == "surface" for zone in zones], bool)
        self.by_hips = np.zeros(0, bool)
        """(N,) of the last frame: the ankles were hidden."""

    def inside(self, body: Body) -> Floats:
        """(N, zones) 1 in it, 0 not, NaN: cannot be told."""
        if self._polygons is None:
            return np.zeros((len(body), 0))
        point, self.by_hips = feet(body)
        told = self._polygons.inside(point)
        if self._surface.any():
            told = np.where(self._surface, self._polygons.inside(body.hip), told)
        if self._metres.any():
            told = np.where(self._metres, self._polygons.inside(self._place(body)), told)
        return told

    def _place(self, body: Body) -> Floats:
        """(N, 2) metres."""
        if body.place_m is not None:
            return body.place_m
        if self._floor is None:
            raise TypeError("zones in metres need a floor")
        looks = body.size if np.isfinite(body.size).any() else body.looks
        return self._floor.metres(contact(body, looks))

    def names(self, told: Floats) -> list[str]:
        """The first zone with a station of its own that each is in; empty: none."""
        own = [index for index, zone in enumerate(self.zones) if zone.station]
        return [next((self.zones[index].name for index in own if row[index] == 1), "") for row in told]

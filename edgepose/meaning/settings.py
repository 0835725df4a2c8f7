"""Rules as people write them: TOML tables, checked where they enter, every error with its key path."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from edgepose.core.config import Section, convert, says
from edgepose.core.errors import ConfigError

TABLES = ("rule", "zone", "ground")
"""What a file of rules may hold."""
MOST_RULES = 200
MOST_CORNERS = 64
FAR_PX = 1 << 20

Point = tuple[float, float]
Points = tuple[Point, ...]


class Zone(Section, frozen=True, kw_only=True):
    """A part of the picture."""

    name: Annotated[str, says("what rules and messages call it", min_length=1)]
    polygon_px: Annotated[Points, says("its corners, in the picture's pixels; or polygon_m", "pixels")] = ()
    polygon_m: Annotated[Points, says("its corners on the floor, where [ground] or a room gives metres", "m")] = ()
    kind: Annotated[
        Literal["area", "surface", "robot"],
        says(
            "area: where somebody stands; surface: bed or sofa, where lying is no fall; robot: what `near` keeps from"
        ),
    ] = "area"
    station: Annotated[bool, says("state of rules belongs to this place, whoever is in it")] = False


class Ground(Section, frozen=True, kw_only=True):
    """Four or more points of the floor, in pixels and in metres: from then on places are metres."""

    points_px: Annotated[Points, says("four points of the floor in the picture", "pixels")]
    points_m: Annotated[Points, says("the same on the floor", "m")]
    size_wh: Annotated[
        tuple[int, int] | None, says("the picture's size they were taken in; unset: that of the frames", "pixels")
    ] = None
    k1: Annotated[float, says("radial distortion of the lens, as OpenCV has it; 0 is none")] = 0.0
    k2: Annotated[float, says("the second coefficient")] = 0.0
    focal_px: Annotated[
        float, says("focal length for k1 and k2; 0 takes the picture's width", "pixels", ge=0, le=1e5)
    ] = 0.0


class Common(Section, frozen=True, kw_only=True):
    """What every rule has."""

    kind: str
    name: Annotated[str, says("what messages call it; empty is the kind", pattern=r"^[^+#/\x00]*$")] = ""
    within: Annotated[tuple[str, ...], says("zones in which it counts; empty is everywhere")] = ()
    not_in: Annotated[tuple[str, ...], says("zones in which it does not")] = ()

    @property
    def called(self) -> str:
        """Its name in messages."""
        return self.name or self.kind


@dataclass(frozen=True)
class Rules:
    """All that a file of rules says, checked."""

    rules: tuple[Common, ...] = ()
    zones: tuple[Zone, ...] = ()
    ground: Ground | None = None
    where: str = "rules"
    paths: tuple[str, ...] = field(default=())
    """The key path of each rule, for what is found wrong with it later."""


def rules_of(raw: Mapping[str, Any], where: str, kinds: Mapping[str, type[Common]] | None = None) -> Rules:
    """The rules in a TOML table; other tables of a settings file are left alone.

    Raises:
        ConfigError: naming the file, the key, what came, and what was probably meant.
    """
    if kinds is None:
        from edgepose.meaning.rules import settings_of

        kinds = settings_of()
    zones = tuple(_zone(one, f"{where}: zone[{index}]") for index, one in enumerate(_tables(raw, "zone", where)))
    _unique([zone.name for zone in zones], f"{where}: zone")
    ground = _ground(raw["ground"], f"{where}: ground") if "ground" in raw else None
    tables = _tables(raw, "rule", where)
    if len(tables) > MOST_RULES:
        raise ConfigError(f"{where}: rule has {len(tables)} entries, expected at most {MOST_RULES}; split the device")
    paths = tuple(f"{where}: rule[{index}]" for index in range(len(tables)))
    rules = tuple(_rule(one, path, kinds) for one, path in zip(tables, paths, strict=True))
    _unique([rule.called for rule in rules], f"{where}: rule")
    names = [zone.name for zone in zones]
    for rule, path in zip(rules, paths, strict=True):
        for key in ("within", "not_in"):
            for zone in getattr(rule, key):
                known(zone, names, f"{path}.{key}", "zone")
        for zone in set(rule.within) & set(rule.not_in):
            raise ConfigError(f"{path}: {zone!r} is in within and in not_in; it can count in one of them")
    return Rules(rules, zones, ground, where, paths)


def known(name: str, names: Sequence[str], path: str, what: str) -> str:
    """The name, if it is one of those.

    Raises:
        ConfigError: it is not; says which one was probably meant.
    """
    if name in names:
        return name
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    listed = ", ".join(names) if len(names) <= 12 else ", ".join([*names[:12], "..."])
    hint = f"did you mean {near[0]}?" if near else f"there are {listed}" if names else f"there is no {what} at all"
    raise ConfigError(f"{path}: {name[:80]!r} is no {what}; {hint}")


def _tables(raw: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    tables = raw.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(one, Mapping) for one in tables):
        raise ConfigError(f"{where}: {key} is no list of tables; write [[{key}]] with two brackets")
    return tables


def _unique(names: Sequence[str], path: str) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(f"{path}[{index}]: {name!r} is there already, as [{names.index(name)}]; give it a name")


def _rule(raw: Mapping[str, Any], path: str, kinds: Mapping[str, type[Common]]) -> Common:
    kind = raw.get("kind")
    if not isinstance(kind, str):
        raise ConfigError(f"{path}.kind is missing; there are {', '.join(kinds)}")
    known(kind, list(kinds), f"{path}.kind", "kind of rule")
    rule = convert(raw, kinds[kind], path)
    check = getattr(rule, "check", None)
    wrong = check() if check else ""
    if wrong:
        raise ConfigError(f"{path}{f' ({rule.called})' if rule.name else ''}: {wrong}")
    return rule


def _zone(raw: Mapping[str, Any], path: str) -> Zone:
    zone = convert(raw, Zone, path)
    if zone.polygon_px and zone.polygon_m:
        raise ConfigError(f"{path} ({zone.name}): has polygon_px and polygon_m; one of them says where it is")
    key, corners, least = ("polygon_m", zone.polygon_m, 0.01) if zone.polygon_m else ("polygon_px", zone.polygon_px, 1)
    wrong = _bad_polygon(corners, least)
    if wrong:
        raise ConfigError(f"{path}.{key} ({zone.name}) {wrong}")
    return zone


def _bad_polygon(corners: Points, least: float) -> str:
    if not 3 <= len(corners) <= MOST_CORNERS:
        return f"has {len(corners)} points, expected 3 to {MOST_CORNERS}"
    if not all(math.isfinite(x) and abs(x) < FAR_PX for corner in corners for x in corner):
        return f"has a point that is no number of {'pixels' if least == 1 else 'metres'}"
    edges = list(zip(corners, (*corners[1:], corners[0]), strict=True))
    for index, first in enumerate(edges):
        for other in edges[index + 1 :]:
            if not set(first) & set(other) and _cross(first, other):
                return f"crosses itself between {first} and {other}; list its corners in order"
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in edges) / 2
    return "encloses nothing" if abs(area) < least else ""


def _cross(first: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    (a, b), (c, d) = first, other
    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _ground(raw: Any, path: str) -> Ground:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{path} is no table; write [ground]")
    ground = convert(raw, Ground, path)
    if len(ground.points_px) != len(ground.points_m) or len(ground.points_px) < 4:
        raise ConfigError(
            f"{path}: points_px has {len(ground.points_px)} and points_m {len(ground.points_m)} points, expected four "
            "or more, as many of each"
        )
    for key in ("points_px", "points_m"):
        points: Points = getattr(ground, key)
        if not all(math.isfinite(x) for point in points for x in point):
            raise ConfigError(f"{path}.{key} has a point that is no number")
        if len(points) == 4 and _three_in_line(points):
            raise ConfigError(f"{path}.{key}: three of its points lie on one line; take the corners of a rectangle")
    return ground


def _three_in_line(points: Points) -> bool:
    span = max(math.dist(a, b) for a in points for b in points)
    for skip in range(4):
        a, b, c = (point for index, point in enumerate(points) if index != skip)
        if abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])) < 1e-3 * span * span:
            return True
    return False


def outside(zone: Zone, size_wh: tuple[int, int]) -> str:
    """What is wrong with a zone in a picture of that size; empty: nothing."""
    width, height = size_wh
    for x, y in zone.polygon_px:
        if not (-0.5 <= x <= width + 0.5 and -0.5 <= y <= height + 0.5):
            return f"the point [{x:g}, {y:g}] is outside the picture of {width}x{height}"
    return ""


Seconds = Annotated[float, Meta(gt=0, le=3600)]

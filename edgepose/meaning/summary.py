"""How rules stand, for a message: what each says of all together, and of everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edgepose.meaning.records import Gauge

People = Sequence[Mapping[str, Any]]


def summary(gauges: Iterable[Gauge], names: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Rule -> kind, what it says of all, and `people`.

    names  every rule and its kind, those of which nothing is to be said too
    """
    by_rule: dict[str, list[Gauge]] = {name: [] for name in names}
    for gauge in gauges:
        by_rule[gauge.rule].append(gauge)
    return {name: _rule(names[name], told) for name, told in by_rule.items()}


def _rule(kind: str, gauges: Sequence[Gauge]) -> dict[str, Any]:
    people = [_person(gauge) for gauge in gauges if gauge.station >= 0]
    of_all = next((dict(gauge.values) for gauge in gauges if gauge.station < 0), {})
    return {"kind": kind, **OF_ALL.get(kind, _nothing)(people), **of_all, "people": people}


def _person(gauge: Gauge) -> dict[str, Any]:
    unknown = {"unknown": gauge.unknown} if gauge.unknown else {}
    return {"station": gauge.station, "id": gauge.id, **gauge.values, **unknown}


def _nothing(_people: People) -> dict[str, Any]:
    return {}


def _posture(people: People) -> dict[str, Any]:
    """Of the one who is there longest."""
    first = min(people, key=lambda one: one["station"], default=None)
    told = "nobody" if first is None else "unknown" if "unknown" in first else first["posture"]
    return {"posture": told}


def _fall(people: People) -> dict[str, Any]:
    states = [one["state"] for one in people]
    worst = next((state for state in ("confirmed", "suspected") if state in states), "none")
    return {"on": "confirmed" in states, "state": worst, "helped": any(one["helped"] for one in people)}


def _reps(people: People) -> dict[str, Any]:
    return {
        "count": max((one["count"] for one in people), default=0),
        "cannot_tell": bool(people) and all(one["cannot_tell"] for one in people),
    }


def _any_on(people: People) -> dict[str, Any]:
    return {"on": any(one["on"] for one in people)}


def _gesture(people: People) -> dict[str, Any]:
    shown = sorted({gesture for one in people for gesture in one["gestures"]})
    return {"on": bool(shown), "gestures": shown}


def _near(people: People) -> dict[str, Any]:
    levels = [one["level"] for one in people]
    distances = [one["distance_m"] for one in people if one["distance_m"] is not None]
    worst = next((level for level in ("stop", "warn") if level in levels), "clear")
    return {"level": worst, "distance_m": min(distances, default=None), "safety_rated": False}


def _attention(people: People) -> dict[str, Any]:
    first = min(people, key=lambda one: one["station"], default=None)
    return {} if first is None else {"attention": "unknown" if "unknown" in first else first["attention"]}


def _gait(people: People) -> dict[str, Any]:
    walking = [one for one in people if one["walking"]]
    return {"walking": len(walking), "cadence_per_min": walking[0]["cadence_per_min"] if walking else None}


OF_ALL: dict[str, Callable[[People], dict[str, Any]]] = {
    "posture": _posture,
    "fall": _fall,
    "reps": _reps,
    "angle": _any_on,
    "gesture": _gesture,
    "near": _near,
    "attention": _attention,
    "gait": _gait,
    "user": _any_on,
}
"""Kind -> what is said of everybody together; a kind that is not here says nothing."""

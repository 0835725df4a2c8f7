"""What rules say: events, which happen, and gauges, which stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

REASONS = ("hidden", "foreshortened", "cut off", "too small", "stale", "no period", "no ground")
"""Why something cannot be judged."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened; `begin` is followed by one `end` of the same rule and station, `once` by nothing."""

    t: float
    """When it was decided: the frame's time, seconds."""
    seq: int
    """Of that frame."""
    kind: str
    """Of the rule: "fall"."""
    rule: str
    """Its name."""
    what: str
    """A word of that kind: "confirmed", "rep", "entered"."""
    phase: str
    """"begin", "end" or "once"."""
    id: int
    """Who, as in the poses; -1: nobody in particular."""
    station: int
    """Whose state it is: it outlives a change of id; -1: none."""
    place: str
    """Zone; empty: none."""
    onset_t: float
    """When it began to be true, seconds; at most `t`."""
    confidence: float
    """0..1: how far beyond their limits the conditions are, and how much of the person was seen."""
    evidence: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Condition -> value, limit; the unit is in its name."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else there is to say: count, duration_s, side."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """How a rule stands, for one station or for all."""

    rule: str
    kind: str
    station: int
    """-1: for all."""
    id: int
    """-1: nobody in particular."""
    values: Mapping[str, Any]
    """Each with its unit in the name; None: cannot be judged."""
    unknown: str = ""
    """Why it cannot be judged: one of REASONS; empty: it can."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What one frame meant."""

    events: tuple[Event, ...] = ()
    gauges: tuple[Gauge, ...] | None = None
    """All of them, when they are due and one has changed; None: nothing new."""


@dataclass(slots=True)
class Tally:
    """Of one rule, since the start."""

    fired: int = 0
    """Events."""
    suppressed: int = 0
    """Events that were held back: on a surface, too soon, too short."""
    unjudged_s: float = 0.0
    """Seconds of people for whom it could not be judged."""
    judged_s: float = 0.0
    """Seconds of people for whom it could."""

"""What a check finds: one line of the page, one entry of the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["fine", "degraded", "broken", "unknown"]

STATES: dict[State, str] = {
    "fine": "as it should be for what the settings ask",
    "degraded": "edgepose runs, but slower, shorter or blinder than it could",
    "broken": "what the settings ask cannot work",
    "unknown": "it could not be found out, and nothing is known to be wrong",
}
"""Every state and what it means."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    """What was looked at: a word or two, the same on every board."""
    state: State
    what: str
    """What is, in one line."""
    do: tuple[str, ...] = ()
    """What to do next, a line each; "$ " begins what can be typed as it is. Never empty when not fine."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs: JSON values with stable keys."""

    def __post_init__(self) -> None:
        if self.state != "fine" and not self.do:
            raise ValueError(f"{self.topic} is {self.state} and nothing says what to do")


def fine(topic: str, what: str, *do: str, **data: Any) -> Finding:
    """As it should be; `do` is a hint at most."""
    return Finding(topic, "fine", what, do, data)


def degraded(topic: str, what: str, *do: str, **data: Any) -> Finding:
    """It runs, but worse than it could."""
    return Finding(topic, "degraded", what, do, data)


def broken(topic: str, what: str, *do: str, **data: Any) -> Finding:
    """What the settings ask cannot work."""
    return Finding(topic, "broken", what, do, data)


def unknown(topic: str, what: str, *do: str, **data: Any) -> Finding:
    """It could not be found out."""
    return Finding(topic, "unknown", what, do, data)


def exit_code(findings: list[Finding]) -> int:
    """0 fine, 1 degraded, 2 broken; what is unknown does not count."""
    return max(({"degraded": 1, "broken": 2}.get(each.state, 0) for each in findings), default=0)

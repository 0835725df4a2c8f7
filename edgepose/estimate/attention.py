"""How who is not believed yet is looked at: another way each time, and seldom once it was looked at often.

A crop that is mirrored, wider or beside the last one shows a person again, and mostly no table's foot: so the looks are
evidence of their own also where nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edgepose.estimate.predictor import Box


class View(NamedTuple):
    """A crop, from the one that a refiner gets as a rule."""

    mirror: bool = False
    wide: float = 1.0
    """Times its side."""
    aside: float = 0.0
    """Of its side to the right, and half as much up."""
    degrees: float = 0.0
    """As Turn says."""

    def of(self, box: Box) -> Box:
        """The box to look at."""
        if not self.aside and self.wide == 1:
            return box
        left, top, right, bottom = box
        side = right - left
        x, y = (left + right) / 2 + self.aside * side, (top + bottom) / 2 - self.aside * side / 2
        half = side * self.wide / 2
        return x - half, y - half, x + half, y + half


PLAIN = View()
VIEWS = (View(mirror=True), View(wide=1.35), View(mirror=True, aside=0.1), View(wide=0.85))
"""In turn, after the plain one by which somebody was seen first."""
OFTEN = 8
"""Looks, all in all, before it is seldom."""
SELDOM_S, MOST_SELDOM_S = 0.5, 30.0
"""Until the next look then; each time twice as long."""


@dataclass(slots=True)
class _Looks:
    done: int = 1
    due_t: float = 0.0
    wait_s: float = SELDOM_S


class Attention:
    """What was looked at how often, by the marks of who is not believed yet."""

    def __init__(self) -> None:
        self._of: dict[int, _Looks] = {}

    def keep(self, marks: set[int]) -> None:
        """Forget all others."""
        self._of = {mark: looks for mark, looks in self._of.items() if mark in marks}

    def wants(self, mark: int, t: float) -> bool:
        """Whether a look is due."""
        looks = self._of.get(mark)
        return looks is None or looks.done < OFTEN or not 0 <= looks.due_t - t <= MOST_SELDOM_S

    def look(self, mark: int, t: float) -> View:
        """How to look now; it is counted."""
        looks = self._of.setdefault(mark, _Looks())
        view = VIEWS[(looks.done - 1) % len(VIEWS)]
        looks.done += 1
        if looks.done >= OFTEN:
            looks.due_t = t + looks.wait_s
            looks.wait_s = min(2 * looks.wait_s, MOST_SELDOM_S)
        return view

"""What a calibration is worth, said so that somebody can decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GOOD_M, USABLE_M = 0.04, 0.08
LEAST_WAY_M = 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """Of one room."""

    moments: int
    """At which two cameras or more saw the walker."""
    seen: Mapping[str, int]
    """Camera -> moments at which it saw the walker."""
    miss_px: Mapping[str, float]
    """Camera -> median distance of its joints from where rays meet, pixels, at moments not used to calibrate."""
    miss_m: Mapping[str, float]
    """The same in metres."""
    gap_m: float
    """Median distance of those moments' joints from their rays, metres."""
    way_m: float
    """How far the walker got about, metres."""

    @property
    def verdict(self) -> str:
        """In one line."""
        worst = max(self.miss_m, key=lambda name: self.miss_m[name])
        if not self.miss_m[worst] <= USABLE_M:
            return (
                f"not to be trusted: {worst} sees joints elsewhere than others; is its clock in step, its lens right?"
            )
        if self.way_m < LEAST_WAY_M:
            return (
                f"not to be trusted: the walker got about {self.way_m:.1f} m only, so what the network gets wrong of "
                "somebody who hardly turns tilts the room; walk through all of it"
            )
        if self.miss_m[worst] > GOOD_M:
            return "usable: people are found, joints are less exact than they could be; walk longer, check the lenses"
        return "good"

    @property
    def trusted(self) -> bool:
        """Whether to use it."""
        return not self.verdict.startswith("not")

    def lines(self) -> list[str]:
        """As people read it."""
        rows = [
            f"  {name}: saw the walker {self.seen[name]} times, misses by {self.miss_px[name]:.1f} px"
            for name in self.seen
        ]
        return [
            f"{self.moments} moments, {self.way_m:.1f} m walked; rays miss joints by {1000 * self.gap_m:.0f} mm "
            "in moments that were not used",
            *rows,
            f"verdict: {self.verdict}",
        ]

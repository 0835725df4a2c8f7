"""What came of a run: rows, totals, and whether every target is met."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from tools.soaking.faults import FAULTS
from tools.soaking.reader import STALE_S, Delivered, Pose
from tools.soaking.slope import Slope

RECOVERY_S = 5.0
MEMORY_STEP_MIB = 0.25
"""malloc takes memory in steps of 128 KiB, from more than one arena."""
FILES_STEP = 0.5
LEAST_S = 120.0
"""A life measured for less has no slope to judge."""


class Outcome(NamedTuple):
    """One fault. Seconds from the start of the run."""

    name: str
    began_s: float
    ended_s: float
    recovery_s: float | None
    """From its end to the first pose captured after it; None: none came."""
    gap_s: float
    """Longest time between two good poses, from its beginning on."""
    stale: int
    backwards: int

    def line(self) -> str:
        """A row of the table."""
        recovery = "never" if self.recovery_s is None else f"{self.recovery_s:.2f}"
        return (
            f"{self.name:<20} {self.began_s:>8.1f} {self.ended_s:>8.1f} {recovery:>9} {self.gap_s:>8.2f} "
            f"{self.stale:>6}"
        )


HEADER = f"{'fault':<20} {'begins s':>8} {'ends s':>8} {'back in s':>9} {'gap s':>8} {'stale':>6}"


@dataclasses.dataclass
class Totals:
    """Of the whole run."""

    seconds: float
    frames: int
    """Sent by the camera."""
    poses: int
    """Messages received."""
    stale: int
    held: int
    """Old poses that are not stale: fresh when a broker took them that then stood still."""
    oldest_held_s: float
    backwards: int
    """Of the stale ones: captured before one that was received earlier."""
    stale_poses: list[Pose]
    events: Delivered
    """Against a broker that keeps its state."""
    apart: Delivered
    """Against one that loses it."""
    left_in_spool: int
    spool_dropped: int
    unreported: int
    """Who entered or left by the poses, and of whom no event tells."""
    lives: int
    killed: int
    reloads: int
    memory: Slope | None
    """MiB an hour."""
    files: Slope | None
    """Open files an hour."""
    rss_mib: float
    open_files: int
    measured_s: float


@dataclasses.dataclass
class Report:
    """A run."""

    seed: int
    disk: str
    clock: str
    left_out: list[str]
    outcomes: list[Outcome]
    totals: Totals
    wrong: list[str]
    """What nobody planned: ends, log lines, messages that cannot be read."""

    @property
    def misses(self) -> list[str]:
        """Targets that are not met."""
        totals, misses = self.totals, []
        if totals.events.lost:
            misses.append(f"{len(totals.events.lost)} events lost")
        if not totals.events.received:
            misses.append("no events at all")
        if totals.events.disordered:
            misses.append(f"{totals.events.disordered} events out of order")
        if totals.left_in_spool:
            misses.append(f"{totals.left_in_spool} events left in the spool")
        if totals.stale:
            misses.append(f"{totals.stale} stale poses")
        if totals.unreported > totals.killed:
            misses.append(f"{totals.unreported} seen by the poses alone, after {totals.killed} kills")
        misses += [
            f"{outcome.name} at {outcome.began_s:.0f} s: not back within {RECOVERY_S:g} s"
            for outcome in self.outcomes
            if outcome.recovery_s is None or outcome.recovery_s >= RECOVERY_S
        ]
        if totals.measured_s >= LEAST_S:
            if totals.memory and not totals.memory.level(MEMORY_STEP_MIB) and totals.memory.slope > 0:
                misses.append(f"memory grows by {totals.memory.slope:.2f} MiB an hour")
            if totals.files and not totals.files.level(FILES_STEP) and totals.files.slope > 0:
                misses.append(f"open files grow by {totals.files.slope:.2f} an hour")
        return misses + self.wrong

    @property
    def met(self) -> bool:
        """Whether every target is."""
        return not self.misses

    def text(self) -> str:
        """The table."""
        totals = self.totals
        slow = max(self.outcomes, key=lambda o: float("inf") if o.recovery_s is None else o.recovery_s, default=None)
        gap = max(self.outcomes, key=lambda o: o.gap_s, default=None)
        rows = {
            "seconds": f"{totals.seconds:.0f}, seed {self.seed}",
            "frames of the camera": f"{totals.frames:,}",
            "poses received": f"{totals.poses:,}",
            f"stale poses (over {STALE_S:g} s old, or backwards)": f"{totals.stale}",
            "poses a frozen broker held back, apart": f"{totals.held}"
            + (f", the oldest for {totals.oldest_held_s:.1f} s" if totals.held else ""),
            "events sent": f"{totals.events.sent:,}",
            "events received": f"{totals.events.received:,}",
            "events lost": f"{len(totals.events.lost)}",
            "events duplicated (same number)": f"{totals.events.duplicated}",
            "events out of order": f"{totals.events.disordered}",
            "events left in the spool": f"{totals.left_in_spool}, dropped for room {totals.spool_dropped}",
            "told by poses, by no event": f"{totals.unreported}, in {totals.killed} kills of the service",
            "slowest recovery": f"{slow.name}, {slow.line().split()[3]} s" if slow else "-",
            "worst gap between poses": f"{gap.name}, {gap.gap_s:.1f} s" if gap else "-",
            "memory": _slope(totals.memory, "MiB", MEMORY_STEP_MIB, totals.rss_mib, totals.measured_s),
            "open files": _slope(totals.files, "files", FILES_STEP, totals.open_files, totals.measured_s),
            "a broker that loses its state, apart": f"{totals.apart.sent} events sent, "
            f"{len(totals.apart.lost)} lost, {totals.apart.duplicated} duplicated",
            "disk made full by": self.disk,
            "clock moved by": self.clock or "nothing: no C compiler is here",
        }
        if self.left_out:
            rows["left out"] = ", ".join(self.left_out)
        lines = [HEADER, *(outcome.line() for outcome in self.outcomes), ""]
        lines += [f"{name:<48} {text}" for name, text in rows.items()]
        lines += ["", *(f"NOT MET: {miss}" for miss in self.misses)] if self.misses else ["", "every target is met"]
        return "\n".join(lines)

    def plain(self) -> dict[str, Any]:
        """The same for json."""
        totals = {
            name: value._asdict() if isinstance(value, (Delivered, Slope)) else value
            for name, value in vars(self.totals).items()
        }
        totals["stale_poses"] = [pose._asdict() for pose in self.totals.stale_poses]
        return {
            "schema": "edgepose.soak/1",
            "met": self.met,
            "misses": self.misses,
            "seed": self.seed,
            "disk": self.disk,
            "clock": self.clock,
            "left_out": self.left_out,
            "faults": [{**outcome._asdict(), "says": FAULTS[outcome.name].says} for outcome in self.outcomes],
            "totals": totals,
        }


def _slope(found: Slope | None, unit: str, step: float, now: float, seconds: float) -> str:
    if found is None or seconds < LEAST_S:
        return f"{now:.1f} {unit}; {seconds:.0f} s are too few for a slope"
    return (
        f"{now:.1f} {unit}; {found.slope:+.2f} {unit} an hour, 95 % interval {found.low:+.2f} to {found.high:+.2f}, "
        f"over {seconds:.0f} s: {found.verdict(step, unit)}"
    )

"""A recording through tracker, filters and rules again: its events, and how far they are from the truth."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config, places
from edgepose.core.errors import ConfigError, one_line
from edgepose.core.poses import Poses
from edgepose.meaning import Event, Meaning, Rules
from edgepose.meaning.records import Tally
from edgepose.pipeline.replay.play import Plan, Replay
from edgepose.sink import MemorySink
from edgepose.wire.recording import read

EARLY_S, LATE_S = 0.5, 3.0
"""An event belongs to something true that begins so much later, or so much earlier where no end is given."""


@dataclass(frozen=True)
class Judged:
    """What the rules say of one recording."""

    name: str
    seconds: float
    events: tuple[Event, ...]
    tallies: Mapping[str, Tally]
    trace: Trace | None = None


@dataclass
class Trace:
    """What was measured in each frame, for pictures and explanations."""

    names: tuple[str, ...]
    t: list[float] = field(default_factory=list)
    station: list[int] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)


@dataclass(frozen=True)
class Truth:
    """Something that happened, or how often."""

    recording: str
    rule: str
    begin_s: float = math.nan
    end_s: float = math.nan
    count: int | None = None


@dataclass
class Score:
    """Of one rule over all recordings."""

    true: int = 0
    found: int = 0
    false: int = 0
    hours: float = 0.0
    onset_s: list[float] = field(default_factory=list)
    counts: list[tuple[int, int]] = field(default_factory=list)
    """True and told."""
    unjudged_s: float = 0.0

    @property
    def false_per_hour(self) -> float:
        """NaN without time."""
        return self.false / self.hours if self.hours else math.nan


def poses_of(path: Path, cfg: config.Config) -> list[Poses]:
    """Everybody in a recording, followed and smoothed by the settings."""
    quiet = msgspec.structs.replace(cfg, meaning=config.Meaning(), sink=config.Sink())
    with read(path) as recording:
        sink = MemorySink()
        Replay(recording, quiet, [sink], Plan()).run()
    return list(sink.poses)


def judge(name: str, poses: Sequence[Poses], rules: Rules, *, trace: bool = False) -> Judged:
    """The rules on poses, event for event as live, times from the start; what is on at the end ends."""
    meaning = Meaning(rules, poses[0].skeleton, poses[0].size_wh)
    kept = Trace(tuple(meaning.columns)) if trace else None
    start_t = poses[0].t
    events: list[Event] = []
    for one in poses:
        events += meaning.update(one).events
        moment = meaning.moment
        if kept is not None and moment is not None:
            for person, slot in enumerate(moment.slots.tolist()):
                kept.t.append(one.t - start_t)
                kept.station.append(moment.stations[slot].number)
                kept.values.append(moment.values[person].copy())
    events += meaning.close(poses[-1].seq)
    shifted = tuple(replace(event, t=event.t - start_t, onset_t=event.onset_t - start_t) for event in events)
    return Judged(name, poses[-1].t - start_t, shifted, meaning.tallies, kept)


def truth_of(path: Path, rules: Rules) -> list[Truth]:
    """Rows of a CSV: recording, rule, and begin_s (end_s) or count.

    Raises:
        ConfigError: naming the line.
    """
    try:
        rows = list(csv.DictReader(places.text(path.read_bytes()).splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(one_line(f"{path}: {getattr(error, 'strerror', None) or error}")) from None
    known = {rule.called for rule in rules.rules}
    found = []
    for line, row in enumerate(rows, 2):
        name = row.get("rule") or ""
        if name not in known:
            raise ConfigError(f"{path}: line {line}: {name!r} is no rule; there are {', '.join(sorted(known))}")
        try:
            numbers = [float(row.get(key) or "nan") for key in ("begin_s", "end_s")]
            count = int(row["count"]) if row.get("count") else None
        except ValueError as error:
            raise ConfigError(f"{path}: line {line}: {error}") from None
        if count is None and math.isnan(numbers[0]):
            raise ConfigError(f"{path}: line {line}: needs begin_s or count")
        found.append(Truth(row.get("recording") or "", name, numbers[0], numbers[1], count))
    return found


def score(judged: Sequence[Judged], truth: Sequence[Truth], rules: Rules) -> dict[str, Score]:
    """Rule -> how it did; without truth, how much it told."""
    scores = {rule.called: Score() for rule in rules.rules}
    for one in judged:
        for name, made in scores.items():
            begun = [event for event in one.events if event.rule == name and event.phase != "end" and _main(event)]
            mine = [row for row in truth if row.rule == name and Path(row.recording).stem == Path(one.name).stem]
            _add(made, one, begun, mine)
    return scores


def _main(event: Event) -> bool:
    """Of a fall only the suspicion or, where that is all there is, the confirmation counts as told."""
    return event.what not in ("helped", "confirmed", "calibrated", "set")


def _add(made: Score, one: Judged, begun: Sequence[Event], mine: Sequence[Truth]) -> None:
    made.hours += one.seconds / 3600
    made.unjudged_s += one.tallies[begun[0].rule].unjudged_s if begun else 0.0
    counts = [row.count for row in mine if row.count is not None]
    if counts:
        sets = [event.facts["count"] for event in one.events if event.what == "set" and event.rule == mine[0].rule]
        made.counts += [(count, sum(sets) if sets else len(begun)) for count in counts]
        return
    left = list(begun)
    for row in mine:
        made.true += 1
        last = row.end_s if row.end_s == row.end_s else row.begin_s + LATE_S
        hits = [event for event in left if row.begin_s - EARLY_S <= event.onset_t <= last + EARLY_S]
        if hits:
            made.found += 1
            made.onset_s.append(hits[0].onset_t - row.begin_s)
            left = [event for event in left if event not in hits]
    made.false += len(left)


def sweep(
    raw: Mapping[str, object], rule: str, key: str, steps: Sequence[float], judged_with: Callable[[object], Score]
) -> list[tuple[float, Score]]:
    """One setting of one rule, step for step."""
    made = []
    for value in steps:
        tables = [dict(table) for table in raw["rule"]]  # type: ignore[attr-defined]
        for table in tables:
            if (table.get("name") or table.get("kind")) == rule:
                table[key] = value
        made.append((value, judged_with({**raw, "rule": tables})))
    return made

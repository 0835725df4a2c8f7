"""The page: for each recording what was measured against its limits, and what was told, on one line of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edgepose.lab import page
from edgepose.lab.meaning.judge import Judged, Score, Trace
from edgepose.meaning import Event, Rules
from edgepose.meaning.gates import Condition, Gate

Floats = NDArray[np.float64]
WIDE, HIGH, LEFT = 960, 64, 150
"""Pixels of a strip, and of what is written before it."""
COLOURS = ("#0b7285", "#a61e4d", "#5f3dc4", "#2b8a3e", "#d9480f", "#1864ab")
MOST_STRIPS = 40


def report(
    judged: Sequence[Judged], gates: Sequence[tuple[str, Gate]], scores: Mapping[str, Score], rules: Rules, lead: str
) -> str:
    """All of it as HTML."""
    body = page.header("edgepose meaning", "What the rules say", [escape(lead)])
    body += page.section("Rules", "", page.panel(_table(scores)))
    for one in judged:
        strips = "".join(_strips(one, gates))
        body += page.section(one.name, f"{one.seconds:.1f} s, {len(one.events)} events", page.panel(strips))
        body += page.folded("every event", "\n".join(map(line, one.events)))
    return page.document(f"rules of {rules.where}", body)


def line(event: Event) -> str:
    """An event in one line."""
    shown = ", ".join(f"{name} {value:g} ({limit:g})" for name, (value, limit) in event.evidence.items())
    facts = ", ".join(f"{name} {value}" for name, value in event.facts.items() if value is not None)
    who = f"id {event.id}" if event.id >= 0 else "nobody"
    return (
        f"{event.t:8.2f} s  {event.rule}: {event.what} {event.phase}, {who}, station {event.station}, "
        f"since {event.onset_t:.2f} s, sure {event.confidence:.2f}; {shown}; {facts}"
    )


def _table(scores: Mapping[str, Score]) -> str:
    heads = ("rule", "true", "found", "false an hour", "onset off by", "counts (true, told)", "not judged")
    rows = []
    for name, one in scores.items():
        off = f"{np.median(one.onset_s):+.2f} s" if one.onset_s else ""
        counts = ", ".join(f"{true}/{told}" for true, told in one.counts)
        false = f"{one.false_per_hour:.1f}" if one.hours else ""
        rows.append((name, str(one.true), str(one.found), false, off, counts, f"{one.unjudged_s:.1f} s"))
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{cells}</table>"


def _strips(one: Judged, gates: Sequence[tuple[str, Gate]]) -> list[str]:
    if one.trace is None or not one.trace.t:
        return [f"<p>nobody; {len(one.events)} events</p>"]
    seen: set[str] = set()
    strips = [_events(one)]
    for rule, gate in gates:
        for part in gate.conditions:
            if part.feature not in seen and part.feature in one.trace.names and len(strips) < MOST_STRIPS:
                seen.add(part.feature)
                strips.append(_strip(one, rule, part, one.trace))
    return strips


def _x(t: float, seconds: float) -> float:
    return LEFT + (WIDE - LEFT) * t / max(seconds, 1e-9)


def _events(one: Judged) -> str:
    marks = []
    rules = sorted({event.rule for event in one.events})
    high = 22 * max(len(rules), 1)
    for event in one.events:
        y = 22 * rules.index(event.rule) + 14
        x = _x(event.t, one.seconds)
        shape = {"begin": "&#9658;", "end": "&#9664;", "once": "&#9679;"}[event.phase]
        colour = COLOURS[rules.index(event.rule) % len(COLOURS)]
        marks.append(
            f'<text x="{x:.1f}" y="{y}" fill="{colour}" font-size="12" text-anchor="middle">{shape}'
            f"<title>{escape(line(event))}</title></text>"
        )
    names = "".join(
        f'<text x="0" y="{22 * at + 14}" font-size="12" fill="currentColor">{escape(name)}</text>'
        for at, name in enumerate(rules)
    )
    return f'<svg viewBox="0 0 {WIDE} {high}" role="img" aria-label="events">{names}{"".join(marks)}</svg>'


def _strip(one: Judged, rule: str, part: Condition, trace: Trace) -> str:
    values = np.array([row[trace.names.index(part.feature)] for row in trace.values])
    finite = values[np.isfinite(values)]
    low = min([*finite.tolist(), part.enter, part.exit], default=0.0)
    high = max([*finite.tolist(), part.enter, part.exit], default=1.0)
    span = max(high - low, 1e-9)

    def y(value: float) -> float:
        return HIGH - 6 - (HIGH - 12) * (value - low) / span

    limits = "".join(
        f'<line x1="{LEFT}" x2="{WIDE}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" stroke="#e8590c" '
        f'stroke-dasharray="{dashes}" stroke-width="1"/>'
        for limit, dashes in ((part.enter, "none"), (part.exit, "4 4"))
    )
    lines = "".join(_line(one, trace, values, station, y) for station in dict.fromkeys(trace.station))
    name = f'<text x="0" y="20" font-size="12" fill="currentColor">{escape(part.feature)}</text>'
    ours = f'<text x="0" y="36" font-size="10" fill="gray">{escape(rule)}, {part.enter:g}</text>'
    return (
        f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(part.feature)} over time">'
        f"{name}{ours}{limits}{lines}</svg>"
    )


def _line(one: Judged, trace: Trace, values: Floats, station: int, y: object) -> str:
    """One station's values; a gap where there are none."""
    parts: list[str] = []
    pen = "M"
    for t, whose, value in zip(trace.t, trace.station, values.tolist(), strict=True):
        if whose != station:
            continue
        if not math.isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{_x(t, one.seconds):.1f} {y(value):.1f}")  # type: ignore[operator]
        pen = "L"
    colour = COLOURS[(station - 1) % len(COLOURS)]
    return f'<path d="{"".join(parts)}" fill="none" stroke="{colour}" stroke-width="1.4"/>'


def trade_off(points: Sequence[tuple[float, Score]], rule: str, key: str) -> str:
    """A picture: found against false alarms an hour, one point a step."""
    wide, high, edge = 560, 360, 50
    most = max([one.false_per_hour for _, one in points if math.isfinite(one.false_per_hour)], default=1.0) or 1.0
    marks: list[str] = []
    path: list[str] = []
    for value, one in points:
        share = one.found / one.true if one.true else 0.0
        x = edge + (wide - 2 * edge) * (one.false_per_hour / most if math.isfinite(one.false_per_hour) else 0)
        y = high - edge - (high - 2 * edge) * share
        path.append(f"{'L' if path else 'M'}{x:.1f} {y:.1f}")
        marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOURS[0]}"/>'
            f'<text x="{x + 6:.1f}" y="{y - 6:.1f}" font-size="11">{value:g}</text>'
        )
    axes = (
        f'<path d="M{edge} {edge}V{high - edge}H{wide - edge}" fill="none" stroke="gray"/>'
        f'<text x="{wide / 2:.0f}" y="{high - 14}" font-size="12" text-anchor="middle">false an hour, '
        f"up to {most:.1f}</text>"
        f'<text x="14" y="{high / 2:.0f}" font-size="12" transform="rotate(-90 14 {high / 2:.0f})" '
        'text-anchor="middle">found, 0 to 1</text>'
    )
    title = f'<text x="{edge}" y="28" font-size="14">{escape(rule)}.{escape(key)}</text>'
    line_ = f'<path d="{"".join(path)}" fill="none" stroke="{COLOURS[0]}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif">'
        f'<rect width="{wide}" height="{high}" fill="white"/>{title}{axes}{line_}{"".join(marks)}</svg>\n'
    )

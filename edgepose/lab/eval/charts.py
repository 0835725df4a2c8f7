"""Small drawings for the report, as SVG that takes its colours from the page's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edgepose.lab.eval.compare import LESS_IS_BETTER, Difference

SIDES = ("a", "b")
"""Classes of the first and second run."""


def bars(tables: Sequence[Mapping[str, Mapping[str, float | None]]]) -> str:
    """PCK of each joint, one bar a run, with the median error beside it."""
    row, wide, left = 24 if len(tables) == 1 else 36, 330, 130
    names = list(tables[0])
    height = row * len(names) + 26
    parts = [_open(left + wide + 130, height, "share of joints within reach, per joint")]
    for tick in (0, 25, 50, 75, 100):
        x = left + wide * tick / 100
        parts.append(f'<line class="grid" x1="{x}" y1="0" x2="{x}" y2="{height - 22}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{height - 6}" text-anchor="middle">{tick} %</text>')
    for index, name in enumerate(names):
        top = index * row
        parts.append(
            f'<text x="{left - 10}" y="{top + row / 2 + 4}" text-anchor="end">{escape(name.replace("_", " "))}</text>'
        )
        thick = (row - 8) / len(tables)
        for side, table in zip(SIDES, tables, strict=False):
            at = SIDES.index(side)
            pck, error = table[name]["pck"], table[name]["error_px"]
            y = top + 4 + at * thick
            if pck is None:
                parts.append(f'<text class="tick" x="{left + 6}" y="{y + thick / 2 + 4}">not annotated</text>')
                continue
            parts.append(
                f'<rect class="{side}" x="{left}" y="{y}" width="{wide * pck:.1f}" height="{thick - 1}" rx="2"/>'
            )
            reach = wide * pck
            known = "" if error is None else f", {error:.1f} px"
            parts.append(
                f'<text class="tick" x="{left + reach + 6:.1f}" y="{y + thick / 2 + 4}">{pck:.0%}{known}</text>'
            )
    return "".join([*parts, "</svg>"])


def reliability(runs: Sequence[Sequence[Mapping[str, float]]]) -> str:
    """Score against the share that is right, a dot a bin, as large as the bin is full; under it how many there are."""
    size, left, top, under = 280, 62, 10, 60
    parts = [_open(left + size + 16, top + size + under + 62, "how far a score can be trusted")]

    def place(score: float, right: float) -> tuple[float, float]:
        return left + score * size, top + (1 - right) * size

    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = place(tick, tick)
        parts.append(f'<line class="grid" x1="{x}" y1="{top}" x2="{x}" y2="{top + size}"/>')
        parts.append(f'<line class="grid" x1="{left}" y1="{y}" x2="{left + size}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4}" text-anchor="end">{tick * 100:.0f} %</text>')
        parts.append(f'<text class="tick" x="{x}" y="{top + size + 16}" text-anchor="middle">{tick:g}</text>')
    (x0, y0), (x1, y1) = place(0, 0), place(1, 1)
    parts.append(f'<line class="ideal" x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"/>')
    most = max((row["count"] for rows in runs for row in rows), default=1)
    for side, rows in zip(SIDES, runs, strict=False):
        points = [place(row["score"], row["right"]) for row in rows]
        parts.append(
            f'<polyline class="line {side}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none"/>'
        )
        for row, (x, y) in zip(rows, points, strict=True):
            radius = 3 + 7 * (row["count"] / most) ** 0.5
            parts.append(
                f'<circle class="dot {side}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
                f"<title>scores {row['low']:.1f} to {row['high']:.1f}: {row['count']:.0f} candidates, "
                f"{row['right'] * 100:.0f} % right</title></circle>"
            )
        width = size / 10 / len(runs)
        for row in rows:
            tall = under * row["count"] / most
            x = left + row["low"] * size + SIDES.index(side) * width
            y = top + size + 28 + under - tall
            parts.append(
                f'<rect class="{side}" x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{tall:.1f}" rx="1"/>'
            )
    foot = top + size + under + 44
    parts.append(f'<text class="tick" x="{left + size / 2}" y="{foot}" text-anchor="middle">score told</text>')
    parts.append(
        f'<text class="tick" x="12" y="{top + size / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {top + size / 2})">share right</text>'
    )
    parts.append(f'<text class="tick" x="{left - 8}" y="{top + size + 28 + under}" text-anchor="end">count</text>')
    return "".join([*parts, "</svg>"])


def times(runs: Sequence[NDArray[np.float64]]) -> str:
    """How many pictures took how long."""
    known = [values[np.isfinite(values)] for values in runs]
    if not any(values.size for values in known):
        return ""
    end = float(np.quantile(np.concatenate(known), 0.99)) * 1.15
    wide, tall, bins = 860, 110, 60
    counts = [np.histogram(np.clip(values, 0, end), bins, (0, end))[0] for values in known]
    most = max(int(count.max()) for count in counts)
    parts = [_open(wide + 70, tall + 40, "time of each picture")]
    for side, values, count in zip(SIDES, known, counts, strict=False):
        for index, number in enumerate(count.tolist()):
            high = tall * number / most
            parts.append(
                f'<rect class="{side} {"half" if len(runs) > 1 else ""}" x="{24 + index * wide / bins:.1f}" '
                f'y="{8 + tall - high:.1f}" width="{wide / bins - 1:.1f}" height="{high:.1f}"/>'
            )
        if values.size:
            x = 24 + wide * float(np.median(values)) / end
            parts.append(f'<line class="mark {side}" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{8 + tall}"/>')
    for tick in _ticks(end):
        x = 24 + wide * tick / end
        parts.append(f'<text class="tick" x="{x:.1f}" y="{tall + 26}" text-anchor="middle">{tick:g} ms</text>')
    return "".join([*parts, "</svg>"])


def forest(apart: Mapping[str, Difference]) -> str:
    """B - A of each metric, with its interval, each on a scale of its own; right of the middle B is better."""
    row, left, wide = 34, 190, 520
    height = row * len(apart) + 26
    parts = [_open(left + wide + 190, height, "differences with intervals")]
    middle = left + wide / 2
    parts.append(f'<line class="axis" x1="{middle}" y1="0" x2="{middle}" y2="{height - 22}"/>')
    parts.append(f'<text class="tick" x="{left}" y="{height - 6}">A is better</text>')
    parts.append(f'<text class="tick" x="{left + wide}" y="{height - 6}" text-anchor="end">B is better</text>')
    for index, (key, one) in enumerate(apart.items()):
        y = index * row + row / 2
        reach = max(abs(one.low), abs(one.high), abs(one.b - one.a)) or 1
        sign = -1 if key in LESS_IS_BETTER else 1
        low, at, high = (middle + sign * value / reach * wide / 2.2 for value in (one.low, one.b - one.a, one.high))
        verdict = "even" if not one.sure else "better" if sign * (one.b - one.a) > 0 else "worse"
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(key.replace("_", " "))}</text>')
        parts.append(f'<line class="span {verdict}" x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}"/>')
        parts.append(f'<circle class="point {verdict}" cx="{at:.1f}" cy="{y}" r="5"/>')
        parts.append(
            f'<text class="tick" x="{left + wide + 14}" y="{y + 4}">{one.b - one.a:+.3g}'
            f" ({one.low:+.3g} to {one.high:+.3g})</text>"
        )
    return "".join([*parts, "</svg>"])


def _ticks(end: float) -> list[float]:
    step = 10 ** np.floor(np.log10(end / 3))
    step *= next(factor for factor in (5, 2, 1) if end / (step * factor) >= 3)
    return [round(float(tick), 6) for tick in np.arange(0, end, step)]


def _open(width: float, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" style="max-width:{width:g}px" role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">'
    )

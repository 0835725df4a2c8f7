"""The report as one page: no script, nothing loaded from elsewhere, light or dark as the reader likes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from edgepose.core.timing import Histogram
from edgepose.lab.bench import board
from edgepose.lab.bench.measure import Measured

if TYPE_CHECKING:
    from edgepose.lab.bench.command import Report

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6878; --line: #dfe4ea; --paper: #fff; --ground: #f4f6f8;
        --a: #2a6fdb; --b: #12a086; --c: #e08a1e; --d: #9b59b6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf1; --soft: #9aa6b4; --line: #333c47; --paper: #1b2128; --ground: #12161b;
          --a: #6aa2ff; --b: #3ecfb2; --c: #f3b055; --d: #c58be0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 19px; margin: 0 0 2px; }
h3 { font-size: 13px; margin: 22px 0 6px; color: var(--soft); font-weight: 600; }
p { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px;
          margin-top: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-top: 16px; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 25px; font-weight: 650; letter-spacing: -.02em;
          font-variant-numeric: tabular-nums; }
.tile b small { font-size: 14px; font-weight: 500; color: var(--soft); margin-left: 3px; letter-spacing: 0; }
.tile span { color: var(--soft); font-size: 13px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); font-weight: 400;
         white-space: nowrap; }
th { color: var(--soft); font-size: 13px; }
td:first-child, th:first-child, td.text { text-align: left; padding-left: 0; }
.tiles + p { margin-top: 12px; }
.chart { overflow-x: auto; }
.chart svg { min-width: 520px; }
td.text { min-width: 270px; color: var(--soft); font-size: 13px; white-space: normal; }
tr:last-child td { border-bottom: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 10px 0 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
.key { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; color: var(--soft); margin-top: 6px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px;
         vertical-align: -1px; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
"""

READ_AHEAD = (
    "Frames of a recording are read before they are needed and wait their turn: the rate counts here, "
    "the latency is that of a queue."
)

COLOURS = {"wait": "--d", "infer": "--a", "decode": "--b", "publish": "--c"}
"""Stages that follow each other -> colour."""
WIDTH, BARS = 900, 48
NONE = "unknown"


def page(report: Report, meanings: Mapping[str, str]) -> str:
    """One HTML document.

    meanings  stage -> what it is, in the order of the table
    """
    about = report.board
    body = [
        f"<h1>{escape(about['board'])}</h1>",
        f"<p>edgepose {escape(about['edgepose'])} measured on {escape(report.when[:16].replace('T', ' '))} UTC</p>",
        *(_run(run, meanings) for run in report.runs),
        _section("Board", "", _pairs({**about, **_states(report)})),
        _section("What was asked", "", f"<p><code>{escape(report.command)}</code></p>" + _pairs(_asked(report))),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>edgepose on {escape(about['board'])}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _run(run: Measured, meanings: Mapping[str, str]) -> str:
    last = "camera_to_subscriber" if "camera_to_subscriber" in run.stages else "latency"
    whole = run.stages[last]
    to = "camera to subscriber" if last == "camera_to_subscriber" else "camera to sent"
    tiles = [
        (f"{run.fps:.1f}", "", "frames per second"),
        (_ms(whole.p50), "ms", f"{to}, median"),
        (_ms(whole.p99), "ms", "99 % of them within"),
        (_ms(run.cpu_ms), "ms", "CPU per frame, all cores"),
        (f"{run.rss_mib:.0f}", "MiB", f"memory; at most {run.peak_rss_mib:.0f}"),
    ]
    drawn = "".join(
        f"<div class=tile><b>{value}{f'<small>{unit}</small>' if unit else ''}</b><span>{escape(text)}</span></div>"
        for value, unit, text in tiles
    )
    about = f"{'; '.join(run.models)}; {run.size_wh[0]}x{run.size_wh[1]}"
    content = [
        f"<div class=tiles>{drawn}</div>",
        f"<p>{READ_AHEAD}</p>" if run.read_ahead else "",
        "<h3>Where a frame's time goes, median ms</h3>", _stages(run),
        f"<h3>How long each frame took, {to}</h3>", _spread(run.latency),
        "<h3>Milliseconds</h3>", _table(run, meanings),
        f"<h3>Counted</h3><p>{escape(_counted(run))}</p>",
    ]  # fmt: skip
    return _section(run.name[0].upper() + run.name[1:], about, "".join(content))


def _section(title: str, text: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{f'<p>{escape(text)}</p>' if text else ''}{content}</section>\n"


def _stages(run: Measured) -> str:
    """One bar: the medians of the stages, one after the other."""
    medians = {name: run.stages[name].p50 for name in COLOURS if math.isfinite(run.stages[name].p50)}
    total = sum(medians.values()) or 1.0
    parts, keys, x = [], [], 0.0
    for name, value in medians.items():
        width = value / total * WIDTH
        parts.append(
            f'<rect x="{x:.1f}" y="0" width="{max(width - 1.5, 0.5):.1f}" height="30" fill="var({COLOURS[name]})"/>'
        )
        keys.append(f'<span><i style="background:var({COLOURS[name]})"></i>{name} {_ms(value)}</span>')
        x += width
    bar = f'<svg viewBox="0 0 {WIDTH} 30" role="img" aria-label="stages">{"".join(parts)}</svg>'
    return f"{bar}<div class=key>{''.join(keys)}</div>"


def _spread(times: Histogram) -> str:
    """How many frames took how long, from the shortest to the 99.5th percentile; what is longer is told beside it."""
    if not times.count:
        return f"<p>{NONE}</p>"
    low, high = times.shortest_s, max(times.quantile(0.995), times.shortest_s * 1.05)
    step = (high - low) / BARS
    counts = [0.0] * BARS
    for first, last, count in times.buckets():  # a bucket may be wider than a bar
        begin, end = (first - low) / step, max((last - low) / step, (first - low) / step + 1e-6)
        for at in range(max(int(begin), 0), min(int(end) + 1, BARS)):
            counts[at] += count * max(min(end, at + 1) - max(begin, at), 0.0) / (end - begin)
    longer = sum(count for first, _, count in times.buckets() if first >= high)
    top = max(counts) or 1
    width = WIDTH / BARS
    bars = "".join(
        f'<rect x="{at * width:.1f}" y="{130 - 120 * count / top:.1f}" width="{width - 1.5:.1f}" '
        f'height="{120 * count / top:.1f}" rx="1.5" fill="var(--a)"/>'
        for at, count in enumerate(counts)
        if count
    )
    marks = "".join(_mark(name, (times.quantile(share) - low) / (high - low)) for name, share in MARKS)
    ticks = "".join(
        f'<text x="{at * WIDTH:.0f}" y="148" text-anchor="{anchor}">{_ms((low + at * (high - low)) * 1e3)} ms</text>'
        for at, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    )
    line = f'<line x1="0" x2="{WIDTH}" y1="130.5" y2="130.5" stroke="var(--line)"/>'
    chart = f'<svg viewBox="0 -14 {WIDTH} 168" role="img" aria-label="latency">{bars}{line}{marks}{ticks}</svg>'
    beyond = f"{longer} of {times.count} took longer, up to {_ms(times.longest_s * 1e3)} ms"
    return f"<div class=chart>{chart}</div><p>{beyond}</p>"


MARKS = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def _mark(name: str, at: float) -> str:
    x = min(max(at, 0.0), 1.0) * WIDTH
    end = ' text-anchor="end"' if at > 0.9 else ""
    beside = x - 4 if end else x + 4
    y = {"p50": -3, "p95": 10, "p99": -3}[name]
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="-12" y2="130" stroke="var(--c)" stroke-dasharray="3 3"/>'
        f'<text x="{beside:.1f}" y="{y}"{end}>{name}</text>'
    )


def _table(run: Measured, meanings: Mapping[str, str]) -> str:
    rows = []
    for name, meaning in meanings.items():
        row = run.stages.get(name)
        if row is not None:
            cells = "".join(f"<td>{_ms(value)}</td>" for value in row)
            rows.append(f"<tr><td>{name.replace('_', ' ')}</td>{cells}<td class=text>{escape(meaning)}</td></tr>")
    head = "<tr><th></th><th>p50</th><th>p95</th><th>p99</th><th>longest</th><th></th></tr>"
    return f"<div class=wide><table>{head}{''.join(rows)}</table></div>"


def _counted(run: Measured) -> str:
    lost = "".join(f", {count} {name}" for name, count in run.counts.items() if count)
    each = f"{run.people:.2f} people and {run.invokes:.2f} inferences a frame"
    return f"{run.frames} frames in {run.seconds:.1f} s{lost}; {each}"


def _states(report: Report) -> dict[str, str]:
    return {"before": board.feels(report.before), "after": board.feels(report.after)}


def _asked(report: Report) -> dict[str, str]:
    settings = "; ".join(f"{key} = {value}" for key, value in report.settings.items())
    return {"source": report.source, "broker": report.broker, "settings": settings or "as they come"}


def _pairs(pairs: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in pairs.items())}</dl>"


def _ms(value: float) -> str:
    """Three digits or so."""
    if not math.isfinite(value):
        return NONE
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"

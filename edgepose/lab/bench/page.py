"""The report as one page."""

from __future__ import annotations

import math
from html import escape

from edgepose.core.timing import Histogram
from edgepose.lab.bench import board
from edgepose.lab.bench.measure import Measured
from edgepose.lab.bench.report import MEANINGS, NOT_ALL, Report
from edgepose.lab.page import document, header, pairs, panel, section, tile, tiles, value

READ_AHEAD = (
    "Frames of a recording are read before they are needed and wait their turn: the rate counts here, "
    "the latency is that of a queue."
)

COLOURS = {"wait": "--d", "infer": "--a", "decode": "--b", "publish": "--c"}
"""Stages that follow each other -> colour."""
WIDTH, BARS = 900, 48
NONE = "unknown"


def page(report: Report) -> str:
    """One HTML document."""
    about = report.board
    when = f"edgepose {escape(about['edgepose'])} measured on {escape(report.when[:16].replace('T', ' '))} UTC"
    asked = f"<pre>{escape(report.command)}</pre>" + panel(pairs(_asked(report)))
    body = [
        header("Speed of a board", escape(about["board"]), [when]),
        *(_run(run) for run in report.runs),
        section("Board", "", panel(pairs({**about, **_states(report)}))),
        section("What was asked", "", asked),
    ]
    return document(f"edgepose on {about['board']}", "".join(body))


def _run(run: Measured) -> str:
    last = "camera_to_subscriber" if "camera_to_subscriber" in run.stages else "latency"
    whole = run.stages[last]
    to = "camera to subscriber" if last == "camera_to_subscriber" else "camera to sent"
    shown = [
        ("rate", f"{run.fps:.1f}", "", "frames per second"),
        ("latency", _ms(whole.p50), "ms", f"{to}, median"),
        ("latency, p99", _ms(whole.p99), "ms", "99 % of frames within"),
        ("CPU", _ms(run.cpu_ms), "ms", "per frame, all cores"),
        ("memory", f"{run.rss_mib:.0f}", "MiB", f"at most {run.peak_rss_mib:.0f}"),
    ]
    about = f"{'; '.join(run.models)}; {run.size_wh[0]}x{run.size_wh[1]}"
    content = [
        tiles((tile(name, value(number, unit), note) for name, number, unit, note in shown), "few"),
        f"<p>{READ_AHEAD}</p>" if run.read_ahead else "",
        "<h3>Where a frame's time goes, median ms</h3>", panel(_stages(run)),
        f"<h3>How long each frame took, {to}</h3>", panel(_spread(run.latency)),
        "<h3>Milliseconds</h3>", panel(_table(run)),
        f"<h3>Counted</h3><p>{escape(_counted(run))}</p>",
    ]  # fmt: skip
    return section(run.name[0].upper() + run.name[1:], escape(about), "".join(content))


def _stages(run: Measured) -> str:
    """One bar: the medians of the stages, one after the other."""
    medians = {name: run.stages[name].p50 for name in COLOURS if math.isfinite(run.stages[name].p50)}
    total = sum(medians.values()) or 1.0
    parts, keys, x = [], [], 0.0
    for name, median in medians.items():
        width = median / total * WIDTH
        parts.append(
            f'<rect x="{x:.1f}" y="0" width="{max(width - 1.5, 0.5):.1f}" height="30" fill="var({COLOURS[name]})"/>'
        )
        keys.append(f'<span><i class="key" style="background:var({COLOURS[name]})"></i>{name} {_ms(median)}</span>')
        x += width
    bar = f'<svg viewBox="0 0 {WIDTH} 30" role="img" aria-label="stages">{"".join(parts)}</svg>'
    return f"{bar}<div class=keys>{''.join(keys)}</div>"


def _spread(times: Histogram) -> str:
    """How many frames took how long, from the shortest to the 99.5th percentile; what is longer is said beside it."""
    if not times.count:
        return f"<p>{NONE}</p>"
    low, high = times.shortest_s, max(times.quantile(0.995), times.shortest_s * 1.05)
    wide = high - low
    step = wide / BARS
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
    marks = "".join(_mark(name, (times.quantile(share) - low) / wide) for name, share in MARKS)
    ticks = "".join(
        f'<text class="tick" x="{at * WIDTH:.0f}" y="148" text-anchor="{end}">{_ms(1e3 * (low + at * wide))} ms</text>'
        for at, end in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    )
    line = f'<line x1="0" x2="{WIDTH}" y1="130.5" y2="130.5" stroke="var(--line)"/>'
    chart = f'<svg viewBox="0 -14 {WIDTH} 168" role="img" aria-label="latency">{bars}{line}{marks}{ticks}</svg>'
    beyond = f"{longer} of {times.count} took longer, up to {_ms(times.longest_s * 1e3)} ms"
    return f"{chart}<p>{beyond}</p>"


MARKS = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def _mark(name: str, at: float) -> str:
    x = min(max(at, 0.0), 1.0) * WIDTH
    end = ' text-anchor="end"' if at > 0.9 else ""
    beside = x - 4 if end else x + 4
    y = {"p50": -3, "p95": 10, "p99": -3}[name]
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="-12" y2="130" stroke="var(--c)" stroke-dasharray="3 3"/>'
        f'<text class="tick" x="{beside:.1f}" y="{y}"{end}>{name}</text>'
    )


def _table(run: Measured) -> str:
    rows = []
    for name, meaning in MEANINGS.items():
        row = run.stages.get(name)
        if row is not None:
            cells = "".join(f'<td class="n">{_ms(number)}</td>' for number in row)
            rows.append(f'<tr><td>{name.replace("_", " ")}</td>{cells}<td class="m">{escape(meaning)}</td></tr>')
    head = "<tr><th></th><th>p50</th><th>p95</th><th>p99</th><th>longest</th><th></th></tr>"
    note = f'<p class="m">{escape(NOT_ALL)}</p>' if "camera_to_subscriber" in run.stages else ""
    return f"<table>{head}{''.join(rows)}</table>{note}"


def _counted(run: Measured) -> str:
    lost = "".join(f", {count} {name}" for name, count in run.counts.items() if count)
    each = f"{run.people:.2f} people and {run.invokes:.2f} inferences a frame"
    return f"{run.frames} frames in {run.seconds:.1f} s{lost}; {each}"


def _states(report: Report) -> dict[str, str]:
    return {"before": board.feels(report.before), "after": board.feels(report.after)}


def _asked(report: Report) -> dict[str, str]:
    settings = "; ".join(f"{key} = {value}" for key, value in report.settings.items())
    return {"source": report.source, "broker": report.broker, "settings": settings or "as they come"}


def _ms(number: float) -> str:
    """Three digits or so."""
    if not math.isfinite(number):
        return NONE
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:.0f}"

"""What a benchmark found out, as a record, as JSON and as text."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from edgepose.lab.bench import board
from edgepose.lab.bench.board import State
from edgepose.lab.bench.measure import Measured

SCHEMA = "edgepose.bench/1"

MEANINGS = {
    "wait": "captured to taken: how old a frame is when the loop takes it",
    "infer": "taken to inferred: resizing and inference",
    "decode": "inferred to decoded: the people in the frame",
    "publish": "decoded to sent: ids, smoothing, encoding, handing to the first sink",
    "latency": "captured to sent",
    "to_subscriber": "decoded to the callback of a subscriber in another process",
    "camera_to_subscriber": "captured to that callback: all of it",
}
"""Rows of the table, in its order."""


@dataclass(frozen=True)
class Report:
    """Everything one call found out."""

    when: str
    command: str
    source: str
    broker: str
    board: dict[str, str]
    """As board.describe."""
    settings: dict[str, Any]
    """Those that differ from the defaults."""
    before: State
    after: State
    runs: tuple[Measured, ...]


def as_json(report: Report) -> dict[str, Any]:
    """The report as JSON objects; numbers that are not known are null."""
    runs = []
    for run in report.runs:
        raw = {key: value for key, value in asdict(run).items() if key not in ("latency", "stages")}
        raw["stages_ms"] = {name: row._asdict() for name, row in run.stages.items()}
        runs.append(raw)
    whole = {
        "schema": SCHEMA,
        **{key: getattr(report, key) for key in ("when", "command", "source", "broker", "board", "settings")},
        "before": report.before._asdict(),
        "after": report.after._asdict(),
        "runs": runs,
    }
    rounded: dict[str, Any] = _rounded(whole)
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def numbers(run: Measured) -> dict[str, str]:
    """What is said of a run beside its stages."""
    lost = {name: count for name, count in run.counts.items() if count}
    return {
        "frames per second": f"{run.fps:.1f}",
        "CPU per frame, all cores": f"{run.cpu_ms:.2f} ms",
        "memory, now and at most": f"{run.rss_mib:.0f} and {run.peak_rss_mib:.0f} MiB",
        "people and inferences per frame": f"{run.people:.2f} and {run.invokes:.2f}",
        "counted": f"{run.frames} frames in {run.seconds:.1f} s"
        + "".join(f", {count} {name}" for name, count in lost.items()),
    }


NOT_ALL = "latency is of every frame, camera_to_subscriber of those that arrived: its p99 may be the lower one"


def say(report: Report, out: TextIO) -> None:
    """The report for a person at a terminal."""
    lines = [f"{name:<10}{text}" for name, text in report.board.items() if name in ("board", "memory", "system")]
    lines += [f"{'before':<10}{board.feels(report.before)}", f"{'after':<10}{board.feels(report.after)}"]
    lines += [f"{'source':<10}{report.source}", f"{'broker':<10}{report.broker}"]
    for run in report.runs:
        lines += ["", f"{run.name}, {run.size_wh[0]}x{run.size_wh[1]}"]
        lines += [f"  {model}" for model in run.models]
        lines += [f"  {name:<34}{text}" for name, text in numbers(run).items()]
        lines += [
            "  frames are read ahead and wait: the rate counts here, the latency is that of a queue"
        ] * run.read_ahead
        lines += [f"  {'milliseconds':<34}{'p50':>8}{'p95':>8}{'p99':>8}{'longest':>9}"]
        for name, meaning in MEANINGS.items():
            row = run.stages.get(name)
            if row is not None:
                lines += [f"  {name:<34}{row.p50:>8.2f}{row.p95:>8.2f}{row.p99:>8.2f}{row.longest:>9.2f}  {meaning}"]
        lines += [f"  {NOT_ALL}"] * ("camera_to_subscriber" in run.stages)
    out.write("\n".join(lines) + "\n")

"""`edgepose bench`: measure, say, and write it down."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

import msgspec

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.secret import masked
from edgepose.lab.bench import board
from edgepose.lab.bench.board import State
from edgepose.lab.bench.measure import Measured, measure
from edgepose.lab.bench.source import Again, AsCamera, first_frames, scene_frames
from edgepose.lab.demo.broker import local_broker
from edgepose.lab.eval.output import write_text
from edgepose.source import open_source

log = logging.getLogger("edgepose.lab.bench")

SCHEMA = "edgepose.bench/1"

SAYS = {
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


def run_bench(args: argparse.Namespace, cfg: config.Config) -> int:
    """Measure what `cfg` describes, or tune its threads; 0 when that went well."""
    for flag in ("json", "report"):
        _require_folder(flag, getattr(args, flag))
    with _broker(cfg) as (measured_cfg, broker):
        if args.tune:
            from edgepose.lab.bench.tune import tune

            return tune(measured_cfg, args.seconds)
        before = board.state()
        runs = tuple(_runs(measured_cfg, args.seconds, subscribe=bool(broker)))
        report = Report(
            when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            command=" ".join(["edgepose", *(masked(word) for word in sys.argv[1:])]),
            source=masked(cfg.source.uri) or "two seconds of a camera moving over a photograph, from memory",
            broker=broker or "none",
            board=board.describe(),
            settings=changed(cfg),
            before=before,
            after=board.state(),
            runs=runs,
        )
    say(report, sys.stderr if args.json == "-" else sys.stdout)
    if args.json:
        write_text(args.json, json.dumps(as_json(report), indent=1) + "\n")
    if args.report:
        from edgepose.lab.bench.page import page

        write_text(args.report, page(report, SAYS))
    return 0


def sources(cfg: config.Config) -> Iterator[tuple[str, config.Config, Any]]:
    """Name, settings and source of each run: a camera as it is; a recording flat out, then as a camera brings it."""
    if not cfg.source.uri:
        frames = scene_frames()
        yield "as fast as it goes", cfg, Again(frames, cfg.source.fps)
        yield f"as a camera at {cfg.source.fps:g} Hz", cfg, AsCamera(frames, cfg.source.fps)
        return
    with open_source(cfg.source) as probe:
        live = probe.live
    if live:
        yield "the camera", cfg, None
        return
    looped = msgspec.structs.replace(cfg, source=msgspec.structs.replace(cfg.source, loop=True))
    yield "as fast as it goes", looped, None
    frames, still = first_frames(cfg.source)
    yield f"as a camera at {cfg.source.fps:g} Hz", cfg, AsCamera(frames, cfg.source.fps, still=still)


def _runs(cfg: config.Config, seconds: float, *, subscribe: bool) -> Iterator[Measured]:
    for name, settings, source in sources(cfg):
        log.info("measuring %s, %g s", name, seconds)
        measured = measure(name, settings, source, seconds, subscribe=subscribe)
        if measured is None:
            raise SourceError("bench: the source ended before anything could be counted; give a longer one")
        yield measured


@contextmanager
def _broker(cfg: config.Config) -> Iterator[tuple[config.Config, str]]:
    """The settings with a broker to publish to: that of `cfg`, else one of our own, else none; and what it is.

    Without events: they would wait on disk beside those of the service.
    """
    cfg = _with_sink(cfg, mqtt=msgspec.structs.replace(cfg.sink.mqtt, events=False))
    with ExitStack() as stack:
        if cfg.sink.mqtt.broker:
            yield cfg, masked(cfg.sink.mqtt.broker)
            return
        try:
            url, name = stack.enter_context(local_broker())
        except ConfigError as error:
            log.warning("no broker, so no subscriber: times end where poses are sent (%s)", error)
            if not (cfg.sink.jsonl.path or cfg.sink.overlay.path):
                cfg = _with_sink(cfg, jsonl=config.Jsonl(path="/dev/null"))
            yield cfg, ""
            return
        # the Python broker knows no MQTT 5; finding that out would take the sink some seconds
        known = {"protocol": "3.1.1"} if name == "amqtt" else {}
        yield _with_sink(cfg, mqtt=msgspec.structs.replace(cfg.sink.mqtt, broker=url, **known)), f"{name} of its own"


def _with_sink(cfg: config.Config, **change: Any) -> config.Config:
    return msgspec.structs.replace(cfg, sink=msgspec.structs.replace(cfg.sink, **change))


def changed(cfg: config.Config) -> dict[str, Any]:
    """Key -> value of every setting that is not as it comes; no password is among them, they are in files."""
    raw: Any = msgspec.to_builtins(cfg)
    found = {}
    for setting in config.settings():
        value = raw
        for part in setting.key.split("."):
            value = value[part]
        if value != msgspec.to_builtins(setting.default):
            found[setting.key] = masked(value) if isinstance(value, str) else value
    return found


# ------------------------------------------------------------------------------------------------ telling


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
    """What is told of a run beside its stages."""
    lost = {name: count for name, count in run.counts.items() if count}
    return {
        "frames per second": f"{run.fps:.1f}",
        "CPU per frame, all cores": f"{run.cpu_ms:.2f} ms",
        "memory, now and at most": f"{run.rss_mib:.0f} and {run.peak_rss_mib:.0f} MiB",
        "people and inferences per frame": f"{run.people:.2f} and {run.invokes:.2f}",
        "counted": f"{run.frames} frames in {run.seconds:.1f} s"
        + "".join(f", {count} {name}" for name, count in lost.items()),
    }


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
        for name, meaning in SAYS.items():
            row = run.stages.get(name)
            if row is not None:
                lines += [f"  {name:<34}{row.p50:>8.2f}{row.p95:>8.2f}{row.p99:>8.2f}{row.longest:>9.2f}  {meaning}"]
    out.write("\n".join(lines) + "\n")


def _require_folder(flag: str, path: str | None) -> None:
    """Find out before a long run that a file cannot be written after it."""
    if path and path != "-" and (Path(path).is_dir() or not Path(path).parent.is_dir()):
        raise ConfigError(f"--{flag} {path}: not a file in a folder that exists")

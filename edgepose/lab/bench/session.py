"""The measurements of one benchmark: on which source, with which broker."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import Any

import msgspec

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.secret import masked
from edgepose.lab.bench import board
from edgepose.lab.bench.measure import Measured, measure
from edgepose.lab.bench.report import Report
from edgepose.lab.bench.source import Again, AsCamera, first_frames, scene_frames
from edgepose.lab.demo.broker import local_broker
from edgepose.source import open_source

log = logging.getLogger("edgepose.lab.bench")


def benchmark(cfg: config.Config, seconds: float, command: str) -> Report:
    """Measure what `cfg` describes, `seconds` each; `command` is what was typed."""
    with with_broker(cfg) as (measured_cfg, broker):
        before = board.state()
        runs = tuple(_runs(measured_cfg, seconds, subscribe=bool(broker)))
        return Report(
            when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            command=command,
            source=masked(cfg.source.uri) or "two seconds of a camera moving over a photograph, from memory",
            broker=broker or "none",
            board=board.describe(),
            settings=changed(cfg),
            before=before,
            after=board.state(),
            runs=runs,
        )


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
    looped = msgspec.structs.replace(cfg, source=msgspec.structs.replace(cfg.source, loop=True, pace="free"))
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
def with_broker(cfg: config.Config) -> Iterator[tuple[config.Config, str]]:
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
    raw, plain = (msgspec.to_builtins(each) for each in (cfg, config.Config()))
    values = {setting.key: (_at(raw, setting.key), _at(plain, setting.key)) for setting in config.settings()}
    return {
        key: masked(value) if isinstance(value, str) else value
        for key, (value, default) in values.items()
        if value != default
    }


def _at(table: Any, key: str) -> Any:
    for part in key.split("."):
        table = table[part]
    return table

"""Where poses go. Each row of SINKS opens one kind; its library is imported only then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from msgspec.structs import replace

from edgepose.core.config import Config
from edgepose.core.errors import SinkError
from edgepose.sink.base import OnSent, Sink, untold
from edgepose.sink.memory import MemorySink
from edgepose.sink.side import SideSink
from edgepose.sink.whole import unused

__all__ = ["SINKS", "MemorySink", "Sink", "open_sinks", "require_delivered"]


def _mqtt(config: Config, live: bool, on_sent: OnSent) -> Sink:
    from edgepose.sink.mqtt import MqttSink

    return MqttSink(config.sink.mqtt, config.device_name, config.camera, live=live, on_sent=on_sent)


def _jsonl(config: Config, live: bool, _on_sent: OnSent) -> Sink:
    from edgepose.sink.jsonl import JsonlSink

    jsonl = config.sink.jsonl
    return JsonlSink(jsonl.path or "-", config.device_name, config.camera, live=live, overwrite=jsonl.overwrite)


def _overlay(config: Config, live: bool, _on_sent: OnSent) -> Sink:
    from edgepose.sink.overlay import OverlaySink

    overlay = config.sink.overlay
    codec, gate = overlay.codec.removeprefix("auto"), live and overlay.gate
    return OverlaySink(overlay.path, live=live, fps=config.source.fps, codec=codec, gate=gate)


def _osc(config: Config, _live: bool, _on_sent: OnSent) -> Sink:
    from edgepose.sink.osc import OscSink

    return OscSink(config.sink.osc, config.camera)


def _bvh(config: Config, _live: bool, _on_sent: OnSent) -> Sink:
    from edgepose.sink.live_bvh import LiveBvh

    return LiveBvh(config.sink.bvh)


def _memory(_config: Config, _live: bool, _on_sent: OnSent) -> Sink:
    return MemorySink()


SINKS: dict[str, Callable[[Config, bool, OnSent], Sink]] = {
    "mqtt": _mqtt,
    "jsonl": _jsonl,
    "overlay": _overlay,
    "osc": _osc,
    "bvh": _bvh,
    "memory": _memory,
}
"""Name -> open(config, live, on_sent)."""


def open_sinks(config: Config, live: bool, on_sent: OnSent = untold) -> list[Sink]:
    """Open every sink that has a destination; with none, JSON lines go to standard output.

    live     the source is a camera or stream: a slow broker gets the newest poses. Otherwise it gets all of them.
    on_sent  called by a broker's sink with poses that really went out

    Raises:
        ConfigError: a setting cannot work; what was opened before it is closed again.
        SinkError: a destination cannot take anything right now.
    """
    where = {
        "mqtt": config.sink.mqtt.broker,
        "jsonl": config.sink.jsonl.path,
        "overlay": config.sink.overlay.path,
        "osc": config.sink.osc.to,
        "bvh": config.sink.bvh.listen,
    }
    names = [name for name, destination in where.items() if destination]
    if not names and not config.sink.record.path:  # a recording is a destination too, though no sink
        names = ["jsonl"]
    destinations = len(names) + bool(config.sink.record.path)
    safe = "mqtt" in names or bool(config.sink.record.path)  # neither of them ever ends a run
    sides: list[SideSink] = []
    with ExitStack() as opened:
        sinks: list[Sink] = []
        for name in names:
            if destinations == 1 or name == "mqtt":
                sinks.append(opened.enter_context(SINKS[name](config, live, on_sent)))
                continue
            opens = partial(_opened, name, config, live)
            others = None if safe else sides
            sides.append(SideSink(f"sink.{name}", opens, others))
            sinks.append(opened.enter_context(sides[-1]))
        opened.pop_all()
        return sinks


def _opened(name: str, config: Config, live: bool, first: bool) -> Sink:
    """A sink beside others; what it wrote before it failed stays."""
    if not first:
        jsonl = replace(config.sink.jsonl, overwrite=False)
        overlay = replace(config.sink.overlay, path=unused(config.sink.overlay.path))
        config = replace(config, sink=replace(config.sink, jsonl=jsonl, overlay=overlay))
    return SINKS[name](config, live, untold)


def require_delivered(sinks: Sequence[Sink], unrecorded: int = 0) -> None:
    """See that a recording reached every sink, once they are closed, and the file that keeps it.

    Raises:
        SinkError: some of it did not.
    """
    missing = sum(sink.undelivered for sink in sinks) + unrecorded
    if missing:
        raise SinkError(f"{missing} poses were not delivered; the warnings above say why")

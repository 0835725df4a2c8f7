"""Where poses go. Each row of SINKS opens one kind; its library is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from edgepose.core.config import Config
from edgepose.sink.base import Sink
from edgepose.sink.memory import MemorySink

__all__ = ["SINKS", "MemorySink", "Sink", "open_sinks"]


def _mqtt(config: Config, live: bool) -> Sink:
    from edgepose.sink.mqtt import MqttSink

    return MqttSink(config.sink.mqtt, config.device_name, config.camera, live=live)


def _jsonl(config: Config, live: bool) -> Sink:
    from edgepose.sink.jsonl import JsonlSink

    jsonl = config.sink.jsonl
    return JsonlSink(jsonl.path or "-", config.device_name, config.camera, live=live, overwrite=jsonl.overwrite)


def _overlay(config: Config, live: bool) -> Sink:
    from edgepose.sink.overlay import OverlaySink

    overlay = config.sink.overlay
    return OverlaySink(overlay.path, live=live, fps=config.source.fps, codec=overlay.codec.removeprefix("auto"))


def _memory(_config: Config, _live: bool) -> Sink:
    return MemorySink()


SINKS: dict[str, Callable[[Config, bool], Sink]] = {
    "mqtt": _mqtt,
    "jsonl": _jsonl,
    "overlay": _overlay,
    "memory": _memory,
}
"""Name -> open(config, live)."""


def open_sinks(config: Config, live: bool) -> list[Sink]:
    """Open every sink that has a destination; with none, JSON lines go to standard output.

    live  the source is a camera or stream: a slow broker gets the newest poses. Otherwise it gets all of them.

    Raises:
        ConfigError: a setting cannot work; what was opened before it is closed again.
        SinkError: a destination cannot take anything right now.
    """
    where = {
        "mqtt": config.sink.mqtt.broker,
        "jsonl": config.sink.jsonl.path,
        "overlay": config.sink.overlay.path,
    }
    names = [name for name, destination in where.items() if destination]
    if not names and not config.sink.record.path:  # a recording is a destination too, though no sink
        names = ["jsonl"]
    with ExitStack() as opened:
        sinks = [opened.enter_context(SINKS[name](config, live)) for name in names]
        opened.pop_all()
        return sinks

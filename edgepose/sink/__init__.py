"""Where poses go. Each row of SINKS opens one kind; its library is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from edgepose.core.config import Config
from edgepose.sink.base import OnSent, Sink, untold
from edgepose.sink.memory import MemorySink

__all__ = ["SINKS", "MemorySink", "Sink", "open_sinks"]


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
    return OverlaySink(overlay.path, live=live, fps=config.source.fps, codec=overlay.codec.removeprefix("auto"))


def _memory(_config: Config, _live: bool, _on_sent: OnSent) -> Sink:
    return MemorySink()


SINKS: dict[str, Callable[[Config, bool, OnSent], Sink]] = {
    "mqtt": _mqtt,
    "jsonl": _jsonl,
    "overlay": _overlay,
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
    }
    names = [name for name, destination in where.items() if destination]
    if not names and not config.sink.record.path:  # a recording is a destination too, though no sink
        names = ["jsonl"]
    with ExitStack() as opened:
        sinks = [opened.enter_context(SINKS[name](config, live, on_sent)) for name in names]
        opened.pop_all()
        return sinks

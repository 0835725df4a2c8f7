"""What a service does around the loop: tells, listens, answers. Nothing that is not asked for by the settings."""

from __future__ import annotations

import logging
import secrets
import threading
from typing import TYPE_CHECKING, Protocol

from edgepose.service.numbers import Gauges
from edgepose.service.standing import Standing

if TYPE_CHECKING:
    from types import TracebackType

    from edgepose import config
    from edgepose.pipeline import Pipeline
    from edgepose.poses import Frame, Poses
    from edgepose.sink.mqtt import MqttSink

log = logging.getLogger("edgepose.service")

RESTART = 75
"""Exit code after the command `restart` (EX_TEMPFAIL): all is well, and whoever supervises should start it again."""

TICK_S = 0.25


class Part(Protocol):
    """One thing that a service does."""

    def start(self) -> None:
        """Begin; raises what is wrong with the settings."""

    def saw(self, poses: Poses, frame: Frame) -> None:
        """A frame is done, after the sinks have it; called by the thread that publishes, so must not block."""

    def tick(self) -> None:
        """Called every TICK_S by the service's own thread; must not block for long."""

    def stop(self) -> None:
        """End; the sinks are still open."""


class Service:
    """The parts around a pipeline, while it runs; a context manager."""

    def __init__(self, pipeline: Pipeline, cfg: config.Config) -> None:
        self.exit_code = 0
        """What the process should end with when the run ends as it should."""
        self.parts = _parts(self, pipeline, cfg)
        self._started: list[Part] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="edgepose-service", daemon=True)
        self._troubled: set[str] = set()

    def restart(self, pipeline: Pipeline) -> None:
        """End the run, and ask for another."""
        self.exit_code = RESTART
        pipeline.stop()

    def saw(self, poses: Poses, frame: Frame) -> None:
        """Hand a finished frame to every part."""
        for part in self.parts:
            self._safely(part.saw, poses, frame)

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            for part in self.parts:
                self._safely(part.tick)

    def _safely(self, does: object, *args: object) -> None:
        """A mistake in what is told about the poses must not end the poses: it is logged, once each."""
        try:
            does(*args)  # type: ignore[operator]
        except Exception as error:
            what = f"{getattr(does, '__qualname__', does)}: {error!r}"
            if what not in self._troubled:
                self._troubled.add(what)
                log.exception("unexpected, in %s; going on", what)

    def __enter__(self) -> Service:
        try:
            for part in self.parts:
                part.start()
                self._started.append(part)
        except BaseException:
            self._stop()
            raise
        if self.parts:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._stop()

    def _stop(self) -> None:
        for part in reversed(self._started):
            self._safely(part.stop)
        self._started = []


def mqtt_of(pipeline: Pipeline) -> MqttSink | None:
    """The pipeline's sink that talks to a broker."""
    for sink in pipeline.sinks:
        if type(sink).__name__ == "MqttSink":  # without loading what a run without a broker does not need
            from edgepose.sink.mqtt import MqttSink

            return sink if isinstance(sink, MqttSink) else None
    return None


def _parts(service: Service, pipeline: Pipeline, cfg: config.Config) -> list[Part]:
    """What the settings ask for, in the order in which it starts; it stops the other way round."""
    mqtt = mqtt_of(pipeline)
    if mqtt is None and not cfg.metrics.listen:
        return []
    from edgepose.service.reporting import Broadcast, Reporter

    gauges = Gauges(pipeline, mqtt)
    standing = Standing(pipeline, cfg.service.stall_s)
    run = secrets.token_hex(4) if mqtt is None else mqtt.run
    reporter = Reporter(pipeline, cfg, gauges, standing, run)
    parts: list[Part] = [gauges]
    if mqtt is not None:
        parts.append(Broadcast(mqtt, reporter, standing, cfg.sink.mqtt.health_every_s))
        if cfg.control.on:
            from edgepose.service.control import Control

            parts.append(Control(pipeline, cfg, mqtt, reporter, lambda: service.restart(pipeline)))
        if cfg.home_assistant.on:
            from edgepose.service.homeassistant import HomeAssistant

            parts.append(HomeAssistant(mqtt, cfg))
    if cfg.metrics.listen:
        from edgepose.service.prometheus import Metrics

        parts.append(Metrics(cfg, gauges, reporter))
    return parts

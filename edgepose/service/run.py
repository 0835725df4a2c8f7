"""What a service does around the loop: tells, listens, answers. Nothing that is not asked for by the settings."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from edgepose.service.notify import Notify
from edgepose.service.reload import Reload
from edgepose.service.state import ServiceState
from edgepose.service.watchdog import Watchdog, watchdog_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from edgepose.core import config
    from edgepose.core.poses import Frame, Poses
    from edgepose.pipeline import Pipeline
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

    def stop(self) -> None:
        """End; the sinks are still open."""


@runtime_checkable
class Ticking(Part, Protocol):
    """One that has something to do now and then."""

    def tick(self) -> None:
        """Called every TICK_S by a thread of the service; must not block for long."""


class Service:
    """The parts around a pipeline, while it runs; a context manager.

    cfg     the settings in force; commands and SIGHUP replace it
    read    reads the settings again; None: there is nothing to read
    notify  the way to the supervisor
    """

    def __init__(
        self,
        cfg: config.Config,
        pipeline: Pipeline,
        read: Callable[[], config.Config] | None = None,
        notify: Notify | None = None,
    ) -> None:
        self.cfg, self.pipeline, self.read = cfg, pipeline, read
        self.notify = notify or Notify({})
        pipeline.source.patient = self.notify.on  # nobody is there to plug the camera in and type it again
        self.started_t = time.monotonic()
        self.standing = ServiceState(pipeline, cfg.service.stall_s)
        self.exit_code = 0
        """What the process should end with when the run ends as it should."""
        self.reload = Reload(self)
        self.parts = _parts(self)
        self._started: list[Part] = []
        self._ended = threading.Event()
        self._ticking = [part for part in self.parts if isinstance(part, Ticking)]
        self._thread = threading.Thread(target=self._tick, name="edgepose-service", daemon=True)
        self._troubled: set[str] = set()

    def stopping(self) -> None:
        """The run ends soon; safe in a signal handler."""
        self.standing.stopping = True
        self.notify.send(STOPPING=1)

    def restart(self) -> None:
        """End the run, and ask for another."""
        self.exit_code, self.notify.again = RESTART, True
        self.stopping()
        self.pipeline.stop()

    def saw(self, poses: Poses, frame: Frame) -> None:
        """Hand a finished frame to every part."""
        for part in self.parts:
            self._safely(part.saw, poses, frame)

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            for part in self._ticking:
                self._safely(part.tick)

    def _safely(self, does: Callable[..., object], *args: object) -> None:
        """A mistake in what is told about the poses must not end the poses: it is logged, once each."""
        try:
            does(*args)
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
        if self._ticking:
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


def _parts(service: Service) -> list[Part]:
    """What is asked for, in the order in which it starts; it stops the other way round."""
    parts: list[Part] = []
    if service.notify.on or watchdog_s():
        parts.append(Watchdog(service))
    if service.read is not None:
        parts.append(service.reload)
    mqtt = mqtt_of(service.pipeline)
    if mqtt is not None or service.cfg.metrics.listen:
        parts += _telling(service, mqtt)
    return parts


def _telling(service: Service, mqtt: MqttSink | None) -> list[Part]:
    """What answers questions, on a broker or a port."""
    from edgepose.service.numbers import Gauges
    from edgepose.service.reporting import Broadcast, Reporter

    cfg = service.cfg
    gauges = Gauges(service.pipeline, mqtt)
    reporter = Reporter(service, gauges, secrets.token_hex(4) if mqtt is None else mqtt.run)
    parts: list[Part] = [gauges]
    if mqtt is not None:
        parts.append(Broadcast(service, mqtt, reporter))
        if cfg.control.on:
            from edgepose.service.control import Control

            parts.append(Control(service, mqtt, reporter))
        if cfg.home_assistant.on:
            from edgepose.service.homeassistant import HomeAssistant

            parts.append(HomeAssistant(mqtt, cfg))
    if cfg.metrics.listen:
        from edgepose.service.prometheus import Metrics

        parts.append(Metrics(cfg.metrics.listen, gauges, reporter))
    return parts

"""What a service does around the loop: tells, listens, answers. Nothing that is not asked for by the settings."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from edgepose.service.base import Part, Ticking
from edgepose.service.hangs import Hangs
from edgepose.service.notify import Notify
from edgepose.service.reload import Reload
from edgepose.service.settings import Settings
from edgepose.service.state import ServiceState
from edgepose.service.watchdog import Watchdog, watchdog_s
from edgepose.sink.base import Topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from edgepose.core import config
    from edgepose.core.poses import Frame, Poses
    from edgepose.pipeline import Pipeline

log = logging.getLogger("edgepose.service")

RESTART = 75
"""Exit code after the command `restart` (EX_TEMPFAIL): all is well, and whoever supervises should start it again."""

TICK_S = 0.25


class Service:
    """The parts around a pipeline, while it runs; a context manager.

    cfg     the settings; commands and SIGHUP change them
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
        self.pipeline, self.read = pipeline, read
        self.settings = Settings(cfg, pipeline)
        self.notify = notify or Notify({})
        self.started_t = time.monotonic()
        self.state = ServiceState(pipeline, cfg.service.stall_s)
        self.exit_code = 0
        """What the process should end with when the run ends as it should."""
        self.reload = Reload(self)
        self.parts = _parts(self)
        self._started: list[Part] = []
        self._ended = threading.Event()
        self._ticking = [part for part in self.parts if isinstance(part, Ticking)]
        self._thread = threading.Thread(target=self._tick, name="edgepose-service", daemon=True)
        self._troubled: set[str] = set()

    @property
    def cfg(self) -> config.Config:
        """The settings in force."""
        return self.settings.cfg

    def stopping(self) -> None:
        """The run ends soon; safe in a signal handler."""
        self.state.stopping = True
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
        self.settings.end()
        for part in reversed(self._started):
            self._safely(part.stop)
        self._started = []


def topics_of(pipeline: Pipeline) -> Topics | None:
    """The pipeline's sink that has topics for more than poses: the one that talks to a broker."""
    return next((sink for sink in pipeline.sinks if isinstance(sink, Topics)), None)


def _parts(service: Service) -> list[Part]:
    """What is asked for, in the order in which it starts; it stops the other way round."""
    parts: list[Part] = []
    if service.notify.on or watchdog_s():
        parts.append(Watchdog(service))
    if service.read is not None:
        parts.append(service.reload)
    if service.cfg.track.mode != "off":
        parts.append(Hangs(service))
    mqtt = topics_of(service.pipeline)
    if mqtt is not None or service.cfg.metrics.listen:
        parts += _telling(service, mqtt)
    return parts


def _telling(service: Service, mqtt: Topics | None) -> list[Part]:
    """What answers questions, on a broker or a port."""
    from edgepose.service.numbers import Gauges
    from edgepose.service.reporting import Broadcast, Reporter

    cfg = service.cfg
    gauges = Gauges(service.pipeline, mqtt)
    reporter = Reporter(service, gauges, os.urandom(4).hex() if mqtt is None else mqtt.run)
    parts: list[Part] = [gauges]
    if mqtt is not None:
        parts.append(Broadcast(service, mqtt, reporter))
        if cfg.control.on:
            from edgepose.service.control import Control

            parts.append(Control(service, mqtt, reporter))
        if cfg.home_assistant.on:
            from edgepose.service.homeassistant import HomeAssistant

            parts.append(HomeAssistant(mqtt, cfg, runs_model=bool(service.pipeline.control.stages().estimate.engines)))
    if cfg.metrics.listen:
        from edgepose.service.prometheus import Metrics

        parts.append(Metrics(cfg.metrics.listen, gauges, reporter))
    return parts

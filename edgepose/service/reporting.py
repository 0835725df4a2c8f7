"""`status`, `presence` and `health` on the broker: what runs, who is there, how it goes."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

import edgepose
from edgepose import wire
from edgepose.core.timing import percentiles_ms
from edgepose.pipeline import described
from edgepose.service.numbers import Gauges, Numbers
from edgepose.wire.messages import HEALTH, PRESENCE, STATUS
from edgepose.wire.poses_json import iso_utc

if TYPE_CHECKING:
    from edgepose.core.poses import Frame, Poses
    from edgepose.estimate import Estimate
    from edgepose.pipeline.power.governor import Report
    from edgepose.service.base import Host
    from edgepose.sink.base import Topics

log = logging.getLogger("edgepose.service")

CALM_S = 1.0
"""For so long somebody who is not seen counts as present: lamps should not flicker."""


class Reporter:
    """Makes the messages; any thread may ask for one."""

    def __init__(self, service: Host, gauges: Gauges, run: str) -> None:
        from edgepose.source.detect import masked

        self._service, self._gauges, self._run = service, gauges, run
        self._since = iso_utc(time.time())
        self._source = masked(service.cfg.source.uri)
        self._engines: tuple[object, list[str]] = None, []

    def status(self) -> wire.Status:
        """What runs."""
        pipeline, cfg = self._service.pipeline, self._service.cfg
        state, reason = self._service.state.look()
        estimate = pipeline.estimate
        smoothed = pipeline.control.stages().tracker is not None
        report = None if pipeline.governor is None else pipeline.governor.report()
        return wire.Status(
            schema=STATUS,
            version=edgepose.__version__,
            device=cfg.device_name,
            camera=cfg.camera,
            run=self._run,
            since=self._since,
            state=state,
            reason=reason,
            source=self._source,
            model=cfg.engine.model,
            engines=self._described(estimate),
            skeleton=estimate.skeleton.name,
            joints=list(estimate.skeleton.joints),
            bones=list(estimate.skeleton.bones),
            format=cfg.sink.mqtt.format,
            smoothing=cfg.smooth.preset if smoothed else "off",
            max_fps=cfg.service.max_fps,
            power="off" if report is None else report.state,
            limited=(report and report.limited) or "nothing",
            troubles=self._troubles(),
        )

    def _troubles(self) -> list[str]:
        """Of the sinks, the parts of the service and the source, where they have any."""
        told: list[str] = []
        for one in (*self._service.pipeline.sinks, *self._service.parts, self._service.pipeline.source):
            told += getattr(one, "troubles", ())
        return told

    def _described(self, estimate: Estimate) -> list[str]:
        known = estimate, *(engine.ran_on for engine in estimate.engines)
        if self._engines[0] != known:
            self._engines = known, [described(engine) for engine in estimate.engines]
        return self._engines[1]

    def health(self) -> wire.Health:
        """How it goes."""
        numbers, cfg = self._gauges.read(), self._service.cfg
        vitals = numbers.vitals
        return wire.Health(
            schema=HEALTH,
            device=cfg.device_name,
            camera=cfg.camera,
            run=self._run,
            at=iso_utc(time.time()),
            uptime_s=round(numbers.uptime_s, 3),
            people=numbers.people,
            fps=round(numbers.fps, 2),
            counts=numbers.counts,
            latency_ms=_latency_ms(numbers),
            spool=numbers.spool,
            delegate=numbers.delegate,
            temperature_c=None if vitals.temperature_c is None else round(vitals.temperature_c, 1),
            throttled=vitals.held_back,
            memory_mib=None if vitals.memory_bytes is None else round(vitals.memory_bytes / 2**20, 1),
            cpu=None if numbers.cpu is None else round(numbers.cpu, 3),
            power=None if numbers.power is None else _power(numbers.power),
        )


def _power(report: Report) -> wire.Power:
    return wire.Power(
        state=report.state,
        shares={state: round(share, 3) for state, share in report.shares.items()},
        woke=report.why,
        woke_at=report.at_xy,
        wakes=report.wakes,
        limited=report.limited,
        max_fps=report.max_fps if math.isfinite(report.max_fps) else None,
        under_voltage=report.under_voltage,
    )


def _latency_ms(numbers: Numbers) -> dict[str, dict[str, float]]:
    """Of the stages that had anything to do lately."""
    told = {name: percentiles_ms(times) for name, times in numbers.lately.items() if times.count > 0}
    return {name: {"p50": round(p.p50, 3), "p95": round(p.p95, 3), "p99": round(p.p99, 3)} for name, p in told.items()}


class Presence:
    """How many people there are: more at once, fewer only when it stays so for CALM_S."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._told: int | None = -1
        self._since = ""

    def saw(self, people: int, now: float) -> None:
        """One more frame."""
        while self._seen and self._seen[-1][1] <= people:
            self._seen.pop()
        self._seen.append((now, people))

    def change(self, now: float, looking: bool) -> wire.Presence | None:
        """What is new to tell; None: nothing. `looking`: frames come."""
        while len(self._seen) > 1 and now - self._seen[0][0] > CALM_S:
            self._seen.popleft()
        people = self._seen[0][1] if looking and self._seen else None
        if people == self._told:
            return None
        self._told, self._since = people, iso_utc(time.time())
        present = None if people is None else people > 0
        return wire.Presence(schema=PRESENCE, people=people, present=present, since=self._since)


class Broadcast:
    """A part of the service: tells the broker what changed, and the numbers now and then."""

    def __init__(self, service: Host, mqtt: Topics, reporter: Reporter) -> None:
        self._mqtt, self._reporter, self._state = mqtt, reporter, service.state
        self._health_every_s, self._health_t = service.cfg.sink.mqtt.health_every_s, time.monotonic()
        self._status: wire.Status | None = None
        self._presence = Presence()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Tell that it starts."""
        self.tick()

    def saw(self, poses: Poses, _frame: Frame) -> None:
        """Somebody who comes is told of at once."""
        with self._lock:
            self._presence.saw(len(poses), time.monotonic())
            if not self._state.stopping:
                self._tell_presence("running")

    def tick(self) -> None:
        """Several times a second: status and presence where they changed, health where it is time."""
        status = self._reporter.status()
        if status != self._status:
            self._status = status
            self._mqtt.publish_kept("status", wire.encode_struct(status))
        with self._lock:
            self._tell_presence(status.state)
        now = time.monotonic()
        if self._health_every_s and now - self._health_t >= self._health_every_s:
            self._health_t = now
            self._mqtt.publish_now("health", wire.encode_struct(self._reporter.health()))

    def stop(self) -> None:
        """Tell that it ends, and that nobody looks any more."""
        self._state.stopping = True
        self.tick()

    def _tell_presence(self, state: str) -> None:
        change = self._presence.change(time.monotonic(), state == "running")
        if change is not None:
            self._mqtt.publish_kept("presence", wire.encode_struct(change))


def as_plain(message: msgspec.Struct) -> dict[str, Any]:
    """The message as what JSON has, for an answer."""
    plain: dict[str, Any] = msgspec.to_builtins(message)
    return plain

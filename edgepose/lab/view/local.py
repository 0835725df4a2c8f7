"""Straight from a source: a pipeline with its service whose broker is the page."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from edgepose import wire
from edgepose.core import config
from edgepose.core.poses import Frame, Poses
from edgepose.lab.view.broker import ANSWER_S, picture_of
from edgepose.lab.view.hub import READERS, Hub
from edgepose.sink.base import Handler, Sink


class HubSink(Sink):
    """Everything that a service publishes, into the hub: poses, events, and what belongs to them. Also `Topics`."""

    waits = False

    def __init__(self, hub: Hub, device: str, camera: str) -> None:
        self.run, self.subscribed = secrets.token_hex(4), 0
        self._hub, self._device, self._camera = hub, device, camera
        self._handlers: dict[str, Handler] = {}
        self._numbers = 0
        self._sent = 0
        hub.put(self.root, (device, camera), "availability", b"online")

    @property
    def root(self) -> str:
        """As Topics."""
        return f"edgepose/{self._device}/{self._camera}"

    @property
    def counts(self) -> dict[str, int]:
        """As Sink."""
        return {"sent": self._sent}

    @property
    def spool_counts(self) -> dict[str, int]:
        """As Topics: events do not wait here."""
        return {}

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (a sink gets it)
        """As Sink."""
        now_t, now_wall = time.monotonic(), time.time()
        self._put("poses", wire.encode(poses, self._device, self._camera, now_t, now_wall))
        wall = now_wall - poses.age_s(now_t, now_wall)
        for id_ in poses.entered:
            self._event(wire.event_of(poses, "entered", id_, self._next(), self.run, self._device, self._camera, wall))
        for id_ in poses.left:
            self._event(wire.event_of(poses, "left", id_, self._next(), self.run, self._device, self._camera, wall))
        self._sent += 1

    def write_meaning(self, meaning: Any, poses: Poses) -> None:
        """As Sink."""
        now_t, now_wall = time.monotonic(), time.time()
        age_s = poses.age_s(now_t, now_wall)
        names = self.run, self._device, self._camera
        for told in meaning.events:
            self._event(wire.event_of_rule(told, poses, self._next(), *names, now_wall - age_s))
        if meaning.rules is not None:
            stand = wire.meaning_of(meaning.rules, poses, *names, now_wall - age_s, age_s)
            self._put("meaning", wire.encode_struct(stand))

    def publish_kept(self, suffix: str, payload: bytes, *, absolute: bool = False) -> None:
        """As Topics."""
        if not absolute and suffix in READERS:
            self._put(suffix, payload)

    def publish_now(self, suffix: str, payload: bytes, *, absolute: bool = False) -> None:
        """As Topics."""
        self.publish_kept(suffix, payload, absolute=absolute)

    def subscribe(self, suffix: str, handler: Handler, *, absolute: bool = False) -> None:
        """As Topics."""
        if not absolute:
            self._handlers[suffix] = handler
            self.subscribed += 1

    def picture(self, _root: str) -> tuple[bytes, str]:
        """A JPEG of the newest frame, or why there is none."""
        handler = self._handlers.get("control/+")
        if handler is None:
            return b"", "control.on is off"
        answered, answers = threading.Event(), list[bytes]()

        def reply(payload: bytes) -> None:
            answers.append(payload)
            answered.set()

        handler(msgspec.json.encode({"id": "view"}), "control/snapshot", reply)
        answered.wait(ANSWER_S)
        return picture_of(wire.decode_struct(wire.Answer, answers[0]) if answers else None)

    def close(self) -> None:
        """As Sink."""
        self._put("availability", b"offline")

    def _put(self, kind: str, payload: bytes) -> None:
        self._hub.put(self.root, (self._device, self._camera), kind, payload)

    def _event(self, event: wire.Event) -> None:
        self._hub.event(self.root, (self._device, self._camera), wire.encode_event(event))

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


def looking(cfg: config.Config) -> config.Config:
    """The settings of a run that only the page sees: no broker, no files, no port."""
    return replace(cfg, sink=config.Sink(), metrics=config.Metrics(), home_assistant=config.HomeAssistant(on=False))


def run_source(cfg: config.Config, sink: HubSink, ready: Callable[[Callable[[], None]], None]) -> None:
    """Run the pipeline into the page until the source ends or somebody ends it.

    ready  called with what ends it, once it is open
    """
    from edgepose.pipeline import build
    from edgepose.service.run import Service

    with build(cfg, sinks=[sink]) as pipeline, Service(cfg, pipeline) as service:
        ready(pipeline.stop)
        pipeline.run(service.saw)

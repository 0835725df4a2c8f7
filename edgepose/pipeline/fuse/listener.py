"""Hears the poses of the room's devices over a broker."""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING, Any

from edgepose.core import config
from edgepose.core.errors import SourceError, one_line
from edgepose.pipeline.fuse.messages import Heard, read
from edgepose.sink.mqtt.target import Target, target

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("edgepose.fuse")

MOST_WAITING = 512
"""Messages; when more come than are fused the oldest go."""
MOST_BYTES = 1_000_000
CONNECT_S = 5.0


class Listener:
    """A connection that takes `.../poses` of some devices; it is made anew by itself when it is lost."""

    def __init__(self, cfg: config.Config, names: Iterable[str]) -> None:
        """Prepare it.

        names  of the calibration's cameras: DEVICE, DEVICE/CAMERA or CAMERA of the usual topics

        Raises:
            ConfigError: the broker's settings are wrong.
        """
        self._target: Target = target(cfg.sink.mqtt, f"{cfg.device_name}-listens", cfg.camera)
        self._own = self._target.root.rsplit("/", 2)[-2:]
        self._names = tuple(names)
        self._heard: queue.Queue[tuple[str, Heard]] = queue.Queue(MOST_WAITING)
        self.counts = {"refused": 0, "overtaken": 0}
        """Messages that are none, and those that nobody had time for."""
        self._client: Any = None

    def open(self) -> None:
        """Connect.

        Raises:
            SourceError: the broker cannot be reached.
        """
        from edgepose.sink.mqtt.client import client_of
        from edgepose.sink.mqtt.subscription import LONGEST_BYTES

        there = self._target
        self._client = client = client_of(there)
        client.connect_timeout = CONNECT_S
        client.receive_bytes = LONGEST_BYTES
        client.on_connect, client.on_message = self._on_connect, self._on_message
        try:
            client.connect(there.host, there.port, there.keepalive_s)
        except (OSError, ValueError) as error:
            raise SourceError(f"{there.url}: cannot be reached: {error}; check --broker") from None
        client.loop_start()

    def close(self) -> None:
        """Leave; a second call does nothing."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def next(self, wait_s: float) -> tuple[str, Heard] | None:
        """Name of a camera and what it saw, oldest first; None: nothing came."""
        try:
            return self._heard.get(timeout=wait_s)
        except queue.Empty:
            return None

    def name_of(self, topic: str) -> str | None:
        """The calibration's name of the camera that publishes on a topic; None: it has none."""
        device, camera = topic.split("/")[-3:-1]
        known = (f"{device}/{camera}", device, camera)
        return next((name for name in known if name in self._names), None) if [device, camera] != self._own else None

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("%s: refused: %s", self._target.url, reason)
            return
        pattern = "/".join(["+"] * (self._target.root.count("/") + 1)).replace("+", self._target.root.split("/")[0], 1)
        client.subscribe(f"{pattern}/poses", 0)
        log.info("listening to %s/poses for cameras %s", pattern, ", ".join(self._names))

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        name = self.name_of(message.topic)
        if name is None:
            return
        try:
            if len(message.payload) > MOST_BYTES:
                raise ValueError(f"message: {len(message.payload)} bytes are too many")
            heard = read(message.payload)
        except ValueError as error:
            self.counts["refused"] += 1
            if self.counts["refused"] == 1:
                log.warning("%s: %s; more like it are counted", one_line(message.topic), error)
            return
        if heard.poses.held:  # says nothing new of where anybody is
            return
        try:
            self._heard.put_nowait((name, heard))
        except queue.Full:
            self.counts["overtaken"] += 1
            self.next(0.0)
            self._heard.put_nowait((name, heard))

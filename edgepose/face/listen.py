"""Poses from a broker, whoever published them: JSON and binary, as the same records."""

from __future__ import annotations

import logging
import secrets
import threading
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from edgepose.face.settings import made
from edgepose.face.stream import Stream
from edgepose.sink.mqtt.target import Target, target
from edgepose.wire.reading import Heard, read

log = logging.getLogger("edgepose.listen")

CONNECT_S = 10.0
EVERYBODY = "edgepose/+/+"
"""Topics that are listened to where the address names none."""
SUFFIX = "/poses"


class Newest:
    """The newest item of each key, in the order in which the keys came; between two threads."""

    def __init__(self) -> None:
        self._held: dict[str, Heard] = {}
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0

    def put(self, key: str, item: Heard) -> None:
        """Replace what nobody took; who entered and left in it is not lost."""
        with self._changed:
            old = self._held.pop(key, None)
            if old is not None:
                self.dropped += 1
                item = replace(item, entered=old.entered + item.entered, left=old.left + item.left)
            self._held[key] = item
            self._changed.notify()

    def take(self) -> Heard | None:
        """The next; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._closed)
            return None if self._closed else self._held.pop(next(iter(self._held)))

    def close(self) -> None:
        """Nothing is taken any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Listen(Stream[Heard]):
    """Poses that a broker hands on; see `edgepose.listen`."""

    def __init__(self, broker: Target, pattern: str) -> None:
        from edgepose.sink.mqtt.subscription import LONGEST_BYTES, Subscription

        self.unreadable = 0
        """Messages that were no poses."""
        self._newest = Newest()
        topic = pattern if pattern.endswith(("#", SUFFIX)) else pattern + SUFFIX
        name = f"edgepose-listen-{secrets.token_hex(4)}"
        self._broker = Subscription(broker, topic, {topic: 0}, self._took, name=name, longest_bytes=LONGEST_BYTES)
        self._broker.open(CONNECT_S)

    @property
    def dropped(self) -> int:
        """Poses overtaken by newer ones of the same camera before you took them."""
        return self._newest.dropped

    def take(self) -> Heard | None:
        """As Stream."""
        return self._newest.take()

    def close(self) -> None:
        """As Stream."""
        self._newest.close()
        self._broker.close()

    def _took(self, topic: str, payload: bytes, _kept: bool) -> None:
        """Called by the connection, in its thread."""
        if not topic.endswith(SUFFIX):
            return
        names = ["", "", *topic.removesuffix(SUFFIX).split("/")][-2:]
        try:
            self._newest.put(topic, read(payload, names))
        except ValueError as error:
            self.unreadable += 1
            level = logging.WARNING if self.unreadable == 1 else logging.DEBUG
            log.log(level, "%s: %s; such messages are counted and left out", topic, error)


def listen(url: str, **settings: Any) -> Listen:
    """Poses as boards publish them, JSON or binary: of every camera the newest.

    url       mqtt://host[:port]/topics or mqtts://..., topics as sink.mqtt.topic, + and # for any; default edgepose/+/+
    settings  of sink.mqtt: username="me", password_file="secret", ca_file="ca.pem"

    Raises:
        ConfigError: the address or a setting is wrong.
        SourceError: no broker is there, or it refuses; later it is connected to again when it is away.
    """
    parts = urlsplit(url)
    broker = f"{parts.scheme}://{parts.netloc}" if "://" in url else url
    fragment = f"#{parts.fragment}" if parts.fragment or url.endswith("#") else ""
    cfg = made(None, {"broker": broker, **settings})
    pattern = (parts.path + fragment).strip("/")
    return Listen(target(cfg.sink.mqtt, "listen", "listen"), pattern or EVERYBODY)

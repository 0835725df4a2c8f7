"""Everything below a topic of a broker, into the hub."""

from __future__ import annotations

import base64
import binascii
import logging
import secrets
import threading

import msgspec

from edgepose import wire
from edgepose.core import config
from edgepose.lab.view.hub import READERS, Hub
from edgepose.service.fleet import names_in, pattern
from edgepose.sink.mqtt.subscription import LONGEST_BYTES, Subscription
from edgepose.sink.mqtt.target import target

log = logging.getLogger("edgepose.view")

CONNECT_S = 10.0
ANSWER_S = 5.0
HEARD = {**dict.fromkeys(READERS, 0), "events": 1, "control/answer": 1}
"""Topic -> QoS."""
KEPT = ("status", "presence", "availability")


class BrokerFeed:
    """A connection that only listens, but for a picture that somebody asks for; a context manager."""

    def __init__(self, cfg: config.Config, hub: Hub) -> None:
        there, self._hub = target(cfg.sink.mqtt, cfg.device_name, cfg.camera), hub
        self._template = cfg.sink.mqtt.topic.rstrip("/")
        self._answers: dict[str, wire.Answer] = {}
        self._answered = threading.Condition()
        below = pattern(cfg.sink.mqtt.topic)
        self._broker = Subscription(
            there,
            below,
            {f"{below}/{suffix}": qos for suffix, qos in HEARD.items()},
            self._took,
            told=hub.trouble,
            name=f"edgepose-view-{secrets.token_hex(4)}",
            longest_bytes=LONGEST_BYTES,
        )

    def __enter__(self) -> BrokerFeed:
        self._broker.open(CONNECT_S, "; check --broker")
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.close()

    def picture(self, root: str) -> tuple[bytes, str]:
        """A JPEG of a camera, or why there is none."""
        id_ = f"view-{secrets.token_hex(6)}"
        self._broker.client.publish(f"{root}/control/snapshot", msgspec.json.encode({"id": id_}), 1)
        with self._answered:
            self._answered.wait_for(lambda: id_ in self._answers, ANSWER_S)
            answer = self._answers.pop(id_, None)
        return picture_of(answer)

    def _took(self, topic: str, payload: bytes, _kept: bool) -> None:
        """Called by the connection, in its thread."""
        suffix = next((suffix for suffix in HEARD if topic.endswith(f"/{suffix}")), "")
        root = topic.removesuffix(f"/{suffix}")
        if suffix == "control/answer":
            self._take(payload)
        elif not payload and suffix in KEPT:
            self._hub.forget(root)
        elif suffix == "events":
            self._hub.event(root, names_in(self._template, root), payload)
        elif suffix:
            self._hub.put(root, names_in(self._template, root), suffix, payload)

    def _take(self, payload: bytes) -> None:
        try:
            answer = wire.decode_struct(wire.Answer, payload)
        except ValueError:
            return
        if answer.command == "snapshot" and answer.id.startswith("view-"):
            with self._answered:
                self._answers = {answer.id: answer}  # one at a time is enough
                self._answered.notify_all()


def picture_of(answer: wire.Answer | None) -> tuple[bytes, str]:
    """The JPEG in an answer, or why there is none."""
    if answer is None:
        return b"", "it does not answer; is control.on set there?"
    if not answer.ok:
        return b"", answer.error
    try:
        jpeg = base64.b64decode(str(answer.result.get("jpeg", "")), validate=True)
    except binascii.Error:
        jpeg = b""
    return (jpeg, "") if jpeg[:2] == b"\xff\xd8" else (b"", "it sent no picture")

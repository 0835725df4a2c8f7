"""Everything below a topic of a broker, into the hub."""

from __future__ import annotations

import base64
import binascii
import logging
import secrets
import threading
from typing import Any

import msgspec
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edgepose import wire
from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.lab.view.hub import READERS, Hub
from edgepose.service.fleet import names_in, pattern
from edgepose.sink.mqtt.client import SturdyClient
from edgepose.sink.mqtt.target import target

log = logging.getLogger("edgepose.view")

CONNECT_S = 10.0
ANSWER_S = 5.0
HEARD = {**dict.fromkeys(READERS, 0), "events": 1, "control/answer": 1}
"""Topic -> QoS."""
KEPT = ("status", "presence", "availability")
LONGEST_BYTES = 1 << 20


class BrokerFeed:
    """A connection that only listens, but for a picture that somebody asks for; a context manager."""

    def __init__(self, cfg: config.Config, hub: Hub) -> None:
        self._target, self._hub = target(cfg.sink.mqtt, cfg.device_name, cfg.camera), hub
        self._template, self._pattern = cfg.sink.mqtt.topic.rstrip("/"), pattern(cfg.sink.mqtt.topic)
        self._ready = threading.Event()
        self._refused = ""
        self._answers: dict[str, wire.Answer] = {}
        self._answered = threading.Condition()
        name = f"edgepose-view-{secrets.token_hex(4)}"
        self._client = client = SturdyClient(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv311)
        client.receive_bytes = LONGEST_BYTES  # a picture is longer than a command
        client.connect_timeout = CONNECT_S
        if self._target.username:
            client.username_pw_set(self._target.username, self._target.password or None)
        if self._target.tls:
            client.tls_set_context(self._target.tls)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_message, client.on_disconnect = self._on_message, self._on_disconnect

    def __enter__(self) -> BrokerFeed:
        url = self._target.url
        try:
            self._client.connect(self._target.host, self._target.port)
        except (OSError, ValueError) as error:
            raise SourceError(f"{url}: cannot be reached: {error}; check --broker") from None
        self._client.loop_start()
        if not self._ready.wait(CONNECT_S) or self._refused:
            self.__exit__()
            raise SourceError(f"{url}: {self._refused or 'does not answer'}; check the login and what it allows")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def picture(self, root: str) -> tuple[bytes, str]:
        """A JPEG of a camera, or why there is none."""
        id_ = f"view-{secrets.token_hex(6)}"
        self._client.publish(f"{root}/control/snapshot", msgspec.json.encode({"id": id_}), 1)
        with self._answered:
            self._answered.wait_for(lambda: id_ in self._answers, ANSWER_S)
            answer = self._answers.pop(id_, None)
        return picture_of(answer)

    # ------------------------------------------------------------------------------------------- called by paho

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = f"refused the login: {reason}"
            self._ready.set()
        else:
            client.subscribe([(f"{self._pattern}/{suffix}", qos) for suffix, qos in HEARD.items()])

    def _on_subscribe(self, _client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if all(reason.is_failure for reason in reasons):
            self._refused = f"lets nobody subscribe to {self._pattern}"
        self._hub.trouble("")
        self._ready.set()

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        self._hub.trouble(f"{self._target.url} is away; it is connected to again")

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        suffix = next((suffix for suffix in HEARD if topic.endswith(f"/{suffix}")), "")
        root, payload = topic.removesuffix(f"/{suffix}"), bytes(message.payload)
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

"""An MQTT client that knows nothing of edgepose: it keeps each JSON message and when it came."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edgepose.core.errors import EdgeposeError
from edgepose.sink.mqtt.target import Target

CONNECT_S = 10.0


class Listener:
    """Subscribes to the poses at a target; a context manager that is ready when entered."""

    def __init__(self, target: Target) -> None:
        self.messages: dict[int, dict[str, Any]] = {}
        """seq -> message."""
        self.latency_ms: list[float] = []
        """Capture to here, in order of arrival."""
        self.broken: list[bytes] = []
        """Payloads that are not JSON objects with what a message must have."""
        self._target = target
        self._topic = f"{target.root}/poses"
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        if target.username:
            self._client.username_pw_set(target.username, target.password or None)
        if target.tls:
            self._client.tls_set_context(target.tls)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> Listener:
        host, port = self._target.host, self._target.port
        try:
            self._client.connect(host, port)
        except OSError as error:
            raise EdgeposeError(f"demo: no broker at {host}:{port} ({error}); check --broker") from None
        self._client.loop_start()
        if not self._ready.wait(CONNECT_S):
            self._client.loop_stop()
            raise EdgeposeError(
                f"demo: the broker at {host}:{port} lets nobody subscribe to {self._topic}; check its log"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe(self._topic, qos=1)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        now = time.time()
        try:
            content = json.loads(message.payload)
            captured = datetime.fromisoformat(content["captured"].replace("Z", "+00:00")).timestamp()
            self.messages[int(content["seq"])] = content
        except (ValueError, KeyError, TypeError, AttributeError):
            self.broken.append(bytes(message.payload))
            return
        self.latency_ms.append((now - captured) * 1e3)

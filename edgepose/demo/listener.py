"""An MQTT client that knows nothing of edgepose: it keeps each JSON message and when it came."""

from __future__ import annotations

import json
import ssl
import threading
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edgepose import config
from edgepose.errors import EdgeposeError

CONNECT_S = 10.0
DEFAULT_PORT = {"mqtt": 1883, "mqtts": 8883}


class Listener:
    """Subscribes to one topic; a context manager that is ready when entered."""

    def __init__(self, cfg: config.Mqtt, topic: str) -> None:
        self.messages: dict[int, dict[str, Any]] = {}
        """seq -> message."""
        self.latency_ms: list[float] = []
        """Capture to here, in order of arrival."""
        self.broken: list[bytes] = []
        """Payloads that are not JSON objects with what a message must have."""
        self._topic = topic
        self._url = urlsplit(cfg.broker)
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        if cfg.username:
            password = (
                Path(cfg.password_file).read_text(encoding="utf-8").splitlines()[0] if cfg.password_file else None
            )
            self._client.username_pw_set(cfg.username, password)
        if self._url.scheme == "mqtts":
            context = ssl.create_default_context(cafile=cfg.ca_file or None)
            if cfg.cert_file:
                context.load_cert_chain(cfg.cert_file, cfg.key_file or None)
            self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> Listener:
        host, port = self._url.hostname or "", self._url.port or DEFAULT_PORT.get(self._url.scheme, 1883)
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

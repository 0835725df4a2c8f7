"""A connection that listens, for whoever looks at boards from elsewhere; once made it is made anew by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from paho.mqtt.client import Client, MQTTMessage

from edgepose.core.errors import SourceError
from edgepose.sink.mqtt.client import RECEIVE_BYTES, client_of
from edgepose.sink.mqtt.target import Target

LONGEST_BYTES = 1 << 20
"""Of a message with a picture or with many people; the usual ones are shorter."""


class Subscription:
    """Open and close from one thread; `took` and `told` are called in another."""

    def __init__(
        self,
        target: Target,
        what: str,
        topics: Mapping[str, int],
        took: Callable[[str, bytes, bool], None],
        *,
        told: Callable[[str], None] = lambda _trouble: None,
        name: str = "",
        longest_bytes: int = RECEIVE_BYTES,
    ) -> None:
        """Prepare it.

        what    pattern of all topics, as it is said where nobody may subscribe
        topics  pattern -> QoS
        took    gets topic, payload, and whether the broker had kept the message
        told    gets what is wrong with the connection; empty: nothing any more
        name    of this client; empty: the broker gives it one

        A packet longer than longest_bytes is cut off there.
        """
        self._target, self._what, self._topics = target, what, dict(topics)
        self._took, self._told = took, told
        self._ready = threading.Event()
        self._refused = ""
        self.client = client = client_of(target, name)
        """To publish with."""
        client.receive_bytes = longest_bytes
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message

    def open(self, wait_s: float, hint: str = "") -> None:
        """Connect, and wait until the broker lets us listen.

        hint  ends the text where nothing is there

        Raises:
            SourceError: no broker is there, or it refuses.
        """
        url = self._target.url
        self.client.connect_timeout = wait_s
        try:
            self.client.connect(self._target.host, self._target.port)
        except (OSError, ValueError) as error:
            raise SourceError(f"{url}: cannot be reached: {error}{hint}") from None
        self.client.loop_start()
        if not self._ready.wait(wait_s) or self._refused:
            self.close()
            raise SourceError(f"{url}: {self._refused or 'does not answer'}; check the login and what it allows")

    def close(self) -> None:
        """Leave."""
        self.client.disconnect()
        self.client.loop_stop()

    # ------------------------------------------------------------------------------------------- called by paho

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refused = f"refused the login: {reason}"
            self._ready.set()
        else:
            client.subscribe(list(self._topics.items()))

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if all(reason.is_failure for reason in reasons):
            self._refused = f"lets nobody subscribe to {self._what}"
        self._told("")
        self._ready.set()

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        self._told(f"{self._target.url} is away; it is connected to again")

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._took(topic, bytes(message.payload), message.retain)

"""One connection to a broker, from connect to close; never reused. All of paho-mqtt is in here.

paho's own network thread is not used: it retries without chance in its pauses, keeps an unbounded queue, and dies
silently of an exception. Whoever owns the Link turns it instead; callbacks only note what happened.
"""

from __future__ import annotations

import logging
import math
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, topic_matches_sub
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgepose.sink.mqtt.client import MALFORMED, RECEIVE_BYTES, client_of
from edgepose.sink.mqtt.lanes import MessageProperties, Outgoing
from edgepose.sink.mqtt.limits import Limits, Will, limits_of, packet_bytes, weaker
from edgepose.sink.mqtt.reasons import ENDED, HOPELESS, REFUSED, ConnectionDown, hung_up, no_connection
from edgepose.sink.mqtt.target import Target

PROTOCOLS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}

FULL_WILL = Will()
SPARE_BYTES = 512
"""More than a message has beside its topic and its payload."""
SEND_BUFFER = 1 << 16
"""Bytes the kernel may hold for a slow broker; more would only be old poses."""


class WillRefusedError(ConnectionDown):
    """The broker may let us in with a `weaker` will; None: without one."""

    def __init__(self, weaker: Will | None, text: str) -> None:
        super().__init__("refused", text)
        self.weaker = weaker


class Settled(NamedTuple):
    """What became of a message."""

    mid: int
    denied: str
    """Why the broker does not take it; empty if it did (QoS 1) or if the bytes left (QoS 0)."""
    hopeless: bool = False
    """It never will: the message is why, not who may send it."""


class Received(NamedTuple):
    """A message on a topic that was subscribed to."""

    topic: str
    payload: bytes
    retained: bool
    """It was there before we subscribed."""
    response_topic: str
    """Where an answer is wanted, MQTT 5; empty: not told."""
    correlation: bytes | None


class _Ear(logging.Logger):
    """Keeps the last error paho wrote to its log: the only place where it says why a connection ended."""

    last = ""

    def log(self, level: int, msg: object, *args: object, **_: Any) -> None:
        if level >= logging.ERROR:
            self.last = str(msg) % args if args else str(msg)


class Connection:
    """Open, publish and turn from one thread."""

    def __init__(self, target: Target, version: str, answer_s: float, will: Will | None = FULL_WILL) -> None:
        self.version = version
        self.limits = Limits()
        """Of the broker, once it let us in."""
        self.will = will
        """What it has to say when we are gone; None: nothing."""
        self._target, self._answer_s = target, answer_s
        self._down: ConnectionDown | None = None
        self._welcome = False
        self._leaving = False
        self._settled: list[Settled] = []
        self._received: list[Received] = []
        self._ear = _Ear("paho")
        self._client = client = client_of(target, target.client_id, PROTOCOLS[version], reconnects=False)
        client.suppress_exceptions = True
        client.connect_timeout = answer_s
        client.enable_logger(self._ear)
        client.on_socket_open = _tune
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        if will is not None:
            properties = None
            if version == "5":
                properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
                properties.WillDelayInterval = 0
            client.will_set(f"{target.root}/availability", b"offline", will.qos, will.retain, properties)

    def open(self, wake: socket.socket, gave_up: Callable[[], bool]) -> None:
        """Connect and log in, unless `gave_up`.

        Raises:
            ConnectionDown: with the reason; WillRefusedError: the will may be it.
        """
        keepalive_s = math.ceil(self._target.keepalive_s / 2)  # silence until a ping, then as long for its answer
        limits = None
        if self.version == "5":
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            limits.MaximumPacketSize = RECEIVE_BYTES
        try:
            self._client.connect(self._target.host, self._target.port, keepalive_s, properties=limits)
        except (OSError, UnicodeError) as error:
            raise no_connection(error, encrypted=self._target.tls is not None) from None
        deadline = time.monotonic() + self._answer_s
        while not self._welcome:
            self.turn(min(deadline - time.monotonic(), 0.25), wake)
            if gave_up():
                raise ConnectionDown("gave up", "did not answer in time")
            if time.monotonic() > deadline and not self._welcome:
                raise ConnectionDown(
                    "frozen", "takes the connection but does not answer; it hangs, or is no MQTT broker"
                )

    def excess(self, out: Outgoing) -> int:
        """Bytes of a message, where they are more than the broker takes; else 0."""
        most = self.limits.packet_bytes
        if not most or len(out.payload) + 4 * len(out.topic) + SPARE_BYTES <= most:
            return 0
        packed: bytes = _properties(out.properties).pack() if self.version == "5" else b""  # type: ignore[no-untyped-call]
        needed = packet_bytes(out.topic, out.payload, min(out.qos, self.limits.qos), packed)
        return needed if needed > most else 0

    def publish(self, out: Outgoing) -> int:
        """Hand over a message, as far as the broker can do what it asks for; its number."""
        properties = _properties(out.properties) if self.version == "5" else None
        qos, retain = min(out.qos, self.limits.qos), out.retain and self.limits.retain
        return self._client.publish(out.topic, out.payload, qos, retain, properties).mid

    def subscribe(self, pattern: str, *, kept: bool = False) -> int:
        """Ask for what is published from now on; the number under which the answer is settled.

        kept  also for what is kept, and for our own
        """
        if self.version != "5" or kept:
            number = self._client.subscribe(pattern, 1)[1]
        else:  # neither our own messages nor what was kept: a command that is kept would come with every connection
            wanted = SubscribeOptions(1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            number = self._client.subscribe(pattern, options=wanted)[1]
        if number is None:
            raise ConnectionDown("lost", "closed the connection")
        return number

    def received(self) -> list[Received]:
        """What came in since the last call, in order."""
        received, self._received = self._received, []
        return received

    @property
    def unreadable(self) -> int:
        """Messages that came in and were left out, for they are not as MQTT wants them."""
        return self._client.unreadable

    @property
    def written(self) -> bool:
        """Whether the kernel has all that was handed over."""
        return not self._client.want_write()

    def turn(self, timeout_s: float, wake: socket.socket) -> list[Settled]:
        """Wait for traffic, `wake` or the timeout; move bytes; say which messages are settled since the last turn.

        Raises:
            ConnectionDown: the connection ended.
        """
        sock = self._client.socket()
        if sock is not None:
            self._move(sock, timeout_s, wake)
        elif not self._leaving:
            raise self._down or ConnectionDown("lost", "closed the connection")
        if self._down:
            raise self._down
        acknowledged, self._settled = self._settled, []
        return acknowledged

    def _move(self, sock: Any, timeout_s: float, wake: socket.socket) -> None:
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        wait = select.poll()
        wait.register(wake, select.POLLIN)
        wait.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        ready = dict(wait.poll(0 if buffered else max(0, math.ceil(timeout_s * 1e3))))
        if ready.pop(wake.fileno(), 0):
            wake.recv(4096)
        events = select.POLLIN if buffered else 0
        for event in ready.values():
            events |= event
        try:
            if events & ~select.POLLOUT:
                self._client.loop_read()
            if events & select.POLLOUT:
                self._client.loop_write()
            self._client.loop_misc()
        except MALFORMED as error:
            raise ConnectionDown("no broker", f"sends what is not MQTT ({error}); is it the right port?") from None

    def leave(self, wake: socket.socket, timeout_s: float) -> None:
        """Say goodbye, so that the broker does not publish the last will."""
        self._leaving = True
        self._client.disconnect()
        deadline = time.monotonic() + timeout_s
        while self._client.socket() is not None and time.monotonic() < deadline:
            self.turn(deadline - time.monotonic(), wake)

    def close(self) -> None:
        """Let go of the socket at once; what the kernel has not sent is thrown away, not sent late."""
        sock = self._client.socket()
        if sock is not None:
            cast(socket.socket, sock).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    # ------------------------------------------------------------------------- called by paho, within turn or publish

    def _on_connect(
        self, _client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._down = self._refusal(self._client.code(reason), self._client.reason(reason))
            return
        self.limits = limits_of(properties)
        self._welcome = True

    def _refusal(self, code: int, reason: str) -> ConnectionDown:
        kind, text = REFUSED.get(code, ("refused", f"refused the connection: {reason}"))
        if self.will is None:
            return ConnectionDown(kind, text)
        try:
            return WillRefusedError(weaker(self.will, code), text)
        except KeyError:
            return ConnectionDown(kind, text)

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if self._down or self._leaving:
            return
        if self._client.code(reason) in ENDED:
            self._down = ConnectionDown(*ENDED[self._client.code(reason)])
        elif flags.is_disconnect_packet_from_server:
            self._down = ConnectionDown("lost", f"ended the connection: {self._client.reason(reason)}")
        elif "alert" in self._ear.last:
            alert = self._ear.last.rpartition("] ")[2].partition(" (")[0]
            self._down = ConnectionDown("tls", f"TLS failed: {alert}; check sink.mqtt.cert_file")
        elif self._welcome:
            hint = f"it restarts, or another client is called {self._target.client_id} too"
            self._down = ConnectionDown("lost", f"closed the connection; {hint}")
        else:
            self._down = hung_up(self._target.tls is not None)

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        denied = self._client.reason(reason) if reason.is_failure else ""
        self._settled.append(Settled(mid, denied, self._client.code(reason) in HOPELESS))

    def _on_subscribe(
        self, _client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        failures = [self._client.reason(reason) for reason in reasons if reason.is_failure]
        self._settled.append(Settled(mid, "; ".join(failures)))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        response = getattr(message.properties, "ResponseTopic", "")
        correlation = getattr(message.properties, "CorrelationData", None)
        self._received.append(Received(message.topic, bytes(message.payload), message.retain, response, correlation))


def connect(
    target: Target, version: str, answer_s: float, wake: socket.socket, gave_up: Callable[[], bool]
) -> Connection:
    """Connect and log in, with as much of a will as the broker takes.

    Raises:
        ConnectionDown: with the reason.
    """
    will: Will | None = FULL_WILL
    while True:
        connection = Connection(target, version, answer_s, will)
        try:
            connection.open(wake, gave_up)
        except WillRefusedError as refused:
            connection.close()
            will = refused.weaker
        except BaseException:
            connection.close()
            raise
        else:
            return connection


def matches(pattern: str, topic: str) -> bool:
    """Whether a message on `topic` comes to who subscribed to `pattern`."""
    return topic_matches_sub(pattern, topic)


def _properties(given: MessageProperties) -> Properties:
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if given.content:
        made.ContentType = given.content
    if given.schema:
        made.UserProperty = ("schema", given.schema)
    if given.expiry_s is not None:
        made.MessageExpiryInterval = given.expiry_s
    if given.correlation is not None:
        made.CorrelationData = given.correlation
    return made


def _tune(_client: Client, _data: Any, sock: Any) -> None:
    """Send at once: Nagle's algorithm holds small messages back by milliseconds."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

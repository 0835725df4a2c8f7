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

from paho.mqtt import MQTTException
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgepose.sink.mqtt.lanes import MessageProperties, Outgoing
from edgepose.sink.mqtt.target import Target

PROTOCOLS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}

SEND_BUFFER = 1 << 16
"""Bytes the kernel may hold for a slow broker; more would only be old poses."""

RECEIVE_BYTES = 1 << 17
"""The longest packet a broker of MQTT 5 may send us; commands are short."""

LOGIN = "check sink.mqtt.username and password_file, and what the broker allows"

REFUSED: dict[int, tuple[str, str]] = {
    132: ("version", "does not speak this MQTT version; set sink.mqtt.protocol to auto"),
    133: ("refused", "does not accept the client's name; set sink.mqtt.client_id"),
    134: ("refused", f"refused the login: bad user name or password; {LOGIN}"),
    135: ("refused", f"refused the login: not authorised; {LOGIN}"),
    138: ("refused", f"refused the login: banned; {LOGIN}"),
    140: ("refused", f"refused the login: bad authentication method; {LOGIN}"),
}
"""Reason code of a CONNACK -> kind of ConnectionDown, text. paho translates those of 3.1.1 to those of 5."""

ENDED: dict[int, tuple[str, str]] = {
    135: ("refused", "ended the connection: not authorised; check what the broker allows"),
    141: ("frozen", "does not answer any more"),
    142: ("taken over", "ended the connection: another client is called the same; set sink.mqtt.client_id"),
}
"""Reason code of a DISCONNECT -> kind of ConnectionDown, text."""


class ConnectionDown(Exception):  # noqa: N818 (a state of the world, caught by the owner of the Link)
    """There is no connection (any more): what kind of trouble, and what to tell."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Settled(NamedTuple):
    """What became of a message."""

    mid: int
    denied: str
    """Why the broker does not take it; empty if it did (QoS 1) or if the bytes left (QoS 0)."""


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

    def __init__(self, target: Target, version: str, answer_s: float) -> None:
        self.version = version
        self.in_flight_max = 10
        """Messages the broker allows to be unanswered."""
        self.qos_max = 1
        self._target, self._answer_s = target, answer_s
        self._down: ConnectionDown | None = None
        self._welcome = False
        self._leaving = False
        self._settled: list[Settled] = []
        self._received: list[Received] = []
        self._ear = _Ear("paho")
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, target.client_id, protocol=PROTOCOLS[version], reconnect_on_failure=False
        )
        client.suppress_exceptions = True
        client.connect_timeout = answer_s
        client.enable_logger(self._ear)
        client.on_socket_open = _tune
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        if target.username:
            client.username_pw_set(target.username, target.password or None)
        if target.tls:
            client.tls_set_context(target.tls)
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        will_properties = None
        if version == "5":
            will_properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
            will_properties.WillDelayInterval = 0
        client.will_set(f"{target.root}/availability", b"offline", 1, True, will_properties)

    def open(self, wake: socket.socket, gave_up: Callable[[], bool]) -> None:
        """Connect and log in, unless `gave_up`.

        Raises:
            ConnectionDown: with the reason.
        """
        keepalive_s = math.ceil(self._target.keepalive_s / 2)  # silence until a ping, then as long for its answer
        limits = None
        if self.version == "5":
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            limits.MaximumPacketSize = RECEIVE_BYTES
        try:
            self._client.connect(self._target.host, self._target.port, keepalive_s, properties=limits)
        except (OSError, UnicodeError) as error:
            raise _no_connection(error) from None
        deadline = time.monotonic() + self._answer_s
        while not self._welcome:
            self.turn(min(deadline - time.monotonic(), 0.25), wake)
            if gave_up():
                raise ConnectionDown("gave up", "did not answer in time")
            if time.monotonic() > deadline and not self._welcome:
                raise ConnectionDown(
                    "frozen", "takes the connection but does not answer; it hangs, or is no MQTT broker"
                )

    def publish(self, out: Outgoing) -> int:
        """Hand over a message; its number."""
        properties = _properties(out.properties) if self.version == "5" else None
        return self._client.publish(out.topic, out.payload, min(out.qos, self.qos_max), out.retain, properties).mid

    def subscribe(self, pattern: str) -> int:
        """Ask for what is published from now on; the number under which the answer is settled."""
        if self.version != "5":
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
        except (MQTTException, ValueError, LookupError, struct.error) as error:
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
            kind, text = REFUSED.get(reason.value, ("refused", f"refused the connection: {reason}"))
            self._down = ConnectionDown(kind, text)
            return
        self.in_flight_max = min(self.in_flight_max, getattr(properties, "ReceiveMaximum", self.in_flight_max))
        self.qos_max = min(self.qos_max, getattr(properties, "MaximumQoS", self.qos_max))
        self._welcome = True

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if self._down or self._leaving:
            return
        if reason.value in ENDED:
            self._down = ConnectionDown(*ENDED[reason.value])
        elif flags.is_disconnect_packet_from_server:
            self._down = ConnectionDown("lost", f"ended the connection: {reason}")
        elif "alert" in self._ear.last:
            alert = self._ear.last.rpartition("] ")[2].partition(" (")[0]
            self._down = ConnectionDown("tls", f"TLS failed: {alert}; check sink.mqtt.cert_file")
        elif self._welcome:
            hint = f"it restarts, or another client is called {self._target.client_id} too"
            self._down = ConnectionDown("lost", f"closed the connection; {hint}")
        else:
            mixed_up = "without" if self._target.tls else "with"
            self._down = ConnectionDown(
                "hung up", f"closed the connection before answering; does this port speak MQTT {mixed_up} TLS?"
            )

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._settled.append(Settled(mid, str(reason) if reason.is_failure else ""))

    def _on_subscribe(
        self, _client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._settled.append(Settled(mid, "; ".join(str(reason) for reason in reasons if reason.is_failure)))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        response = getattr(message.properties, "ResponseTopic", "")
        correlation = getattr(message.properties, "CorrelationData", None)
        self._received.append(Received(message.topic, bytes(message.payload), message.retain, response, correlation))


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


def _no_connection(error: OSError | UnicodeError) -> ConnectionDown:
    """Tell apart why a connection could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionDown("tls", f"TLS failed: {error.verify_message}; check sink.mqtt.ca_file and the host's name")
    if isinstance(error, ssl.SSLError):
        return ConnectionDown("tls", f"TLS failed: {error.reason or error}; does this port speak TLS?")
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return ConnectionDown("unknown host", "the host's name is not known; check sink.mqtt.broker and the network")
    if isinstance(error, TimeoutError) and "handshake" in str(error):
        return ConnectionDown("frozen", "takes the connection but does not answer; it hangs, or does not speak TLS")
    if isinstance(error, TimeoutError):
        return ConnectionDown("away", "does not answer; check the host, the port and the network")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionDown("away", "nothing listens there; is the broker running?")
    return ConnectionDown("away", f"cannot be reached: {error.strerror or error}")

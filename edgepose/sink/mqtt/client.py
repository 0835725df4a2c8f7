"""paho's client, mended where it trusts the other side: a packet of any length, a reason without a name, bad UTF-8.

None of that may end a connection or take memory. It reaches into paho's reading of packets; the tests feed it bytes.
"""

from __future__ import annotations

import struct

from paho.mqtt import MQTTException
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edgepose.sink.mqtt.target import Target

RECEIVE_BYTES = 1 << 17
"""Of one packet that comes in; more is read and thrown away. Commands are short."""
CHUNK_BYTES = 1 << 16

MALFORMED = (MQTTException, ValueError, LookupError, struct.error)
"""What paho raises at bytes that are not MQTT."""
UNNAMED = {131: "implementation specific error", 149: "packet too large", 151: "quota exceeded"}
"""Reason codes that brokers send where MQTT 5 has no name for them, and so paho none either."""
FAILED, OLD_VERSION = 128, 1
REASON_AT = {PacketTypes.CONNACK: 1, PacketTypes.PUBACK: 2, PacketTypes.DISCONNECT: 0}
"""Kind of packet -> where its reason code is, after the fixed header."""


class SturdyClient(Client):
    """Whatever comes in, the connection goes on."""

    unreadable = 0
    """Messages that were left out: their topic or properties are not what MQTT allows."""
    receive_bytes = RECEIVE_BYTES
    """The longest packet that is kept."""
    unnamed = 0
    """Reason code of the packet in hand where paho has no name for it; paho's callbacks get 128 instead."""

    def reason(self, given: ReasonCode) -> str:
        """In words, also where there is no name; to be called in a callback."""
        return UNNAMED.get(self.unnamed, f"reason 0x{self.unnamed:02x}") if self.unnamed else str(given)

    def code(self, given: ReasonCode) -> int:
        """As the broker sent it; to be called in a callback."""
        return self.unnamed or int(given.value)

    def _sock_recv(self, bufsize: int) -> bytes:
        """As much as wanted, but of a packet that is too long only its beginning."""
        packet = self._in_packet
        data = super()._sock_recv(min(bufsize, CHUNK_BYTES))
        if packet["have_remaining"] and len(packet["packet"]) >= self.receive_bytes and len(data) > 1:
            packet["to_process"] -= len(data) - 1  # paho takes off what it gets
            data = data[:1]
        return data

    def _packet_handle(self) -> MQTTErrorCode:
        """Give every reason code a name before paho looks for it."""
        packet = self._in_packet
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            kind, content = packet["command"] >> 4, packet["packet"]
            places = _subscription_reasons(content) if kind == PacketTypes.SUBACK else [REASON_AT.get(kind, -1)]
            for at in places:
                if 0 <= at < len(content) and not _named(kind, content[at]):
                    self.unnamed, content[at] = content[at], FAILED if content[at] >= FAILED else 0
        try:
            return super()._packet_handle()
        finally:
            self.unnamed = 0

    def _handle_publish(self) -> MQTTErrorCode:
        """Leave out a message that cannot be read, but acknowledge it: the broker would send it again."""
        packet = self._in_packet
        try:
            return super()._handle_publish()
        except MALFORMED:
            self.unreadable += 1
            content, qos = packet["packet"], packet["command"] >> 1 & 3
            at = 2 + int.from_bytes(content[:2], "big")
            if qos == 1 and len(content) >= at + 2:
                return self._send_puback(int.from_bytes(content[at : at + 2], "big"))
            return MQTTErrorCode.MQTT_ERR_SUCCESS


def client_of(
    target: Target,
    client_id: str = "",
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    *,
    reconnects: bool = True,
) -> SturdyClient:
    """Not connected yet; it knows how to log in at `target`."""
    client = SturdyClient(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=reconnects)
    if target.username:
        client.username_pw_set(target.username, target.password or None)
    if target.tls:
        client.tls_set_context(target.tls)
    return client


def _named(kind: int, code: int) -> bool:
    if kind == PacketTypes.CONNACK and code == OLD_VERSION:  # of a broker that knows no MQTT 5, and paho knows that
        return True
    try:
        ReasonCode(kind, identifier=code)
    except (KeyError, ValueError):
        return False
    return True


def _subscription_reasons(content: bytearray) -> range:
    """Where they are: behind the packet's number and its properties."""
    length, shift, at = 0, 0, 2
    while at < len(content):
        length |= (content[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not content[at - 1] & 128:
            break
    return range(at + length, len(content))

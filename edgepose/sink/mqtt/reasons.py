"""Why there is no connection, in words that say what to do."""

from __future__ import annotations

import socket
import ssl

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
    149: ("too large", "ended the connection: a message was too large for it"),
}
"""Reason code of a DISCONNECT -> kind of ConnectionDown, text."""

HOPELESS = (144, 149, 153)
"""Reason codes of a PUBACK that say: never this message, whatever the access rules; topic, size, payload."""


class ConnectionDown(Exception):  # noqa: N818 (a state of the world, caught by the owner of the Connection)
    """There is no connection (any more): what kind of trouble, and what to tell."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def hung_up(tls: bool) -> ConnectionDown:
    """The broker closed the connection before it said anything."""
    remedy = "mqtt:// (port 1883)" if tls else "mqtts:// (port 8883)"
    return ConnectionDown(
        "hung up",
        f"closed the connection before answering; does this port speak MQTT {'without' if tls else 'with'} TLS? "
        f"Then sink.mqtt.broker is {remedy}",
    )


def no_connection(error: OSError | UnicodeError, *, encrypted: bool = False) -> ConnectionDown:
    """Tell apart why a connection could not be made."""
    if encrypted and isinstance(error, ConnectionResetError):  # mosquitto, of a handshake at its plain port
        return ConnectionDown(
            "tls", "TLS failed: it hung up; does this port speak TLS? if not, sink.mqtt.broker is mqtt://"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionDown("tls", f"TLS failed: {error.verify_message}; check sink.mqtt.ca_file and the host's name")
    if isinstance(error, ssl.SSLError) and error.reason in PLAIN:
        return ConnectionDown("tls", "TLS failed: this port speaks none; sink.mqtt.broker is mqtt:// (port 1883) then")
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


PLAIN = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE")
"""What OpenSSL calls the answer of a port without TLS."""

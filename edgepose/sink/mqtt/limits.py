"""What a broker can do, as it says itself when it lets us in; MQTT 5. Before it said anything, all is possible."""

from __future__ import annotations

from typing import Any, NamedTuple


class Limits(NamedTuple):
    """Of one connection."""

    in_flight: int = 10
    """Messages that may be unanswered; more than ten we never want."""
    qos: int = 1
    """Highest that it takes."""
    retain: bool = True
    """It keeps the last message of a topic."""
    packet_bytes: int = 0
    """Longest packet that it takes; 0: of any length."""
    wildcards: bool = True
    """It lets us subscribe with + and #."""


def limits_of(properties: Any) -> Limits:
    """What the properties of a CONNACK say; None: of MQTT 3.1.1, which says nothing."""
    default = Limits()
    return Limits(
        in_flight=min(default.in_flight, getattr(properties, "ReceiveMaximum", default.in_flight)),
        qos=min(default.qos, getattr(properties, "MaximumQoS", default.qos)),
        retain=bool(getattr(properties, "RetainAvailable", 1)),
        packet_bytes=getattr(properties, "MaximumPacketSize", 0),
        wildcards=bool(getattr(properties, "WildcardSubscriptionAvailable", 1)),
    )


class Will(NamedTuple):
    """How the broker is asked to say that we are gone."""

    qos: int = 1
    retain: bool = True


def weaker(will: Will, reason_code: int) -> Will | None:
    """What to ask of a broker that refused a connection with `will`; None: nothing at all.

    Raises:
        KeyError: the will was not why.
    """
    if reason_code == NO_QOS and will.qos:
        return will._replace(qos=0)
    if reason_code == NO_RETAIN and will.retain:
        return will._replace(retain=False)
    if reason_code in NO_WILL:
        return None
    raise KeyError(reason_code)


NO_RETAIN, NO_QOS = 154, 155
NO_WILL = (144, 149, 151, 153, NO_RETAIN, NO_QOS)
"""Reason codes of a CONNACK that may be about the will: its topic, its size, its payload."""


def packet_bytes(topic: str, payload: bytes, qos: int, properties: bytes) -> int:
    """Of a PUBLISH packet of MQTT 5, all of it; `properties` with their length in front."""
    body = 2 + len(topic.encode()) + (2 if qos else 0) + len(properties) + len(payload)
    return 1 + next(count for count in (1, 2, 3, 4) if body < 1 << 7 * count) + body

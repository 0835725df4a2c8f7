"""What brokers cannot do, and what they should not: the sink does without, says so once, and goes on."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepose.core.config import Mqtt
from edgepose.sink.mqtt.limits import Limits, Will, limits_of, packet_bytes, weaker
from edgepose.sink.mqtt.sink import MqttSink, Timing
from samples.people import frame, fresh
from tests.helpers import scripted
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.scripted import CONNACK, Scripted

FAST = Timing(
    answer_s=1.0, stall_s=1.0, probe_s=0.1, hold_s=0.2, retry_s=0.3, again_s=0.3, backoff_s=(0.1, 0.3), patience_s=0.5,
    close_s=1.0, drain_s=8.0,
)  # fmt: skip
ROOT = "edgepose/board/door"


@pytest.fixture(autouse=True)
def _listen_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgepose")


def sink(url: str, **settings: Any) -> MqttSink:
    settings.setdefault("events", False)
    return MqttSink(Mqtt(broker=url, **settings), "board", "door", timing=FAST)


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in message for message in caplog.messages)


def show(publisher: MqttSink, people: int, until: Callable[[], Any], what: str) -> None:
    """Write poses until something holds."""
    seq = iter(range(1_000_000))

    def more() -> bool:
        publisher.write(fresh(next(seq), people=people), frame())
        time.sleep(0.02)
        return bool(until())

    wait_until(more, what)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -------------------------------------------------------------------------------------------------------- mosquitto


def test_a_broker_without_qos_1_gets_poses_and_a_will_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path, extra="max_qos 0") as broker, Subscriber(broker.port) as subscriber:
        with sink(broker.url) as publisher:
            show(publisher, 1, subscriber.payloads, "a pose")
            assert told(caplog, "it has no QoS 1") == 1
            assert publisher.counts["refused"] == 0
        wait_until(lambda: subscriber.payloads("availability")[-1:] == [b"offline"], "the goodbye")


def test_a_broker_that_keeps_nothing_is_told_again_and_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path, extra="retain_available false") as broker, sink(broker.url) as publisher:
        publisher.publish_kept("status", b"{}")
        wait_until(lambda: told(caplog, "it keeps no messages"), "the connection")
        with Subscriber(broker.port) as late:
            wait_until(lambda: late.payloads("/status"), "the status, though nothing keeps it")
            show(publisher, 1, late.payloads, "a pose")
        assert told(caplog, "connected") == 1


@pytest.mark.parametrize("limit", ["max_packet_size 700", "message_size_limit 700"], ids=["packet", "message"])
def test_a_pose_that_is_too_large_is_dropped_and_the_others_flow(
    limit: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One of them is told when connecting, the other with a reason that MQTT 5 does not have there."""
    with Broker(tmp_path, extra=limit) as broker, Subscriber(broker.port) as subscriber, sink(broker.url) as publisher:
        publisher.publish_kept("status", b'{"s": 1}')
        show(publisher, 3, lambda: publisher.counts["refused"] > 3, "three people to be refused")
        show(publisher, 0, subscriber.payloads, "an empty frame, which is short")
        show(publisher, 3, lambda: told(caplog, "never takes") and publisher.counts["refused"] > 8, "it to go on")
        wait_until(lambda: subscriber.payloads("/status"), "the status")

        assert told(caplog, "never takes some of edgepose/board/door/poses") == 1
        assert told(caplog, 'sink.mqtt.format = "binary"') == 1
        assert publisher.counts["reconnects"] == 0
    assert all(len(json.loads(payload)["people"]) == 0 for payload in subscriber.payloads())


def test_an_event_that_is_too_large_does_not_hold_back_the_others(tmp_path: Path) -> None:
    """Names make it longer than what the broker takes."""
    with (
        Broker(tmp_path, extra="max_packet_size 420") as broker,
        Subscriber(broker.port, f"{ROOT}/#") as subscriber,
        sink(broker.url, events=True, spool=str(tmp_path)) as publisher,
    ):
        long = replace(fresh(0, people=0), entered=(1,), name="n" * 300)
        short = replace(fresh(1, people=0), entered=(2,))
        publisher.write(long, frame())
        publisher.write(short, frame())
        wait_until(lambda: subscriber.payloads("/events"), "the short one")
        wait_until(lambda: publisher.spool_counts["kept"] == 0, "nothing to wait any more")

        assert [json.loads(payload)["id"] for payload in subscriber.payloads("/events")] == [2]
        assert publisher.spool_counts["refused"] == 1


def test_mqtt_5_is_tried_again_after_a_broker_that_hung(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Board and broker start together after a cut of power; the broker is slow."""
    with Broker(tmp_path) as broker:
        broker.send(signal.SIGSTOP)
        with sink(broker.url):
            threading.Timer(1.5 * FAST.answer_s, broker.send, [signal.SIGCONT]).start()
            wait_until(lambda: told(caplog, "connected, MQTT"), "a connection")
            broker.kill()
            broker.start()
            wait_until(lambda: told(caplog, "connected, MQTT 5"), "MQTT 5")


# ------------------------------------------------------------------------------------------------ brokers of our own


def accepting(connack: bytes = CONNACK, **more: Callable[[bytes], bytes]) -> scripted.Answers:
    """A broker that lets everybody in; more: kind of packet -> its answer."""

    def answer(kind: int, content: bytes) -> bytes:
        does: dict[int, Callable[[bytes], bytes]] = {
            scripted.CONNECT: lambda _: connack,
            scripted.SUBSCRIBE: more.get("suback", lambda content: scripted.packet(9, content[:2] + b"\x00\x01")),
            scripted.PUBLISH: more.get("puback", puback(b"")),
            scripted.PINGREQ: lambda _: scripted.packet(13, b""),
        }
        return does[kind](content) if kind in does else b""

    return answer


def puback(reason: bytes) -> Callable[[bytes], bytes]:
    """To a message with QoS 1, which all are whose number is not that of a length; here: kept topics and probes."""

    def answer(content: bytes) -> bytes:
        at = 2 + int.from_bytes(content[:2], "big")
        return scripted.packet(4, content[at : at + 2] + reason)

    return answer


@pytest.mark.parametrize(
    ("reason", "words"),
    [(0x95, "packet too large"), (0xC8, "reason 0xc8"), (0x83, "Implementation specific error")],
    ids=["no-name-here", "no-name-at-all", "named"],
)
def test_a_reason_without_a_name_is_told_and_ends_nothing(
    reason: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Scripted(accepting(puback=puback(bytes([reason])))) as broker, sink(broker.url) as publisher:
        wait_until(lambda: told(caplog, words), "the refusal of availability")
        show(publisher, 1, lambda: publisher.counts["refused"] > 1, "poses to be refused")
        assert publisher.counts["reconnects"] == 0


def test_a_subscription_may_be_refused_with_any_reason(caplog: pytest.LogCaptureFixture) -> None:
    with (
        Scripted(accepting(suback=lambda content: scripted.packet(9, content[:2] + b"\x00\xee"))) as broker,
        sink(broker.url) as publisher,
    ):
        publisher.subscribe("control/+", lambda *_: None)
        wait_until(lambda: told(caplog, "does not let us subscribe"), "the refusal")
        assert told(caplog, "reason 0xee") == 1


def test_a_will_that_is_never_taken_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    def answer(kind: int, content: bytes) -> bytes:
        if kind == scripted.CONNECT and content[7] & 4:  # with a will
            return b"\x20\x03\x00\x90\x00"
        return accepting()(kind, content)

    with Scripted(answer) as broker, sink(broker.url) as publisher:
        show(publisher, 1, lambda: publisher.counts["sent"] > 0, "a pose to be sent")
        assert told(caplog, "it takes no last will") == 1
        assert broker.kinds().count(scripted.CONNECT) == 2


def test_a_broker_without_wildcards_is_asked_for_each_command() -> None:
    connack = scripted.packet(2, b"\x00\x00\x02\x28\x00")  # Wildcard Subscription Available: no
    with Scripted(accepting(connack)) as broker, sink(broker.url) as publisher:
        publisher.subscribe("control/+", lambda *_: None)
        wait_until(lambda: publisher.subscribed >= 8, "the subscriptions")
        asked = b"".join(content for kind, content in broker.heard if kind == scripted.SUBSCRIBE)
        assert b"control/pause" in asked
        assert b"+" not in asked


@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_with_a_forbidden_character_is_left_out_and_acknowledged(
    qos: int, caplog: pytest.LogCaptureFixture
) -> None:
    """U+FEFF in a response topic: paho ends the connection, each time."""
    got: list[bytes] = []
    bad = b"\x08" + scripted.text("x/\ufeffy")
    with Scripted(accepting()) as broker, sink(broker.url) as publisher:
        publisher.subscribe("control/+", lambda payload, *_: got.append(payload))
        wait_until(lambda: publisher.subscribed, "the subscription")
        broker.send(scripted.publish(f"{ROOT}/control/status", b"bad", qos=qos, number=77, properties=bad))
        broker.send(scripted.publish(f"{ROOT}/control/status", b"good", qos=qos, number=78))
        wait_until(lambda: got, "the message after it")
        if qos:
            wait_until(lambda: (4, (78).to_bytes(2, "big")) in broker.heard, "both to be acknowledged")
            assert (4, (77).to_bytes(2, "big")) in broker.heard

        assert got == [b"good"]
        assert publisher.counts["garbled"] == 1
        assert publisher.counts["reconnects"] == 0
    assert told(caplog, "hands on messages that are not MQTT") == 1


def test_a_packet_of_any_length_takes_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    """It was asked for 128 KiB at most, and sends 100 MB in one; what it says after that is heard."""
    got: list[int] = []
    with Scripted(accepting()) as broker, sink(broker.url) as publisher:
        publisher.subscribe("control/+", lambda payload, *_: got.append(len(payload)))
        wait_until(lambda: publisher.subscribed, "the subscription")
        before = highest = resident_bytes()
        body = scripted.text(f"{ROOT}/control/status") + b"\x00"
        length = 100_000_000
        left = len(body) + length
        head = scripted.packet(3, b"")[:1] + bytes(
            [left & 127 | 128, left >> 7 & 127 | 128, left >> 14 & 127 | 128, left >> 21]
        )
        broker.send(head + body)
        for _ in range(length // 1_000_000):
            broker.send(b"\x00" * 1_000_000)
            highest = max(highest, resident_bytes())
        broker.send(scripted.publish(f"{ROOT}/control/status", b"{}"))
        wait_until(lambda: 2 in got, "the message after it", 30)

        assert highest - before < 20_000_000
        assert publisher.counts["reconnects"] == 0
        assert got[0] < 200_000, "its beginning is refused as too long"


def test_answers_that_are_not_allowed_are_told_once_and_cost_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks chooses where answers go: a thousand topics, long ones, with what would forge a line of a log."""
    with (
        Scripted(accepting(puback=puback(b"\x87"))) as broker,
        sink(broker.url) as publisher,
    ):
        publisher.subscribe("control/+", lambda _payload, _topic, reply: reply(b"{}"))
        wait_until(lambda: publisher.subscribed, "the subscription")
        wait_until(lambda: told(caplog, "availability"), "the availability to be denied")
        before = len(caplog.messages)
        for number in range(100):
            topic = f"x/{number}/\u2028ERROR forged" + "z" * (400 if number % 2 else 60_000)
            properties = b"\x08" + scripted.text(topic)
            length = len(properties)
            wire = (
                bytes([length & 127 | 128, length >> 7])
                if length < 1 << 14
                else bytes([length & 127 | 128, length >> 7 & 127 | 128, length >> 14])
            )
            broker.send(scripted.packet(3, scripted.text(f"{ROOT}/control/status") + wire + properties + b"{}"))
        wait_until(lambda: broker.kinds().count(scripted.PUBLISH) > 60, "answers")
        wait_until(lambda: told(caplog, "does not let us publish answers"), "it to be told")

        assert len(caplog.messages) - before <= 2
        assert not told(caplog, "forged")
        assert len(publisher._changes._states) < 10


# ------------------------------------------------------------------------------------------------------ by hand


class _Said:
    MaximumQoS, RetainAvailable, MaximumPacketSize, ReceiveMaximum, WildcardSubscriptionAvailable = 0, 0, 500, 3, 0


def test_limits_are_what_connack_says() -> None:
    assert limits_of(None) == limits_of(object()) == Limits()
    assert limits_of(_Said) == Limits(in_flight=3, qos=0, retain=False, packet_bytes=500, wildcards=False)


def test_a_will_gets_weaker_until_there_is_none() -> None:
    first = weaker(Will(), 155)
    assert first == Will(qos=0, retain=True)
    assert first is not None
    assert weaker(first, 154) == Will(qos=0, retain=False)
    assert weaker(Will(0, False), 154) is None
    with pytest.raises(KeyError):
        weaker(Will(), 135)


@pytest.mark.parametrize(("payload", "expected"), [(100, 2 + 2 + 1 + 2 + 1 + 100), (200, 3 + 2 + 1 + 2 + 1 + 200)])
def test_the_size_of_a_packet_is_exact(payload: int, expected: int) -> None:
    """Fixed header (kind, length in 1 or 2 bytes), topic with its length, number, empty properties, payload."""
    assert packet_bytes("t", b"p" * payload, 1, b"\x00") == expected

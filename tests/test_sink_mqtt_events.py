"""Events, kept topics and commands over real brokers that die, freeze, forget and refuse."""

from __future__ import annotations

import contextlib
import itertools
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepose import wire
from edgepose.core.config import Mqtt
from edgepose.sink.mqtt import events as mqtt_events
from edgepose.sink.mqtt.connection import Connection, Settled
from edgepose.sink.mqtt.events import INCOMING
from edgepose.sink.mqtt.lanes import MessageProperties, Outgoing
from edgepose.sink.mqtt.sink import MqttSink, Reply, Timing, _Sent
from edgepose.sink.mqtt.spool import Spool, disk, queue
from samples.people import frame, fresh
from tests.helpers.broker import PERSISTENT, Broker, Subscriber, free_port, python_broker, wait_until

FAST = Timing(
    answer_s=1.0, stall_s=1.0, probe_s=0.1, hold_s=0.2, retry_s=0.3, backoff_s=(0.1, 0.3), patience_s=0.5,
    close_s=1.0, drain_s=8.0,
)  # fmt: skip
ROOT = "edgepose/board/door"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """It forgets everything when it dies."""
    with Broker(tmp_path) as started:
        yield started


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[Broker]:
    """It has on disk what it acknowledged; some ms a message."""
    with Broker(tmp_path, extra=PERSISTENT.format(folder=tmp_path)) as started:
        yield started


@pytest.fixture(autouse=True)
def _listen_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgepose")


def sink(url: str, *, live: bool = True, timing: Timing = FAST, **settings: Any) -> MqttSink:
    return MqttSink(Mqtt(broker=url, **settings), "board", "door", live=live, timing=timing)


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in message for message in caplog.messages)


def events(subscriber: Subscriber) -> list[wire.Event]:
    """All that came in, repeats too."""
    return [wire.decode_event(payload) for payload in subscriber.payloads("/events")]


def once(received: list[wire.Event]) -> list[wire.Event]:
    """Without repeats, as a reader would have it: one with a number that was seen before is dropped."""
    seen: dict[int, wire.Event] = {}
    for event in received:
        assert seen.setdefault(event.number, event) == event, "a repeat is the same event"
    return list(seen.values())


@contextlib.contextmanager
def visitors(into: MqttSink, hz: float = 100.0) -> Iterator[list[int]]:
    """Somebody new enters with each frame; gives who entered so far."""
    entered: list[int] = []
    stop = threading.Event()

    def run() -> None:
        for who in itertools.count():
            if stop.wait(1 / hz):
                return
            into.write(replace(fresh(who), entered=(who,)), frame())
            entered.append(who)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield entered
    finally:
        stop.set()
        thread.join()


def delivered(publisher: MqttSink, entered: list[int]) -> None:
    """Wait until the broker has them all."""
    wait_until(lambda: publisher.spool_counts["sent"] >= len(entered), f"{len(entered)} events to be taken")
    wait_until(lambda: publisher.spool_counts["kept"] == 0, "the spool to be empty")


# ------------------------------------------------------------------------------------------------------------- events


def test_who_enters_and_leaves_is_told_once_in_order(broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber, sink(broker.url) as publisher:
        publisher.write(replace(fresh(7), entered=(1, 2)), frame())
        publisher.write(replace(fresh(8), entered=(3,), left=(1,)), frame())
        wait_until(lambda: len(events(subscriber)) == 4, "four events")

    told = events(subscriber)
    assert [(event.type, event.id, event.seq) for event in told] == [
        ("entered", 1, 7), ("entered", 2, 7), ("entered", 3, 8), ("left", 1, 8),
    ]  # fmt: skip
    assert [event.number for event in told] == list(range(told[0].number, told[0].number + 4))
    assert {(event.run, event.device, event.camera) for event in told} == {(publisher.run, "board", "door")}
    assert {message.qos for message in subscriber.messages if message.topic == f"{ROOT}/events"} == {1}


def test_events_can_be_switched_off(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port) as subscriber, sink(broker.url, events=False, spool=str(tmp_path / "no")) as publisher:
        publisher.write(replace(fresh(0), entered=(1,)), frame())
        wait_until(subscriber.payloads, "the pose")

    assert events(subscriber) == []
    assert publisher.spool_counts == {}
    assert not (tmp_path / "no").exists()


def test_nothing_is_lost_while_the_broker_dies_again_and_again(lasting: Broker) -> None:
    with Subscriber(lasting.port, f"{ROOT}/events", session="reader") as subscriber, sink(lasting.url) as publisher:
        with visitors(publisher) as entered:
            for _ in range(4):
                goal = len(events(subscriber)) + 30
                wait_until(lambda goal=goal: len(events(subscriber)) > goal, "events")  # type: ignore[misc]
                lasting.kill()
                away = len(entered)
                wait_until(lambda away=away: len(entered) > away + 20, "events while it is away")  # type: ignore[misc]
                lasting.start()
        delivered(publisher, entered)
        wait_until(lambda: len(once(events(subscriber))) >= len(entered), "the reader to have them")

    read = once(events(subscriber))
    assert [event.id for event in read] == entered
    assert [event.number for event in read] == list(range(read[0].number, read[0].number + len(entered)))
    assert publisher.spool_counts["dropped"] == 0


def test_nothing_is_lost_while_the_broker_is_frozen(lasting: Broker, caplog: pytest.LogCaptureFixture) -> None:
    with Subscriber(lasting.port, f"{ROOT}/events", session="reader") as subscriber, sink(lasting.url) as publisher:
        with visitors(publisher) as entered:
            wait_until(lambda: len(events(subscriber)) > 20, "events")
            lasting.send(signal.SIGSTOP)
            wait_until(lambda: told(caplog, "does not answer any more"), "the sink to notice")
            lasting.send(signal.SIGCONT)
            wait_until(lambda: publisher.counts["reconnects"], "the connection to come back")
        delivered(publisher, entered)
        wait_until(lambda: len(once(events(subscriber))) >= len(entered), "the reader to have them")

    assert [event.id for event in once(events(subscriber))] == entered


CHILD = """
import sys, time
from dataclasses import replace
from edgepose.core.config import Mqtt
from edgepose.sink.mqtt import events as mqtt_events
from edgepose.sink.mqtt import MqttSink
from samples.people import frame, fresh

sink = MqttSink(Mqtt(broker=sys.argv[1], spool=sys.argv[2]), "board", "door")
for who in range(int(sys.argv[3]), 10**6):
    sink.write(replace(fresh(who), entered=(who,)), frame())
    time.sleep(0.002)
"""


def test_nothing_that_was_kept_is_lost_when_we_are_killed(lasting: Broker, tmp_path: Path) -> None:
    spool = tmp_path / "state"
    with Subscriber(lasting.port, f"{ROOT}/events", session="reader") as subscriber:
        for round_ in range(3):
            goal = len(events(subscriber)) + 50
            command = [sys.executable, "-c", CHILD, lasting.url, str(spool), str(1000 * round_)]
            with subprocess.Popen(command) as child:
                wait_until(lambda goal=goal: len(events(subscriber)) > goal, "events")  # type: ignore[misc]
                if round_ == 1:  # and with many on disk only
                    lasting.send(signal.SIGSTOP)
                    time.sleep(0.3)
                child.kill()
            lasting.send(signal.SIGCONT)
        (file,) = spool.glob("*.db")
        with Spool(file, 10**7) as left:
            waiting = [item.number for item in left.pending(10**6)]
        with sink(lasting.url, spool=str(spool)) as publisher:
            wait_until(lambda: publisher.spool_counts["kept"] == 0, "the rest to be delivered")
            wait_until(lambda: set(waiting) <= {event.number for event in events(subscriber)}, "the reader to have it")

    read = once(events(subscriber))
    assert [event.number for event in read] == list(range(read[0].number, read[-1].number + 1))
    for round_ in range(3):
        of_run = [event.id - 1000 * round_ for event in read if event.id // 1000 == round_]
        assert of_run == list(range(len(of_run))), "in order, and none missing but those of the last moment"


def test_a_broker_that_keeps_nothing_loses_only_what_it_acknowledged_before_its_last_moments(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it acknowledged just before it died is sent again, what it had for longer nobody else has."""
    monkeypatch.setattr(mqtt_events, "GRACE_S", 0.1)
    gate, connect = threading.Event(), Connection.open

    def gated(connection: Connection, *rest: Any) -> None:
        gate.wait(20)
        connect(connection, *rest)

    monkeypatch.setattr(Connection, "open", gated)
    gate.set()
    with sink(broker.url) as publisher:
        with visitors(publisher) as entered:
            wait_until(lambda: publisher.spool_counts["sent"] > 120, "events for nobody, more than were waiting")
            gate.clear()  # so that the reader is there before the sink
            broker.kill()
            wait_until(lambda: told(caplog, "closed the connection"), "the sink to notice")
            acknowledged = publisher.spool_counts["sent"]
            wait_until(lambda: len(entered) > acknowledged + 30, "events while it is away")
        broker.start()
        with Subscriber(broker.port, f"{ROOT}/events") as subscriber:
            gate.set()
            wait_until(lambda: len(once(events(subscriber))) >= len(entered) - acknowledged, "the rest")
            wait_until(lambda: entered[-1] in [event.id for event in events(subscriber)], "the last")

    read = [event.id for event in once(events(subscriber))]
    assert read == entered[-len(read) :]
    assert len(entered) - acknowledged <= len(read) < len(entered)


def test_poses_may_be_binary_and_events_stay_readable(broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber, sink(broker.url, format="binary") as publisher:
        publisher.write(replace(fresh(3, people=2), entered=(9,)), frame())
        wait_until(lambda: subscriber.payloads() and events(subscriber), "both")

    message = wire.binary.decode(subscriber.payloads()[0])
    assert (message.seq, message.entered, len(message.id)) == (3, (9,), 2)
    (pose,) = [message for message in subscriber.messages if message.topic == f"{ROOT}/poses"]
    assert getattr(pose.properties, "ContentType", None) == "application/octet-stream"
    assert events(subscriber)[0].id == 9


def test_what_the_broker_does_not_allow_is_kept_and_told_and_delivered_when_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Broker(tmp_path, acl=f"topic read #\ntopic write {ROOT}/poses\n") as guarded,
        Subscriber(guarded.port) as subscriber,
        sink(guarded.url) as publisher,
    ):
        with visitors(publisher) as entered:
            wait_until(lambda: publisher.spool_counts["refused"] >= 3, "three attempts")
            assert publisher.spool_counts["sent"] == 0
            assert publisher.counts["sent"] > 10, "poses are not held up"
        (tmp_path / "acl").write_text("topic readwrite #\n")
        guarded.send(signal.SIGHUP)
        delivered(publisher, entered)
        wait_until(lambda: len(events(subscriber)) == len(entered), "the events")

    assert [event.id for event in events(subscriber)] == entered
    denials = [record for record in caplog.records if f"does not let us publish {ROOT}/events" in record.message]
    assert [record.levelname for record in denials] == ["ERROR"]
    assert "they are kept, and tried again" in denials[0].message


def test_mqtt_3_delivers_events_and_says_what_it_cannot(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        python_broker(tmp_path) as port,
        Subscriber(port, version="3.1.1") as subscriber,
        sink(f"mqtt://127.0.0.1:{port}", protocol="3.1.1") as publisher,
    ):
        with visitors(publisher, hz=50) as entered:
            wait_until(lambda: len(events(subscriber)) > 10, "events")
        delivered(publisher, entered)
        wait_until(lambda: len(events(subscriber)) >= len(entered), "the events")

    assert [event.id for event in events(subscriber)] == entered
    assert told(caplog, "it cannot tell whether that is allowed; if not, events are lost") == 1


def test_a_broker_that_takes_one_message_at_a_time_gets_poses_and_events(tmp_path: Path) -> None:
    with (
        Broker(tmp_path, extra="max_inflight_messages 1") as slow,
        Subscriber(slow.port) as subscriber,
        sink(slow.url) as publisher,
        visitors(publisher),
    ):
        wait_until(lambda: len(events(subscriber)) > 30 and len(subscriber.payloads()) > 30, "both")


def test_events_of_a_recording_leave_nothing_on_disk(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port) as subscriber:
        with sink(broker.url, live=False, spool=str(tmp_path / "state")) as publisher:
            for who in range(300):
                publisher.write(replace(fresh(who), entered=(who,)), frame())
        wait_until(lambda: len(events(subscriber)) == 300, "all events")

    assert [event.id for event in events(subscriber)] == list(range(300))
    assert not (tmp_path / "state").exists()


def test_the_second_of_one_name_waits_in_memory_and_takes_over(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LOCK_S", 0.1)
    monkeypatch.setattr(queue, "RETRY_S", 0.2)
    with sink(broker.url, spool=str(tmp_path / "state"), client_id="first") as first:
        second = sink(broker.url, spool=str(tmp_path / "state"), client_id="second")
        assert second.troubles == ["events wait in memory: another process has it"]
        assert first.troubles == []
    with second:
        wait_until(lambda: second.troubles == [], "the spool to be free")


# --------------------------------------------------------------------------------------------- what must never happen


def test_a_disk_that_hangs_holds_up_neither_the_pipeline_nor_live_poses(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hangs = threading.Event()
    put = Spool.put

    def slow_put(spool: Spool, *rest: Any) -> int:
        hangs.wait(20)
        return put(spool, *rest)

    monkeypatch.setattr(Spool, "put", slow_put)
    with Subscriber(broker.port) as subscriber, sink(broker.url) as publisher:
        for who in range(INCOMING + 500):
            publisher.write(replace(fresh(who), entered=(who,)), frame())
        wait_until(lambda: len(subscriber.payloads()) > 0, "poses")
        counts = publisher.spool_counts
        assert counts["kept"] <= INCOMING
        assert counts["dropped"] >= 499
        assert told(caplog, "takes nothing; the oldest events go") == 1
        hangs.set()
        wait_until(lambda: publisher.spool_counts["kept"] == 0, "the rest")

    assert [event.id for event in events(subscriber)][-10:] == list(range(INCOMING + 490, INCOMING + 500))


def test_a_bug_in_an_event_costs_that_event_only(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = wire.event_of

    def faulty(poses: Any, *rest: Any) -> wire.Event:
        if poses.seq == 1:
            raise RuntimeError("a bug")
        return made(poses, *rest)

    monkeypatch.setattr(wire, "event_of", faulty)
    with Subscriber(broker.port) as subscriber, sink(broker.url) as publisher:
        for who in range(4):
            publisher.write(replace(fresh(who), entered=(who,)), frame())
        wait_until(lambda: len(events(subscriber)) == 3, "the others")

    assert [event.id for event in events(subscriber)] == [0, 2, 3]
    assert told(caplog, "unexpected RuntimeError('a bug'); going on") == 1


def test_no_pose_from_before_an_outage_is_sent_after_it(tmp_path: Path) -> None:
    late = Broker(tmp_path)
    with sink(late.url, expiry_s=1) as publisher:
        publisher.write(replace(fresh(0), entered=(5,)), frame())
        wait_until(lambda: publisher.spool_counts["kept"] == 1, "the event to be kept")
        time.sleep(1.1)  # older than it may be
        with late, Subscriber(late.port) as subscriber:
            wait_until(lambda: publisher.spool_counts["sent"], "the event to go out")
            publisher.write(fresh(1), frame())
            wait_until(subscriber.payloads, "a pose")
            assert [wire.decode(payload).seq for payload in subscriber.payloads()] == [1]
    assert publisher.counts["dropped"] == 1


def test_a_long_outage_costs_no_memory(tmp_path: Path) -> None:
    publisher = sink(f"mqtt://127.0.0.1:{free_port()}", spool_mb=0.1, timing=replace(FAST, close_s=0.1))
    with publisher:
        for who in range(300):
            publisher.write(replace(fresh(who), entered=(who,), left=(who - 1,) if who else ()), frame())
            publisher.publish_now("health", b"%d" % who)
        (poses, *more) = publisher._outbox._queue
        assert len(more) <= 1
        assert len(poses.entered) <= 256
        assert len(publisher._now._newest) == 1
        wait_until(lambda: not publisher._events._incoming, "the disk to take them")  # type: ignore[union-attr]
        assert len(publisher._events._window) <= 64  # type: ignore[union-attr]
        assert publisher.spool_counts["dropped"] > 200


# -------------------------------------------------------------------------------------------------------- kept topics


def test_kept_topics_come_back_after_a_broker_lost_them_and_cleared_ones_do_not(tmp_path: Path) -> None:
    with Broker(tmp_path) as forgetful, sink(forgetful.url) as publisher:  # it keeps nothing on disk
        publisher.publish_kept("status", b'{"a":1}')
        publisher.publish_kept("homeassistant/device/x/config", b'{"b":1}', absolute=True)
        publisher.publish_kept("status", b'{"a":2}')
        publisher.publish_kept("gone", b"1")
        with Subscriber(forgetful.port) as subscriber:
            wait_until(lambda: subscriber.payloads("/gone"), "the topic")
            publisher.publish_kept("gone", b"")
            wait_until(lambda: subscriber.payloads("/gone")[-1:] == [b""], "it to be cleared")
        wait_until(lambda: f"{ROOT}/gone" not in publisher._kept._latest, "it to be forgotten")
        forgetful.kill()
        forgetful.start()
        wait_until(lambda: publisher.counts["reconnects"], "the connection to come back")
        with Subscriber(forgetful.port) as late:
            wait_until(lambda: len(late.messages) >= 3, "the kept topics")

    there = {message.topic: (message.payload, message.retain) for message in late.messages[:3]}
    assert set(there) == {f"{ROOT}/availability", f"{ROOT}/status", "homeassistant/device/x/config"}
    assert there[f"{ROOT}/status"][0] == b'{"a":2}'


def test_a_kept_topic_that_is_cleared_is_empty_for_who_comes_later(broker: Broker) -> None:
    with sink(broker.url) as publisher:
        publisher.publish_kept("a/config", b"1", absolute=True)
        publisher.publish_kept("b/config", b"2", absolute=True)
        publisher.publish_kept("a/config", b"", absolute=True)
    with Subscriber(broker.port) as late:
        wait_until(lambda: len(late.messages) >= 2, "what is kept")

    assert {message.topic: message.payload for message in late.messages} == {
        "b/config": b"2", f"{ROOT}/availability": b"offline",
    }  # fmt: skip


def test_a_kept_topic_that_is_not_allowed_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Broker(tmp_path, acl=f"topic read #\ntopic write {ROOT}/#\n") as guarded,
        Subscriber(guarded.port) as subscriber,
        sink(guarded.url) as publisher,
    ):
        publisher.publish_kept("homeassistant/device/x/config", b"{}", absolute=True)
        wait_until(lambda: told(caplog, "does not let us publish homeassistant/device/x/config"), "the denial")
        (tmp_path / "acl").write_text("topic readwrite #\n")
        guarded.send(signal.SIGHUP)
        wait_until(lambda: subscriber.payloads("/config"), "the topic")


def test_numbers_of_the_moment_are_not_kept_and_not_sent_late(tmp_path: Path) -> None:
    late = Broker(tmp_path)
    with sink(late.url, expiry_s=1) as publisher:
        publisher.publish_now("health", b"old")
        time.sleep(1.1)
        with late, Subscriber(late.port) as subscriber:
            wait_until(lambda: subscriber.payloads("/availability"), "the connection")
            publisher.publish_now("health", b"new")
            wait_until(lambda: subscriber.payloads("/health"), "the numbers")
            assert subscriber.payloads("/health") == [b"new"]
            with Subscriber(late.port) as later:
                wait_until(lambda: later.payloads("/availability"), "what is kept")
                assert later.payloads("/health") == []


# ----------------------------------------------------------------------------------------------------------- commands


class Commands:
    """A handler that notes what it got, and answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []

    def __call__(self, payload: bytes, suffix: str, reply: Reply) -> None:
        self.got.append((suffix, payload))
        if payload == b"bug":
            raise RuntimeError("a bug")
        reply(b"done: " + payload)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_commands_reach_their_handler_and_are_answered(broker: Broker, version: str) -> None:
    commands = Commands()
    with Subscriber(broker.port) as subscriber, sink(broker.url, protocol=version) as publisher:
        publisher.subscribe("control/+", commands)
        wait_until(lambda: publisher.subscribed == 1, "the subscription")
        subscriber.publish(f"{ROOT}/control/pause", b"1")
        wait_until(lambda: subscriber.payloads("/control/answer"), "the answer")
        subscriber.publish(f"{ROOT}/control/pause", b"2")
        wait_until(lambda: len(subscriber.payloads("/control/answer")) == 2, "the next answer")

    assert commands.got == [("control/pause", b"1"), ("control/pause", b"2")], "answers are no commands"
    assert subscriber.payloads("/control/answer") == [b"done: 1", b"done: 2"]


def test_an_answer_goes_where_the_asker_wants_it(broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber, sink(broker.url) as publisher:
        publisher.subscribe("control/+", Commands())
        wait_until(lambda: publisher.subscribed == 1, "the subscription")
        for topic in ("me/answers", f"{ROOT}/control/restart", "$SYS/x"):
            subscriber.publish(f"{ROOT}/control/status", b"?", ResponseTopic=topic, CorrelationData=b"42")
        wait_until(lambda: len(subscriber.payloads("/control/answer")) == 2, "the answers")

    answers = [message for message in subscriber.messages if message.payload == b"done: ?"]
    assert [message.topic for message in answers] == ["me/answers", *[f"{ROOT}/control/answer"] * 2]
    assert {getattr(message.properties, "CorrelationData", None) for message in answers} == {b"42"}


def test_a_handler_that_fails_is_told_and_ends_nothing(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    commands = Commands()
    with Subscriber(broker.port) as subscriber, sink(broker.url) as publisher:
        publisher.subscribe("control/+", commands)
        wait_until(lambda: publisher.subscribed == 1, "the subscription")
        subscriber.publish(f"{ROOT}/control/pause", b"bug")
        subscriber.publish(f"{ROOT}/control/pause", b"fine")
        wait_until(lambda: subscriber.payloads("/control/answer") == [b"done: fine"], "the answer")

    assert told(caplog, f"{ROOT}/control/pause: unexpected RuntimeError('a bug'); going on") == 1
    assert publisher.counts["reconnects"] == 0


def test_a_subscription_survives_a_broker_that_forgot_it_and_kept_commands_are_left_alone(tmp_path: Path) -> None:
    commands = Commands()
    with Broker(tmp_path) as forgetful, sink(forgetful.url, keepalive_s=2) as publisher:
        publisher.subscribe("control/+", commands)
        publisher.subscribe("homeassistant/status", commands, absolute=True)
        forgetful.kill()
        forgetful.start()
        wait_until(lambda: publisher.subscribed == 2, "the subscriptions")
        with Subscriber(forgetful.port) as subscriber:
            subscriber.publish(f"{ROOT}/control/restart", b"kept", retain=True)
            wait_until(lambda: ("control/restart", b"kept") in commands.got, "the command, which is new now")
            forgetful.send(signal.SIGSTOP)
            wait_until(lambda: publisher.subscribed == 0, "the sink to notice")
            forgetful.send(signal.SIGCONT)
            wait_until(lambda: publisher.subscribed == 2, "the subscriptions again")
            subscriber.publish("homeassistant/status", b"online")
            wait_until(lambda: commands.got[-1] == ("homeassistant/status", b"online"), "the message")

    assert [payload for _, payload in commands.got] == [b"kept", b"online"], "not again with the next connection"


def test_a_subscription_that_is_not_allowed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """mosquitto grants every subscription, and then sends nothing; other brokers say so."""
    with sink(f"mqtt://127.0.0.1:{free_port()}") as publisher:
        publisher._settle(
            _Sent(None, Outgoing(f"{ROOT}/control/+", b"", 1, False, MessageProperties()), 0.0),
            Settled(1, "Not authorized"),
        )

    assert told(caplog, f"does not let us subscribe to {ROOT}/control/+: Not authorized") == 1
    assert publisher.subscribed == 0


@pytest.mark.parametrize("live", [True, False], ids=["camera", "recording"])
def test_a_recording_that_is_over_leaves_no_device_behind_and_a_camera_does(broker: Broker, live: bool) -> None:
    with Subscriber(broker.port) as subscriber:
        with sink(broker.url, live=live, events=False) as publisher:
            publisher.publish_kept("status", b"{}")
            publisher.publish_kept("homeassistant/device/x/config", b"{}", absolute=True)
            publisher.write(fresh(1), frame())
            wait_until(lambda: subscriber.payloads("/status") and subscriber.payloads(), "status and a pose")
        wait_until(lambda: b"offline" in subscriber.payloads("/availability"), "the goodbye")
        if not live:
            wait_until(lambda: subscriber.payloads("/availability")[-1] == b"", "it to be cleared")
            cleared = [message.topic for message in subscriber.messages if not message.payload]
            assert cleared[0] == "homeassistant/device/x/config"
    with Subscriber(broker.port) as late:
        late.publish("marker", b"what is kept came before")
        wait_until(lambda: late.payloads("marker"), "the marker")
        kept = {message.topic for message in late.messages if message.retain}
    assert kept == ({f"{ROOT}/availability", f"{ROOT}/status", "homeassistant/device/x/config"} if live else set())

"""The MQTT sink against real brokers: mosquitto, and amqtt where MQTT 5 is unknown."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgepose import wire
from edgepose.core.config import Mqtt
from edgepose.sink.mqtt.connection import Connection
from edgepose.sink.mqtt.reasons import no_connection
from edgepose.sink.mqtt.sink import MqttSink, Timing
from samples.people import frame, fresh
from tests.helpers.broker import (
    Broker,
    Subscriber,
    certificate,
    free_port,
    program,
    python_broker,
    secret_file,
    wait_until,
)

FAST = Timing(
    answer_s=1.0, stall_s=1.0, probe_s=0.2, hold_s=0.2, backoff_s=(0.1, 0.3), patience_s=0.5, close_s=1.0, drain_s=8.0
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as started:
        yield started


@pytest.fixture(autouse=True)
def _listen_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgepose.sink.mqtt.sink")


def sink(url: str, *, live: bool = True, timing: Timing = FAST, **settings: Any) -> MqttSink:
    return MqttSink(Mqtt(broker=url, **settings), "board", "door", live=live, timing=timing)


def seqs(subscriber: Subscriber) -> list[int]:
    return [wire.decode(payload).seq for payload in subscriber.payloads()]


@contextlib.contextmanager
def camera(into: MqttSink, hz: float = 100.0) -> Iterator[list[int]]:
    """Writes fresh poses from a thread of its own, as a pipeline would; gives the frame numbers so far."""
    done: list[int] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(1 / hz):
            into.write(fresh(len(done), people=2), frame())
            done.append(len(done))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def told(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in message for message in caplog.messages)


# --------------------------------------------------------------------------------------------------- what is published


def test_an_independent_program_receives_well_formed_messages(broker: Broker) -> None:
    command = [program("mosquitto_sub"), "-p", str(broker.port), "-V", "5", "-t", "#", "-C", "5", "-W", "10"]
    with subprocess.Popen([*command, "-F", "%t|%r|%C|%P|%p"], stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        with sink(broker.url) as publisher:
            first = listener.stdout.readline()
            for seq in range(3):
                publisher.write(fresh(seq, people=seq), frame())
                time.sleep(0.02)
        lines = [line.rstrip("\n").split("|") for line in listener.stdout]

    # Retained is 1 only for a message that was there before the listener came.
    assert first.split("|")[0::4] == ["edgepose/board/door/availability", "online\n"]
    assert [line[0] for line in lines] == ["edgepose/board/door/poses"] * 3 + ["edgepose/board/door/availability"]
    assert lines[-1][-1] == "offline"
    for seq, (_, retained, kind, properties, payload) in enumerate(lines[:3]):
        message = wire.decode(payload.encode())
        assert (retained, kind, properties) == ("0", "application/json", "schema:edgepose.poses/1")
        assert (message.seq, len(message.people), message.device, message.camera) == (seq, seq, "board", "door")
        assert message.age_ms is not None
        assert 0 <= message.age_ms < 5000


def test_poses_expire_but_availability_stays(broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber, sink(broker.url, expiry_s=7) as publisher:
        publisher.write(fresh(0), frame())
        wait_until(subscriber.payloads, "a pose")

    by_topic = {message.topic.rpartition("/")[2]: message for message in subscriber.messages}
    assert by_topic["poses"].properties is not None
    assert getattr(by_topic["poses"].properties, "MessageExpiryInterval", None) == 7
    with Subscriber(broker.port) as late:
        wait_until(lambda: late.messages, "the retained availability")
    assert [(message.payload, message.retain) for message in late.messages] == [(b"offline", True)]


def test_a_publisher_that_dies_is_reported_offline_by_the_broker(broker: Broker) -> None:
    code = (
        "import sys, time\n"
        "from edgepose.core.config import Mqtt\n"
        "from edgepose.sink.mqtt import MqttSink\n"
        "from samples.people import frame, fresh\n"
        "sink = MqttSink(Mqtt(broker=sys.argv[1]), 'board', 'door')\n"
        "for seq in range(10**6): sink.write(fresh(seq), frame()); time.sleep(0.01)\n"
    )
    with (
        Subscriber(broker.port) as subscriber,
        subprocess.Popen([sys.executable, "-c", code, broker.url]) as publisher,
    ):
        wait_until(subscriber.payloads, "a pose")
        publisher.kill()
        wait_until(lambda: b"offline" in subscriber.payloads("/availability"), "the last will")

    assert subscriber.payloads("/availability") == [b"online", b"offline"]


def test_with_qos_1_every_pose_is_answered(broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber, sink(broker.url, qos=1) as publisher, camera(publisher):
        wait_until(lambda: publisher.counts["sent"] >= 20, "20 answers")

    assert {message.qos for message in subscriber.messages if message.topic.endswith("/poses")} == {1}


# ------------------------------------------------------------------------------------------- brokers that come and go


def test_a_broker_that_starts_later_gets_the_newest_poses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    late = Broker(tmp_path)
    publisher = sink(late.url)
    for seq in range(50):
        publisher.write(fresh(seq), frame())
    wait_until(lambda: told(caplog, "nothing listens there"), "the sink to say that nobody is there")
    with late, Subscriber(late.port) as subscriber, publisher, camera(publisher):
        wait_until(subscriber.payloads, "a pose")

    assert told(caplog, "nothing listens there") == 1
    assert told(caplog, "connected, MQTT 5") == 1
    assert publisher.counts["dropped"] >= 48
    assert publisher.counts["reconnects"] == 0


def test_of_old_poses_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    late = Broker(tmp_path)
    publisher = sink(late.url, timing=Timing(backoff_s=(0.6, 0.6)))
    time.sleep(0.1)  # the first attempt has failed, the next is some way off
    for seq in range(50):
        publisher.write(fresh(seq), frame())
    with late, Subscriber(late.port) as subscriber, publisher:
        wait_until(lambda: len(subscriber.payloads()) == 2, "two poses")

    assert seqs(subscriber) == [48, 49]
    assert publisher.counts["dropped"] == 48


def test_a_broker_that_is_killed_and_restarted_is_found_again(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    with sink(broker.url) as publisher, camera(publisher) as written:
        with Subscriber(broker.port) as before:
            wait_until(before.payloads, "a pose")
        broker.kill()
        wait_until(lambda: told(caplog, "nothing listens there"), "the sink to notice")
        time.sleep(0.4)  # some attempts in vain
        lost = len(written)
        broker.start()
        with Subscriber(broker.port) as after:
            wait_until(lambda: len(after.payloads()) > 10, "poses after the restart")
            assert b"online" in after.payloads("/availability")
            assert min(seqs(after)) >= lost - 2  # the two newest of the outage may wait in the outbox

    assert publisher.counts["reconnects"] == 1
    assert [told(caplog, text) for text in ("closed the connection", "nothing listens there", "connected")] == [1, 1, 2]


def test_a_frozen_broker_is_noticed_and_costs_no_memory(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    with Subscriber(broker.port) as subscriber, sink(broker.url) as publisher, camera(publisher) as written:
        wait_until(subscriber.payloads, "a pose")
        broker.send(signal.SIGSTOP)
        frozen = len(written)
        wait_until(lambda: told(caplog, "does not answer any more"), "the sink to notice")
        wait_until(lambda: len(written) - frozen > 150, "the camera to go on")
        assert len(publisher._outbox) <= 2
        assert publisher.counts["dropped"] > 50
        woken = len(written)
        broker.send(signal.SIGCONT)
        wait_until(lambda: publisher.counts["reconnects"] == 1, "the connection to come back")
        wait_until(lambda: seqs(subscriber)[-1] > woken + 20, "fresh poses")

    old = [seq for seq in seqs(subscriber) if frozen < seq < woken - 50]
    assert len(old) < 60, "while it is frozen, it gets what fits between two proofs of life and no more"
    assert told(caplog, "does not answer any more") == 1


def test_a_listener_that_never_answers_is_frozen_too(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        with sink(f"mqtt://127.0.0.1:{silent.getsockname()[1]}", timing=Timing(answer_s=0.1, backoff_s=(0.1, 0.1))):
            wait_until(lambda: told(caplog, "takes the connection but does not answer"), "the sink to notice")


def test_what_is_not_mqtt_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(8)

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = other.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 200)

        threading.Thread(target=answer, daemon=True).start()
        with sink(f"mqtt://127.0.0.1:{other.getsockname()[1]}"):
            wait_until(lambda: told(caplog, "closed the connection before") + told(caplog, "is not MQTT"), "a reason")


def test_an_unknown_host_is_told_apart(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with sink("mqtt://nowhere.invalid"):
        wait_until(lambda: told(caplog, "the host's name is not known"), "the sink to notice")


def test_without_a_broker_closing_takes_no_longer_than_promised() -> None:
    publisher = sink(f"mqtt://127.0.0.1:{free_port()}", timing=Timing(close_s=0.1))
    publisher.write(fresh(0), frame())
    publisher.close()

    assert not publisher._thread.is_alive()
    assert publisher.counts == {"sent": 0, "dropped": 1, "refused": 0, "reconnects": 0, "garbled": 0}


# ------------------------------------------------------------------------------------------------ brokers that refuse


def test_a_wrong_password_is_told_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret_file(tmp_path / "good", "s3cret\n")
    secret_file(tmp_path / "bad", "gu3ss\n")
    with Broker(tmp_path, passwords={"me": "s3cret"}) as guarded:
        with sink(guarded.url, username="me", password_file=str(tmp_path / "bad")) as refused:
            wait_until(lambda: refused.counts["refused"] >= 3, "three attempts")
        with (
            Subscriber(guarded.port, username="me", password="s3cret") as subscriber,  # noqa: S106
            sink(guarded.url, username="me", password_file=str(tmp_path / "good")) as accepted,
        ):
            accepted.write(fresh(0), frame())
            wait_until(subscriber.payloads, "a pose")

    assert told(caplog, "refused the login") == 1
    assert not told(caplog, "s3cret") + told(caplog, "gu3ss")


def test_a_topic_that_is_not_allowed_is_told_once_and_noticed_when_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Broker(tmp_path, acl="topic read #\ntopic write other/#\n") as guarded,
        sink(guarded.url) as publisher,
        camera(publisher),
    ):
        wait_until(lambda: publisher.counts["refused"] > 20, "refused poses")
        assert publisher.counts["sent"] == 0
        (tmp_path / "acl").write_text("topic readwrite #\n")
        guarded.send(signal.SIGHUP)
        wait_until(lambda: publisher.counts["sent"] > 5, "poses after the rule was changed")

    assert told(caplog, "does not let us publish edgepose/board/door/poses: Not authorized") == 1
    assert told(caplog, "does not let us publish edgepose/board/door/availability") == 1


def test_mqtt_3_cannot_say_that_a_topic_is_not_allowed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Broker(tmp_path, acl="topic read #\n") as guarded,
        sink(guarded.url, protocol="3.1.1") as publisher,
        camera(publisher),
    ):
        wait_until(lambda: publisher.counts["sent"] > 5, "poses that are taken and dropped")

    assert told(caplog, "connected, MQTT 3.1.1; publishing edgepose/board/door/poses (it cannot tell whether") == 1


def test_two_publishers_of_one_name_are_told(broker: Broker, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with sink(broker.url):
        wait_until(lambda: told(caplog, "connected"), "the first to connect")
        with sink(broker.url, spool=str(tmp_path / "another machine")):
            wait_until(lambda: told(caplog, "another client is called"), "the first to be thrown out")


# ---------------------------------------------------------------------------------------------------------------- TLS


def test_tls_works_with_the_right_authority_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours, other = certificate(tmp_path, "ours"), certificate(tmp_path, "other")
    with Broker(tmp_path, certificate=ours) as encrypted:
        with sink(encrypted.url, ca_file=str(ours[0])) as publisher, camera(publisher):
            wait_until(lambda: publisher.counts["sent"] > 20, "poses to go out")
        with sink(encrypted.url, ca_file=str(other[0])):
            wait_until(lambda: told(caplog, "TLS failed: "), "the wrong authority to be noticed")
        with sink(encrypted.url.replace("mqtts", "mqtt")):
            wait_until(lambda: told(caplog, "does this port speak MQTT with TLS?"), "the missing s to be noticed")

    assert told(caplog, "check sink.mqtt.ca_file") == 1


def test_a_broker_that_wants_a_certificate_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours = certificate(tmp_path, "ours")
    extra = f"require_certificate true\ncafile {ours[0]}"
    with Broker(tmp_path, certificate=ours, extra=extra) as encrypted:
        with sink(encrypted.url, ca_file=str(ours[0])):
            wait_until(lambda: told(caplog, "check sink.mqtt.cert_file"), "the broker's alert")
        with sink(encrypted.url, ca_file=str(ours[0]), cert_file=str(ours[0]), key_file=str(ours[1])) as publisher:
            publisher.write(fresh(0), frame())
            wait_until(lambda: publisher.counts["sent"], "a pose to go out")


def test_tls_to_a_port_without_it_is_told(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    with sink(broker.url.replace("mqtt", "mqtts")):
        wait_until(lambda: told(caplog, "does this port speak TLS?") + told(caplog, "cannot be reached"), "a reason")


# ------------------------------------------------------------------------------------------------------ older brokers


def test_a_broker_of_mqtt_3_gets_mqtt_3(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        python_broker(tmp_path) as port,
        Subscriber(port, version="3.1.1") as subscriber,
        sink(f"mqtt://127.0.0.1:{port}") as publisher,
        camera(publisher, hz=30),
    ):
        wait_until(lambda: len(subscriber.payloads()) > 5, "poses")

    assert told(caplog, "connected, MQTT 3.1.1") == 1
    assert json.loads(subscriber.payloads()[0])["schema"] == wire.SCHEMA


def test_a_version_that_is_demanded_is_not_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with python_broker(tmp_path) as port, sink(f"mqtt://127.0.0.1:{port}", protocol="5") as publisher:
        publisher.write(fresh(0), frame())
        wait_until(lambda: told(caplog, "trying again"), "the sink to say that it cannot connect")
        assert publisher.counts["sent"] == 0

    assert not told(caplog, "connected, MQTT")


# --------------------------------------------------------------------------------------------------------- bugs of ours


def test_a_callback_that_raises_does_not_end_publishing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    note = Connection._on_publish

    def faulty(connection: Connection, *details: Any) -> None:
        calls.append(1)
        if len(calls) == 20:
            raise RuntimeError("a bug")
        note(connection, *details)

    monkeypatch.setattr(Connection, "_on_publish", faulty)
    with Subscriber(broker.port) as subscriber, sink(broker.url) as publisher, camera(publisher):
        wait_until(lambda: len(calls) > 100, "publishing to go on after the bug")
        wait_until(lambda: len(subscriber.payloads()) > 90, "the poses of it")


def test_a_bug_in_the_sender_does_not_end_publishing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encode = wire.encode

    def faulty(made: Any, *rest: Any) -> bytes:
        if made.seq in (5, 50):
            raise RuntimeError("a bug")
        return encode(made, *rest)

    monkeypatch.setattr(wire, "encode", faulty)
    with Subscriber(broker.port) as subscriber, sink(broker.url) as publisher, camera(publisher):
        wait_until(lambda: seqs(subscriber)[-1:] > [100], "publishing to go on after the bug")

    assert told(caplog, "unexpected RuntimeError('a bug'); connecting anew") >= 1


# ------------------------------------------------------------------------------------------------------ not live: files


def test_from_a_file_every_frame_arrives_in_order(broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber:
        with sink(broker.url, live=False, timing=Timing()) as publisher:  # as patient as it is by default
            for seq in range(500):
                publisher.write(fresh(seq), frame())
        wait_until(lambda: len(subscriber.payloads()) == 500, "all poses", timeout_s=20)

    assert seqs(subscriber) == list(range(500))
    assert publisher.counts == {"sent": 500, "dropped": 0, "refused": 0, "reconnects": 0, "garbled": 0}


def test_from_a_file_nothing_is_dropped_while_the_broker_restarts(broker: Broker) -> None:
    patient = Timing(backoff_s=(0.1, 0.3), answer_s=1, stall_s=1)
    with sink(broker.url, live=False, timing=patient) as publisher, camera(publisher, hz=1000) as written:
        wait_until(lambda: len(written) > 200, "some frames")
        broker.kill()
        time.sleep(0.3)
        broker.start()
        wait_until(lambda: publisher.counts["reconnects"], "the connection to come back")
        wait_until(lambda: len(written) > 400, "more frames")

    assert publisher.counts["sent"] == len(written)
    assert publisher.counts["dropped"] == 0


def test_from_a_file_without_a_broker_the_run_goes_on_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    timing = Timing(patience_s=0.2, drain_s=0.2, close_s=0.2)
    with sink(f"mqtt://127.0.0.1:{free_port()}", live=False, timing=timing) as publisher:
        for seq in range(200):
            publisher.write(fresh(seq), frame())

    assert publisher.counts["dropped"] == 200
    assert told(caplog, "took nothing for 0.2 s; dropping old poses") == 1
    assert told(caplog, "64 poses did not reach it before the end") == 1


@pytest.mark.parametrize(
    ("encrypted", "says"),
    [(True, "does this port speak TLS?"), (False, "cannot be reached")],
    ids=["a handshake at a plain port", "without one"],
)
def test_a_connection_that_is_reset_is_told_by_what_was_asked(encrypted: bool, says: str) -> None:
    assert says in str(no_connection(ConnectionResetError(104, "Connection reset by peer"), encrypted=encrypted))

"""What docs/fleet.md promises: consumers that share a fleet's messages, and brokers that are bridged."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgepose import wire
from edgepose.core import config
from edgepose.core.poses import COCO17
from edgepose.sink.mqtt import MqttSink
from samples.people import frame, fresh
from tests.helpers.broker import Broker, Subscriber, wait_until

DOCS = Path(__file__).parents[1] / "docs"
CONSUMER = DOCS / "readers" / "shared_consumer.py"


class Consumer:
    """The example, in a process of its own."""

    def __init__(self, port: int, *options: str) -> None:
        self.lines: list[list[object]] = []
        self.subscribed = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, str(CONSUMER), "127.0.0.1", "--port", str(port), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._hear)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def _hear(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            assert "sharing" in line, line
            self.subscribed.set()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


@contextlib.contextmanager
def consumers(port: int, *options: list[str]) -> Iterator[list[Consumer]]:
    running = [Consumer(port, *each) for each in options]
    try:
        for consumer in running:
            wait_until(consumer.subscribed.is_set, "a consumer to subscribe", 20)
        yield running
    finally:
        for consumer in running:
            consumer.kill()


def event(number: int) -> bytes:
    return wire.encode_event(
        wire.Event(
            schema="edgepose.event/1", number=number, type="entered", id=number, run="r", device="board",
            camera="camera", seq=number, captured="2026-01-01T00:00:00.000000Z",
        )
    )  # fmt: skip


@contextlib.contextmanager
def publisher(port: int) -> Iterator[Client]:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def test_two_consumers_of_a_group_split_the_events_and_another_group_gets_all(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, consumers(broker.port, [], [], ["--group", "archive"]) as (one, two, other):
        with publisher(broker.port) as client:
            for number in range(200):
                client.publish("edgepose/board/camera/events", event(number), 1).wait_for_publish(5)
            client.publish("edgepose/board/camera/events", b"\xff no message of ours", 1).wait_for_publish(5)
        wait_until(lambda: len(one.lines) + len(two.lines) >= 200 and len(other.lines) >= 200, "all events")

        def numbers(*who: Consumer) -> list[int]:
            return sorted(int(str(line[2])) for each in who for line in each.lines)

        assert numbers(one, two) == list(range(200)), "each event once in the group"
        assert min(len(one.lines), len(two.lines)) > 20, "both have work"
        assert numbers(other) == list(range(200))


def test_events_of_a_consumer_that_dies_come_to_another_of_its_group(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, consumers(broker.port, ["--name", "a"], ["--name", "b"]) as (one, two):
        with publisher(broker.port) as client:
            one.kill()
            for number in range(60):
                client.publish("edgepose/board/camera/events", event(number), 1).wait_for_publish(5)
            client.publish("edgepose/board/camera/events", event(60), 1).wait_for_publish(5)
        with consumers(broker.port, ["--name", "a"]) as (again,):
            wait_until(lambda: len({str(line[2]) for line in two.lines + again.lines}) == 61, "all events, by now")


def test_poses_of_two_boards_are_shared_too(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, consumers(broker.port, *[["--topic", "edgepose/+/+/poses"]] * 2) as (one, two):
        settings = config.Mqtt(broker=broker.url, events=False)
        with MqttSink(settings, "hall", "camera") as hall, MqttSink(settings, "door", "camera") as door:
            for seq in range(40):
                for sink in (hall, door):
                    before = sink.counts["sent"]
                    sink.write(fresh(seq), frame())
                    wait_until(lambda sink=sink, before=before: sink.counts["sent"] > before, "a pose to go out")  # type: ignore[misc]
            wait_until(lambda: len(one.lines) + len(two.lines) == 80, "all poses")
        assert one.lines
        assert two.lines
        assert {line[0] for line in one.lines + two.lines} == {"hall", "door"}


def test_the_bridge_of_the_docs_carries_everything_up_and_commands_down(tmp_path: Path) -> None:
    (block,) = re.findall(r"```conf\n(.*?)```", (DOCS / "fleet.md").read_text(encoding="utf-8"), re.DOTALL)
    for name in ("hub", "floor"):
        (tmp_path / name).mkdir()
    with Broker(tmp_path / "hub") as hub:
        bridge = re.sub(r"^(address) .*$", rf"\1 127.0.0.1:{hub.port}", block, flags=re.MULTILINE)
        bridge = re.sub(r"^(#.*|remote_.*|bridge_cafile.*)$", "", bridge, flags=re.MULTILINE)
        floor = Broker(tmp_path / "floor")
        floor_config = tmp_path / "floor" / f"mosquitto_{floor.port}.conf"
        floor_config.write_text(floor_config.read_text() + bridge)
        commands: list[bytes] = []
        with floor, Subscriber(hub.port, "edgepose/#") as above:
            settings = config.Mqtt(broker=floor.url, spool=str(tmp_path))
            with MqttSink(settings, "hall", "camera") as sink, publisher(hub.port) as client:

                def heard(payload: bytes, _topic: str, reply: object) -> None:
                    commands.append(payload)
                    reply(b'{"ok": true}')  # type: ignore[operator]

                sink.subscribe("control/+", heard)
                sink.publish_kept("status", b'{"state": "running"}')
                seq = iter(range(10_000))

                def arrived(suffix: str) -> bool:
                    number = next(seq)
                    sink.write(replace(fresh(number), entered=(number,)), frame())
                    client.publish("edgepose/hall/camera/control/pause", b"{}", 1)
                    return bool(above.payloads(suffix))

                for suffix in ("/poses", "/events", "/status", "/availability", "/control/answer"):
                    wait_until(lambda suffix=suffix: arrived(suffix), f"{suffix} above", 20)  # type: ignore[misc]
                assert commands[0] == b"{}"
                assert wire.decode(above.payloads("/poses")[0]).joints == list(COCO17.joints)
                assert above.payloads("/availability")[-1] == b"online"

"""What docs/threats.md promises of access rules and certificates, with its own words, against a real mosquitto."""

from __future__ import annotations

import contextlib
import getpass
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgepose.core import config
from edgepose.core.config import Mqtt
from edgepose.core.errors import ConfigError
from edgepose.sink.mqtt import MqttSink
from edgepose.wire.topics import TOPICS
from tests.helpers.broker import Broker, program, secret_file, wait_until

PAGE = (Path(__file__).parents[1] / "docs" / "threats.md").read_text(encoding="utf-8")
PASSWORDS = {name: f"{name}-word" for name in ("porch", "hall", "dashboard", "operator")}


def block(name: str) -> str:
    """The text of a recipe."""
    found = re.search(rf"<!-- tested: {name} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def _read_all(client: Client, *_: Any) -> None:
    client.subscribe("#", 1)


class Person:
    """A client of its own: what it got, and what became of what it published."""

    def __init__(self, port: int, name: str, password: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self._answers: dict[int, bool] = {}
        self._ready = threading.Event()
        self._client = client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(name, password)
        client.on_connect = _read_all
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = lambda _client, _data, message: self.got.append((message.topic, bytes(message.payload)))
        client.on_publish = lambda _client, _data, mid, reason, _props: self._answers.update(
            {mid: not reason.is_failure}
        )
        client.connect("127.0.0.1", port)

    def may_publish(self, topic: str) -> bool:
        mid = self._client.publish(topic, b"x", 1).mid
        wait_until(lambda: mid in self._answers, f"an answer about {topic}")
        return self._answers[mid]

    def __enter__(self) -> Person:
        self._client.loop_start()
        wait_until(self._ready.is_set, "the subscription")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path, passwords=PASSWORDS, acl=block("acl")) as broker:
        yield broker


def person(broker: Broker, name: str) -> Person:
    return Person(broker.port, name, PASSWORDS[name])


@contextlib.contextmanager
def device(broker: Broker, name: str, folder: Path) -> Iterator[MqttSink]:
    word = secret_file(folder / f"{name}-word", PASSWORDS[name])
    settings = Mqtt(broker=broker.url, username=name, password_file=word, spool=str(folder))
    sink = MqttSink(settings, name, "camera", live=True)
    try:
        yield sink
    finally:
        sink.close()


def test_a_device_may_write_its_own_topics_and_no_others(guarded: Broker) -> None:
    with person(guarded, "porch") as porch:
        for suffix in ("poses", "events", "status", "availability", "presence", "health", "control/answer"):
            assert porch.may_publish(f"edgepose/porch/camera/{suffix}"), suffix
        assert porch.may_publish("homeassistant/device/edgepose_porch_camera/config")
        for topic in (
            "edgepose/hall/camera/poses",
            "edgepose/hall/camera/control/pause",
            "edgepose/porch/camera/control/pause",
            "homeassistant/device/edgepose_hall_camera/config",
            "homeassistant/status",
            "anything",
        ):
            assert not porch.may_publish(topic), topic


def test_the_rules_name_every_topic_that_a_device_publishes() -> None:
    granted = {line.rpartition("/+/")[2] for line in block("acl").splitlines() if line.startswith("pattern")}
    assert {topic.suffix for topic in TOPICS if topic.suffix != "control/+"} <= granted


def test_a_device_reads_the_commands_for_it_and_nothing_else(guarded: Broker) -> None:
    with person(guarded, "porch") as porch, person(guarded, "hall") as hall, person(guarded, "operator") as operator:
        assert hall.may_publish("edgepose/hall/camera/poses")
        assert operator.may_publish("edgepose/hall/camera/control/pause")
        assert operator.may_publish("edgepose/porch/camera/control/pause")
        wait_until(lambda: porch.got, "the command")

        assert [topic for topic, _ in porch.got] == ["edgepose/porch/camera/control/pause"]


def test_a_dashboard_reads_everything_and_writes_nothing(guarded: Broker) -> None:
    with person(guarded, "dashboard") as dashboard, person(guarded, "porch") as porch:
        assert porch.may_publish("edgepose/porch/camera/poses")
        wait_until(lambda: dashboard.got, "the poses")

        for topic in ("edgepose/porch/camera/control/snapshot", "edgepose/porch/camera/poses", "x"):
            assert not dashboard.may_publish(topic), topic


def test_a_real_device_gets_along_with_these_rules(guarded: Broker, tmp_path: Path) -> None:
    asked: list[bytes] = []

    def take(payload: bytes, _suffix: str, reply: Callable[[bytes], None]) -> None:
        asked.append(payload)
        reply(b"done")

    with person(guarded, "operator") as operator, device(guarded, "porch", tmp_path) as porch:
        porch.subscribe("control/+", take)
        wait_until(lambda: ("edgepose/porch/camera/availability", b"online") in operator.got, "the device")
        wait_until(lambda: operator.may_publish("edgepose/porch/camera/control/pause") and asked, "the command")
        wait_until(lambda: ("edgepose/porch/camera/control/answer", b"done") in operator.got, "the answer")


def test_a_stolen_board_is_shut_out_by_one_rule(tmp_path: Path) -> None:
    with (
        Broker(tmp_path, passwords=PASSWORDS, acl=block("acl") + block("stolen")) as broker,
        person(broker, "porch") as porch,
        person(broker, "hall") as hall,
    ):
        assert not porch.may_publish("edgepose/porch/camera/poses")
        assert hall.may_publish("edgepose/hall/camera/poses")


# ------------------------------------------------------------------------------------------------------- certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program("openssl")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(["sh", "-eu", "-c", block("certificates")], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def encrypted(tmp_path: Path, certificates: Path) -> Iterator[Broker]:
    (tmp_path / "edgepose.acl").write_text(block("acl"))
    (tmp_path / "edgepose.acl").chmod(0o600)
    made = Broker(tmp_path)
    text = block("broker").replace("/etc/mosquitto/certs", str(certificates))
    text = text.replace("/etc/mosquitto/edgepose.acl", str(tmp_path / "edgepose.acl"))
    text = text.replace("listener 8883", f"listener {made.port} 127.0.0.1")
    made._config.write_text(f"user {getpass.getuser()}\nlog_dest none\n{text}")
    made.url = made.url.replace("mqtt:", "mqtts:")
    with made:
        yield made


def settings_of(broker: Broker, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> config.Config:
    """The page's settings for a device, its key handed over as systemd does."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "mqtt-key").write_bytes((certificates / "porch.key").read_bytes())
    (folder / "mqtt-key").chmod(0o440)  # with an access list, as systemd makes it for a dynamic user
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    text = (
        block("device")
        .replace("/etc/edgepose", str(certificates))
        .replace("127.0.0.1:8883", f"127.0.0.1:{broker.port}")
    )
    (tmp_path / "edgepose.toml").write_text(text)
    return config.load(tmp_path / "edgepose.toml", {"sink.mqtt.spool": str(tmp_path)})


def test_a_device_with_its_certificate_is_let_in_under_its_name(
    encrypted: Broker, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = settings_of(encrypted, certificates, tmp_path, monkeypatch)
    got: list[tuple[str, bytes]] = []
    reader = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    reader.tls_set(
        str(certificates / "ca.crt"), str(certificates / "dashboard.crt"), str(certificates / "dashboard.key")
    )
    reader.on_connect = _read_all
    reader.on_message = lambda _client, _data, message: got.append((message.topic, bytes(message.payload)))
    reader.connect("127.0.0.1", encrypted.port)
    reader.loop_start()
    sink = MqttSink(cfg.sink.mqtt, cfg.device_name, cfg.camera, live=True)
    try:
        wait_until(lambda: ("edgepose/porch/camera/availability", b"online") in got, "the device")
    finally:
        sink.close()
        reader.disconnect()
        reader.loop_stop()


@pytest.mark.parametrize("shown", ["none", "of another authority"])
def test_without_a_certificate_of_ours_nobody_is_let_in(
    encrypted: Broker, certificates: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, shown: str
) -> None:
    given = {}
    if shown != "none":
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=porch"
        subprocess.run([*command.split(), "-keyout", "k", "-out", "c"], cwd=tmp_path, check=True, capture_output=True)
        given = {"cert_file": str(tmp_path / "c"), "key_file": str(tmp_path / "k")}
    caplog.set_level("INFO", "edgepose.sink.mqtt.sink")
    settings = Mqtt(broker=encrypted.url, ca_file=str(certificates / "ca.crt"), spool=str(tmp_path), **given)  # type: ignore[arg-type]
    sink = MqttSink(settings, "porch", "camera", live=True)
    try:
        wait_until(lambda: any("trying again" in said for said in caplog.messages), "a refusal")
        assert not any("connected, MQTT" in said for said in caplog.messages)
    finally:
        sink.close()


def test_a_broker_of_another_authority_is_not_talked_to(
    encrypted: Broker, certificates: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edgepose.sink.mqtt.sink")
    keys = {"cert_file": str(certificates / "porch.crt"), "key_file": str(certificates / "porch.key")}
    sink = MqttSink(Mqtt(broker=encrypted.url, spool=str(tmp_path), **keys), "porch", "camera", live=True)  # type: ignore[arg-type]
    try:
        wait_until(lambda: any("check sink.mqtt.ca_file" in said for said in caplog.messages), "a refusal")
    finally:
        sink.close()


def test_a_key_that_others_may_read_is_refused(certificates: Path, tmp_path: Path) -> None:
    key = tmp_path / "porch.key"
    key.write_bytes((certificates / "porch.key").read_bytes())
    key.chmod(0o644)
    both = tmp_path / "both.pem"
    both.write_bytes((certificates / "porch.crt").read_bytes() + key.read_bytes())
    both.chmod(0o640)
    from edgepose.sink.mqtt.target import target

    for given in ({"cert_file": str(certificates / "porch.crt"), "key_file": str(key)}, {"cert_file": str(both)}):
        with pytest.raises(ConfigError, match="chmod 600"):
            target(Mqtt(broker="mqtts://hub", **given), "porch", "camera")  # type: ignore[arg-type]

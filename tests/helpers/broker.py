"""A real mosquitto for tests, on a free loopback port, that can be killed, frozen and started again."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PERSISTENT = "persistence true\npersistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true"
"""Settings of a broker that keeps its state on every change; without them it loses what it has acknowledged."""

PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))


def program(name: str) -> str:
    """The path of `name`; without it the calling test is skipped, or fails if EDGEPOSE_REQUIRE_BROKER=1."""
    found = shutil.which(name, path=PATH)
    if found is None:
        reason = f"{name} is not installed; ./tools/test installs mosquitto when it may"
        if os.environ.get("EDGEPOSE_REQUIRE_BROKER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def secret_file(path: Path, text: str) -> str:
    """Write a file that nobody else may read; its name."""
    path.touch(0o600)
    path.write_text(text)
    return str(path)


def wait_until(true: Callable[[], Any], what: str, timeout_s: float = 8.0) -> None:
    """Poll until `true()` holds; fail the test with `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s} s in vain: {what}")
        time.sleep(0.01)


class Broker:
    """One mosquitto. Anonymous clients are allowed unless `passwords` are given."""

    def __init__(
        self,
        folder: Path,
        *,
        passwords: dict[str, str] | None = None,
        acl: str | None = None,
        certificate: tuple[Path, Path] | None = None,
        extra: str = "",
    ) -> None:
        self.port = free_port()
        self.url = f"{'mqtts' if certificate else 'mqtt'}://127.0.0.1:{self.port}"
        self._program = program("mosquitto")
        self._config = folder / f"mosquitto_{self.port}.conf"
        lines = [f"user {getpass.getuser()}", f"listener {self.port} 127.0.0.1", "log_dest none", extra]
        lines.append(f"allow_anonymous {'false' if passwords else 'true'}")
        if passwords:
            file = folder / "passwords"
            file.write_text("".join(f"{name}:{word}\n" for name, word in passwords.items()))
            file.chmod(0o600)
            subprocess.run([program("mosquitto_passwd"), "-U", file], check=True)
            lines.append(f"password_file {file}")
        if acl is not None:
            (folder / "acl").write_text(acl)
            (folder / "acl").chmod(0o600)
            lines.append(f"acl_file {folder / 'acl'}")
        if certificate:
            lines += [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, and wait until it takes connections."""
        self._process = process = subprocess.Popen(
            [self._program, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def listens() -> bool:
            if process.poll() is not None:
                pytest.fail(f"mosquitto ended with {process.returncode}; its settings: {self._config.read_text()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            return False

        wait_until(listens, "mosquitto to listen")

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT wakes it up again."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Subscriber:
    """An independent client that keeps every message under `topic`, and comes back when the broker does.

    session  its name at the broker, which then remembers it; MQTT 5
    """

    def __init__(
        self,
        port: int,
        topic: str = "#",
        *,
        version: str = "5",
        username: str = "",
        password: str = "",
        session: str = "",
    ):
        self.messages: list[MQTTMessage] = []
        self.subscribed = threading.Event()
        protocol = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}[version]
        self._client = client = Client(CallbackAPIVersion.VERSION2, session, protocol=protocol)

        def on_connect(*_: Any) -> None:
            client.subscribe(topic, 1)

        client.on_connect = on_connect
        client.on_subscribe = lambda *_: self.subscribed.set()
        client.on_message = lambda _client, _data, message: self.messages.append(message)
        client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        if username:
            client.username_pw_set(username, password)
        if session:
            memory = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            memory.SessionExpiryInterval = 3600
            client.connect_async("127.0.0.1", port, 5, clean_start=False, properties=memory)
        else:
            client.connect_async("127.0.0.1", port, 5)

    def __enter__(self) -> Subscriber:
        self._client.loop_start()
        wait_until(self.subscribed.is_set, "the subscription to be granted")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, **properties: Any) -> None:
        """Send a message, with properties of MQTT 5, and wait until the broker has it."""
        given = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(given, name, value)
        self._client.publish(topic, payload, 1, retain, given).wait_for_publish(5)

    def payloads(self, ending: str = "/poses") -> list[bytes]:
        """What came in so far on topics that end so, in order."""
        return [bytes(message.payload) for message in list(self.messages) if message.topic.endswith(ending)]


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A new certificate for this machine that signs itself, and its key: who trusts it gives it as authority."""
    files = folder / f"{name}.crt", folder / f"{name}.key"
    command = (
        f"{program('openssl')} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN={name} -addext subjectAltName=IP:127.0.0.1,DNS:localhost "
        f"-addext keyUsage=critical,keyCertSign,digitalSignature -out {files[0]} -keyout {files[1]}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return files


@contextlib.contextmanager
def python_broker(folder: Path) -> Iterator[int]:
    """amqtt in a process of its own, which speaks MQTT 3.1.1 and nothing newer; gives its port."""
    pytest.importorskip("amqtt", reason="amqtt is not installed; it comes with the demo extra")
    import sys

    port = free_port()
    script = folder / "broker.py"
    script.write_text(
        "import asyncio\n"
        "from amqtt.broker import Broker\n"
        "async def main():\n"
        f"    broker = Broker({{'listeners': {{'default': {{'type': 'tcp', 'bind': '127.0.0.1:{port}'}}}},\n"
        "        'plugins': {'amqtt.plugins.authentication.AnonymousAuthPlugin': {'allow_anonymous': True}}})\n"
        "    await broker.start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        def listens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        wait_until(listens, "amqtt to listen", 15)
        yield port
    finally:
        process.kill()
        process.wait()

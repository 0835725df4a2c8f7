"""An MQTT client in a process of its own: `python -m edgepose.lab.bench.subscriber < settings.json`.

It notes when each pose reached its callback, by the monotonic clock, which all processes of a machine share. It
says "ready", and when its standard input ends what it saw: [[seq, seconds], ...].
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from edgepose.core import config
from edgepose.core.errors import EdgeposeError

SETTLE_S = 1.0
"""How long the last messages may take."""


class Subscriber:
    """The client, started and asked; a context manager that is ready when entered."""

    def __init__(self, cfg: config.Config) -> None:
        self._cfg = cfg
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Subscriber:
        root = Path(__file__).resolve().parents[3]  # python -m finds edgepose in the current folder first
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "edgepose.lab.bench.subscriber"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root,
        )  # fmt: skip
        if process.stdin and process.stdout:
            process.stdin.write(config.to_json(self._cfg).decode() + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "ready\n":
                said = process.communicate()[1].strip().splitlines() or ["it said nothing"]
                raise EdgeposeError(f"bench: the subscriber ended: {said[-1]}")
        return self

    def arrivals(self) -> dict[int, float]:
        """Seq -> monotonic seconds at which its message reached the callback; ends the client."""
        if self._process is None:
            return {}
        time.sleep(SETTLE_S)
        out, _ = self._process.communicate(timeout=60)
        return {int(seq): float(t) for seq, t in json.loads(out or "[]")}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def main() -> int:
    """Listen until standard input ends."""
    from paho.mqtt import client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    from edgepose.sink.mqtt.target import target

    cfg = config.from_json(sys.stdin.readline())
    there = target(cfg.sink.mqtt, cfg.device_name, cfg.camera)
    came: list[tuple[float, bytes]] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    if there.username:
        client.username_pw_set(there.username, there.password or None)
    if there.tls:
        client.tls_set_context(there.tls)

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        came.append((time.monotonic(), bytes(message.payload)))

    def on_connect(*_: Any) -> None:
        client.subscribe(f"{there.root}/poses", qos=1)

    def on_subscribe(*_: Any) -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    client.on_message, client.on_subscribe = on_message, on_subscribe
    client.on_connect = on_connect
    client.connect(there.host, there.port)
    client.loop_start()
    sys.stdin.read()
    client.disconnect()
    client.loop_stop()
    json.dump([(json.loads(payload)["seq"], t) for t, payload in came], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Many devices at once: each a whole MQTT sink with poses of two people, against one broker with one reader.

They run in a few processes, so that one Python's lock does not hold the whole fleet back.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgepose import wire
from edgepose.core import config
from samples import people
from tools.soaking.broker import NAME, PASSWORD, READER, READER_PASSWORD, Broker
from tools.soaking.reader import wall_of

RATE_HZ = 15.0
IN_A_PROCESS = 13
WARM_S = 3.0
LEAST = 0.98
"""Of the messages that should come in."""


def _devices(first: int, number: int, broker: str, password: str, until: float) -> None:
    """Publish as `number` devices, each at its own moment of each period, until that wall time."""
    from edgepose.sink.mqtt import MqttSink

    with tempfile.TemporaryDirectory(prefix="edgepose-fleet-") as folder, ExitStack() as stack:
        settings = config.Mqtt(broker=broker, username=NAME, password_file=password, spool=folder)
        sinks = [MqttSink(settings, f"device{first + index}", "camera") for index in range(number)]
        for sink in sinks:
            stack.callback(sink.close)
        frame, period_s = people.frame(), 1 / RATE_HZ
        due_t = [time.monotonic() + period_s * index / number for index in range(number)]
        seq = 0
        while time.time() < until:
            for index, sink in enumerate(sinks):
                time.sleep(max(0.0, due_t[index] - time.monotonic()))
                due_t[index] += period_s
                sink.write(people.fresh(seq, 2), frame)
            seq += 1


class _Reader:
    """One reader of the whole fleet."""

    def __init__(self, port: int, from_wall: float, until: float) -> None:
        self.latency_s: list[float] = []
        self.bytes = 0
        self.by_device: Counter[str] = Counter()
        self._from, self._until = from_wall, until
        client = self._client = Client(CallbackAPIVersion.VERSION2, "fleet", protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(READER, READER_PASSWORD)
        client.on_connect = self._connected
        client.on_message = self._came
        client.connect("127.0.0.1", port)
        client.loop_start()

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe("edgepose/+/+/poses", 0)

    def _came(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        wall = time.time()
        pose = wire.decode(bytes(message.payload))
        captured = wall_of(pose.captured)
        if self._from <= captured < self._until:
            self.latency_s.append(wall - captured)
            self.by_device[pose.device] += 1
            self.bytes += len(message.payload)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class FleetReport:
    """What came of it."""

    devices: int
    seconds: float
    expected: int
    received: int
    message_bytes: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    slowest_device_hz: float
    broker_cpu: float
    """Of one core, 0..1."""
    broker_mib: float
    devices_cpu: float
    reader_cpu: float
    cores: int
    load: float

    @property
    def misses(self) -> list[str]:
        """What a fleet should not show."""
        share = self.received / max(1, self.expected)
        return [f"only {share:.1%} of the messages came in"] if share < LEAST else []

    @property
    def met(self) -> bool:
        """Whether all came through."""
        return not self.misses

    def text(self) -> str:
        """The numbers."""
        rows = {
            "devices": f"{self.devices} at {RATE_HZ:g} messages a second, {self.message_bytes:.0f} bytes each",
            "messages": f"{self.received:,} of {self.expected:,} in {self.seconds:.0f} s",
            "latency, written to read": f"p50 {self.p50_ms:.2f}, p99 {self.p99_ms:.2f}, worst {self.worst_ms:.1f} ms",
            "slowest device": f"{self.slowest_device_hz:.1f} messages a second",
            "broker": f"{self.broker_cpu:.1%} of a core, {self.broker_mib:.1f} MiB",
            "devices, all together": f"{self.devices_cpu:.1%} of a core",
            "reader": f"{self.reader_cpu:.1%} of a core",
            "machine": f"{self.cores} cores, load {self.load:.1f}",
        }
        lines = [f"{name:<28} {text}" for name, text in rows.items()]
        return "\n".join([*lines, *(f"NOT MET: {miss}" for miss in self.misses)])

    def plain(self) -> dict[str, Any]:
        """The same for json."""
        return {"schema": "edgepose.fleet/1", "met": self.met, **vars(self)}


def fleet(devices: int, seconds: float, nodelay: bool = True) -> FleetReport:
    """So many devices for so long."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgepose-fleet-")))
        folder.chmod(0o755)
        broker = Broker(folder / "broker", nodelay=nodelay)
        stack.callback(broker.kill)
        password = folder / "password"
        password.touch(0o600)
        password.write_text(PASSWORD + "\n")
        return _measure(devices, seconds, broker, password)


def _measure(devices: int, seconds: float, broker: Broker, password: Path) -> FleetReport:
    context = multiprocessing.get_context("spawn")
    parts = [(first, min(IN_A_PROCESS, devices - first)) for first in range(0, devices, IN_A_PROCESS)]
    from_wall = time.time() + WARM_S + 0.5 * len(parts)
    until = from_wall + seconds
    reader = _Reader(broker.plain, from_wall, until)
    url = f"mqtt://127.0.0.1:{broker.plain}"
    running = [
        context.Process(target=_devices, args=(first, number, url, str(password), until + 0.5))
        for first, number in parts
    ]
    for process in running:
        process.start()
    print(f"soak: {devices} devices in {len(running)} processes", file=sys.stderr, flush=True)
    time.sleep(max(0.0, from_wall - time.time()))
    pids = [process.pid or 0 for process in running]
    before = _cpu_s(broker.pid), sum(map(_cpu_s, pids)), time.process_time()
    time.sleep(max(0.0, until - time.time()))
    after = _cpu_s(broker.pid), sum(map(_cpu_s, pids)), time.process_time()
    used = [(late - early) / seconds for early, late in zip(before, after, strict=True)]
    mib = _rss_mib(broker.pid)
    for process in running:
        process.join(30)
    time.sleep(0.5)
    reader.close()
    latency_ms = np.array(reader.latency_s or [float("nan")]) * 1e3
    return FleetReport(
        devices=devices,
        seconds=seconds,
        expected=round(devices * RATE_HZ * seconds),
        received=len(reader.latency_s),
        message_bytes=reader.bytes / max(1, len(reader.latency_s)),
        p50_ms=float(np.percentile(latency_ms, 50)),
        p99_ms=float(np.percentile(latency_ms, 99)),
        worst_ms=float(latency_ms.max()),
        slowest_device_hz=min(reader.by_device.values(), default=0) / seconds,
        broker_cpu=used[0],
        devices_cpu=used[1],
        reader_cpu=used[2],
        broker_mib=mib,
        cores=os.cpu_count() or 1,
        load=os.getloadavg()[0],
    )


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

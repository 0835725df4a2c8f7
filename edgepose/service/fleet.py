"""All services that a broker knows, seen from outside: what they keep there, and what they answer when asked."""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

import msgspec

from edgepose import wire
from edgepose.core import config
from edgepose.core.errors import ConfigError, one_line
from edgepose.service.homeassistant import discovery_topic
from edgepose.sink.mqtt.subscription import Subscription
from edgepose.sink.mqtt.target import target

CONNECT_S = 5.0
SETTLE_S = 0.5
"""What a broker keeps comes right after the subscription; nothing new for this long: it is all there."""
HEARD = ("status", "availability", "presence", "health", "control/answer")
KEPT = ("status", "presence", "availability")
FORGOTTEN = (*KEPT, "numbering")
MOST_DEVICES = 4096
"""More are somebody who makes topics."""
MOST_NUMBER = 1e12
"""No number of a board is above it."""
NAME_CHARS = 120


class Answered(msgspec.Struct):
    """The result of the command `status`."""

    status: wire.Status
    health: wire.Health


@dataclass
class Device:
    """One service, as far as it is known."""

    root: str
    """Of its topics."""
    availability: str = ""
    """online or offline; empty: it never said."""
    status: wire.Status | None = None
    presence: wire.Presence | None = None
    health: wire.Health | None = None
    answered: deque[str] = field(default_factory=lambda: deque(maxlen=64))
    """The ids of the last questions that it answered, ours and others'."""
    refused: str = ""
    """Why it does not answer."""
    heard_t: float = 0.0
    history: list[float] = field(default_factory=list)
    """Its frame rate each time it told one."""
    template: str = "edgepose/{device}/{camera}"
    """sink.mqtt.topic, by which the root is read."""

    @property
    def names(self) -> tuple[str, str]:
        """Device and camera as its topics have them, which the broker's rules allowed; empty where they do not say.

        What the messages say is whatever somebody wrote.
        """
        return names_in(self.template, self.root)

    @property
    def name(self) -> str:
        """device/camera, in one line."""
        told = one_line("/".join(filter(None, self.names)) or self.root)
        return told if len(told) <= NAME_CHARS else f"{told[:NAME_CHARS]}..."

    @property
    def online(self) -> bool:
        """Whether it is connected."""
        return self.availability == "online"

    @property
    def state(self) -> str:
        """In one word."""
        if self.availability == "offline":
            return "offline"
        return one_line(self.status.state)[:20] if self.status else "unknown"

    @property
    def well(self) -> bool:
        """Connected and at work, or told not to be."""
        return self.online and self.state in ("running", "paused", "starting")


class Fleet:
    """A connection that listens to every device below the topic of the settings; a context manager."""

    def __init__(self, cfg: config.Config) -> None:
        if not cfg.sink.mqtt.broker:
            raise ConfigError("sink.mqtt.broker is not set; add --broker mqtt://HOST")
        there, self._template = target(cfg.sink.mqtt, cfg.device_name, cfg.camera), cfg.sink.mqtt.topic.rstrip("/")
        self._prefix = cfg.home_assistant.prefix.rstrip("/")
        self._devices: dict[str, Device] = {}
        self._changed = threading.Condition()
        self._kept_t = time.monotonic()
        below = pattern(cfg.sink.mqtt.topic)
        self._broker = Subscription(there, below, {f"{below}/{suffix}": 1 for suffix in HEARD}, self._took)

    def __enter__(self) -> Fleet:
        self._broker.open(CONNECT_S, "; check --broker")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._broker.close()

    def devices(self, names: Iterable[str] = ()) -> list[Device]:
        """Those known by now, by name; only those called so: a device, device/camera, or the root of the topics."""
        wanted = set(names)
        with self._changed:
            known = sorted(self._devices.values(), key=lambda device: device.name)
            return [d for d in known if not wanted or wanted & {d.root, d.name, d.name.partition("/")[0]}]

    def settle(self) -> None:
        """Wait until all that the broker keeps is here."""
        until_t = time.monotonic() + CONNECT_S
        self._kept_t = time.monotonic()
        while time.monotonic() - self._kept_t < SETTLE_S and time.monotonic() < until_t:
            time.sleep(SETTLE_S / 10)

    def ask(self, devices: Iterable[Device], timeout_s: float) -> None:
        """Ask those that are connected how they are, and wait for the answers."""
        id_ = f"cli-{secrets.token_hex(6)}"
        asked = [device for device in devices if device.online]
        for device in asked:
            self._broker.client.publish(f"{device.root}/control/status", msgspec.json.encode({"id": id_}), 1)
        self._wait(lambda: all(id_ in device.answered for device in asked), timeout_s)

    def forget(self, device: Device) -> None:
        """Clear all that the broker and Home Assistant keep of one that is gone for good.

        Raises:
            ConfigError: it is connected.
        """
        if device.online:
            raise ConfigError(f"{device.name} is online and would come back; stop it first")
        topics = [f"{device.root}/{suffix}" for suffix in FORGOTTEN]
        named = [device.names, *([(device.status.device, device.status.camera)] if device.status else ())]
        for names in filter(all, named):  # before the rest: its entities would complain of empty messages
            topics.insert(0, discovery_topic(self._prefix, *names))
        topics = list(dict.fromkeys(topics))
        for sent in [self._broker.client.publish(topic, b"", 1, True) for topic in topics]:
            sent.wait_for_publish(CONNECT_S)

    def _wait(self, done: Callable[[], bool], timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(done, timeout_s)

    def _took(self, topic: str, payload: bytes, kept: bool) -> None:
        """Called by the connection, in its thread."""
        suffix = next((suffix for suffix in HEARD if topic.endswith(f"/{suffix}")), "")
        root = topic.removesuffix(f"/{suffix}")
        now = time.monotonic()
        if kept:
            self._kept_t = now
        with self._changed:
            if not payload and suffix in KEPT:
                self._devices.pop(root, None)
            elif suffix and (root in self._devices or len(self._devices) < MOST_DEVICES):
                device = self._devices.setdefault(root, Device(root, template=self._template))
                device.heard_t = now
                with contextlib.suppress(ValueError):  # of another version, or somebody else's
                    _take(device, suffix, payload)
            self._changed.notify_all()


def _take(device: Device, suffix: str, payload: bytes) -> None:
    if suffix == "availability":
        device.availability = one_line(payload[:20].decode(errors="replace"))
    elif suffix == "status":
        device.status = wire.decode_struct(wire.Status, payload)
    elif suffix == "presence":
        device.presence = wire.decode_struct(wire.Presence, payload)
    elif suffix == "health":
        _tells(device, wire.decode_struct(wire.Health, payload))
    else:
        answer = wire.decode_struct(wire.Answer, payload)
        if answer.command != "status":
            return
        device.answered.append(answer.id)
        device.refused = one_line(answer.error)
        if answer.ok:
            try:
                result = msgspec.convert(answer.result, Answered)
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from None
            device.status = result.status
            _tells(device, result.health)


def _tells(device: Device, health: wire.Health) -> None:
    """Take over what can be; a stage without all of its numbers is left out.

    Raises:
        ValueError: a number that no board has.
    """
    whole = {stage: told for stage, told in health.latency_ms.items() if {"p50", "p95", "p99"} <= told.keys()}
    numbers: list[float] = [health.uptime_s, health.people, health.fps, *health.counts.values(), *health.spool.values()]
    numbers += [number for stage in whole.values() for number in stage.values()]
    numbers += [abs(number) for number in (health.temperature_c, health.memory_mib) if number is not None]
    if not all(0 <= number < MOST_NUMBER for number in numbers):
        raise ValueError("health: holds numbers that no board has")
    health = msgspec.structs.replace(health, latency_ms=whole)
    device.health = health
    device.history = [*device.history[-29:], health.fps]


def pattern(topic: str) -> str:
    """What to subscribe to for every device and camera: levels with {device} or {camera} may be anything."""
    levels = topic.rstrip("/").split("/")
    return "/".join("+" if re.search(r"\{(device|camera)\}", level) else level for level in levels)


def names_in(template: str, root: str) -> tuple[str, str]:
    """Device and camera in a root that was made from `template`; empty where it has none."""
    parts = re.split(r"\{(device|camera)\}", template.rstrip("/"))
    seen: set[str] = set()
    found = ""
    for at, part in enumerate(parts):
        plain = re.escape(part.replace("{{", "{").replace("}}", "}"))
        found += plain if at % 2 == 0 else f"(?P={part})" if part in seen else f"(?P<{part}>[^/]+)"
        seen |= {part} if at % 2 else set()
    match = re.fullmatch(found, root)
    told = match.groupdict() if match else {}
    return told.get("device", ""), told.get("camera", "")

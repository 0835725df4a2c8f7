"""Home Assistant finds the device by itself: one kept message under its discovery prefix describes all entities.

Device-based discovery, as its MQTT documentation has it: `dev` (the device), `o` (who says so), `cmps` (the entities).
An empty kept message on the same topic removes them all; `edgepose status --forget` sends it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

import edgepose
from edgepose.service import vitals

if TYPE_CHECKING:
    from edgepose.core import config
    from edgepose.core.poses import Frame, Poses
    from edgepose.sink.base import Topics

MISSED = 3.5
"""Health messages that may be missed before its numbers are unknown."""


def device_id(device: str, camera: str) -> str:
    """Of letters, digits, _ and - alone, as Home Assistant wants it; others never share it."""
    plain = f"edgepose_{device}_{camera}"
    told = re.sub(r"[^a-zA-Z0-9_-]", "_", plain)
    exact = told == plain and "_" not in device + camera
    return told if exact else f"{told}_{hashlib.sha256(f'{device}/{camera}'.encode()).hexdigest()[:6]}"


def discovery_topic(prefix: str, device: str, camera: str) -> str:
    """Where the description of the device goes; the whole topic."""
    return f"{prefix}/device/{device_id(device, camera)}/config"


def discovery(cfg: config.Config, root: str, *, has_temperature: bool) -> dict[str, Any]:
    """The description: every entity, and where its state is.

    root  of the device's topics
    """
    me = device_id(cfg.device_name, cfg.camera)
    health_every_s = cfg.sink.mqtt.health_every_s
    components: dict[str, dict[str, Any]] = {
        "people": {
            "p": "sensor",
            "name": "People",
            "icon": "mdi:account-group",
            "state_topic": f"{root}/presence",
            "value_template": "{{ value_json.people }}",
            "state_class": "measurement",
            "unit_of_measurement": "people",
        },
        "presence": {
            "p": "binary_sensor",
            "name": "Presence",
            "device_class": "occupancy",
            "state_topic": f"{root}/presence",
            "value_template": "{{ 'None' if value_json.present is none else 'ON' if value_json.present else 'OFF' }}",
        },
        "state": {
            "p": "sensor",
            "name": "State",
            "icon": "mdi:state-machine",
            "entity_category": "diagnostic",
            "state_topic": f"{root}/status",
            "value_template": "{{ value_json.state }}",
        },
    }
    if health_every_s:
        number = {
            "p": "sensor",
            "entity_category": "diagnostic",
            "state_topic": f"{root}/health",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "expire_after": max(1, round(MISSED * health_every_s)),
        }
        components["fps"] = {
            **number,
            "name": "Frame rate",
            "icon": "mdi:speedometer",
            "unit_of_measurement": "fps",
            "value_template": "{{ value_json.fps }}",
        }
        if has_temperature:
            components["temperature"] = {
                **number,
                "name": "Processor temperature",
                "device_class": "temperature",
                "unit_of_measurement": "°C",
                "value_template": "{{ value_json.temperature_c }}",
            }
    components |= _of_rules(cfg, root)
    for name, component in components.items():
        if component["p"] == "device_automation":
            continue
        component["unique_id"] = f"{me}_{name}"
        component["availability_topic"] = f"{root}/availability"
    components["connected"] = {
        "p": "binary_sensor",
        "name": "Connected",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "unique_id": f"{me}_connected",
        "state_topic": f"{root}/availability",
        "payload_on": "online",
        "payload_off": "offline",
    }
    own_name = cfg.device_name if cfg.camera == "camera" else f"{cfg.device_name} {cfg.camera}"
    return {
        "dev": {
            "ids": [me],
            "name": own_name,
            "mf": "edgepose",
            "mdl": "pose sensor",
            "sw": edgepose.__version__,
        },
        "o": {"name": "edgepose", "sw": edgepose.__version__},
        "cmps": components,
    }


def _of_rules(cfg: config.Config, root: str) -> dict[str, dict[str, Any]]:
    if not cfg.meaning.rules:
        return {}
    from edgepose.pipeline.meaning import read_rules
    from edgepose.service.homeassistant_rules import entities

    return entities(read_rules(cfg.meaning.rules), root)


class HomeAssistant:
    """A part of the service: announces the device, and again when Home Assistant starts."""

    def __init__(self, mqtt: Topics, cfg: config.Config) -> None:
        self._mqtt = mqtt
        self._prefix = cfg.home_assistant.prefix.rstrip("/")
        self._topic = discovery_topic(self._prefix, cfg.device_name, cfg.camera)
        described = discovery(cfg, mqtt.root, has_temperature=vitals.temperature_c() is not None)
        self._payload = msgspec.json.encode(described)

    def start(self) -> None:
        """Announce it."""
        self._announce()
        self._mqtt.subscribe(f"{self._prefix}/status", self._born, absolute=True)

    def saw(self, poses: Poses, frame: Frame) -> None:
        """Frames do not matter here."""

    def stop(self) -> None:
        """It stays known, and unavailable: it comes back with the next start."""

    def _born(self, payload: bytes, _topic: str, _reply: Callable[[bytes], None]) -> None:
        if payload == b"online":
            self._announce()

    def _announce(self) -> None:
        self._mqtt.publish_kept(self._topic, self._payload, absolute=True)

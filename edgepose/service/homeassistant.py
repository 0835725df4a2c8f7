"""Home Assistant finds the device by itself: one kept message under its discovery prefix describes all entities.

Device-based discovery, as its MQTT documentation has it: `dev` (the device), `o` (who says so), `cmps` (the entities).
An empty kept message on the same topic removes them all; `edgepose status --forget` sends it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

import edgepose
from edgepose.service import entities, vitals

if TYPE_CHECKING:
    from edgepose.core import config
    from edgepose.core.poses import Frame, Poses
    from edgepose.sink.base import Topics


def device_id(device: str, camera: str) -> str:
    """Of letters, digits, _ and - alone, as Home Assistant wants it; others never share it."""
    plain = f"edgepose_{device}_{camera}"
    told = re.sub(r"[^a-zA-Z0-9_-]", "_", plain)
    exact = told == plain and "_" not in device + camera
    return told if exact else f"{told}_{hashlib.sha256(f'{device}/{camera}'.encode()).hexdigest()[:6]}"


def discovery_topic(prefix: str, device: str, camera: str) -> str:
    """Where the description of the device goes; the whole topic."""
    return f"{prefix}/device/{device_id(device, camera)}/config"


def discovery(cfg: config.Config, root: str, *, has_temperature: bool, models: Sequence[str] = ()) -> dict[str, Any]:
    """The description: every entity, where its state is, and which command changes it.

    root    of the device's topics
    models  that may be chosen
    """
    me = device_id(cfg.device_name, cfg.camera)
    components = {**entities.told(root), **entities.numbers(cfg, root, has_temperature)}
    if cfg.sink.mqtt.events:
        components["person"] = entities.person(root)
    if cfg.control.on:
        components |= entities.commands(cfg, root, models)
    if cfg.power.mode != "off":
        components |= entities.power(root)
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
    from edgepose.service.homeassistant_rules import entities as of_rules

    return of_rules(read_rules(cfg.meaning.rules), root)


def _choices(cfg: config.Config) -> list[str]:
    """Models that a command may choose: the pairs, and the one in force, which may be another."""
    from edgepose.estimate.pairs import PAIRS

    named = re.fullmatch(r"[A-Za-z0-9_.+-]+", cfg.engine.model)
    return list(dict.fromkeys((*PAIRS, *((cfg.engine.model,) if named else ()))))


class HomeAssistant:
    """A part of the service: announces the device, and again when Home Assistant starts."""

    def __init__(self, mqtt: Topics, cfg: config.Config, *, runs_model: bool = True) -> None:
        """`runs_model`: False where poses come from others' models, and none can be chosen."""
        self._mqtt = mqtt
        self._prefix = cfg.home_assistant.prefix.rstrip("/")
        self._topic = discovery_topic(self._prefix, cfg.device_name, cfg.camera)
        models = _choices(cfg) if runs_model else []
        described = discovery(cfg, mqtt.root, has_temperature=vitals.temperature_c() is not None, models=models)
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

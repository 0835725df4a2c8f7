"""The entities that Home Assistant gets, as its MQTT documentation names their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from edgepose.service.state import State

if TYPE_CHECKING:
    from edgepose.core import config

Components = dict[str, dict[str, Any]]
MISSED = 3.5
"""Health messages that may be missed before its numbers are unknown."""


def told(root: str) -> Components:
    """What it says of itself and of who is there."""
    return {
        "people": {
            "p": "sensor",
            "name": "People",
            "icon": "mdi:account-group",
            "state_topic": f"{root}/presence",
            "value_template": "{{ value_json.people }}",
            "state_class": "measurement",
            "unit_of_measurement": "people",
            "suggested_display_precision": 0,
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
            "device_class": "enum",
            "options": list(get_args(State)),
            "entity_category": "diagnostic",
            "state_topic": f"{root}/status",
            "value_template": "{{ value_json.state }}",
        },
        "trouble": {
            "p": "sensor",
            "name": "Trouble",
            "icon": "mdi:alert-circle-outline",
            "entity_category": "diagnostic",
            "state_topic": f"{root}/status",
            "value_template": "{{ (value_json.troubles | default([]) + [value_json.reason | default('none')])"
            "[0][:250] }}",
        },
    }


def power(root: str) -> Components:
    """How much the camera is looked at, and what holds it back."""
    own = {"p": "sensor", "entity_category": "diagnostic", "state_topic": f"{root}/status"}
    return {
        "power": {**own, "name": "Power state", "icon": "mdi:sleep", "value_template": "{{ value_json.power }}"},
        "limited": {
            **own,
            "name": "Limited by",
            "icon": "mdi:speedometer-slow",
            "value_template": "{{ value_json.limited }}",
        },
    }


def person(root: str) -> dict[str, Any]:
    """Who entered and who left; event types that are not of these two are no news here."""
    return {
        "p": "event",
        "name": "Person",
        "icon": "mdi:walk",
        "event_types": ["entered", "left"],
        "state_topic": f"{root}/events",
        "value_template": "{% if value_json.type in ['entered', 'left'] %}"
        "{{ {'event_type': value_json.type, 'id': value_json.id} | to_json }}{% endif %}",
    }


def numbers(cfg: config.Config, root: str, has_temperature: bool) -> Components:
    """Of `health`, where it is sent."""
    if not cfg.sink.mqtt.health_every_s:
        return {}
    number = {
        "p": "sensor",
        "entity_category": "diagnostic",
        "state_topic": f"{root}/health",
        "state_class": "measurement",
        "suggested_display_precision": 1,
        "expire_after": max(1, round(MISSED * cfg.sink.mqtt.health_every_s)),
    }
    made = {
        "fps": {
            **number,
            "name": "Frame rate",
            "icon": "mdi:speedometer",
            "unit_of_measurement": "fps",
            "value_template": "{{ value_json.fps }}",
        },
        "latency": {
            **number,
            "name": "Latency",
            "icon": "mdi:timer-outline",
            "unit_of_measurement": "ms",
            "value_template": "{{ ((value_json.latency_ms.latency | default({})).p95) | default(None) }}",
        },
        "memory": {
            **number,
            "name": "Memory",
            "icon": "mdi:memory",
            "unit_of_measurement": "MiB",
            "value_template": "{{ value_json.memory_mib | default(None) }}",
        },
    }
    if cfg.sink.mqtt.events:
        made["waiting"] = {
            **number,
            "name": "Events waiting",
            "icon": "mdi:tray-full",
            "suggested_display_precision": 0,
            "value_template": "{{ (value_json.spool | default({})).kept | default(None) }}",
        }
    if has_temperature:
        made["temperature"] = {
            **number,
            "name": "Processor temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "value_template": "{{ value_json.temperature_c | default(None) }}",
        }
    return made


def commands(cfg: config.Config, root: str, models: Sequence[str]) -> Components:
    """What may be asked of it."""
    made: Components = {
        "pause": {
            "p": "switch",
            "name": "Pause",
            "icon": "mdi:pause",
            "state_topic": f"{root}/status",
            "value_template": "{{ 'ON' if value_json.state == 'paused' else 'OFF' }}",
            "command_topic": f"{root}/control/pause",
            "payload_on": "{}",
            "payload_off": '{"on": false}',
            "state_on": "ON",
            "state_off": "OFF",
        },
        "smoothing": {
            "p": "select",
            "name": "Smoothing",
            "icon": "mdi:chart-bell-curve",
            "entity_category": "config",
            "options": ["off", "light", "strong", "custom"],
            "state_topic": f"{root}/status",
            "value_template": "{{ value_json.smoothing }}",
            "command_topic": f"{root}/control/smoothing",
            "command_template": '{"preset": "{{ value }}"}',
        },
        "restart": {
            "p": "button",
            "name": "Restart",
            "device_class": "restart",
            "entity_category": "config",
            "command_topic": f"{root}/control/restart",
            "payload_press": "{}",
        },
    }
    if models:
        made["model"] = {
            "p": "select",
            "name": "Model",
            "icon": "mdi:brain",
            "entity_category": "config",
            "options": list(models),
            "state_topic": f"{root}/status",
            "value_template": "{{ value_json.model }}",
            "command_topic": f"{root}/control/model",
            "command_template": '{"model": "{{ value }}"}',
        }
    if cfg.control.snapshot:
        made["picture"] = {"p": "camera", "name": "Picture", "topic": f"{root}/snapshot"}
        made["take"] = {
            "p": "button",
            "name": "Take a picture",
            "icon": "mdi:camera",
            "command_topic": f"{root}/control/snapshot",
            "payload_press": "{}",
        }
    return made

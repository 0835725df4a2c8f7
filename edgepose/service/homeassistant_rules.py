"""What Home Assistant shows of rules: entities over `meaning`, device triggers over `events`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgepose.meaning import Rules
    from edgepose.meaning.settings import Common

Entity = dict[str, Any]


def entities(rules: Rules, root: str) -> dict[str, Entity]:
    """Key within the device -> entity, without its id.

    root  of the device's topics
    """
    made: dict[str, Entity] = {}
    for rule in rules.rules:
        for suffix, entity in ENTITIES.get(rule.kind, _nothing)(rule, rule.called, root):
            key = f"rule_{re.sub(r'[^a-zA-Z0-9_-]', '_', rule.called)}{suffix}"
            made[key if key not in made else f"{key}_{len(made)}"] = entity
    return made


def _value(rule: str, field: str) -> str:
    """A template: one field of one rule; unknown while there is none."""
    quoted = rule.replace("\\", "\\\\").replace("'", "\\'")
    return f"{{{{ value_json.rules['{quoted}'].{field} }}}}"


def _sensor(rule: str, root: str, field: str, name: str, **more: Any) -> Entity:
    return {
        "p": "sensor", "name": name, "state_topic": f"{root}/meaning", "value_template": _value(rule, field), **more,
    }  # fmt: skip


def _binary(rule: str, root: str, field: str, name: str, **more: Any) -> Entity:
    quoted = rule.replace("\\", "\\\\").replace("'", "\\'")
    template = f"{{{{ 'ON' if value_json.rules['{quoted}'].{field} else 'OFF' }}}}"
    return {
        "p": "binary_sensor", "name": name, "state_topic": f"{root}/meaning", "value_template": template, **more,
    }  # fmt: skip


def _trigger(rule: str, root: str, what: str, phase: str) -> Entity:
    """Fires with an event."""
    quoted = rule.replace("\\", "\\\\").replace("'", "\\'")
    template = f"{{{{ value_json.what if value_json.rule == '{quoted}' and value_json.phase == '{phase}' else '' }}}}"
    return {
        "p": "device_automation", "automation_type": "trigger", "topic": f"{root}/events",
        "type": what, "subtype": rule, "payload": what, "value_template": template,
    }  # fmt: skip


Entities = Iterator[tuple[str, Entity]]


def _nothing(_rule: Common, _called: str, _root: str) -> Entities:
    yield from ()


def _fall(_rule: Common, called: str, root: str) -> Entities:
    yield "", _binary(called, root, "on", called.capitalize(), device_class="safety", icon="mdi:human-handsdown")
    yield "_state", _sensor(called, root, "state", f"{called.capitalize()} state", icon="mdi:human-handsdown")


def _posture(_rule: Common, called: str, root: str) -> Entities:
    yield "", _sensor(called, root, "posture", called.capitalize(), icon="mdi:human")


def _reps(_rule: Common, called: str, root: str) -> Entities:
    yield "", _sensor(
        called, root, "count", called.capitalize(), icon="mdi:counter", state_class="measurement",
    )  # fmt: skip


def _gesture(rule: Common, called: str, root: str) -> Entities:
    from edgepose.meaning.rules.gesture import BUILT_IN

    asked: Sequence[str] = getattr(rule, "gestures", ()) or tuple(BUILT_IN)
    for name in asked:
        yield f"_{re.sub(r'[^a-zA-Z0-9_-]', '_', name)}", _trigger(called, root, name, "begin")


def _zone(rule: Common, called: str, root: str) -> Entities:
    if getattr(rule, "line_px", ()):
        for way in ("left", "right"):
            yield f"_{way}", _sensor(
                called, root, way, f"{called.capitalize()} {way}", icon="mdi:arrow-decision",
                state_class="total_increasing",
            )  # fmt: skip
        return
    yield "", _binary(called, root, "occupied", called.capitalize(), device_class="occupancy")
    yield "_people", _sensor(
        called, root, "count", f"{called.capitalize()} people", icon="mdi:account-group", state_class="measurement",
        unit_of_measurement="people",
    )  # fmt: skip


def _near(_rule: Common, called: str, root: str) -> Entities:
    yield "", _sensor(called, root, "level", called.capitalize(), icon="mdi:robot-industrial")
    yield "_distance", _sensor(
        called, root, "distance_m", f"{called.capitalize()} distance", device_class="distance",
        unit_of_measurement="m", state_class="measurement",
    )  # fmt: skip


def _on(_rule: Common, called: str, root: str) -> Entities:
    yield "", _binary(called, root, "on", called.capitalize())


def _attention(_rule: Common, called: str, root: str) -> Entities:
    yield "", _sensor(called, root, "attention", called.capitalize(), icon="mdi:eye")


def _gait(_rule: Common, called: str, root: str) -> Entities:
    yield "", _sensor(
        called, root, "cadence_per_min", f"{called.capitalize()} cadence", icon="mdi:walk",
        state_class="measurement", unit_of_measurement="steps/min",
    )  # fmt: skip


ENTITIES: dict[str, Callable[[Common, str, str], Entities]] = {
    "fall": _fall,
    "posture": _posture,
    "reps": _reps,
    "gesture": _gesture,
    "zone": _zone,
    "near": _near,
    "angle": _on,
    "user": _on,
    "attention": _attention,
    "gait": _gait,
}
"""Kind -> what is shown of it; `control` is for games alone."""

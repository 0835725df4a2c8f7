"""What Home Assistant is told, held against what its documentation and its own schemas allow.

Required and allowed keys are those of the device discovery payload, and of the MQTT sensor and binary sensor, as
documented for 2024.12 and later; in full or as the documented abbreviations.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgepose import wire
from edgepose.core import config
from edgepose.service.homeassistant import device_id, discovery, discovery_topic
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.service import Camera, picture, running, settings

LONG = {
    "dev": "device", "o": "origin", "cmps": "components", "p": "platform", "ids": "identifiers", "cns": "connections",
    "mf": "manufacturer", "mdl": "model", "sw": "sw_version", "hw": "hw_version", "sn": "serial_number",
    "sa": "suggested_area", "cu": "configuration_url", "url": "support_url", "avty": "availability",
    "avty_t": "availability_topic", "stat_t": "state_topic", "val_tpl": "value_template", "uniq_id": "unique_id",
}  # fmt: skip
AVAILABILITY = {"availability", "availability_mode", "availability_topic", "availability_template",
                "payload_available", "payload_not_available"}  # fmt: skip
ROOT = {"device", "origin", "components", "state_topic", "command_topic", "qos", "encoding"} | AVAILABILITY
DEVICE = {"identifiers", "connections", "name", "manufacturer", "model", "model_id", "sw_version", "hw_version",
          "serial_number", "suggested_area", "via_device", "configuration_url"}  # fmt: skip
ORIGIN = {"name", "sw_version", "support_url"}
ENTITY = {"platform", "name", "unique_id", "default_entity_id", "icon", "entity_category", "entity_picture",
          "enabled_by_default", "json_attributes_topic", "json_attributes_template", "qos", "encoding", "device_class",
          "expire_after", "force_update", "state_topic", "value_template"} | AVAILABILITY  # fmt: skip
COMMAND = {"command_topic", "command_template", "optimistic", "retain"}
PLATFORMS = {
    "sensor": ENTITY | {"state_class", "unit_of_measurement", "suggested_display_precision", "options",
                        "last_reset_value_template"},
    "binary_sensor": ENTITY | {"payload_on", "payload_off", "off_delay"},
    "switch": ENTITY | COMMAND | {"payload_on", "payload_off", "state_on", "state_off"},
    "select": ENTITY | COMMAND | {"options"},
    "button": ENTITY | COMMAND | {"payload_press"},
    "event": ENTITY | {"event_types"},
    "camera": ENTITY | {"topic", "image_encoding"},
}  # fmt: skip
DEVICE_CLASSES: dict[str, set[str | None]] = {
    "sensor": {None, "temperature", "enum"}, "binary_sensor": {None, "occupancy", "connectivity"},
    "button": {None, "restart"}, "switch": {None}, "select": {None}, "event": {None}, "camera": {None},
}  # fmt: skip
NEEDS = {"sensor": "state_topic", "binary_sensor": "state_topic", "event": "state_topic", "switch": "command_topic",
         "select": "command_topic", "button": "command_topic", "camera": "topic"}  # fmt: skip
CONFIGURES = ("switch", "select", "button")
UNITS_OF = {"temperature": {"°C", "°F", "K"}}
SUBSCRIBABLE = re.compile(r"[^#+\x00]+")
"""A state topic without wildcards."""


def full(raw: dict[str, Any]) -> dict[str, Any]:
    """Abbreviations written out, as Home Assistant does first; two ways of writing one key are an error."""
    out = {LONG.get(key, key): value for key, value in raw.items()}
    assert len(out) == len(raw)
    return out


def check(topic: str, payload: bytes, prefix: str = "homeassistant") -> dict[str, Any]:
    """Fail on whatever Home Assistant would refuse or ignore; the payload with long names."""
    assert re.fullmatch(rf"{re.escape(prefix)}/device/[a-zA-Z0-9_-]+/config", topic)
    root = full(json.loads(payload))
    assert {"device", "origin", "components"} <= set(root) <= ROOT
    device, origin = full(root["device"]), full(root["origin"])
    assert set(device) <= DEVICE
    assert device.get("identifiers") or device.get("connections")
    assert all(isinstance(identifier, str) for identifier in device["identifiers"])
    assert {"name"} <= set(origin) <= ORIGIN
    ids = []
    for key, raw in root["components"].items():
        entity = full(raw)
        assert isinstance(key, str)
        platform = entity["platform"]
        assert set(entity) <= PLATFORMS[platform], set(entity) - PLATFORMS[platform]
        assert {"unique_id", NEEDS[platform], "name"} <= set(entity)  # without unique_id it is not set up
        assert not {"availability", "availability_topic"} <= set(entity)  # one way or the other
        assert entity.get("device_class") in DEVICE_CLASSES[platform]
        config_too = ("config",) if platform in CONFIGURES else ()  # it is not for what only tells
        assert entity.get("entity_category") in (None, "diagnostic", *config_too)
        if entity.get("device_class") == "enum":
            assert entity["options"]
            assert not {"state_class", "unit_of_measurement"} & set(entity)
        assert entity.get("state_class") in (None, "measurement", "total", "total_increasing")
        assert entity.get("unit_of_measurement", "°C") in UNITS_OF.get(
            entity.get("device_class", ""), {entity.get("unit_of_measurement", "°C")}
        )
        assert isinstance(entity.get("expire_after", 1), int)
        assert entity.get("expire_after", 1) > 0
        for topic_key in ("state_topic", "availability_topic"):
            if topic_key in entity:
                assert SUBSCRIBABLE.fullmatch(entity[topic_key])
        for made in ("value_template", "command_template"):
            template = entity.get(made, "{{ value }}")
            assert template.count("{{") == template.count("}}") == 1
        ids.append(entity["unique_id"])
    assert len(set(ids)) == len(ids)
    assert len(payload) < 8192  # well below what brokers and boards take
    return root


def payload_of(root: str = "edgepose/kitchen/door", has_temperature: bool = True, **raw: Any) -> bytes:
    cfg = config.convert({"device": "kitchen", "camera": "door", **raw}, config.Config, "test")
    models = ["default", "light"]
    return json.dumps(discovery(cfg, root, has_temperature=has_temperature, models=models)).encode()


def test_the_description_is_what_home_assistant_documents() -> None:
    root = check(discovery_topic("homeassistant", "kitchen", "door"), payload_of())
    assert set(root["components"]) == {
        "people", "presence", "fps", "temperature", "state", "connected", "trouble", "latency", "memory", "waiting",
        "person", "pause", "smoothing", "restart", "model", "power", "limited",
    }  # fmt: skip
    assert root["device"]["name"] == "kitchen door"


def test_what_the_board_or_the_settings_do_not_tell_is_no_entity() -> None:
    root = check(discovery_topic("homeassistant", "kitchen", "door"), payload_of(has_temperature=False))
    assert "temperature" not in root["components"]
    never = payload_of(sink={"mqtt": {"health_every_s": 0}})
    root = check(discovery_topic("homeassistant", "kitchen", "door"), never)
    assert not {"temperature", "fps", "latency", "memory"} & set(root["components"])
    silent = payload_of(control={"on": False}, sink={"mqtt": {"events": False}})
    root = check(discovery_topic("homeassistant", "kitchen", "door"), silent)
    assert not {"pause", "model", "smoothing", "restart", "person", "waiting"} & set(root["components"])
    pictures = check(discovery_topic("homeassistant", "kitchen", "door"), payload_of(control={"snapshot": True}))
    assert {"picture", "take"} <= set(pictures["components"])


def test_numbers_of_health_expire_only_after_some_were_missed() -> None:
    fps = json.loads(payload_of(sink={"mqtt": {"health_every_s": 30}}))["cmps"]["fps"]
    assert 60 < fps["expire_after"] < 300


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("kitchen", "door"), ("kitchen door", "camera")),
        (("a_b", "c"), ("a", "b_c")),
        (("Küche", "Tür"), ("K_che", "T_r")),
        (("a.b", "c"), ("a_b", "c")),
    ],
)
def test_no_two_devices_share_an_id(one: tuple[str, str], other: tuple[str, str]) -> None:
    ids = device_id(*one), device_id(*other)
    assert ids[0] != ids[1]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", each) for each in ids)
    assert device_id("kitchen", "door") == "edgepose_kitchen_door"


def rendered(template: str, value_json: dict[str, Any] | None = None, value: str = "") -> str:
    """By the engine that Home Assistant has."""
    jinja2 = pytest.importorskip("jinja2", reason="the engine of Home Assistant's templates, jinja2, is not installed")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["to_json"] = json.dumps
    return str(environment.from_string(template).render(value_json=value_json, value=value))


def test_a_running_service_announces_itself_and_its_templates_find_what_they_ask_for(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Subscriber(broker.port) as seen:
        cfg = settings(tmp_path, broker.url, home_assistant={"on": True, "prefix": "ha/"})
        topic = "ha/device/edgepose_kitchen_door/config"

        def announced() -> list[bytes]:
            return [bytes(message.payload) for message in list(seen.messages) if message.topic == topic]

        with running(cfg, Camera(picture(), 10)):
            wait_until(lambda: announced(), "the description")
            root = check(topic, announced()[0], "ha")
            latest: dict[str, bytes] = {}

            def told() -> bool:
                latest.update({message.topic: bytes(message.payload) for message in list(seen.messages)})
                wanted = {entity["state_topic"] for entity in root["components"].values() if "state_topic" in entity}
                running_now = b'"running"' in latest.get("edgepose/kitchen/door/status", b"")
                people = b'"people":1' in latest.get("edgepose/kitchen/door/presence", b"")
                return wanted <= set(latest) and running_now and people

            wait_until(told, "every state topic", 20)
            states = {}
            for name, entity in root["components"].items():
                if "state_topic" not in entity:
                    continue
                message = latest[entity["state_topic"]]
                template = entity.get("value_template")
                states[name] = rendered(template, json.loads(message)) if template else message.decode()
            assert states["people"] == "1"
            assert states["presence"] == "ON"
            assert states["state"] == "running"
            assert states["state"] in root["components"]["state"]["options"]
            assert states["connected"] == "online"
            assert (states["trouble"], states["pause"]) == ("none", "OFF")
            assert states["model"] in root["components"]["model"]["options"]
            assert states["smoothing"] in root["components"]["smoothing"]["options"]
            assert json.loads(states["person"]) == {"event_type": "entered", "id": 1}
            assert float(states["latency"]) > 0
            assert states["waiting"] in ("0", "1")
            assert float(states["fps"]) > 0
            before = len(announced())
            seen._client.publish("ha/status", b"offline", 1)
            seen._client.publish("ha/status", b"online", 1)
            wait_until(lambda: len(announced()) > before, "the description again")
        assert b"" not in announced()  # it stays known while it is off


def test_unknown_presence_is_none_which_home_assistant_calls_unknown() -> None:
    components = json.loads(payload_of())["cmps"]
    unknown = {"people": None, "present": None}
    assert rendered(components["people"]["value_template"], unknown) == "None"
    assert rendered(components["presence"]["value_template"], unknown) == "None"
    assert rendered(components["presence"]["value_template"], {"present": False}) == "OFF"


def test_home_assistant_that_is_off_is_not_touched(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Subscriber(broker.port) as seen:
        seen._client.publish("homeassistant/device/edgepose_kitchen_door/config", b"{}", 1, True)
        with running(settings(tmp_path, broker.url), Camera(picture(), 10)):
            wait_until(lambda: seen.payloads("/poses"), "poses", 20)
        assert [m.payload for m in seen.messages if m.topic.startswith("homeassistant")] == [b"{}"]


def test_every_command_of_an_entity_is_one_that_edgepose_takes() -> None:
    """What the switch, the selects and the buttons send, read by what reads commands."""
    components = json.loads(payload_of(control={"snapshot": True}))["cmps"]
    sent = {
        "pause": [components["pause"]["payload_on"], components["pause"]["payload_off"]],
        "smoothing": [rendered(components["smoothing"]["command_template"], value="strong")],
        "model": [rendered(components["model"]["command_template"], value="light")],
        "restart": [components["restart"]["payload_press"]],
        "take": [components["take"]["payload_press"]],
    }
    for name, payloads in sent.items():
        command = components[name]["command_topic"].rpartition("/")[2]
        for payload in payloads:
            assert wire.decode_command(command, payload.encode())
    assert wire.decode_command("pause", sent["pause"][1].encode()).on is False  # type: ignore[attr-defined]


def test_events_of_other_types_and_missing_numbers_are_no_error() -> None:
    components = json.loads(payload_of())["cmps"]
    assert rendered(components["person"]["value_template"], {"type": "fell", "id": 3}) == ""
    assert rendered(components["latency"]["value_template"], {"latency_ms": {}}) == "None"
    assert rendered(components["memory"]["value_template"], {}) == "None"
    assert rendered(components["trouble"]["value_template"], {"troubles": ["a disk"], "state": "running"}) == "a disk"


def test_the_switch_pauses_and_goes_on_and_the_camera_gets_a_picture(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Subscriber(broker.port) as seen:
        cfg = settings(tmp_path, broker.url, home_assistant={"on": True}, control={"snapshot": True})
        with running(cfg, Camera(picture(), 10)) as service:
            wait_until(lambda: seen.payloads("/poses"), "poses", 20)
            root = "edgepose/kitchen/door"
            seen.publish(f"{root}/control/pause", b"{}")
            wait_until(lambda: service.pipeline.control.paused, "the pause")
            seen.publish(f"{root}/control/pause", b'{"on": false}')
            wait_until(lambda: not service.pipeline.control.paused, "the end of it")
            seen.publish(f"{root}/control/snapshot", b"{}")
            wait_until(lambda: seen.payloads("/door/snapshot"), "the picture", 20)
            assert seen.payloads("/door/snapshot")[0].startswith(b"\xff\xd8")

"""The real Home Assistant Core shows every entity, says nothing bad of one, and forgets the device without a word."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgepose.commands import cli
from edgepose.service.homeassistant import discovery
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.service import Camera, picture, running, settings

pytestmark = [pytest.mark.slow, pytest.mark.broker]
CORE = Path(__file__).parent / "helpers" / "homeassistant_core.py"


def python_of_core() -> str:
    """A Python that has it: EDGEPOSE_HOMEASSISTANT names one, for it wants versions of its own of everything."""
    named = os.environ.get("EDGEPOSE_HOMEASSISTANT", "")
    if not named and importlib.util.find_spec("homeassistant") is None:
        pytest.skip(
            "Home Assistant is not here; python3.13 -m venv ha && ha/bin/pip install homeassistant paho-mqtt==2.1.0, "
            "then EDGEPOSE_HOMEASSISTANT=ha/bin/python"
        )
    return named or sys.executable


def test_core_shows_every_entity_and_forgets_the_device(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    python = python_of_core()
    folder = tmp_path / "ha"
    folder.mkdir()
    care = tmp_path / "care.toml"
    care.write_text('[[rule]]\nkind = "fall"\n\n[[rule]]\nkind = "posture"\n')
    with Broker(tmp_path) as broker, Subscriber(broker.port) as seen:
        more: dict[str, Any] = {"home_assistant": {"on": True}, "control": {"snapshot": True}}
        cfg = settings(tmp_path, broker.url, meaning={"rules": str(care)}, **more)
        described = discovery(cfg, "edgepose/kitchen/door", has_temperature=False, models=["default"])["cmps"]
        wanted = {entity["unique_id"] for entity in described.values() if "unique_id" in entity}
        command = [python, str(CORE), str(broker.port), str(folder), str(len(wanted))]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as core:
            assert core.stdout
            assert core.stdin
            try:
                with running(cfg, Camera(picture(), 10)):
                    wait_until(lambda: seen.payloads("/poses"), "poses", 30)
                    shown = json.loads(core.stdout.readline())
                wait_until(lambda: seen.payloads("/availability")[-1:] == [b"offline"], "the goodbye", 30)
                assert cli.main(["status", "--broker", broker.url, "--forget", "kitchen/door"]) == 0
                core.stdin.close()
                after = json.loads(core.stdout.readline())
            finally:
                core.kill()
    states = {name: state for name, (_, state) in shown["entities"].items()}
    assert wanted - set(states) == set(), shown
    missing = [name for name, state in states.items() if state in (None, "unavailable")]
    assert missing == [], shown
    assert states["edgepose_kitchen_door_people"] == "1"
    assert states["edgepose_kitchen_door_presence"] == "on"
    assert states["edgepose_kitchen_door_state"] == "running"
    assert shown["devices"] == ["kitchen door"]
    ours = ("homeassistant.components.mqtt", "homeassistant.helpers.template", "kitchen", "edgepose")
    about_us = [line for line in after["log"] if any(name in line for name in ours)]
    assert about_us == [], "\n".join(about_us)
    assert after["left"] == 0
    with capfd.disabled():
        sys.stdout.write(f"\nHome Assistant {shown['version']}: {len(states)} entities, none with an error\n")

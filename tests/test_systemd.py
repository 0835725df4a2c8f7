"""The units pass systemd's own checks, and edgepose works inside their sandbox."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.service.run import RESTART
from tests.helpers import sandbox
from tests.helpers.supervisor import Listener, Service, env

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
UNITS = ROOT / "systemd"
UNIT, TEMPLATE = UNITS / "edgepose.service", UNITS / "edgepose@.service"
MOST_EXPOSED = 17
"""Tenths."""

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here: sudo apt install systemd"
)


def run(*command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A program to its end, its output as text."""
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, env={**os.environ, **more}
    )


# ------------------------------------------------------------------------------------------------ units


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image with the units, and something in the place of what they start."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in (UNIT, TEMPLATE):
        shutil.copy(unit, units)
    for program in ("opt/edgepose/bin/edgepose", "bin/kill"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shutil.which("true") or "/bin/true", tmp_path / program)
    return tmp_path


@needs_analyze
@pytest.mark.parametrize("name", ["edgepose.service", "edgepose@door.service"])
def test_a_unit_verifies_without_a_word(root: Path, name: str) -> None:
    verify = ("systemd-analyze", "verify", f"--root={root}", "--man=no", "--recursive-errors=no", name)
    found = run(*verify)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")
    unit = root / "etc/systemd/system" / re.sub("door", "", name)
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSecs"))
    assert run(*verify).returncode != 0  # the check does check


@needs_analyze
@pytest.mark.parametrize("unit", [UNIT, TEMPLATE], ids=lambda unit: unit.name)
def test_a_unit_is_exposed_by_1_7_at_most(unit: Path) -> None:
    rated = run("systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit)
    assert rated.returncode == 0, rated.stdout


def test_the_template_is_the_unit_but_for_names() -> None:
    def lines(path: Path) -> list[str]:
        return [line for line in path.read_text().splitlines() if not line.startswith("#")]

    told = lines(TEMPLATE)
    for one, other in ((" --camera %i", ""), ("the camera %i", "a camera"), ("%i.toml", "edgepose.toml")):
        told = [line.replace(one, other) for line in told]
    assert [re.sub("[-./]%i", "", line) for line in told] == lines(UNIT)


def test_the_units_exit_codes_are_those_of_edgepose() -> None:
    found = sandbox.settings(UNIT)
    assert found["RestartPreventExitStatus"] == [str(ConfigError.exit_code)]
    assert found["RestartForceExitStatus"] == found["SuccessExitStatus"] == [str(RESTART)]
    assert found["Type"] == ["notify"]


def test_the_watchdog_waits_longer_than_the_loop_may_be_silent() -> None:
    assert int(sandbox.settings(UNIT)["WatchdogSec"][0]) > config.Service().stall_s


def test_both_ids_of_a_coral_stick_and_its_pcie_node_have_a_group_that_the_unit_has() -> None:
    rules = (UNITS / "70-edgepose-coral.rules").read_text()
    for ids in (("1a6e", "089a"), ("18d1", "9302")):
        assert 'ATTR{{idVendor}}=="{}", ATTR{{idProduct}}=="{}"'.format(*ids) in rules
    groups = set(re.findall(r'GROUP="(\w+)"', rules))
    assert groups == {"plugdev", "apex"}
    assert groups <= set(sandbox.settings(UNIT)["SupplementaryGroups"][0].split())
    made = re.findall(r"^m edgepose (\w+)", (UNITS / "sysusers.conf").read_text(), re.MULTILINE)
    assert set(sandbox.settings(UNIT)["SupplementaryGroups"][0].split()) == set(made)


def test_the_settings_file_that_is_installed_loads_with_every_comment_taken_off(tmp_path: Path) -> None:
    text = (UNITS / "edgepose.toml").read_text()
    path = tmp_path / "edgepose.toml"
    path.write_text(text)
    assert config.load(path).engine.models_dir == "/var/lib/edgepose/models"
    for line in re.findall(r"^# (\w+ = .*)$", text, re.MULTILINE):
        section = re.findall(r"^\[(.*)\]$", text[: text.index(line)], re.MULTILINE)
        path.write_text((f"[{section[-1]}]\n" if section else "") + line)
        config.load(path)


# ------------------------------------------------------------------------------------------------ the sandbox


@pytest.mark.skipif(bool(sandbox.why_not()), reason=sandbox.why_not())
def test_edgepose_works_within_the_units_system_calls_and_stops_in_them(tmp_path: Path) -> None:
    state, poses = tmp_path / "state", tmp_path / "poses.jsonl"
    given = {"STATE_DIRECTORY": str(state), "RUNTIME_DIRECTORY": str(tmp_path)}
    pictures = ["--source", str(ROOT / "edgepose/lab/demo/pictures"), "--source.loop", "true", "--track.mode", "on"]
    within = [sys.executable, "-m", "tests.helpers.sandbox", str(UNIT)]
    with Listener() as listener:
        there = env(listener, WATCHDOG_USEC="2000000", EDGEPOSE_REMEMBER_TRIALS="no", **given)
        with Service(*pictures, "--jsonl", str(poses), env=there, before=within) as service:
            listener.wait(lambda message: "READY" in message)
            listener.wait(lambda message: "WATCHDOG" in message)
            assert service.end() == 0
    assert [line for line in poses.read_text().splitlines() if json.loads(line)["people"]]
    assert poses.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(bool(sandbox.why_not()), reason=sandbox.why_not())
def test_a_delegates_process_is_started_and_ended_within_the_units_system_calls() -> None:
    within = [
        sys.executable,
        "-m",
        "tests.helpers.sandbox",
        str(UNIT),
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
    ]
    told = subprocess.run(
        [*within, "tests/test_accelerated.py", "-k", "comes_back or imports_little"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout


@pytest.mark.skipif(bool(sandbox.why_not()), reason=sandbox.why_not())
def test_the_sandbox_is_one() -> None:
    tried = """
import os, socket
calls = [(os.sched_setaffinity, 0, {0}), (socket.socket, socket.AF_PACKET, socket.SOCK_RAW), (os.nice, 1)]
for call, *arguments in calls:
    try:
        call(*arguments)
    except PermissionError:
        print("refused")
"""
    told = subprocess.run(
        [sys.executable, "-m", "tests.helpers.sandbox", str(UNIT), sys.executable, "-c", tried],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == ["refused"] * 3

"""The Debian package's scripts and the files around it, without building one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "tools" / "deb"
SCRIPTS = [OWN / "postinst", OWN / "prerm", OWN / "postrm", OWN / "build.sh", ROOT / "tools" / "package"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one_that_any_sh_reads(script: Path) -> None:
    subprocess.run([shutil.which("dash") or "sh", "-n", str(script)], check=True)


def test_every_library_that_the_project_needs_is_pinned() -> None:
    pins = {re.split(r"[=<>]", line)[0] for line in (OWN / "pins.txt").read_text().splitlines() if line[:1].isalpha()}
    assert pins == {"ai-edge-litert", "msgspec", "numpy", "opencv-python-headless", "paho-mqtt"}


def test_the_pythons_it_is_built_for_are_those_it_depends_on() -> None:
    built = re.search(r'deb_pythons="(.*)"', (OWN / "build.sh").read_text())
    assert built
    depends = (OWN / "control").read_text()
    for python in built[1].split():
        assert f"python3 (>= {python})" in depends


def test_a_unit_of_the_package_runs_what_the_package_has() -> None:
    edit = re.findall(r"-e 's\|(.*?)\|(.*?)\|'", (OWN / "build.sh").read_text())
    for unit in ("edgepose.service", "edgepose@.service"):
        text = (ROOT / "systemd" / unit).read_text()
        for old, new in edit:
            assert old in text
            text = text.replace(old, new)
        assert "/opt/edgepose" not in text
        assert "ExecStart=/usr/bin/edgepose run" in text


@pytest.mark.parametrize("option", ["--arch", "--nonsense"])
def test_package_refuses_what_it_does_not_know(option: str) -> None:
    done = subprocess.run([str(ROOT / "tools" / "package"), option], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert option in done.stderr


def test_the_add_on_gives_flags_that_run_has() -> None:
    from edgepose.commands import completion

    known = {flag for flag, _, _ in completion.commands()["run"][1]}
    given = set(re.findall(r"^  (--[\w.]+)", (ROOT / "addon" / "run.sh").read_text(), re.MULTILINE))
    assert given
    assert given <= known

"""tools/install and tools/uninstall: what they say they would do, and what they do to an image."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgepose.core import config

ROOT = Path(__file__).resolve().parents[1]
PROFILES = ["modern", "numpy1", "tflite"]
INSTALLED = {
    "etc/systemd/system/edgepose.service": 0o644,
    "etc/systemd/system/edgepose@.service": 0o644,
    "etc/udev/rules.d/70-edgepose-coral.rules": 0o644,
    "etc/sysusers.d/edgepose.conf": 0o644,
    "etc/tmpfiles.d/edgepose.conf": 0o644,
    "opt/edgepose/share/doc/edgepose/install.md": 0o644,
    "etc/edgepose/edgepose.toml": 0o640,
}

SYSTEM_PYTHON = Path("/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable).resolve()
pytestmark = pytest.mark.skipif(
    str(SYSTEM_PYTHON).startswith(("/home/", "/root/")), reason="the only Python lives in a home, which no service sees"
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-sysusers") is None, reason="owners are made by root and systemd only"
)


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "tools" / name), *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHON": str(SYSTEM_PYTHON)},
    )  # fmt: skip


def says(name: str, *arguments: str | Path) -> str:
    """What a tool prints; it ends well."""
    told = tool(name, *arguments)
    assert told.returncode == 0, told.stderr
    return told.stdout


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]], ids=["nothing said", "dry run"])
def test_a_dry_run_shows_every_action_and_does_none(tmp_path: Path, arguments: list[str]) -> None:
    text = says("install", "--root", tmp_path, *arguments)
    assert files(tmp_path) == set()
    for path, mode in INSTALLED.items():
        line = next(line for line in text.splitlines() if line.split()[:1] == [f"/{path}"])
        assert f"new, mode {mode:04o}" in line
    for command in ("-m venv", "-m pip install", "systemd-sysusers", "systemd-tmpfiles", "enable -q edgepose.service"):
        assert f"{command}" in text
    assert text.rstrip().splitlines()[-1] == (
        f"Nothing was done. To do all of this: sudo {ROOT}/tools/install --yes --root {tmp_path}"
    )


def test_a_dry_run_of_this_very_system_needs_no_rights() -> None:
    text = says("install", "--without-env")
    for command in ("udevadm control --reload", "systemctl daemon-reload", "systemctl try-restart"):
        assert f"$ {command}" in text


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_installs_what_its_constraints_allow(tmp_path: Path, profile: str) -> None:
    text = says("install", "--root", tmp_path, "--profile", profile)
    (pip,) = (line for line in text.splitlines() if "pip install" in line)
    assert (f"-c {ROOT}/tools/constraints/{profile}.txt" in pip) == (profile != "modern")
    assert pip.endswith(f"{ROOT}{'[tflite]' if profile == 'tflite' else ''}")


def test_apts_picamera2_is_seen_by_the_environment(tmp_path: Path) -> None:
    assert "--system-site-packages" not in says("install", "--root", tmp_path)
    (tmp_path / "usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
    assert "venv --system-site-packages" in says("install", "--root", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profil"], "there is no option --profil"),
        (["--profile", "old"], "there is no profile old; there are modern, numpy1 and tflite"),
        (["--camera", "../etc"], "a camera's name has letters, digits, _ and - only"),
        (["--camera", "edgepose"], "a camera cannot be called edgepose"),
        (["--camera"], "--camera needs a value"),
        (["--root", "/nowhere/at/all"], "there is no folder /nowhere/at/all"),
    ],
)
def test_a_wrong_argument_is_told(arguments: list[str], said: str) -> None:
    told = tool("install", *arguments)
    assert told.returncode == 1
    assert f"install: {said}" in told.stderr


@needs_root
def test_an_image_gets_files_modes_owners_and_links_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    says("install", "--root", tmp_path, "--without-env", "--yes")
    for path, mode in INSTALLED.items():
        status = (tmp_path / path).stat()
        assert stat.S_IMODE(status.st_mode) == mode, path
        assert status.st_uid == 0, path
    name, _, uid, gid, *_ = (tmp_path / "etc/passwd").read_text().splitlines()[-1].split(":")
    assert name == "edgepose"
    settings = tmp_path / "etc/edgepose"
    assert (settings.stat().st_uid, settings.stat().st_gid, stat.S_IMODE(settings.stat().st_mode)) == (
        0,
        int(gid),
        0o750,
    )
    assert (settings / "edgepose.toml").stat().st_gid == int(gid)
    state = (tmp_path / "var/lib/edgepose").stat()
    assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (int(uid), 0o700)
    assert (tmp_path / "usr/local/bin/edgepose").readlink() == Path("/opt/edgepose/bin/edgepose")
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants/edgepose.service"
    assert wanted.readlink() == Path("/etc/systemd/system/edgepose.service")
    config.load(settings / "edgepose.toml")

    before = {path: (tmp_path / path).lstat().st_mtime_ns for path in files(tmp_path)}
    (settings / "edgepose.toml").write_text("camera = 'mine'\n")
    (tmp_path / "etc/systemd/system/edgepose@.service").write_text("of an older edgepose\n")
    text = says("install", "--root", tmp_path, "--without-env", "--yes")
    assert text.count("is up to date") == len(INSTALLED) - 2 + 1  # the settings and one unit not, the command too
    assert "edgepose@.service                replaced" in text
    assert (settings / "edgepose.toml").read_text() == "camera = 'mine'\n"
    changed = {path for path in before if (tmp_path / path).lstat().st_mtime_ns != before[path]}
    assert changed <= {
        "etc/edgepose/edgepose.toml",
        "etc/systemd/system/edgepose@.service",
        "etc/systemd/system/multi-user.target.wants/edgepose.service",
        "etc/passwd",
        "etc/group",
        "etc/.pwd.lock",
    }


@needs_root
def test_each_camera_gets_settings_and_an_instance_and_all_of_it_goes_again(tmp_path: Path) -> None:
    before = files(tmp_path)
    says("install", "--root", tmp_path, "--without-env", "--yes", "--camera", "door", "--camera", "yard")
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    assert {path.name for path in wants.iterdir()} == {"edgepose@door.service", "edgepose@yard.service"}
    assert {path.name for path in (tmp_path / "etc/edgepose").iterdir()} == {"door.toml", "yard.toml"}
    (tmp_path / "etc/credstore").mkdir()
    (tmp_path / "etc/credstore/edgepose.mqtt-password").touch()

    text = says("uninstall", "--root", tmp_path)
    assert (tmp_path / "etc/systemd/system/edgepose@.service").exists()
    assert "Nothing was done" in text
    says("uninstall", "--root", tmp_path, "--yes")
    assert {path.name for path in (tmp_path / "etc/edgepose").iterdir()} == {"door.toml", "yard.toml"}
    assert not [path for path in files(tmp_path) if "systemd" in path or path.startswith(("opt", "usr"))]
    says("uninstall", "--root", tmp_path, "--yes", "--purge")
    left = files(tmp_path) - before
    assert not [path for path in left if "edgepose" in path]
    assert "edgepose" not in (tmp_path / "etc/passwd").read_text()


@needs_root
def test_a_read_only_root_is_told_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("no folder, so nothing can be written into it")
    told = tool("install", "--root", tmp_path, "--without-env", "--yes")
    assert told.returncode == 1
    assert "cannot be written to: on a read-only root" in told.stderr
    assert files(tmp_path) == {"etc"}


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "usr/local/bin").mkdir(parents=True)
    (tmp_path / "usr/local/bin/edgepose").write_text("somebody else's")
    told = tool("install", "--root", tmp_path, "--without-env")
    assert told.returncode == 1
    assert "/usr/local/bin/edgepose is something else; move it away first" in told.stderr
    text = says("uninstall", "--root", tmp_path)
    assert "rm" not in text
    assert (tmp_path / "usr/local/bin/edgepose").exists()


def test_the_boot_in_a_container_says_where_it_cannot_work(tmp_path: Path) -> None:
    """It needs root, a Debian and a machine that lets it, and takes minutes: only its words are tried here."""
    told = subprocess.run(["sh", ROOT / "tools" / "boot", "--help"], capture_output=True, text=True, check=True).stdout
    assert "real systemd as process 1" in told
    nothing = {"PATH": str(tmp_path), "EDGEPOSE_BOOT": str(tmp_path / "box")}
    for tool in ("sh", "dirname", "uname", "id", "sed", "basename", "cat", "grep"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    ended = subprocess.run(["sh", ROOT / "tools" / "boot"], capture_output=True, text=True, env=nothing, check=False)
    assert ended.returncode == 77
    assert "skipped" in ended.stderr

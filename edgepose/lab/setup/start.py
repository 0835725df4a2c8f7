"""The service offered, or what to type."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

from edgepose.lab.output import say
from edgepose.lab.setup.ask import agreed
from edgepose.lab.setup.write import SERVICE


def start(path: Path, args: argparse.Namespace) -> int:
    """Start it at each boot where it is installed and wanted; else say how. The exit code."""
    unit = "edgepose" if path.stem == "edgepose" else f"edgepose@{path.stem}"
    if path.parent != SERVICE or not installed(unit):
        say(f"\nnow: edgepose run --config {path}")
        say("as a service at each boot: sudo ./tools/install --yes in the clone, or the Debian package")
        return 0
    command = ["systemctl", "enable", "--now", unit]
    if os.geteuid() != 0 or not Path("/run/systemd/system").is_dir():
        say(f"\nstart it, now and at each boot: sudo {' '.join(command)}")
        return 0
    if not args.yes and not agreed(f"\nstart {unit} now and at each boot"):
        say(f"later: {' '.join(command)}")
        return 0
    subprocess.run(["systemctl", "enable", "-q", unit], check=False)
    done = subprocess.run(["systemctl", "restart", unit], check=False)
    say(f"{unit} runs: systemctl status {unit}" if not done.returncode else f"it did not start: journalctl -u {unit}")
    return 1 if done.returncode else 0


def installed(unit: str) -> bool:
    """Whether systemd has its unit."""
    if shutil.which("systemctl") is None:
        return False
    return subprocess.run(["systemctl", "cat", f"{unit}.service"], capture_output=True, check=False).returncode == 0

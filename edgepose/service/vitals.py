"""How board and process are doing, cheaply enough to ask now and then for a year. What is not told is None."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

FIRMWARE = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
"""Bit of get_throttled -> what is so now; 16 bits higher: was so since the board started."""

NO_TEMPERATURE = frozenset(("PMIC-Die", "pmic-die"))
"""Zones that always say 100 degrees."""

FIRMWARE_FILES = (
    "sys/devices/platform/soc*/soc*:firmware/get_throttled",
    "sys/devices/platform/*firmware*/get_throttled",
)

EVERY_S = 10.0
"""The board is asked no more often: one of the ways starts a program."""


class Vitals(NamedTuple):
    """At one moment."""

    temperature_c: float | None
    """Of the hottest sensor."""
    throttled: int | None
    """The firmware's bits, see FIRMWARE."""
    memory_bytes: int | None
    """What this process holds."""
    open_files: int | None

    @property
    def held_back(self) -> bool | None:
        """Whether supply or heat slow the board down right now."""
        return None if self.throttled is None else bool(self.throttled & 0xF)


class Board:
    """Asks, and remembers the board's part of the answer for a while."""

    def __init__(self, root: Path = Path("/"), every_s: float = EVERY_S) -> None:
        self._root, self._every_s = root, every_s
        self._asked_t = float("-inf")
        self._temperature_c: float | None = None
        self._throttled: int | None = None

    def vitals(self) -> Vitals:
        """How it is now."""
        now = time.monotonic()
        if now - self._asked_t >= self._every_s:
            self._asked_t = now
            self._temperature_c, self._throttled = temperature_c(self._root), throttled(self._root)
        return Vitals(self._temperature_c, self._throttled, memory_bytes(), open_files())


def temperature_c(root: Path = Path("/")) -> float | None:
    """Of the hottest sensor."""
    zones = []
    for zone in root.glob("sys/class/thermal/thermal_zone*"):
        milli = _text(zone / "temp")
        if milli and re.fullmatch(r"-?\d+", milli) and _text(zone / "type") not in NO_TEMPERATURE:
            zones.append(int(milli) / 1000)
    return max((zone for zone in zones if -40 < zone < 150), default=None)


def throttled(root: Path = Path("/")) -> int | None:
    """The firmware's bits: by sysfs, by vcgencmd, or by the voltage alarm, which knows bit 0 only."""
    for pattern in FIRMWARE_FILES:
        for path in root.glob(pattern):
            bits = _text(path)
            if bits and re.fullmatch(r"(0x)?[0-9a-fA-F]+", bits):
                return int(bits, 16)
    told = _asked_firmware()
    if told is not None:
        return told
    for folder in root.glob("sys/class/hwmon/hwmon*"):
        alarm = _text(folder / "in0_lcrit_alarm")
        if _text(folder / "name") == "rpi_volt" and alarm in ("0", "1"):
            return int(alarm)
    return None


def _asked_firmware() -> int | None:
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        told = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"throttled=0x([0-9a-fA-F]+)", told.stdout)
    return int(found[1], 16) if found else None


def memory_bytes() -> int | None:
    """What this process holds in memory."""
    pages = (_text(Path("/proc/self/statm")) or "").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else None


def open_files() -> int | None:
    """Files, sockets and the like that this process has open."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 (cheaper), one is the folder itself
    except OSError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None

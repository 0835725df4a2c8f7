"""What the board is, and how it feels right now. Whatever it does not tell is None."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgepose.engine import tuned
from edgepose.service import vitals


class State(NamedTuple):
    """At one moment."""

    temperature_c: float | None
    """Of the hottest sensor."""
    clock_mhz: float | None
    """Of the fastest core now."""
    throttled: str | None
    """What holds it back by the firmware's word: "no", or what; None: nothing watches."""
    load: float
    """Programs that want a core, mean of the last minute."""


def state(root: Path = Path("/")) -> State:
    """Ask the sensors."""
    zones = [value / 1000 for value in _numbers(root, "sys/class/thermal/thermal_zone*/temp")]
    clocks = [value / 1000 for value in _numbers(root, "sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq")]
    return State(
        max((zone for zone in zones if -40 < zone < 150), default=None),
        max(clocks, default=None),
        _throttled(root),
        os.getloadavg()[0],
    )


def feels(state: State) -> str:
    """A board's state in words."""
    told = {
        "temperature": None if state.temperature_c is None else f"{state.temperature_c:.0f} °C",
        "clock": None if state.clock_mhz is None else f"{state.clock_mhz:.0f} MHz",
        "throttled": state.throttled,
    }
    return ", ".join(f"{name} {value or 'unknown'}" for name, value in told.items()) + f", load {state.load:.2f}"


def _numbers(root: Path, pattern: str) -> Iterator[int]:
    for path in root.glob(pattern):
        try:
            yield int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue


def _throttled(root: Path) -> str | None:
    bits = vitals.throttled(root)
    if bits is None:
        return None
    now = [text for bit, text in vitals.FIRMWARE.items() if bits >> bit & 1]
    before = [f"{text} before" for bit, text in vitals.FIRMWARE.items() if bits >> (bit + 16) & 1 and text not in now]
    return ", ".join(now + before) or "no"


def describe() -> dict[str, str]:
    """The board, its system, and what of ours depends on either."""
    import numpy as np

    import edgepose
    from edgepose.core.opencv import cv2

    return {
        "board": tuned.this_cpu(),
        "memory": _memory(),
        "system": f"{_system()}, Linux {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "edgepose": edgepose.__version__,
    }


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{size / 2**30:.1f} GiB"


def memory_mib() -> tuple[float, float]:
    """Memory this process holds now, and the most it ever held."""
    held = {}
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            held[name] = int(value.split()[0]) / 1024
    return held["VmRSS"], held["VmHWM"]

"""Heat, voltage, clock rates, and the time of day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from edgepose.core.config import Config
from edgepose.lab.doctor.context import PIS, Context
from edgepose.lab.doctor.finding import Finding, broken, degraded, fine, unknown

THROTTLED = {
    0: "under-voltage",
    1: "the clock rate capped",
    2: "throttled",
    3: "the soft temperature limit reached",
}
"""Bit of get_throttled -> what it says of now; 16 bits higher: of any time since the start."""

SUPPLIES = {
    "pi5": "the official 27 W supply (5.1 V, 5 A) and its own cable",
    "pi4": "the official 15 W supply (5.1 V, 3 A) and its own cable",
    "pi3": "a 5.1 V, 2.5 A supply with a short, thick cable",
    "zero2w": "a 5.1 V, 2.5 A supply with a short, thick cable",
}
"""What feeds which board."""

HOT_C = 80.0
"""Degrees at which a Raspberry Pi begins to slow down; other zones tell their own."""

NO_TEMPERATURE = frozenset(("PMIC-Die", "pmic-die"))
"""Zones that always say 100 degrees."""


def check_temperature(context: Context) -> Iterator[Finding]:
    """The hottest zone against where it slows down."""
    root = context.machine.root
    zones: list[tuple[float, float, str]] = []
    for folder in root.glob("/sys/class/thermal/thermal_zone*"):
        name = root.text(f"{folder}/type") or folder.rpartition("/")[2]
        celsius = _milli(root.text(f"{folder}/temp"))
        if celsius is not None and -40 < celsius < 150 and name not in NO_TEMPERATURE:
            zones.append((celsius, _limit(context, folder), name))
    if not zones:
        yield fine("temperature", "no sensor here tells", zones={})
        return
    celsius, limit, name = min(zones, key=lambda zone: zone[1] - zone[0])
    data = {"zones": {zone[2]: zone[0] for zone in zones}, "limit_c": limit}
    what = f"{celsius:.0f} °C ({name}); it slows down from {limit:.0f} °C"
    if celsius >= limit:
        yield degraded(
            "temperature",
            f"{what}, so now",
            "fit a heat sink or a fan, or give it air",
            "$ edgepose run --source.fps 15   (less work, less heat)",
            **data,
        )
    else:
        near = (f"close to the limit; under load it will pass it: see {context.page}",) if celsius > limit - 5 else ()
        yield fine("temperature", what, *near, **data)


def _milli(text: str | None) -> float | None:
    return int(text) / 1000 if text and re.fullmatch(r"-?\d+", text) else None


def _limit(context: Context, folder: str) -> float:
    """Where a zone begins to slow the processor down, degrees."""
    root = context.machine.root
    points = []
    for path in root.glob(f"{folder}/trip_point_*_type"):
        celsius = _milli(root.text(path.replace("_type", "_temp")))
        if root.text(path) in ("passive", "hot", "critical") and celsius is not None and 40 < celsius < 130:
            points.append(celsius)
    if context.kind in PIS:
        points.append(HOT_C)
    return min(points, default=HOT_C)


def check_throttling(context: Context) -> Iterator[Finding]:
    """Whether the supply and the heat let the processor run as it can: now, and since the start."""
    bits, told_by = throttled(context)
    if bits is None:
        if context.kind in PIS:
            yield unknown(
                "power supply",
                "the firmware cannot be asked: vcgencmd is missing or may not open /dev/vcio",
                f"$ sudo usermod -aG video {context.machine.user}   (then log in again)",
                "$ sudo apt install raspi-utils   (or libraspberrypi-bin, on Bookworm and before)",
            )
        else:
            yield fine("power supply", "nothing here watches it")
        return
    now = [text for bit, text in THROTTLED.items() if bits >> bit & 1]
    ever = [text for bit, text in THROTTLED.items() if bits >> (bit + 16) & 1 and text not in now]
    data = {"bits": f"0x{bits:x}", "now": now, "since_start": ever, "told_by": told_by}
    if not now and not ever:
        yield fine("power supply", "no under-voltage, no throttling since the start", **data)
        return
    said = [f"now: {', '.join(now)}"] * bool(now) + [f"earlier since the start: {', '.join(ever)}"] * bool(ever)
    do = []
    if "under-voltage" in now + ever:
        do += [f"use {SUPPLIES.get(context.kind, 'a stronger supply and a short, thick cable')}; unplug what USB feeds"]
    if set(now + ever) & {"throttled", "the soft temperature limit reached", "the clock rate capped"}:
        do += ["fit a heat sink or a fan; under-voltage slows the processor down too"]
    do += ["$ vcgencmd get_throttled   (0x0 is good; the past is forgotten when the board starts again)"]
    yield degraded("power supply", "; ".join(said), *do, **data)


def throttled(context: Context) -> tuple[int | None, str]:
    """The firmware's bits and who told them: sysfs, vcgencmd, or the voltage alarm of hwmon, which knows bit 0 only."""
    root = context.machine.root
    for pattern in (
        "/sys/devices/platform/soc*/soc*:firmware/get_throttled",
        "/sys/devices/platform/*firmware*/get_throttled",
    ):
        for path in root.glob(pattern):
            if re.fullmatch(r"(0x)?[0-9a-fA-F]+", root.text(path) or ""):
                return int(root.text(path) or "0", 16), "sysfs"
    if context.kind in PIS:
        answer = context.machine.run(["vcgencmd", "get_throttled"], 5.0)
        found = re.search(r"throttled=0x([0-9a-fA-F]+)", answer.out) if answer else None
        if found:
            return int(found[1], 16), "vcgencmd"
    for folder in root.glob("/sys/class/hwmon/hwmon*"):
        alarm = root.text(f"{folder}/in0_lcrit_alarm")
        if root.text(f"{folder}/name") == "rpi_volt" and alarm in ("0", "1"):
            return int(alarm), "hwmon"
    return None, ""


def check_supply(context: Context) -> Iterator[Finding]:
    """What a Raspberry Pi 5 was promised by its supply: below 5 A all USB devices share 600 mA."""
    path = context.machine.root.path("/proc/device-tree/chosen/power/max_current")
    try:
        promised = int.from_bytes(path.read_bytes()[:4], "big")
    except OSError:
        return
    data = {"max_current_ma": promised}
    what = f"the supply promises {promised / 1000:g} A"
    if 0 < promised < 5000:
        text = f"{what}, not 5: all USB devices together get 600 mA"
        if context.cfg.engine.delegate == "edgetpu":
            yield degraded(
                "usb current", f"{text}, and a Coral stick takes up to 900", f"use {SUPPLIES['pi5']}", **data
            )
        else:
            yield fine("usb current", f"{text}, enough for a camera", **data)
    else:
        yield fine("usb current", what, **data)


def check_governor(context: Context) -> Iterator[Finding]:
    """Who decides how fast the cores run."""
    root = context.machine.root
    folders = root.glob("/sys/devices/system/cpu/cpu*/cpufreq")
    governors = sorted({root.text(f"{folder}/scaling_governor") or "?" for folder in folders})
    if not folders:
        yield fine("clock rate", "not told here: a virtual machine, or a fixed rate", governors=[])
        return
    driver = root.text(f"{folders[0]}/scaling_driver") or ""
    now, top, allowed = (
        int(root.text(f"{folders[0]}/{name}") or 0) // 1000
        for name in ("scaling_cur_freq", "cpuinfo_max_freq", "scaling_max_freq")
    )
    data = {"governors": governors, "driver": driver, "now_mhz": now, "max_mhz": top, "allowed_mhz": allowed}
    what = f"{now} of {top} MHz, governor {', '.join(governors)}"
    own = driver.startswith(("intel_pstate", "amd-pstate", "amd_pstate"))  # there, powersave is the ordinary one
    if "powersave" in governors and not own:
        yield degraded(
            "clock rate",
            f"{what}: powersave holds the lowest rate",
            "$ echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
            *(["$ sudo nvpmodel -m 0   (the board's mode without a power limit)"] if context.kind == "jetson" else []),
            **data,
        )
    elif 0 < allowed < top:
        yield degraded(
            "clock rate",
            f"{what}: capped at {allowed} MHz",
            f"$ echo {top * 1000} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq",
            *(["$ sudo nvpmodel -m 0   (the board's mode without a power limit)"] if context.kind == "jetson" else []),
            **data,
        )
    else:
        yield fine("clock rate", what, **data)


OLDEST_TIME = datetime(2025, 1, 1, tzinfo=timezone.utc)
"""No clock that is right is before it."""


def check_clock(context: Context) -> Iterator[Finding]:
    """Whether the time that messages carry is right, and stays so after a power cut."""
    machine = context.machine
    now = datetime.fromtimestamp(machine.now(), timezone.utc)
    kept = machine.clock_kept()
    if kept is None:
        answer = machine.run(["timedatectl", "show", "-p", "NTPSynchronized", "--value"], 5.0)
        kept = {"yes": True, "no": False}.get(answer.out) if answer else None
    battery = bool(machine.root.glob("/dev/rtc*"))
    data = {"utc": now.isoformat(timespec="seconds"), "synchronised": kept, "battery": battery}
    rtc = "" if battery else "; no clock with a battery: after a power cut the time is wrong until the network is back"
    set_it = "$ sudo timedatectl set-ntp true   (and let UDP port 123 out)"
    if now < OLDEST_TIME:
        yield broken(
            "time", f"{now:%Y-%m-%d %H:%M} UTC is long past: TLS and time stamps cannot work{rtc}", set_it, **data
        )
    elif kept:
        yield fine("time", f"synchronised{rtc}", **data)
    elif kept is None:
        yield unknown("time", f"nothing tells whether the clock is synchronised{rtc}", "$ timedatectl", **data)
    elif context.cfg.sink.mqtt.broker or context.source in ("v4l2", "picamera2", "imx500", "stream"):
        yield degraded(
            "time",
            f"{now:%Y-%m-%d %H:%M} UTC, not synchronised: `captured` in the messages may be wrong{rtc}",
            set_it,
            "$ timedatectl timesync-status   (says which server answers)",
            **data,
        )
    else:
        use = "files do not need that" if context.source else "messages of a camera will need that"
        yield fine("time", f"{now:%Y-%m-%d %H:%M} UTC, not synchronised; {use}{rtc}", set_it, **data)


COSTLY: tuple[tuple[str, Callable[[Config], bool], str], ...] = (
    ("power.mode", lambda cfg: cfg.power.mode == "off", "is off: every frame is looked at, also of an empty room"),
    ("track.mode", lambda cfg: cfg.track.mode == "off", "is off: nobody is known, so it is never calm"),
    (
        "power.calm_fps",
        lambda cfg: cfg.power.calm_fps > 10,
        "is above 10: somebody who keeps still costs nearly as much",
    ),
    ("power.find_empty_s", lambda cfg: cfg.power.find_empty_s < 1, "is below 1: an empty room is looked at that often"),
    ("power.idle_fps", lambda cfg: not cfg.power.idle_fps, "is 0: the camera gives all its pictures to an empty room"),
    ("power.hold", lambda cfg: cfg.power.hold > 15, "is above 15: the camera does not slow down for who keeps still"),
    ("sink.overlay.gate", lambda cfg: cfg.sink.overlay.gate, "draws every frame: for aiming a camera"),
)
"""Setting, whether it keeps a camera busy, and why."""


def check_always_on(context: Context) -> Iterator[Finding]:
    """What a camera of an empty room costs by these settings; how it went, a running service says."""
    cfg = context.cfg
    if not context.is_live:
        yield fine("always on", "every frame is looked at: that is for cameras", mode="off", costly=[], limits=[])
        return
    costly = [(name, why) for name, holds, why in COSTLY if holds(cfg)]
    power = cfg.power
    limits = [f"{100 * power.max_cpu:g} % of a core"] * bool(power.max_cpu)
    limits += ([f"{power.max_temp_c:g} °C"] if power.max_temp_c else []) + power.schedule
    told = "every frame is looked at" if power.mode == "off" else "little is looked at where nothing happens"
    told += f"; limits: {', '.join(limits)}" if limits else ""
    hints = [f"{name} {why}" for name, why in costly]
    if cfg.sink.mqtt.broker and not costly:
        hints = ["$ edgepose status   (share of time in each state, what woke it last and where, what limits it)"]
    data = {"mode": power.mode, "costly": [name for name, _ in costly], "limits": limits}
    yield fine("always on", told, *hints, **data)


CHECKS = {
    "always on": check_always_on,
    "temperature": check_temperature,
    "throttling": check_throttling,
    "supply": check_supply,
    "governor": check_governor,
    "clock": check_clock,
}

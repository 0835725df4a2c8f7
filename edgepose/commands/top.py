"""`edgepose top`: running services, live in the terminal."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgepose.commands.flags import add_settings, read_settings
from edgepose.commands.status import duration

if TYPE_CHECKING:
    from edgepose.service.fleet import Device

HELP = "Watch running services live in the terminal."
EXAMPLES = """  edgepose top --broker mqtt://homeassistant.local      until Ctrl-C
  edgepose top --broker mqtt://localhost --every 10 kitchen attic
  edgepose top --broker mqtt://localhost --once         one table, for a log or a pipe"""

COLUMNS = (
    "device",
    "state",
    "fps",
    "people",
    "p50 ms",
    "p95 ms",
    "dropped",
    "events",
    "°C",
    "MiB",
    "up",
    "CPU %",
    "power",
    "fps lately",
)
LEFT = frozenset((0, 1, 12, 13))
BARS = "▁▂▃▄▅▆▇█"
COLOURS = {"running": "32", "paused": "33", "starting": "33", "waiting": "33", "stopping": "33"}
"""ANSI colour of a state; of all others red."""
UNWANTED = ("dropped", "lost", "late", "overtaken", "unreadable")
"""Counts that make up `dropped`: frames and poses that nobody got, and nobody asked to skip."""
NOTHING = "·"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("names", nargs="*", metavar="DEVICE[/CAMERA]", help="which; default: all below the topic")
    parser.add_argument("--once", action="store_true", help="print one table and end")
    parser.add_argument(
        "--every", type=float, default=3.0, metavar="S", help="ask so often; default %(default)s s (control.per_minute)"
    )
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Ask and draw until Ctrl-C."""
    from edgepose.service.fleet import Fleet

    cfg = read_settings(args)
    every_s = max(args.every, 0.5)
    colours = sys.stdout.isatty()
    with Fleet(cfg) as fleet:
        fleet.settle()
        try:
            while True:
                began_t = time.monotonic()
                fleet.ask(fleet.devices(args.names), min(every_s, 2.0))
                shown = fleet.devices(args.names)
                screen = table(shown, shutil.get_terminal_size().columns if colours else 0, colours)
                title = f"edgepose top  {time.strftime('%H:%M:%S')}  {cfg.sink.mqtt.broker}  {summary(shown)}\n\n"
                if args.once or not colours:
                    sys.stdout.write(screen)
                else:
                    sys.stdout.write(f"\033[?25l\033[H\033[J{title}{screen}\nCtrl-C ends\n")
                sys.stdout.flush()
                if args.once:
                    return 0 if shown else 1
                time.sleep(max(0.0, began_t + every_s - time.monotonic()))
        except KeyboardInterrupt:
            return 0
        finally:
            if colours and not args.once:
                sys.stdout.write("\033[?25h")


def summary(devices: Sequence[Device]) -> str:
    """All of them in one line."""
    running = sum(device.state == "running" for device in devices)
    people = sum(device.health.people for device in devices if device.health and device.online)
    return f"{running} of {len(devices)} running, {people} {'person' if people == 1 else 'people'}"


def table(devices: Sequence[Device], width: int = 0, colours: bool = False) -> str:
    """A line for each device; columns that do not fit into `width` are left away, the last ones first."""
    rows = [COLUMNS, *(_row(device) for device in devices)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    shown = len(COLUMNS)
    while width and shown > 2 and sum(widths[:shown]) + 2 * (shown - 1) > width:
        shown -= 1
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{widths[at]}}" if at in LEFT else f"{cell:>{widths[at]}}" for at, cell in enumerate(row[:shown])
        ]
        if colours and row is COLUMNS:
            cells = [f"\033[1m{cell}\033[0m" for cell in cells]
        elif colours:
            cells[1] = f"\033[{COLOURS.get(row[1], '31')}m{cells[1]}\033[0m"
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines) if devices else "no device there (yet)\n"


def _row(device: Device) -> tuple[str, ...]:
    health = device.health
    if health is None or not device.online:
        return (device.name, device.state, *[NOTHING] * (len(COLUMNS) - 3), "")
    latency = health.latency_ms.get("latency", {})
    counts, spool = health.counts, health.spool
    dropped = sum(counts.get(name, 0) for name in UNWANTED)
    hot = "!" if health.throttled else ""
    return (
        device.name,
        device.state,
        f"{health.fps:.1f}",
        str(health.people),
        f"{latency['p50']:.0f}" if latency else NOTHING,
        f"{latency['p95']:.0f}" if latency else NOTHING,
        f"{dropped:,}",
        str(spool["kept"]) if "kept" in spool else NOTHING,
        NOTHING if health.temperature_c is None else f"{health.temperature_c:.0f}{hot}",
        NOTHING if health.memory_mib is None else f"{health.memory_mib:.0f}",
        duration(health.uptime_s),
        NOTHING if health.cpu is None else f"{100 * health.cpu:.0f}",
        NOTHING if health.power is None else f"{health.power.state}{'!' if health.power.limited else ''}",
        bars(device.history),
    )


def bars(values: Sequence[float], most: int = 20) -> str:
    """A small chart, from 0 to the highest."""
    values = values[-most:]
    top = max(values, default=0.0) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int(value / top * (len(BARS) - 1) + 0.5))] for value in values)

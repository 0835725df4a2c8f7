"""`edgepose status`: how running services are, asked over their broker."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from edgepose.commands.flags import add_settings, read_settings
from edgepose.core.errors import ConfigError, one_line

if TYPE_CHECKING:
    from edgepose import wire
    from edgepose.service.fleet import Device

HELP = "Ask running services how they are, over their broker."
EXAMPLES = """  edgepose status --broker mqtt://homeassistant.local   every device there; exits 1 if one is not well
  edgepose status --config /etc/edgepose/edgepose.toml kitchen
  edgepose status --broker mqtt://localhost --json kitchen/door
  edgepose status --broker mqtt://localhost --forget attic      gone for good: clear what broker and
                                                                Home Assistant keep of it"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("names", nargs="*", metavar="DEVICE[/CAMERA]", help="which; default: all below the topic")
    parser.add_argument("--json", action="store_true", help="one JSON list instead of text")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="S", help="wait so long; default %(default)s s")
    parser.add_argument("--forget", metavar="DEVICE/CAMERA", help="clear what the broker keeps of one that is gone")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Ask and print; 0 if all are well."""
    from edgepose.service.fleet import Fleet

    with Fleet(read_settings(args)) as fleet:
        fleet.settle()
        if args.forget:
            return _forget(args.forget, fleet)
        found = fleet.devices(args.names)
        fleet.ask(found, args.timeout)
        if args.json:
            import msgspec

            sys.stdout.write(msgspec.json.encode([_plain(device) for device in found]).decode() + "\n")
        else:
            sys.stdout.write("\n".join(_text(device) for device in found))
    missing = [name for name in args.names if not any(name in _names(device) for device in found)]
    for name in missing:
        sys.stderr.write(f"edgepose status: nothing is known of {name}\n")
    if not found and not missing:
        sys.stderr.write("edgepose status: no device there; is its sink.mqtt.topic another one?\n")
    return 0 if found and not missing and all(device.well for device in found) else 1


def _names(device: Device) -> tuple[str, ...]:
    return device.root, device.name, device.name.partition("/")[0]


def _forget(name: str, fleet: Any) -> int:
    found = fleet.devices([name])
    if len(found) != 1:
        raise ConfigError(f"{len(found)} devices are called {name}; name one as DEVICE/CAMERA")
    fleet.forget(found[0])
    sys.stdout.write(f"{found[0].name}: forgotten\n")
    return 0


def _plain(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "root": device.root,
        "availability": device.availability,
        "well": device.well,
        "status": device.status,
        "presence": device.presence,
        "health": device.health,
    }


def _text(device: Device) -> str:
    status, health = device.status, device.health
    head = device.state
    if status is not None and device.online:
        head += f": {status.reason}" if status.reason else ""
        head += f", edgepose {status.version}, run {status.run}"
        head += f", up {duration(health.uptime_s)}" if health else ""
    rows = {}
    if status is not None:
        limit = f", at most {status.max_fps:g} frames a second" if status.max_fps else ""
        rows["  source"] = f"{status.source or 'given by a program'}{limit}"
        rows["  model"] = f"{status.model}: {'; '.join(status.engines)}"
        rows["  poses"] = f"{status.format}, {status.skeleton}, smoothing {status.smoothing}"
    if health is not None:
        counts = health.counts
        people = "1 person" if health.people == 1 else f"{health.people} people"
        rows["  now"] = f"{people}, {health.fps:.1f} frames a second"
        rows["  latency"] = _latency(health.latency_ms)
        lost = [f"{counts[name]:,} {name}" for name in ("dropped", "skipped", "lost", "late") if counts.get(name)]
        rows["  frames"] = ", ".join([f"{counts.get('looked', 0):,} looked at", *lost])
        broker = [f"{counts.get('sent', 0):,} poses sent"]
        broker += [f"{counts[name]:,} {name}" for name in ("overtaken", "refused", "reconnects") if counts.get(name)]
        broker += [f"{count:,} events {name}" for name, count in health.spool.items() if count]
        rows["  broker"] = ", ".join(broker)
        rows["  power"] = _power(health)
        rows["  board"] = _board(device)
    if status is not None and status.troubles:
        rows["  trouble"] = "; ".join(status.troubles[:8])
    if device.online and not device.answered:
        rows["  note"] = "does not answer: commands are off (control.on), or it hangs; this is what it told before"
    elif device.refused:
        rows["  note"] = f"does not answer: {device.refused}"
    lines = [f"{device.name}  {head}", *(f"{name:11}{text}" for name, text in rows.items() if text)]
    return "".join(f"{one_line(line)}\n" for line in lines)  # whoever is at the broker may have written it


def _latency(stages: dict[str, dict[str, float]]) -> str:
    whole = stages.get("latency")
    if not whole:
        return ""
    infer = stages.get("infer")
    inside = f"; inference {infer['p50']:.0f}, {infer['p95']:.0f}, {infer['p99']:.0f}" if infer else ""
    return f"{whole['p50']:.0f} ms, 95 % within {whole['p95']:.0f}, 99 % within {whole['p99']:.0f}{inside}"


def _power(health: wire.Health) -> str:
    cpu = f"{100 * health.cpu:.0f} % of a core" if health.cpu is not None else ""
    power = health.power
    if power is None:
        return cpu
    shares = ", ".join(f"{state} {100 * share:.0f} %" for state, share in power.shares.items())
    at = f" at {power.woke_at[0]},{power.woke_at[1]}" if power.woke_at else ""
    told = [cpu] * bool(cpu) + [f"{power.state} ({shares})", f"{power.wakes:,} times woken, last by {power.woke}{at}"]
    if power.max_fps is not None:
        told += [f"at most {power.max_fps:g} frames a second: {power.limited}"]
    told += ["under-voltage: use a stronger supply"] * bool(power.under_voltage)
    return ", ".join(told)


def _board(device: Device) -> str:
    health = device.health
    if health is None:
        return ""
    told = [f"{health.temperature_c:.0f} °C"] if health.temperature_c is not None else []
    told += ["slowed down by heat or supply" if health.throttled else "not slowed down"] * (
        health.throttled is not None
    )
    told += [f"{health.memory_mib:.0f} MiB"] if health.memory_mib is not None else []
    told += [f"delegate {health.delegate}"] if health.delegate else []
    return ", ".join(told)


def duration(seconds: float) -> str:
    """In the two largest units that fit."""
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{int(seconds)} s"

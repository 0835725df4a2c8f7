"""The settings themselves, and what they ask for: everything else is judged by that."""

from __future__ import annotations

from collections.abc import Iterator

from edgepose.lab.doctor.finding import Finding, broken, fine
from edgepose.lab.doctor.visit import Visit


def check_settings(visit: Visit) -> Iterator[Finding]:
    """Whether they can be read."""
    path = str(visit.config_path) if visit.config_path else ""
    if visit.wrong:
        yield broken(
            "settings",
            f"{visit.wrong}; everything below is judged by the defaults",
            "correct it; every setting and its meaning:",
            "$ edgepose config --config /dev/null",
            file=path,
        )
    else:
        yield fine("settings", f"{path} is valid" if path else "no edgepose.toml here: defaults and flags", file=path)


def check_use(visit: Visit) -> Iterator[Finding]:
    """What they ask for, in one line."""
    cfg = visit.cfg
    to = {"mqtt": cfg.sink.mqtt.broker, "jsonl": cfg.sink.jsonl.path, "overlay": cfg.sink.overlay.path}
    sinks = {name: where for name, where in to.items() if where}
    where = ", ".join(f"{name} {place}" for name, place in sinks.items()) or "standard output"
    on = "" if cfg.engine.delegate == "cpu" else f" on {cfg.engine.delegate}"
    yield fine(
        "use",
        f"{visit.source_shown} -> {cfg.engine.model}{on} -> {where}",
        source=visit.source,
        model=cfg.engine.model,
        delegate=cfg.engine.delegate,
        sinks=sorted(sinks),
    )


CHECKS = {"settings": check_settings, "use": check_use}

"""The settings themselves, and what they ask for: everything else is judged by that."""

from __future__ import annotations

from collections.abc import Iterator

from edgepose.lab.doctor.context import Context
from edgepose.lab.doctor.finding import Finding, broken, fine


def check_settings(context: Context) -> Iterator[Finding]:
    """Whether they can be read."""
    path = str(context.config_path) if context.config_path else ""
    if context.wrong:
        yield broken(
            "settings",
            f"{context.wrong}; everything below is judged by the defaults",
            "correct it; every setting and its meaning:",
            "$ edgepose config --config /dev/null",
            file=path,
        )
    else:
        yield fine("settings", f"{path} is valid" if path else "no edgepose.toml here: defaults and flags", file=path)


def check_use(context: Context) -> Iterator[Finding]:
    """What they ask for, in one line."""
    cfg = context.cfg
    to = {"mqtt": cfg.sink.mqtt.broker, "jsonl": cfg.sink.jsonl.path, "overlay": cfg.sink.overlay.path}
    sinks = {name: where for name, where in to.items() if where}
    where = ", ".join(f"{name} {place}" for name, place in sinks.items()) or "standard output"
    on = "" if cfg.engine.delegate == "cpu" else f" on {cfg.engine.delegate}"
    yield fine(
        "use",
        f"{context.source_shown} -> {cfg.engine.model}{on} -> {where}",
        source=context.source,
        model=cfg.engine.model,
        delegate=cfg.engine.delegate,
        sinks=sorted(sinks),
    )


CHECKS = {"settings": check_settings, "use": check_use}

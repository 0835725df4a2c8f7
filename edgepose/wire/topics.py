"""Every topic below the root of a device and camera: the one table that code, schema and docs are made from."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """One topic and how it behaves."""

    suffix: str
    """Below the root."""
    kept: bool
    """Retained: a new subscriber gets the last one at once."""
    qos: str
    message: str
    """What is in it: a struct of this package, or a plain word."""
    says: str


TOPICS: tuple[Topic, ...] = (
    Topic(
        "poses", False, "0 or 1, as set", "Message", "the people of every frame; the newest wins, no old one is sent"
    ),
    Topic(
        "events",
        False,
        "1",
        "Event",
        "who entered, who left: each once, in order, kept on disk until the broker has it",
    ),
    Topic("status", True, "1", "Status", "what runs: version, model, where, source; on every change"),
    Topic("availability", True, "1", "online | offline", "offline is also the last will"),
    Topic("health", False, "0", "Health", "numbers, every sink.mqtt.health_every_s"),
    Topic(
        "control/+", False, "1", "command", "taken: pause, resume, rate, model, smoothing, snapshot, restart, status"
    ),
    Topic("control/answer", False, "1", "Answer", "one for each command, or on its response topic (MQTT 5)"),
)

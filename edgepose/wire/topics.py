"""Every topic below the root of a device and camera: the one table that code, schema and docs are made from."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """One topic and how it behaves."""

    suffix: str
    """Below the root."""
    taken: bool
    """Subscribed by edgepose; else published by it."""
    kept: bool
    """Retained: a new subscriber gets the last one at once."""
    qos: int
    message: str
    """What is in it: a struct of this package, or plain words with | between."""
    says: str


TOPICS: tuple[Topic, ...] = (
    Topic(
        "poses", False, False, 0, "Message",
        "the people of every frame, in the form that sink.mqtt.format sets; the newest wins, an old one is never sent; "
        "QoS 1 where sink.mqtt.qos says so, and once a second",
    ),
    Topic(
        "events", False, False, 1, "Event",
        "who entered, who left: each once, in order, kept on disk until the broker has it",
    ),
    Topic("status", False, True, 1, "Status", "what runs: version, model, where, source; on every change"),
    Topic("availability", False, True, 1, "online | offline", "whether it is connected; offline is also the last will"),
    Topic("presence", False, True, 1, "Presence", "how many people there are, calm enough to switch by; on change"),
    Topic("meaning", False, True, 1, "Meaning", "how every rule stands; on change, at most twice a second"),
    Topic("health", False, False, 0, "Health", "numbers, every sink.mqtt.health_every_s"),
    Topic(
        "snapshot", False, False, 0, "Picture",
        "the picture of a command snapshot as a JPEG, only where control.snapshot and home_assistant.on are set",
    ),
    Topic(
        "numbering", False, True, 1, "Numbering",
        "edgepose's own: where the numbers of events go on, whatever becomes of its disk and its clock",
    ),
    Topic(
        "control/+", True, False, 1, "Command",
        "what to do: the last part is the command; a retained one is ignored",
    ),
    Topic(
        "control/answer", False, False, 1, "Answer",
        "one for each command; on the command's response topic instead where it has one (MQTT 5)",
    ),
)  # fmt: skip
"""Below the root, which is sink.mqtt.topic: edgepose/{device}/{camera} unless set otherwise."""
ROOT = "edgepose/{device}/{camera}"

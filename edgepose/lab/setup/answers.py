"""The four answers, and the settings that come of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PUBLISH: dict[str, dict[str, Any]] = {
    "events": {"sink.mqtt.events": True},
    "poses": {"sink.mqtt.events": False},
    "binary": {"sink.mqtt.events": True, "sink.mqtt.format": "binary"},
    "home-assistant": {"sink.mqtt.events": True, "home_assistant.on": True},
}
"""What to publish -> its settings."""

MEANS = {
    "events": "poses, and events: who entered, who left, what rules say",
    "poses": "poses and presence, no events",
    "binary": "the same as events, poses 5 times smaller",
    "home-assistant": "the same as events, and Home Assistant finds this camera by itself",
}
DEFAULT = "events"


@dataclass(frozen=True)
class Answers:
    """What was said, each tried."""

    source: str
    broker: str
    device: str
    publish: str = DEFAULT
    username: str = ""
    password_file: str = ""
    """Of the login at the broker, as it was tried."""

    def settings(self) -> dict[str, Any]:
        """Dotted key -> value."""
        made: dict[str, Any] = {"device": self.device, "source.uri": self.source}
        if self.broker:
            made |= {"sink.mqtt.broker": self.broker, **PUBLISH[self.publish]}
            login = {"sink.mqtt.username": self.username, "sink.mqtt.password_file": self.password_file}
            made |= {key: value for key, value in login.items() if value}
        return made

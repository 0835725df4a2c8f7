"""The rules of a run: read when it starts, made when the first frame says how large the picture is."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

from edgepose.core import config
from edgepose.core.poses import Poses
from edgepose.meaning import Event, Meaning, Rules, rules_of
from edgepose.meaning.records import Tally
from edgepose.meaning.shipped import path_of
from edgepose.meaning.summary import summary

log = logging.getLogger("edgepose.meaning")


@dataclass(frozen=True, slots=True)
class Told:
    """What a frame meant, for the sinks."""

    events: tuple[Event, ...]
    rules: dict[str, dict[str, Any]] | None
    """How every rule stands, where that has changed and is due; None: nothing new."""
    zones: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]
    """Name and polygon of each zone, pixels."""


def read_rules(path: str) -> Rules:
    """The rules of a file; raises ConfigError."""
    file = path_of(path)
    return rules_of(config.read_toml(file), str(file))


class MeaningStage:
    """The rules at work; another skeleton or size of picture begins anew."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._names = {rule.called: rule.kind for rule in rules.rules}
        self._zones = tuple((zone.name, zone.polygon_px) for zone in rules.zones if zone.polygon_px)
        self._made: tuple[object, Meaning] | None = None
        self._calibrating = threading.Event()

    @property
    def tallies(self) -> dict[str, Tally]:
        """What each rule did so far; empty before the first frame."""
        return {} if self._made is None else self._made[1].tallies

    def calibrate(self) -> None:
        """Let control axes take how everybody stands next as neutral; from any thread."""
        self._calibrating.set()

    def update(self, poses: Poses) -> Told:
        """Events and gauges of a frame; raises ConfigError where rules do not fit the first one."""
        meaning = self._meaning(poses)
        if self._calibrating.is_set():
            self._calibrating.clear()
            meaning.calibrate()
        meant = meaning.update(poses)
        stand = None if meant.gauges is None else summary(meant.gauges, self._names)
        return Told(meant.events, stand, self._zones)

    def _meaning(self, poses: Poses) -> Meaning:
        room = poses.space is not None and poses.space.frame == "world"
        fits = poses.skeleton, poses.size_wh, room
        if self._made is None or self._made[0] != fits:
            self._made = fits, Meaning(self.rules, poses.skeleton, poses.size_wh, room=room)
            log.info("%d rules of %s", len(self.rules.rules), self.rules.where)
        return self._made[1]

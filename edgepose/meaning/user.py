"""A rule of one's own: a Python function of one person, with the life that every rule has.

    from edgepose.meaning import Person, rule

    @rule("hands_on_hips", needs=("left_elbow", "right_elbow"))
    def hands_on_hips(person: Person) -> bool | None:
        left, right = person["elbow_left"], person["elbow_right"]
        return None if left != left or right != right else left > 70 and right > 70

It is asked for every person in every frame: True, False, or None where it cannot tell. A package offers it under the
entry point group `edgepose.rules`; settings name it: kind = "user", function = "hands_on_hips".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import says
from edgepose.core.errors import ConfigError
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.body import Body
from edgepose.meaning.features import FEATURES
from edgepose.meaning.gates import Gate, above
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common, known
from edgepose.meaning.stations import Station

Floats = NDArray[np.float64]
GROUP = "edgepose.rules"


@dataclass(slots=True)
class Person:
    """Somebody in a frame, as a function sees them; `person["knee_left"]` is a feature it has asked for."""

    t: float
    """Seconds."""
    xy: Floats
    """(17, 2) pixels, COCO's joints; NaN where not found."""
    size: float
    """Torso length, pixels."""
    features: dict[str, float]
    state: dict[str, Any]
    """Its own, for this station; starts empty."""
    options: dict[str, Any]
    """From the settings."""

    def __getitem__(self, name: str) -> float:
        return self.features[name]


Asked = Callable[[Person], "bool | float | None"]


class Known(NamedTuple):
    """A function that is a rule."""

    function: Asked
    needs: tuple[str, ...]


_KNOWN: dict[str, Known] = {}


def rule(name: str, needs: tuple[str, ...] = ()) -> Callable[[Asked], Asked]:
    """Make a function a rule.

    needs  features it asks for
    """
    for one in needs:
        known(one, list(FEATURES), f"rule {name!r}", "feature")

    def keep(function: Asked) -> Asked:
        _KNOWN[name] = Known(function, needs)
        return function

    return keep


class Settings(Common, frozen=True, kw_only=True):
    """A function of one's own."""

    function: Annotated[str, says("its name, as given to the decorator", min_length=1)]
    hold_s: Annotated[float, says("so long true, to begin", "s", gt=0, le=3600)] = 0.3
    release_s: Annotated[float, says("so long false, to end", "s", gt=0, le=3600)] = 0.3
    options: Annotated[dict[str, Any], says("given to the function")] = {}


class UserRule(Rule):
    """One gate over what the function says."""

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._known = _found(settings.function, f"{setting.path}.function")
        self._options = dict(settings.options)
        self.features = self._known.needs
        self.own = (f"says:{settings.called}",)
        self.gates = (Gate("true", (above(self.own[0], 0.5),), settings.hold_s, settings.release_s),)
        self._states: dict[int, dict[str, Any]] = {}

    def reset(self, slot: int) -> None:
        self._states.pop(slot, None)

    def measure_with(self, body: Body, t: float, values: Floats, columns: dict[str, int]) -> Floats:
        """(N, 1) what the function says of each; NaN: it cannot tell."""
        told = np.full((len(body), 1), np.nan)
        for person, slot in enumerate(body.slots.tolist()):
            features = {name: float(values[person, columns[name]]) for name in self.features}
            state = self._states.setdefault(slot, {})
            size = float(body.size[person])
            answer = self._known.function(Person(t, body.xy[person], size, features, state, self._options))
            if answer is not None:
                told[person, 0] = float(answer)
        return told

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        yield self.event(moment, person, self.name, "begin" if on else "end", onset_t, gate=gate)

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        if self.on[station.slot, 0]:
            yield self.gone(station, t, self.name, float(self.onset_t[station.slot, 0]))

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        for slot in moment.slots.tolist():
            station = moment.stations[slot]
            yield Gauge(self.name, self.kind, station.number, station.id, {"on": bool(self.on[slot, 0])})


def _found(name: str, path: str) -> Known:
    if name not in _KNOWN:
        for entry in entry_points(group=GROUP):
            if entry.name == name:
                entry.load()
    if name in _KNOWN:
        return _KNOWN[name]
    offered = sorted({*_KNOWN, *(entry.name for entry in entry_points(group=GROUP))})
    known(name, offered, path, "function that is a rule")
    raise ConfigError(f"{path}: the entry point {name!r} holds no function with the decorator `rule({name!r})`")

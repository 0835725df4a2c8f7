"""A body as a game controller: axes from -1 to 1 and buttons, around a neutral pose of one's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import says
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.body import Body
from edgepose.meaning.features import ARMS, TRUNK
from edgepose.meaning.gates import Gate, above, below
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common, known
from edgepose.meaning.stations import Station

Floats = NDArray[np.float64]
AXES = {
    "lean": ("lean_deg", 25.0),
    "move": ("x_torso", 1.0),
    "height": ("y_torso", 0.6),
    "turn": ("turned", 0.7),
    "left_hand": ("left_arm_rise_deg", 90.0),
    "right_hand": ("right_arm_rise_deg", 90.0),
}
"""Axis -> what it follows, and how far that goes to be 1."""
BUTTONS = {
    "left": (above("left_hand_up", 0.0, -0.15),),
    "right": (above("right_hand_up", 0.0, -0.15),),
    "jump": (above("rise_torso", 0.25, 0.1),),
    "crouch": (below("rise_torso", -0.45, -0.3),),
}
"""Button -> what presses it."""
NEUTRAL_S = 1.0
"""So long still after somebody came or a calibration was asked for: that is neutral."""
STILL = 0.35
"""Torso lengths a second."""


class Settings(Common, frozen=True, kw_only=True):
    """Axes and buttons for a game."""

    axes: Annotated[tuple[str, ...], says("which; empty is all")] = ()
    buttons: Annotated[tuple[str, ...], says("which; empty is all")] = ()
    dead_zone: Annotated[float, says("of an axis: nothing happens within", "0..1", ge=0, le=0.9)] = 0.15
    press_s: Annotated[float, says("so long, to press a button", "s", gt=0, le=5)] = 0.05


class Control(Rule):
    """Gauges of axes; a gate for each button."""

    every_frame = True
    needs_joints = (*TRUNK, *ARMS)
    features = ("tilt_deg", "turned", "left_arm_rise_deg", "right_arm_rise_deg", "speed")

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._cfg = settings
        for key, names in (("axes", AXES), ("buttons", BUTTONS)):
            for at, name in enumerate(getattr(settings, key)):
                known(name, list(names), f"{setting.path}.{key}[{at}]", key[:-1] if key == "buttons" else "axis")
        self._axes = settings.axes or tuple(AXES)
        self._buttons = settings.buttons or tuple(BUTTONS)
        called = settings.called
        self.own = tuple(f"{name}:{called}" for name in ("lean_deg", "x_torso", "y_torso", "rise_torso"))
        gates = []
        for name in self._buttons:
            parts = tuple(
                type(part)(self._column(part.feature), part.enter, part.exit, part.above) for part in BUTTONS[name]
            )
            gates.append(Gate(name, parts, settings.press_s, settings.press_s))
        self.gates = tuple(gates)
        self._neutral = np.zeros((0, 2 + len(AXES)))
        """(S, .) hips' x and y in pixels, then each axis, when neutral; NaN: not yet."""
        self._still = np.zeros(0)
        self.axes = np.zeros((0, len(AXES)))
        """(N, axes) of the last frame, -1..1."""

    def _column(self, feature: str) -> str:
        mine = f"{feature}:{self._cfg.called}"
        return mine if mine in self.own else feature

    def grow(self, room: int) -> None:
        more = room - len(self._still)
        self._neutral = np.concatenate((self._neutral, np.full((more, 2 + len(AXES)), np.nan)))
        self._still = np.concatenate((self._still, np.full(more, np.nan)))

    def reset(self, slot: int) -> None:
        self._neutral[slot], self._still[slot] = np.nan, np.nan

    def calibrate(self) -> None:
        """How everybody stands next is neutral."""
        self._neutral[:], self._still[:] = np.nan, np.nan

    def measure(self, body: Body, moment_t: float) -> Floats:
        """(N, 4) lean to the right in degrees; hips right, and up, of neutral in torso lengths; the last again."""
        lean = np.degrees(np.arctan2(body.trunk[:, 0], -body.trunk[:, 1]))
        away = (body.hip - self._neutral[body.slots, :2]) / body.size[:, None]
        return np.stack((lean, away[:, 0], -away[:, 1], -away[:, 1]), axis=1)

    def each(self, moment: Moment) -> Iterable[Event]:
        raw = np.stack([moment.values[:, moment.columns[self._column(name)]] for name, _ in AXES.values()], axis=1)
        neutral = self._neutral[moment.slots]
        base = neutral[:, 2:].copy()
        base[:, 1:3] = 0.0
        reach = np.array([span for _, span in AXES.values()])
        value = np.clip((raw - base) / reach, -1, 1)
        dead = self._cfg.dead_zone
        self.axes = np.where(np.abs(value) <= dead, value * 0, np.sign(value) * (np.abs(value) - dead) / (1 - dead))
        if np.isnan(neutral[:, 0]).any():
            return self._settle(moment, raw, neutral)
        return ()

    def _settle(self, moment: Moment, raw: Floats, neutral: Floats) -> Iterable[Event]:
        speed = moment.values[:, moment.columns["speed"]]
        for person in np.flatnonzero(np.isnan(neutral[:, 0])).tolist():
            slot = int(moment.slots[person])
            if not speed[person] <= STILL or math.isnan(moment.body.hip[person, 0]):
                self._still[slot] = np.nan
            elif math.isnan(self._still[slot]):
                self._still[slot] = moment.t
            elif moment.t - self._still[slot] >= NEUTRAL_S:
                self._neutral[slot] = [*moment.body.hip[person], *np.nan_to_num(raw[person])]
                shown = {"still_s": (round(moment.t - float(self._still[slot]), 2), NEUTRAL_S)}
                yield self.event(moment, person, "calibrated", "once", moment.t, evidence=shown)

    def changed(self, moment: Moment, person: int, gate: int, on: bool, onset_t: float) -> Iterable[Event]:
        name = self._buttons[gate]
        yield self.event(moment, person, "button", "begin" if on else "end", onset_t, gate=gate, button=name)

    def ended(self, station: Station, t: float) -> Iterable[Event]:
        for gate in np.flatnonzero(self.on[station.slot]).tolist():
            onset_t = float(self.onset_t[station.slot, gate])
            yield self.gone(station, t, "button", onset_t, button=self._buttons[gate])

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        names = list(AXES)
        for person, slot in enumerate(moment.slots.tolist()):
            station = moment.stations[slot]
            row = self.axes[person] if person < len(self.axes) else np.full(len(AXES), np.nan)
            axes = {
                name: None if math.isnan(row[names.index(name)]) else round(float(row[names.index(name)]), 2)
                for name in self._axes
            }
            pressed = {name: bool(self.on[slot, gate]) for gate, name in enumerate(self._buttons)}
            ready = not math.isnan(self._neutral[slot, 0])
            values = {"axes": axes, "buttons": pressed, "calibrated": ready}
            yield Gauge(self.name, self.kind, station.number, station.id, values, "" if ready else "stale")

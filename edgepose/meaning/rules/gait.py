"""Steps of somebody who walks across the picture: when each foot strikes, cadence, left against right, speed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.config import says
from edgepose.meaning import joints as j
from edgepose.meaning.base import Moment, Rule, Setting
from edgepose.meaning.records import Event, Gauge
from edgepose.meaning.settings import Common

Floats = NDArray[np.float64]
KEPT_S = 2.5
LEAST_SWING = 0.35
"""Torso lengths a foot goes against the hips between its two ends: less is no step."""
FIT_S = 0.12
"""Half the time over which a parabola is laid through the end of a swing."""
LATER_S = 0.0
"""A foot strikes so much after it was farthest ahead of the hips."""
STEPS = 8
"""Steps that cadence and asymmetry are made of."""
TORSO_OF_HEIGHT = 0.288
"""Winter: shoulder to hip, of a body's height."""


class Settings(Common, frozen=True, kw_only=True):
    """How somebody walks; seen from the side."""

    max_step_s: Annotated[float, says("a longer pause ends a walk", "s", gt=0.2, le=10)] = 1.5
    min_step_s: Annotated[float, says("nearer strikes of two feet are one", "s", gt=0, le=1)] = 0.25


@dataclass(slots=True)
class Walk:
    """Of one station."""

    samples: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=256))
    """Seconds, then how far left and right ankle are to the right of the hips, torso lengths."""
    extreme: list[float] = field(default_factory=lambda: [math.nan, math.nan])
    when: list[float] = field(default_factory=lambda: [math.nan, math.nan])
    way: list[int] = field(default_factory=lambda: [0, 0])
    strikes: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=STEPS + 1))
    push: float = 0.0
    """Which way is ahead: feet go ahead faster than back; positive is to the picture's right."""
    speed: float = math.nan
    face: float = 0.0
    """Which way the nose is from the ears, torso lengths, calm."""


class Gait(Rule):
    """Zeni, Richards and Higginson 2008: a heel strikes when the foot is farthest ahead of the hips."""

    every_frame = True
    needs_joints = (j.LEFT_HIP, j.RIGHT_HIP, j.LEFT_ANKLE, j.RIGHT_ANKLE)
    features = ("speed_x",)

    def __init__(self, settings: Settings, setting: Setting) -> None:
        super().__init__(settings, setting)
        self._cfg = settings
        self._walks: dict[int, Walk] = {}

    def reset(self, slot: int) -> None:
        self._walks.pop(slot, None)

    def each(self, moment: Moment) -> Iterable[Event]:
        body = moment.body
        feet = (body.xy[:, 15:17, 0] - body.hip[:, :1]) / body.size[:, None]
        speeds = moment.values[:, moment.columns["speed_x"]].tolist()
        ears = np.where(np.isnan(body.xy[:, 3, 0]), body.xy[:, 4, 0], body.xy[:, 3, 0])
        faces = np.nan_to_num((body.xy[:, j.NOSE, 0] - ears) / body.size).tolist()
        events: list[Event] = []
        for person, (slot, (left, right)) in enumerate(zip(moment.slots.tolist(), feet.tolist(), strict=True)):
            walk = self._walks.get(slot)
            if walk is None:
                walk = self._walks[slot] = Walk()
            if left != left or right != right:
                continue
            self._push(walk, moment.t, left, right, speeds[person])
            walk.face += 0.1 * (faces[person] - walk.face)
            walk.samples.append((moment.t, left, right))
            for foot, value in enumerate((left, right)):
                if self._turned(walk, foot, moment.t, value):
                    events += self._strike(moment, person, walk, foot)
        return events

    @staticmethod
    def _push(walk: Walk, t: float, left: float, right: float, speed: float) -> None:
        if speed == speed:
            walk.speed = speed if walk.speed != walk.speed else walk.speed + 0.1 * (speed - walk.speed)
        if not walk.samples or not 0 < t - walk.samples[-1][0] < 0.3:
            return
        before = walk.samples[-1]
        step = t - before[0]
        fast = sum(((now - was) / step) ** 3 for now, was in zip((left, right), before[1:], strict=True)) * step
        walk.push += fast - walk.push * min(step / 3, 1)

    @staticmethod
    def _ahead(walk: Walk) -> int:
        """1: to the picture's right, -1: to the left; 0: not known."""
        if abs(walk.speed) > 0.4:
            return 1 if walk.speed > 0 else -1
        if abs(walk.face) > 0.05:
            return 1 if walk.face > 0 else -1
        return 0 if abs(walk.push) < 0.5 else 1 if walk.push > 0 else -1

    def _turned(self, walk: Walk, foot: int, t: float, value: float) -> bool:
        """The foot has come back from its farthest ahead."""
        last, way = walk.extreme[foot], walk.way[foot]
        if last != last or (value - last) * way > 0:
            walk.extreme[foot], walk.when[foot] = value, t
            return False
        if way and abs(value - last) < LEAST_SWING / 2:
            return False
        if not way and abs(value - last) < LEAST_SWING / 2:
            return False
        turned = way != 0 and way == self._ahead(walk)
        if turned:
            walk.when[foot] = self._fitted(walk, foot, walk.when[foot])
        at = walk.when[foot]
        walk.way[foot] = 1 if value > last else -1
        walk.extreme[foot] = value
        walk.when[foot] = at if turned else t
        return turned

    @staticmethod
    def _fitted(walk: Walk, foot: int, at: float) -> float:
        """Seconds of the vertex of a parabola through what was seen around the end of the swing."""
        near = [(one[0] - at, one[1 + foot]) for one in walk.samples if abs(one[0] - at) <= FIT_S]
        if len(near) < 4:
            return at
        times, values = np.array(near).T
        bend, slope, _ = np.polyfit(times, values, 2)
        if bend == 0 or abs(slope / (2 * bend)) > FIT_S:
            return at
        return float(at - slope / (2 * bend))

    def _strike(self, moment: Moment, person: int, walk: Walk, foot: int) -> Iterable[Event]:
        at = walk.when[foot] + LATER_S
        walk.when[foot] = moment.t
        last = walk.strikes[-1] if walk.strikes else None
        if last is not None and last[1] != foot and at - last[0] < self._cfg.min_step_s:
            self.tally.suppressed += 1
            return
        if last is not None and at - last[0] > self._cfg.max_step_s:
            walk.strikes.clear()
            last = None
        walk.strikes.append((at, foot))
        shown = {"swing_torso": (round(abs(walk.extreme[foot]) + LEAST_SWING / 2, 3), LEAST_SWING)}
        step_s = None if last is None or last[1] == foot else round(at - last[0], 4)
        yield self.event(
            moment, person, "step", "once", at, evidence=shown, side=j.SIDES[foot], strike_media_s=round(at, 4),
            step_s=step_s, **_numbers(walk, self._speed(walk)),
        )  # fmt: skip

    @staticmethod
    def _speed(walk: Walk) -> dict[str, Any]:
        if math.isnan(walk.speed):
            return {"speed_heights_s": None}
        return {"speed_heights_s": round(abs(walk.speed) * TORSO_OF_HEIGHT, 3)}

    def gauges(self, moment: Moment) -> Iterable[Gauge]:
        for slot in moment.slots.tolist():
            walk, station = self._walks.get(slot), moment.stations[slot]
            walking = walk is not None and bool(walk.strikes) and moment.t - walk.strikes[-1][0] < self._cfg.max_step_s
            if walk is None or not walking:
                yield Gauge(self.name, self.kind, station.number, station.id, {"walking": False})
                continue
            numbers = _numbers(walk, self._speed(walk))
            yield Gauge(self.name, self.kind, station.number, station.id, {"walking": True, **numbers})


def _numbers(walk: Walk, speed: dict[str, Any]) -> dict[str, Any]:
    """Cadence, step times, asymmetry, of the last steps."""
    pairs = [(b[0] - a[0], b[1]) for a, b in zip(walk.strikes, list(walk.strikes)[1:], strict=False) if a[1] != b[1]]
    sides = [[step for step, foot in pairs if foot == side] for side in (0, 1)]
    left, right = (sum(steps) / len(steps) if steps else math.nan for steps in sides)
    steps = [step for step, _ in pairs]
    mean = sum(steps) / len(steps) if steps else math.nan

    def told(value: float, digits: int) -> float | None:
        return None if math.isnan(value) else round(value, digits)

    return {
        "cadence_per_min": told(60 / mean, 1) if mean == mean and mean > 0 else None,
        "step_left_s": told(left, 3),
        "step_right_s": told(right, 3),
        "asymmetry": told((left - right) / ((left + right) / 2), 3) if left == left and right == right else None,
        **speed,
    }

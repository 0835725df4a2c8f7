"""A day of a place on a simulated clock, through the real loop: what it cost, who was missed or reported late.

The hours in which nothing new happens are as long as `scale` says: a day is made shorter by its quiet time, never by
its visits. Shares of time are scaled back to the whole day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgepose.core import config
from edgepose.core.poses import Frame
from edgepose.pipeline import build
from edgepose.source.base import BaseSource
from tools.simulating.cutouts import Cutout, backgrounds, cutouts
from tools.simulating.scene import Scene, Visit, walk

SIZE_WH, FPS = (640, 480), 10.0
DAY_S = 86400.0
LATE_S = 0.3
"""Later than this after power off has reported somebody is late."""
MATCH_S = 3.0


@dataclass(frozen=True)
class Place:
    """What happens there in a day."""

    visits: int
    """Of people who walk through."""
    visit_s: float
    stays: tuple[float, ...] = ()
    """Hours that somebody is there and keeps still but for a move now and then: one number a person."""
    height: int = 240


PLACES = {
    "corridor": Place(visits=40, visit_s=8.0),
    "office": Place(visits=10, visit_s=8.0, stays=(8.0, 8.0), height=300),
    "bedroom": Place(visits=2, visit_s=8.0, stays=(8.0,), height=300),
    "shop": Place(visits=400, visit_s=20.0),
}


@dataclass(frozen=True)
class Part:
    """A stretch of a made day."""

    scene: Scene
    made_s: float
    """Its length as it is played."""
    real_s: float
    """What it stands for in a day."""


class Clocked(BaseSource):
    """A camera on a simulated clock: every frame of the parts, one after the other, as fast as it is taken."""

    live = True

    def __init__(self, parts: Sequence[Part], fps: float = FPS) -> None:
        super().__init__()
        self._parts, self._fps = parts, fps
        self.part = -1
        self.drawn_s = 0.0
        """CPU seconds that drawing the pictures took."""

    def __iter__(self) -> Iterator[Frame]:
        t, seq = 1000.0, 0
        for number, part in enumerate(self._parts):
            self.part = number
            for at in range(round(part.made_s * self._fps)):
                began = time.process_time()
                image = part.scene.image(at / self._fps, seq)
                self.drawn_s += time.process_time() - began
                yield Frame(image, "bgr", t, t, seq)
                t, seq = t + 1 / self._fps, seq + 1


@dataclass(frozen=True)
class Outcome:
    """What a day gave with one way of looking."""

    cpu: float
    """Mean CPU share of one core over the day, drawing left out, at FPS frames a second."""
    looks: float
    """Frames looked at, as a share of all."""
    wakes: float
    """Times it left empty or calm, in the made day."""
    entered: list[float]
    """When somebody was reported, seconds of the made day."""


def parts_of(place: Place, folder: Path, scale: float, seed: int = 1) -> list[Part]:
    """Quiet, visit, quiet, stay, ...; light from night to day and back, a lamp switched at each visit at night."""
    rng = np.random.default_rng(seed)
    people, rooms = cutouts(folder), backgrounds(folder, SIZE_WH)
    room = rooms[9 % len(rooms)]
    made_visits = max(2, round(place.visits * min(1.0, 20 * scale)))
    quiet_s = DAY_S - place.visits * place.visit_s - 3600 * max(place.stays, default=0.0)
    parts = []
    for at in range(made_visits):
        hour = 24 * (at + 0.5) / made_visits
        night = not 7 <= hour < 19
        light, sigma = (0.35, 6.0) if night else (1.0, 3.0)
        made = max(4.0, quiet_s * scale / made_visits)
        parts.append(Part(Scene(room, sigma=sigma, light=_steady(light), seed=at), made, quiet_s / made_visits))
        who = people[int(rng.integers(5)) % len(people)].scaled(place.height)
        visit = Visit(who, 0.5, place.visit_s, walk(-who.alpha.shape[1] / 2, 760 / place.visit_s, 460.0))
        lamp = _switched(light, 1.0) if night else _steady(light)
        real_s = place.visits * place.visit_s / made_visits
        parts.append(Part(Scene(room, (visit,), sigma, light=lamp, seed=at), place.visit_s + 1, real_s))
    if place.stays:
        made = max(30.0, 3600 * max(place.stays) * scale)
        sitters = [
            _sitter(people[2 * at % len(people)].scaled(place.height), 200 + 240 * at, made)
            for at in range(len(place.stays))
        ]
        parts.append(Part(Scene(room, tuple(sitters), 3.0, seed=99), made, 3600 * max(place.stays)))
    return parts


def _steady(light: float) -> Callable[[float], float]:
    return lambda _t: light


def _switched(before: float, after: float) -> Callable[[float], float]:
    return lambda t: after if t > 0.3 else before


def _sitter(who: Cutout, x: float, seconds: float) -> Visit:
    """Somebody who moves once in 20 s."""
    return Visit(who, 0.0, seconds, lambda t: (x + 25 * np.clip(np.sin(2 * np.pi * t / 20) - 0.9, 0, 1) * 10, 470.0))


def day(parts: Sequence[Part], mode: str) -> Outcome:
    """Run the real loop over it."""
    cfg = config.Config()
    replace = msgspec.structs.replace
    power, engine = replace(cfg.power, mode=mode), replace(cfg.engine, threads=1)
    source = Clocked(parts)
    spent, looked = [0.0] * len(parts), [0] * len(parts)
    entered = []
    with build(replace(cfg, power=power, engine=engine), source=source, sinks=[]) as pipeline:
        began, drawn, part = time.process_time(), 0.0, 0
        for seen in pipeline:
            now = time.process_time()
            spent[part] += now - began - (source.drawn_s - drawn)
            began, drawn, part = now, source.drawn_s, source.part
            looked[part] += 1
            entered += [seen.poses.t - 1000.0] * len(seen.poses.entered)
        governor = pipeline.governor
        wakes = 0 if governor is None else governor.report().wakes
    total_s = sum(part.real_s for part in parts)
    weights = [part.real_s / part.made_s for part in parts]
    frames = [round(part.made_s * FPS) for part in parts]
    return Outcome(
        cpu=sum(cost * weight for cost, weight in zip(spent, weights, strict=True)) / total_s,
        looks=sum(n / all_ * part.real_s for n, all_, part in zip(looked, frames, parts, strict=True)) / total_s,
        wakes=float(wakes),
        entered=entered,
    )


def missed_and_late(off: Outcome, on: Outcome) -> tuple[int, int]:
    """Of those that power off reports: how many power on never does, and how many more than LATE_S later."""
    left, missed, late = list(on.entered), 0, 0
    for t in off.entered:
        near = [other for other in left if abs(other - t) <= MATCH_S]
        if not near:
            missed += 1
            continue
        best = min(near, key=lambda other: abs(other - t))
        left.remove(best)
        late += best - t > LATE_S
    return missed, late

"""Bodies made of sticks, for the tests of rules: every length in torso lengths, every angle meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17, Poses, Skeleton
from edgepose.meaning import Event, Meaning, rules_of
from edgepose.meaning.engine import all_of
from samples.toml import tomllib

Floats = NDArray[np.float64]
SIZE_WH = (640, 480)


@dataclass(frozen=True)
class Stick:
    """Somebody seen from the front or the side; angles in degrees from straight down, positive to the right."""

    hip_xy: tuple[float, float] = (320.0, 250.0)
    torso_px: float = 80.0
    trunk: float = 180.0
    thighs: tuple[float, float] = (0.0, 0.0)
    """Left, right."""
    shanks: tuple[float, float] = (0.0, 0.0)
    arms: tuple[float, float] = (0.0, 0.0)
    forearms: tuple[float, float] = (0.0, 0.0)
    wide: float = 0.35
    """Half of the shoulders' breadth; 0 from the side."""

    @property
    def xy(self) -> Floats:
        """(17, 2) pixels; the person's left is on the picture's right."""
        made = np.zeros((17, 2))
        hip = np.array(self.hip_xy)
        neck = hip + self._to(self.trunk, 1.0)
        side = np.array((self.wide * self.torso_px, 0.0))
        made[0] = neck + self._to(self.trunk, 0.45)
        for joint, out in ((1, 0.25), (2, -0.25), (3, 0.5), (4, -0.5)):
            made[joint] = neck + self._to(self.trunk, 0.5) + out * side
        for at, sign in ((0, 1), (1, -1)):
            made[5 + at] = neck + sign * side
            made[7 + at] = made[5 + at] + self._to(self.arms[at], 0.63)
            made[9 + at] = made[7 + at] + self._to(self.forearms[at], 0.52)
            made[11 + at] = hip + sign * side * 0.7
            made[13 + at] = made[11 + at] + self._to(self.thighs[at], 0.85)
            made[15 + at] = made[13 + at] + self._to(self.shanks[at], 0.85)
        return made

    def _to(self, degrees: float, length: float) -> Floats:
        angle = math.radians(degrees)
        return np.array((math.sin(angle), math.cos(angle))) * length * self.torso_px


STANDING = Stick()
SITTING = Stick(hip_xy=(320.0, 310.0), thighs=(80.0, 80.0), wide=0.1)
LYING = Stick(
    hip_xy=(320.0, 400.0), trunk=92.0, thighs=(-90.0, -90.0), shanks=(-90.0, -90.0), arms=(-90.0, -90.0), wide=0.05
)
BENT = Stick(trunk=110.0, wide=0.1)
KNEELING = Stick(hip_xy=(320.0, 320.0), shanks=(-80.0, -80.0), wide=0.1)


def seen(people: Mapping[int, Floats], t: float, seq: int = 0, skeleton: Skeleton = COCO17) -> Poses:
    """A frame of identity -> (17, 2); NaN joints have score 0."""
    xy = np.array(list(people.values()), np.float32).reshape(len(people), len(skeleton.joints), 2)
    score = np.where(np.isfinite(xy[:, :, 0]), 0.9, 0.0).astype(np.float32)
    ids = np.array(list(people), np.int32).reshape(len(people))
    return Poses(t, t, seq, "", SIZE_WH, skeleton, xy, score, np.full(len(people), 0.9, np.float32), ids)


def film(
    pose: Callable[[float], Mapping[int, Floats]], seconds: float, hz: float = 30.0, begin: float = 0.0
) -> list[Poses]:
    """What `pose` says at each frame's time."""
    return [seen(pose(n / hz), begin + n / hz, n) for n in range(round(seconds * hz) + 1)]


def one(stick: Stick) -> dict[int, Floats]:
    """Only that one, with identity 1."""
    return {1: stick.xy}


def meaning_of(toml: str, size_wh: tuple[int, int] = SIZE_WH, skeleton: Skeleton = COCO17) -> Meaning:
    """Rules as text."""
    return Meaning(rules_of(tomllib.loads(toml), "rules.toml"), skeleton, size_wh)


def told(toml: str, poses: Iterable[Poses]) -> list[Event]:
    """All events of a film."""
    return list(all_of(meaning_of(toml), poses))


def words(events: Iterable[Event]) -> list[str]:
    """Rule, what and phase of each."""
    return [f"{event.rule} {event.what} {event.phase}" for event in events]

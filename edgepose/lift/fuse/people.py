"""Who is in the room from moment to moment: where they are expected, and how they were seen last."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgepose.lift.stage import HIPS, PER_HEIGHT

Array = NDArray[np.float64]
FORGET_S, JOINT_S = 1.0, 0.3
"""A person out of sight is given up; a joint's last place says where it is."""
SURE_S = 0.5
"""So long after several cameras measured somebody, any camera's pose that is near is theirs."""
KEEP = 0.7
"""Of the speed, from moment to moment."""
TALL_S = 5.0
"""Time constant of how tall somebody is."""
SHOULDERS = [5, 6]
LEGS = ((11, 13, 15), (12, 14, 16))


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One person at one moment."""

    xyz: Array
    """(K, 3) metres in the world; NaN where nothing is known."""
    sigma: Array
    """(K, 3) metres, one standard deviation an axis."""
    root: Array
    """(3,) the mid hip, or the middle of what is seen."""
    root_sigma: float
    guessed: NDArray[np.bool_]
    """(K,) joints that no picture shows."""
    alone: int = -1
    """Number of the one camera that saw it; -1: several measured it."""
    view: Array | None = None
    """(3,) the direction in which that camera looked, of which it knows least."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One known person."""

    identity: int
    """0: seen by one camera, not long enough to be believed."""
    begun_t: float
    t: float
    xyz: Array
    """(K, 3) metres, NaN where never or long not seen."""
    seen_t: Array
    """(K,) when each joint was seen last."""
    root: Array
    """(3,) metres."""
    velocity: Array
    """(3,) metres a second, of the whole body."""
    measured_t: float
    """When several cameras saw them last."""
    alone: int = -1
    """As the last Sighting's."""
    tall_m: float = np.nan
    """How tall they are, where several cameras have seen that."""

    @classmethod
    def begun(cls, identity: int, t: float, seen: Sighting) -> Track:
        """Somebody new."""
        unseen = np.full(len(seen.xyz), -np.inf)
        nobody = cls(identity, t, t, np.full_like(seen.xyz, np.nan), unseen, seen.root, np.zeros(3), -np.inf)
        return nobody.seen(t, seen)

    def expected(self, t: float) -> Array:
        """(K, 3) where the joints are at a time."""
        places = self.xyz + self.velocity * (t - self.t)
        return np.where((self.t - self.seen_t < JOINT_S)[:, None], places, np.nan)

    def expected_root(self, t: float) -> Array:
        """(3,) where the middle is."""
        place: Array = self.root + self.velocity * (t - self.t)
        return place

    def sure(self, t: float) -> bool:
        """Whether it is known to centimetres where they are."""
        return t - self.measured_t < SURE_S

    def seen(self, t: float, seen: Sighting) -> Track:
        """The same person seen again."""
        xyz = np.where(seen.guessed[:, None], np.nan, seen.xyz)
        step = xyz - self.xyz
        fresh = ~np.isnan(step[:, 0]) & (t - self.seen_t < JOINT_S)
        velocity, same_way = self.velocity, (seen.alone < 0) == (self.alone < 0)
        if fresh.any() and t > self.t and same_way:  # from lifted to measured somebody leaps
            moved = np.median(step[fresh], axis=0)
            moved = moved if seen.view is None else moved - (moved @ seen.view) * seen.view
            velocity = KEEP * velocity + (1 - KEEP) * moved / (t - self.t)
        there = ~np.isnan(xyz[:, 0])
        places = np.where(there[:, None], xyz, self.xyz + velocity * (t - self.t))
        return replace(
            self, t=t, xyz=places, seen_t=np.where(there, t, self.seen_t),
            root=self._root(t, seen), velocity=velocity,
            measured_t=t if seen.alone < 0 else self.measured_t, alone=seen.alone, tall_m=self._tall(t, seen),
        )  # fmt: skip

    def _root(self, t: float, seen: Sighting) -> Array:
        """The mid hip goes on where hips are hidden."""
        hips = not np.isnan(seen.xyz[HIPS]).any()
        return seen.root if hips or not np.isfinite(self.seen_t).any() else self.expected_root(t)

    def _tall(self, t: float, seen: Sighting) -> float:
        now = tall(seen.xyz) if seen.alone < 0 else np.nan
        if np.isnan(now) or np.isnan(self.tall_m):
            return self.tall_m if np.isnan(now) else now
        return self.tall_m + (now - self.tall_m) * min(1.0, (t - self.t) / TALL_S)


def tall(xyz: Array) -> float:
    """How tall a person is, by trunk, thighs and shanks; NaN where these are not all seen."""
    trunk = np.linalg.norm(xyz[SHOULDERS].mean(axis=0) - xyz[HIPS].mean(axis=0))
    legs = [np.linalg.norm(xyz[a] - xyz[b]) + np.linalg.norm(xyz[b] - xyz[c]) for a, b, c in LEGS]
    return float((trunk + np.mean(legs)) / PER_HEIGHT)


def root_of(xyz: Array) -> Array:
    """(3,) the mid hip; where it is not seen the middle of what is."""
    hips: Array = xyz[HIPS].mean(axis=0)
    return middle(xyz) if np.isnan(hips).any() else hips


def middle(xyz: Array) -> Array:
    """(3,) the mean of the joints that are known; NaN where none is."""
    known = xyz[~np.isnan(xyz[:, 0])]
    mean: Array = known.mean(axis=0) if len(known) else np.full(3, np.nan)
    return mean

"""A room that is known exactly: people of motion capture, and what its cameras would make of them.

The errors are those measured of MoveNet against four synchronised cameras: a bias a person and joint, one that drifts,
white noise, joints and people that are missed, joints far off, limbs taken from whoever is near, and people hidden
behind others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17, Poses
from edgepose.lift.camera import Camera
from edgepose.lift.fuse import PlacedCamera

Array = NDArray[np.float64]
MOCAP = Path(__file__).resolve().parents[1] / "tools" / "lifter" / "data" / "cmu_train.npz"
UNSEEN = ("06", "13", "16", "35")
"""Subjects that the lifter was not trained on."""
LENS = Camera((1280, 720), (900.0, 900.0), (639.5, 359.5))
TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
STATIC_M, DRIFT_M, WHITE_M, DRIFT_S = 0.022, 0.022, 0.012, 0.2
FACTOR = np.array([1.1] * 5 + [0.85, 0.85, 0.9, 0.9, 0.95, 0.95, 1.2, 1.2, 1.0, 1.0, 1.05, 1.05])
LIMBS = ([7, 9], [8, 10], [13, 15], [14, 16])
ROOM_M = 1.6
"""The middle of what people walk in HERE_S lies within so much of the room's."""
HERE_S = 5.0


@dataclass(frozen=True)
class Errors:
    """Of each camera."""

    level: float = 1.0
    """Of the joints' places; 0: exact."""
    missed_people: float = 0.08
    missed_joints: float = 0.03
    far_off: float = 0.02
    swapped_limbs: float = 0.06
    hidden: float = 0.6
    """Share of the joints behind somebody else that are not found."""


EXACT = Errors(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def ring(count: int, radius_m: float = 5.0, height_m: float = 2.4) -> tuple[PlacedCamera, ...]:
    """Cameras around the middle, which they look at."""
    return tuple(
        _looking(f"cam{number}", 0.3 + 2 * np.pi * number / count, radius_m, height_m) for number in range(count)
    )


def _looking(name: str, angle: float, radius_m: float, height_m: float) -> PlacedCamera:
    position = np.array([radius_m * np.cos(angle), radius_m * np.sin(angle), height_m])
    ahead = np.array([0.0, 0.0, 1.0]) - position
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, (0, 0, 1))
    right /= np.linalg.norm(right)
    return PlacedCamera(name, LENS, np.stack([right, np.cross(ahead, right), ahead]), position)


@lru_cache(maxsize=1)
def _clips() -> tuple[Array, ...]:
    """(F, 17, 3) metres, z up, at 30 Hz, of the people that were not trained on."""
    with np.load(MOCAP) as data:
        names, start = data["clip"].tolist(), data["start"].tolist()
        joints, root = data["joints"][:, :17].astype(np.float64), data["root"].astype(np.float64)
    chosen = [at for at, name in enumerate(names) if name.split("_")[0] in UNSEEN and start[at + 1] - start[at] > 150]
    return tuple((joints[a:b] + root[a:b, None]) @ TO_Z_UP.T for a, b in ((start[at], start[at + 1]) for at in chosen))


@dataclass
class Walkers:
    """Where everybody is at any time; whose motion ends goes back the way they came."""

    count: int
    seed: int
    _films: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        random, clips = np.random.default_rng(self.seed), _clips()
        for number in range(self.count):
            film = clips[random.integers(len(clips))]
            angle = random.uniform(0, 2 * np.pi)
            turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
            way = film[: int(HERE_S * 30)].mean(axis=1)[:, :2]
            film = (film - (*((way.min(axis=0) + way.max(axis=0)) / 2), 0.0)) @ turn.T
            there = 2 * np.pi * number / max(self.count, 1) + random.uniform(-0.3, 0.3)
            place = ROOM_M * random.uniform(0.4, 1.0) if self.count > 1 else 0.0
            self._films.append(film + np.array([place * np.cos(there), place * np.sin(there), 0.0]))

    def at(self, t: float) -> Array:
        """(N, 17, 3) metres."""
        return np.array([_between(film, t * 30) for film in self._films]).reshape(self.count, 17, 3)


def _between(film: Array, frame: float) -> Array:
    last = len(film) - 1
    at = abs((frame + last) % (2 * last) - last) if last else 0.0
    first = min(int(at), last - 1)
    share = at - first
    place: Array = film[first] * (1 - share) + film[first + 1] * share
    return place


class Watcher:
    """One camera and its errors."""

    def __init__(self, camera: PlacedCamera, people: int, errors: Errors, seed: int) -> None:
        self.camera, self._errors, self._random = camera, errors, np.random.default_rng(seed)
        self._bias = self._random.normal(0, STATIC_M, (people, 17, 2))
        self._drift = self._random.normal(0, DRIFT_M, (people, 17, 2))
        self._gone = np.zeros(people, int)
        self._t = -np.inf

    def sees(self, people: Array, t: float) -> Poses:
        """What it finds of (N, 17, 3) metres; ids mean nothing."""
        e, random = self._errors, self._random
        keep = np.exp(-(t - self._t) / DRIFT_S) if np.isfinite(self._t) else 0.0
        self._t = t
        fresh = random.normal(0, DRIFT_M, self._drift.shape)
        self._drift = keep * self._drift + np.sqrt(1 - keep**2) * fresh
        depth = (people - self.camera.position) @ self.camera.rotation[2]
        clean = self.camera.project(people)
        off = self._bias + self._drift + random.normal(0, WHITE_M, self._drift.shape)
        far = random.random(off.shape[:2]) < e.far_off
        off = off * FACTOR[:, None] * e.level + far[..., None] * random.normal(0, 0.3, off.shape)
        xy = clean + off * LENS.focal_xy[0] / depth[..., None]
        found = random.random(xy.shape[:2]) >= e.missed_joints
        self._hide(found, clean, depth)
        for person in np.flatnonzero(random.random(len(people)) < e.swapped_limbs * (len(people) > 1)).tolist():
            other = random.choice([each for each in range(len(people)) if each != person])
            limb = LIMBS[random.integers(len(LIMBS))]
            xy[person, limb] = clean[other, limb]
        self._gone = np.maximum(self._gone - 1, 0)
        self._gone[random.random(len(people)) < e.missed_people / 4] = 4
        rows = np.flatnonzero((self._gone == 0) & (found.sum(axis=1) >= 6))
        return _poses(random.permutation(rows), xy, found, t, random)

    def _hide(self, found: NDArray[np.bool_], clean: Array, depth: Array) -> None:
        """Joints behind somebody who is nearer."""
        order = np.argsort(depth.mean(axis=1))
        for nearer, person in enumerate(order.tolist()):
            for other in order[:nearer].tolist():
                low, high = clean[other].min(axis=0), clean[other].max(axis=0)
                inset = 0.2 * (high - low) * (1, 0)
                behind = ((clean[person] > low + inset) & (clean[person] < high - inset)).all(axis=1)
                found[person] &= ~(behind & (self._random.random(17) < self._errors.hidden))


def _poses(
    rows: NDArray[np.int64], xy: Array, found: NDArray[np.bool_], t: float, random: np.random.Generator
) -> Poses:
    places = np.where(found[rows][..., None], xy[rows], np.nan)
    inside = ((places > 0) & (places < LENS.size_wh)).all(axis=-1)
    places[~inside] = np.nan
    score = np.where(np.isnan(places[..., 0]), 0, 0.8).astype(np.float32)
    seen = (score > 0).sum(axis=1) >= 6
    return Poses(
        t=t, taken_t=t, seq=0, name="", size_wh=LENS.size_wh, skeleton=COCO17,
        xy=places[seen].astype(np.float32), score=score[seen], person_score=np.ones(int(seen.sum()), np.float32),
        track_id=rows[seen].astype(np.int32),
    )  # fmt: skip


def film(
    walkers: Walkers, cameras: Sequence[PlacedCamera], seconds: float, *, hz: Sequence[float] = (15.0,),
    offset_s: Sequence[float] = (0.0,), clock_s: Sequence[float] = (0.0,), errors: Errors | None = None, seed: int = 0,
) -> Iterator[tuple[str, float, Poses]]:  # fmt: skip
    """What every camera sees, in order: name, when by its own clock, poses. Rates and offsets go around."""
    watchers = [Watcher(one, walkers.count, errors or Errors(), 1000 * seed + n) for n, one in enumerate(cameras)]
    due = sorted(
        (offset_s[n % len(offset_s)] + frame / hz[n % len(hz)], n)
        for n in range(len(cameras))
        for frame in range(int(seconds * hz[n % len(hz)]))
    )
    for t, n in due:
        yield cameras[n].name, t + clock_s[n % len(clock_s)], watchers[n].sees(walkers.at(t), t)


@dataclass
class Judged:
    """What a room made of it."""

    right: int = 0
    missed: int = 0
    wrong: int = 0
    switches: int = 0
    errors_m: list[float] = field(default_factory=list)
    _last: dict[int, int] = field(default_factory=dict)

    def saw(self, fused: Poses, truth: Array, near_m: float = 0.25) -> None:
        """One moment: (N, 17, 3) where everybody is."""
        assert fused.xyz is not None
        assert fused.space is not None
        places = fused.xyz.astype(np.float64) + fused.space.root[:, None]
        off = np.linalg.norm(places[:, None] - truth[None], axis=-1)
        away = np.array([[np.nanmedian(one) if np.isfinite(one).any() else np.inf for one in row] for row in off])
        used: set[int] = set()
        whose: dict[int, int] = {}
        for row, person in sorted(np.ndindex(*away.shape), key=lambda pair: float(away[pair])) if away.size else []:
            if row not in used and person not in whose and away[row, person] < near_m:
                used.add(row)
                whose[person] = row
        self.right, self.missed = self.right + len(whose), self.missed + len(truth) - len(whose)
        self.wrong += len(fused) - len(whose)
        for person, row in whose.items():
            identity = int(fused.track_id[row])
            self.switches += self._last.get(person, identity) != identity
            self._last[person] = identity
            self.errors_m += off[row, person][np.isfinite(off[row, person])].tolist()

    def numbers(self) -> Mapping[str, float]:
        """recall, precision, switches, mm."""
        return {
            "recall": self.right / max(1, self.right + self.missed),
            "precision": self.right / max(1, self.right + self.wrong),
            "switches": float(self.switches),
            "mm": 1000 * float(np.mean(self.errors_m)) if self.errors_m else np.nan,
        }

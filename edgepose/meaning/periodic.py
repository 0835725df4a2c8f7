"""What goes to and fro, whatever it is: repetitions without a word about the exercise.

The last minute of the limbs' joints is looked at once a second: its slow drift is taken out, the three directions in
which it moves most are found (principal components), and of these the one that repeats best counts: its turning
points, by pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgepose.meaning import joints as j
from edgepose.meaning.body import Body

Floats = NDArray[np.float64]

HZ = 15.0
"""Samples a second that are kept."""
LOOK_S = 1.0
LEAST_S = 2.5
"""Less is not looked at."""
LONGEST_S = 60.0
"""Of what is longer the older half is counted for good."""
DRIFT_S = 6.0
CALM_S = 0.25
TURN = 0.4
"""Of a direction's range (its 5th to 95th percentile): what lies between two turning points."""
LEAST_TORSO = 0.12
"""Root mean square over time of all joints together, in torso lengths: less is standing still."""
DIRECTIONS = 3
LEAST_PEAK = 0.2


@dataclass(slots=True)
class Track:
    """Of one station."""

    times: list[float] = field(default_factory=list)
    points: list[Floats] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    """Torso lengths, pixels."""
    looked_t: float = -np.inf
    base: int = 0
    """Repetitions that are counted for good."""
    told: int = 0
    """Repetitions reported so far, of this set."""
    sure: int = 0
    """What the last look but one found as well."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found."""

    ends: Floats
    """(M,) seconds, of each repetition's end."""
    halves: int
    """Turning points: two make a repetition, also where the film ends in the middle of one."""
    period_s: float
    score: float
    """0..1: how well it repeats."""


class Periods:
    """Looks for what repeats, for each station."""

    least = 0.25

    def __init__(self, min_period_s: float, max_period_s: float) -> None:
        self._shortest, self._longest = min_period_s, max_period_s
        self.score = np.zeros(0)
        """(S,) how well it repeats."""
        self._tracks: dict[int, Track] = {}

    def grow(self, room: int) -> None:
        """Room for so many slots."""
        self.score = np.concatenate((self.score, np.zeros(room - len(self.score))))

    def reset(self, slot: int) -> None:
        """Somebody new."""
        self.score[slot] = 0.0
        self._tracks.pop(slot, None)

    def update(self, body: Body) -> Iterable[tuple[int, float, float, float]]:
        """Each repetition found with this frame: person, when it was done, its period, how well it repeats."""
        found: list[tuple[int, float, float, float]] = []
        points = body.xy[:, j.LIMBS].reshape(len(body), -1)
        for person, slot in enumerate(body.slots.tolist()):
            track = self._tracks.get(slot)
            if track is None:
                track = self._tracks[slot] = Track()
            if track.times and body.t - track.times[-1] < 1 / HZ - 1e-3:
                continue
            track.times.append(body.t)
            track.points.append(points[person])
            track.sizes.append(float(body.size[person]))
            if body.t - track.looked_t >= LOOK_S and body.t - track.times[0] >= LEAST_S:
                track.looked_t = body.t
                found += [(person, *one) for one in self._news(slot, track)]
        return found

    def _news(self, slot: int, track: Track) -> Iterable[tuple[float, float, float]]:
        look = self.look(track)
        self.score[slot] = 0.0 if look is None else look.score
        count = 0 if look is None or look.score < self.least else track.base + len(look.ends)
        sure, track.sure = min(track.sure, count), count
        if look is None or sure <= track.told:
            return
        for at in range(track.told, sure):
            place = max(at - track.base, 0)
            yield float(look.ends[place]), look.period_s, look.score
        track.told = sure
        if track.times[-1] - track.times[0] > LONGEST_S:
            self._shorten(track, look)

    @staticmethod
    def _shorten(track: Track, look: Look) -> None:
        cut_t = track.times[0] + LONGEST_S / 2
        done = look.ends[look.ends <= cut_t]
        if len(done):
            track.base += len(done)
            keep = next(at for at, t in enumerate(track.times) if t >= done[-1])
            del track.times[:keep], track.points[:keep], track.sizes[:keep]

    def final(self, slot: int) -> tuple[int, int]:
        """Repetitions of a set that is over: found when all of it is looked at, and reported; begins anew."""
        track = self._tracks.pop(slot, None)
        if track is None or not track.times or track.times[-1] - track.times[0] < LEAST_S:
            return 0, 0
        look = self.look(track)
        if look is None or look.score < self.least:
            return track.base, track.told
        return track.base + look.halves // 2, track.told

    def still(self, slot: int, t: float) -> bool:
        """Nothing has repeated for longer than a repetition may take."""
        track = self._tracks.get(slot)
        if track is None or not track.told:
            return False
        look = self.look(track)
        return look is None or not len(look.ends) or t - look.ends[-1] > min(self._longest, 3 * look.period_s + 2)

    def look(self, track: Track) -> Look | None:
        """The repetitions of the last minute; None: there is nothing to see."""
        times = np.array(track.times)
        grid = np.arange(times[0], times[-1] + 1e-9, 1 / HZ)
        points = _even(times, np.array(track.points), grid)
        size = float(np.median(track.sizes))  # one for all of it: what swells and shrinks is no movement
        if points is None or not size > 0:
            return None
        moved = (points - _drift(points)) / size
        spread, ways = np.linalg.eigh(moved.T @ moved / len(moved))
        if spread.sum() < LEAST_TORSO**2:
            return None
        best: tuple[float, Look] | None = None
        for at in range(1, DIRECTIONS + 1):
            weight = float(np.sqrt(max(spread[-at], 0.0) / spread[-1]))
            judged = self._judged(_calm(moved @ ways[:, -at]), grid)
            if judged and (best is None or judged[0] * weight > best[0]):
                best = judged[0] * weight, judged[1]
        return best[1] if best else None

    def _judged(self, signal: Floats, grid: Floats) -> tuple[float, Look] | None:
        """How well one direction repeats, and the repetitions."""
        low, high = np.percentile(signal, (5, 95))
        turns = grid[_turns(signal, TURN * (high - low))]
        if len(turns) < 2:
            return None
        whole = turns[2:] - turns[:-2]
        regular = 1 / (1 + float(whole.std() / whole.mean())) if len(whole) >= 3 else 0.5
        peak = self._peak(signal)
        period = float(np.median(whole)) if len(whole) else float(2 * (turns[1] - turns[0]))
        ends = turns[2::2]
        quick = np.diff(np.concatenate((turns[:1], ends))) < self._shortest
        return peak + regular, Look(
            ends[~quick], len(turns) - int(2 * quick.sum()), period, min(1.0, (peak + regular) / 2)
        )

    def _peak(self, signal: Floats) -> float:
        """The highest peak of its likeness to itself some time ago, by mean squared difference; 0 without one."""
        most = int(min(self._longest * HZ, 0.6 * len(signal)))
        least = max(int(self._shortest * HZ), 2)
        if most <= least + 1:
            return 0.0
        spread = 2 * float(signal.var())
        lags = range(least - 1, most)
        like = np.array([1 - float(((signal[lag:] - signal[:-lag]) ** 2).mean()) / spread for lag in lags])
        peaks = (like[1:-1] >= like[:-2]) & (like[1:-1] > like[2:]) & (like[1:-1] > LEAST_PEAK)
        return float(like[1:-1][peaks].max()) if peaks.any() else 0.0


def _even(times: Floats, points: Floats, grid: Floats) -> Floats | None:
    """(T, 24) at even times, gaps bridged; joints seen less than half of the time are left out."""
    known = np.isfinite(points)
    columns = np.flatnonzero(known.mean(0) >= 0.5)
    if len(columns) < 4 or len(grid) < int(LEAST_S * HZ):
        return None
    even = [np.interp(grid, times[known[:, column]], points[known[:, column], column]) for column in columns.tolist()]
    return np.stack(even, axis=1)


def _drift(points: Floats) -> Floats:
    """The mean over DRIFT_S around each sample; of a shorter film its mean."""
    half = int(DRIFT_S * HZ)
    if 2 * half + 1 >= len(points):
        return np.broadcast_to(points.mean(0), points.shape)
    sums = np.cumsum(np.pad(points, ((half + 1, half), (0, 0)), "edge"), axis=0)
    return np.asarray((sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1), np.float64)


def _calm(signal: Floats) -> Floats:
    half = max(int(CALM_S * HZ), 1)
    window = np.hanning(2 * half + 1)
    return np.convolve(np.pad(signal, half, "edge"), window / window.sum(), "valid")


def _turns(signal: Floats, least: float) -> list[int]:
    """Where it turns, having gone at least so far."""
    turns: list[int] = []
    way, last = 0, float(signal[0])
    for at, value in enumerate(signal.tolist()):
        if (value - last) * way > 0:
            last, turns[-1] = value, at
        elif abs(value - last) >= least:
            way, last = (1 if value > last else -1), value
            turns.append(at)
    return turns

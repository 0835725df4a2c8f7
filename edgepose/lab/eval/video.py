"""What can be said of people followed through a video: who was there when, how calmly, how late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses

GAP_S, GAP_FRAMES = 0.25, 3
"""Longer than both without somebody is two intervals."""
WINDOW_S = 0.5
"""Stretch in which a joint is at rest or is not; at least LEAST_FRAMES."""
LEAST_FRAMES = 5
"""Of such a stretch."""
REST = 0.03
"""Of the person's size, moved in a stretch: at rest."""
MOVING = 0.4
"""Of the person's size, moved in a second: in motion."""
EARLY, LATE = 4, 12
"""Frames within which a lag is looked for."""
LEAST_MOVING = 20
"""Samples of joints in motion that a lag needs."""

MEANINGS = {
    "frames": "frames looked at",
    "seconds": "from the first to the last",
    "people_per_frame": "people told of a frame",
    "tracks": "identities",
    "short_tracks": "of them seen for less than a second",
    "untracked": "people told of without an identity",
    "jitter_px": "joints at rest, as sent: root mean square distance from a line through half a second, median",
    "jitter_px_unsmoothed": "the same before smoothing",
    "jitter_body": "jitter_px in body sizes",
    "lag_ms": "how far smoothed joints in motion trail those not smoothed; negative: they are ahead, by prediction",
    "invokes_per_frame": "inferences",
    "ms_per_frame": "median time from a frame taken to its people found",
    "lost": "frames without a result",
    "switches": "times that somebody got another identity than before",
    "fragmentations": "times that somebody was followed, was not, and was again",
    "recall": "share of the people in the truth that are followed",
    "precision": "share of the people told of that are in the truth",
    "mota": "1 - (missed + false + switches) / people in the truth",
    "mean_oks": "of people followed, where the truth has joints",
    "error_px": "median distance of their joints",
    "lag_truth_ms": "how far joints in motion trail the truth",
}
"""Key -> what it says."""


@dataclass(frozen=True, eq=False)
class Track:
    """Somebody through a video."""

    t: NDArray[np.float64]
    """(n,) seconds, rising."""
    seq: NDArray[np.int64]
    """(n,) frames."""
    xy: NDArray[np.float64]
    """(n, K, 2) pixels; NaN where not found."""

    @property
    def size(self) -> float:
        """Of the person, pixels: the median of the larger side around the joints."""
        found: NDArray[np.bool_] = np.asarray(np.isfinite(self.xy).all(axis=2))
        high = np.where(found[..., None], self.xy, -np.inf).max(axis=1)
        low = np.where(found[..., None], self.xy, np.inf).min(axis=1)
        sides = (high - low).max(axis=1)
        sides = sides[np.isfinite(sides)]
        return max(1.0, float(np.median(sides))) if sides.size else 1.0

    @property
    def intervals(self) -> list[tuple[float, float]]:
        """Seconds from and to which the person was there."""
        ends = np.flatnonzero(np.diff(self.t) > _gap(self.t))
        starts = [0, *(ends + 1).tolist()]
        return [
            (float(self.t[a]), float(self.t[b])) for a, b in zip(starts, [*ends.tolist(), len(self.t) - 1], strict=True)
        ]


def tracks_of(film: Sequence[Poses]) -> dict[int, Track]:
    """Identity -> track, in the order in which they came; people without one are left out."""
    rows: dict[int, list[tuple[Poses, int]]] = {}
    for poses in film:
        for index, identity in enumerate(poses.track_id.tolist()):
            if identity >= 0:
                rows.setdefault(identity, []).append((poses, index))
    return {
        identity: Track(
            np.array([poses.t for poses, _ in seen], np.float64),
            np.array([poses.seq for poses, _ in seen], np.int64),
            np.array([poses.xy[index] for poses, index in seen], np.float64),
        )
        for identity, seen in rows.items()
    }


def jitter(
    measured: Mapping[int, Track], reported: Mapping[int, Track]
) -> tuple[list[float], list[float], list[float]]:
    """Of each joint at rest, half a second at a time: jitter as measured, as reported, and that in body sizes.

    What is at rest is decided by `measured`; both have the same frames.
    """
    before, after, relative = [], [], []
    for identity, track in measured.items():
        other, size = reported[identity], track.size
        for start, stop in _windows(track.t):
            t = track.t[start:stop] - track.t[start:stop].mean()
            for joint in range(track.xy.shape[1]):
                xy, xy_told = track.xy[start:stop, joint], other.xy[start:stop, joint]
                if np.isnan(xy).any() or np.isnan(xy_told).any():
                    continue
                moved, shaken = _line(t, xy)
                if moved * (t[-1] - t[0]) > REST * size:
                    continue
                before.append(shaken)
                after.append(_line(t, xy_told)[1])
                relative.append(after[-1] / size)
    return before, after, relative


def _step(t: NDArray[np.float64]) -> float:
    """Seconds from frame to frame, as a rule."""
    return float(np.median(np.diff(t))) if len(t) > 1 else 0.0


def _gap(t: NDArray[np.float64]) -> float:
    """Seconds from which somebody was away."""
    return max(GAP_S, (GAP_FRAMES + 0.5) * _step(t))


def _windows(t: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Stretches of WINDOW_S one after another, none across a gap."""
    windows, start, gap = [], 0, _gap(t)
    window = max(WINDOW_S, LEAST_FRAMES * _step(t))
    for index in range(1, len(t) + 1):
        if index < len(t) and t[index] - t[index - 1] > gap:
            start = index
        elif index < len(t) and t[index] - t[start] >= window - 1e-6:
            if index - start >= LEAST_FRAMES:
                windows.append((start, index))
            start = index
    return windows


def _line(t: NDArray[np.float64], xy: NDArray[np.float64]) -> tuple[float, float]:
    """Speed of the straight line through xy (n, 2) at t, whose mean is 0, and the distance from it, squares' mean."""
    slope = (t[:, None] * xy).sum(axis=0) / (t**2).sum()
    rest = xy - xy.mean(axis=0) - t[:, None] * slope
    return float(np.hypot(*slope)), float(np.sqrt((rest**2).sum() / (len(t) - 2)))


def lag_ms(leading: Mapping[int, Track], trailing: Mapping[int, Track]) -> float | None:
    """Milliseconds that joints in motion of `trailing` are behind those of the same identity in `leading`.

    The shift at which they fit best, between frames by a parabola; None where too little moves.
    """
    errors = np.zeros(EARLY + LATE + 1)
    samples, steps = 0, []
    for identity, lead in leading.items():
        if identity not in trailing or len(lead.t) < EARLY + LATE + LEAST_FRAMES:
            continue
        steps += np.diff(lead.t).tolist()
        first, last = int(lead.seq[0]), int(lead.seq[-1])
        xy, other = (_by_frame(track, first, last) for track in (lead, trailing[identity]))
        step = float(np.median(np.diff(lead.t)))
        speed = np.full(xy.shape[:2], np.nan)
        speed[1:-1] = np.linalg.norm(xy[2:] - xy[:-2], axis=2) / (2 * step)
        middle = slice(LATE, len(xy) - EARLY)
        shifted = np.stack([xy[LATE - shift : len(xy) - EARLY - shift] for shift in range(-EARLY, LATE + 1)])
        apart = ((shifted - other[middle]) ** 2).sum(axis=3)
        with np.errstate(invalid="ignore"):
            moves = (speed[middle] > MOVING * lead.size) & np.isfinite(apart).all(axis=0)
        errors += apart[:, moves].sum(axis=1)
        samples += int(moves.sum())
    if samples < LEAST_MOVING:
        return None
    best = int(errors.argmin())
    shift = float(best - EARLY)
    if 0 < best < len(errors) - 1:
        left, at, right = errors[best - 1 : best + 2]
        shift += 0.5 * (left - right) / max(left - 2 * at + right, 1e-12)
    return shift * float(np.median(steps)) * 1e3


def _by_frame(track: Track, first: int, last: int) -> NDArray[np.float64]:
    """(frames, K, 2) from frame `first` to `last`; NaN where the track has none."""
    xy = np.full((last - first + 1, *track.xy.shape[1:]), np.nan)
    inside = (track.seq >= first) & (track.seq <= last)
    xy[track.seq[inside] - first] = track.xy[inside]
    return xy

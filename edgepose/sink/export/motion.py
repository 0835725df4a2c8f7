"""Poses as motion: each person's joints at a fixed rate, in metres, y up, as labs and animators have them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses, Skeleton

Array = NDArray[np.float64]
MOST_GAP_S = 0.25
"""Shorter gaps of a joint are bridged by a straight line, longer ones stay gaps."""
RATES = (10, 12, 12.5, 15, 20, 24, 25, 30, 50, 60, 90, 100, 120, 200, 240)
"""Frames a second that a recording is resampled to: the nearest to its own."""
MOST_POSES = 100_000
"""That are held at once: of one person an hour at 30 Hz, half a gigabyte while a file is made of them."""
PIXELS_PER_UNIT = 1000.0
"""Of a 2D recording, which knows no metres."""
TO_Y_UP = {
    "camera": np.diag([1.0, -1.0, -1.0]),
    "world": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
"""Axes of poses -> x right, y up, z towards the viewer; right-handed both."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """One person, resampled."""

    identity: int
    first: int
    """Frame, from the start of all."""
    xyz: Array
    """(F, K, 3) metres, y up; NaN where a joint is not known."""


@dataclass(slots=True)
class Gathered:
    """A whole recording on its way into a file; people by id."""

    skeleton: Skeleton | None = None
    unit: str = "m"
    """"m", or "kpx": a 2D recording in thousands of pixels, z = 0."""
    rows: dict[int, list[tuple[float, Array]]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    poses: int = 0
    """Of people, so far."""

    @property
    def full(self) -> bool:
        """Whether another frame would be too many."""
        return max(self.poses, len(self.times)) >= MOST_POSES

    def add(self, poses: Poses) -> None:
        """One more frame.

        Raises:
            ValueError: another skeleton than before, metres after pixels, or too many to hold.
        """
        if self.full:
            raise ValueError(
                f"there are more than {MOST_POSES:,} poses, as many as one file is made of; export it in parts with "
                "--from and --to"
            )
        unit = "m" if poses.space is not None else "kpx"
        if not len(poses):
            self.times.append(poses.t)
            return
        if self.skeleton is not None and (self.skeleton != poses.skeleton or self.unit != unit):
            raise ValueError(
                "the recording changes its skeleton or from pixels to metres on the way; export it in parts"
            )
        self.skeleton, self.unit = poses.skeleton, unit
        self.times.append(poses.t)
        self.poses += len(poses)
        for row, identity in enumerate(poses.track_id.tolist()):
            self.rows.setdefault(identity, []).append((poses.t, places(poses, row)))

    @property
    def fps(self) -> float:
        """The usual rate nearest to the recording's own."""
        steps = np.diff(self.times)
        steps = steps[steps > 0]
        own = 1 / float(np.median(steps)) if len(steps) else 30.0
        return float(min(RATES, key=lambda rate: abs(np.log(rate / own))))

    @property
    def frames(self) -> int:
        """How many there are at that rate."""
        return int(np.floor((self.times[-1] - self.times[0]) * self.fps + 1e-6)) + 1 if self.times else 0

    def motions(self) -> list[Motion]:
        """Everybody, by id."""
        return [self._motion(identity, rows) for identity, rows in sorted(self.rows.items())]

    def _motion(self, identity: int, rows: list[tuple[float, Array]]) -> Motion:
        fps, start = self.fps, self.times[0]
        times = np.array([t for t, _ in rows]) - start
        first, last = int(np.ceil(times[0] * fps - 1e-6)), int(np.floor(times[-1] * fps + 1e-6))
        moments = np.arange(first, max(first, last) + 1) / fps
        return Motion(identity, first, resampled(times, np.stack([xyz for _, xyz in rows]), moments))


def places(poses: Poses, row: int) -> Array:
    """(K, 3) of one person: metres, y up; or of a 2D recording thousands of pixels, y up, z = 0."""
    if poses.xyz is not None and poses.space is not None:
        there = poses.xyz[row].astype(np.float64) + poses.space.root[row]
        solid: Array = there @ TO_Y_UP[poses.space.frame].T
        return solid
    x, y = (poses.xy[row].astype(np.float64) / PIXELS_PER_UNIT).T
    flat: Array = np.stack([x, poses.size_wh[1] / PIXELS_PER_UNIT - y, np.where(np.isnan(x), np.nan, 0.0)], axis=1)
    return flat


def resampled(times: Array, xyz: Array, moments: Array) -> Array:
    """(F, K, 3) at other moments: between neighbours in a straight line, NaN in gaps of more than MOST_GAP_S.

    times  (M,) rising; xyz (M, K, 3) NaN where a joint is missing
    """
    out = np.full((len(moments), *xyz.shape[1:]), np.nan)
    for joint in range(xyz.shape[1]):
        known = ~np.isnan(xyz[:, joint, 0])
        if not known.any():
            continue
        at, rows = times[known], xyz[known, joint]
        for axis in range(3):
            out[:, joint, axis] = np.interp(moments, at, rows[:, axis], np.nan, np.nan)
        after = np.searchsorted(at, moments, side="left").clip(0, len(at) - 1)
        before = (np.searchsorted(at, moments, side="right") - 1).clip(0)
        out[at[after] - at[before] > MOST_GAP_S, joint] = np.nan
    return out

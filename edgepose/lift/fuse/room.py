"""The room: poses of its cameras go in as they come, people in metres come out, with ids of the room's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses, Skeleton, Space
from edgepose.lift.fuse.calibration import PlacedCamera
from edgepose.lift.fuse.clock import Ring
from edgepose.lift.fuse.match import Sight, match
from edgepose.lift.fuse.triangulate import Points, triangulate

F = np.float32
Array = NDArray[np.float64]
LEAST_SCORE, LEAST_JOINTS = 0.2, 5
MOST_WAIT_S = 0.1
"""Behind the newest camera; who lags more is not waited for."""
SILENT_S = 0.2
"""A camera that says nothing for so long is not waited for at all."""
FORGET_S, JOINT_S = 1.0, 0.3
"""A person out of sight is given up; a joint's last place says where it is."""
KEEP = 0.7
"""Of the speed, from moment to moment."""
SIZE_ERROR = 0.01
HIPS, NECK = [11, 12], [5, 6]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One known person."""

    identity: int
    t: float
    xyz: Array
    """(K, 3) metres, NaN where never or long not seen."""
    seen_t: Array
    """(K,) when each joint was seen last."""
    velocity: Array
    """(3,) metres a second, of the whole body."""

    def expected(self, t: float) -> Array:
        """(K, 3) where the joints are at a time."""
        places = self.xyz + self.velocity * (t - self.t)
        return np.where((t - self.seen_t < JOINT_S)[:, None], places, np.nan)

    def with_points(self, t: float, xyz: Array) -> Track:
        """The same person seen again."""
        step = xyz - self.xyz
        fresh = ~np.isnan(step[:, 0]) & (t - self.seen_t < JOINT_S)
        velocity = self.velocity
        if fresh.any() and t > self.t:
            velocity = KEEP * velocity + (1 - KEEP) * np.median(step[fresh], axis=0) / (t - self.t)
        seen = ~np.isnan(xyz[:, 0])
        places = np.where(seen[:, None], xyz, self.xyz + velocity * (t - self.t))
        return replace(self, t=t, xyz=places, seen_t=np.where(seen, t, self.seen_t), velocity=velocity)


class Room:
    """Fuses the poses of several cameras; pure: it reads no clock."""

    def __init__(self, cameras: Sequence[PlacedCamera], skeleton: Skeleton) -> None:
        self.cameras: Mapping[str, PlacedCamera] = {camera.name: camera for camera in cameras}
        self.skeleton = skeleton
        self._index = {name: place for place, name in enumerate(self.cameras)}
        self._rings = {name: Ring() for name in self.cameras}
        self._tracks: tuple[Track, ...] = ()
        self._next, self._seq = 1, 0
        self._began_s, self._fused_s = np.inf, -np.inf
        self.dropped = dict.fromkeys(self.cameras, 0)
        """Camera -> poses that came twice, late, or of another picture size."""

    def add(self, name: str, taken_s: float, poses: Poses) -> Poses | None:
        """Take one camera's poses; the room's people, where that completes a moment.

        taken_s  seconds since 1970, when the camera took the picture
        """
        if taken_s < self._fused_s - FORGET_S:  # all clocks were set back
            self._reset()
        if not self._fits(name, poses) or not self._rings[name].add(taken_s, poses):
            self.dropped[name] += 1
            return None
        self._began_s = min(self._began_s, taken_s)
        moment = self._moment()
        if moment <= self._fused_s or moment < self._began_s:
            return None
        self._fused_s = moment
        return self._people(moment)

    def _fits(self, name: str, poses: Poses) -> bool:
        wanted = self.cameras[name].camera.size_wh
        return all(abs(have - want) <= SIZE_ERROR * want for have, want in zip(poses.size_wh, wanted, strict=True))

    def _reset(self) -> None:
        for ring in self._rings.values():
            ring.clear()
        self._tracks, self._began_s, self._fused_s = (), np.inf, -np.inf

    def _moment(self) -> float:
        """The latest moment of which every camera that speaks has something to say."""
        newest = [ring.newest_s for ring in self._rings.values()]
        last = max(newest)
        starting = last - self._began_s < SILENT_S  # whoever was not heard yet may still speak
        return max(min(time for time in newest if starting or time > last - SILENT_S), last - MOST_WAIT_S)

    def _people(self, moment: float) -> Poses:
        sights = [sight for name, ring in self._rings.items() for sight in self._sights(name, ring.at(moment))]
        known = [track.expected(moment) for track in self._tracks]
        of_known, new = match(known, sights)
        found: list[tuple[Track, Points]] = []
        seen: set[int] = set()
        for person, group in of_known.items():
            if points := self._points([sights[index] for index in group]):
                found.append((self._tracks[person].with_points(moment, points.xyz), points))
                seen.add(person)
        met = (self._points([sights[index] for index in group]) for group in new)
        found.extend((self._begun(moment, points.xyz), points) for points in met if points)
        waiting = [track for person, track in enumerate(self._tracks) if person not in seen]
        left = [track.identity for track in waiting if moment - track.t > FORGET_S]
        entered = [track.identity for track, _ in found if track.identity not in {old.identity for old in self._tracks}]
        self._tracks = (*(track for track, _ in found), *(track for track in waiting if track.identity not in left))
        self._seq += 1
        return self._poses(moment, found, tuple(entered), tuple(left))

    def _sights(self, name: str, poses: Poses | None) -> list[Sight]:
        if poses is None:
            return []
        placed = self.cameras[name]
        weight = np.where((poses.score >= LEAST_SCORE) & ~np.isnan(poses.xy[..., 0]), poses.score, 0).astype(np.float64)
        direction = placed.directions(np.nan_to_num(poses.xy))
        return [Sight(self._index[name], placed.position, direction[row], weight[row]) for row in range(len(poses))]

    def _points(self, sights: list[Sight]) -> Points | None:
        """Joints of one person from at least two cameras; None: their rays do not meet."""
        if len(sights) < 2:
            return None
        origin, direction, weight = (np.stack(part) for part in zip(*(sight[1:] for sight in sights), strict=True))
        points = triangulate(origin, direction, weight)
        return points if (~np.isnan(points.xyz[:, 0])).sum() >= LEAST_JOINTS else None

    def _begun(self, moment: float, xyz: Array) -> Track:
        self._next += 1
        seen_t = np.where(np.isnan(xyz[:, 0]), -np.inf, moment)
        return Track(self._next - 1, moment, xyz, seen_t, np.zeros(3))

    def _poses(
        self, moment: float, found: list[tuple[Track, Points]], entered: tuple[int, ...], left: tuple[int, ...]
    ) -> Poses:
        count, joints = len(found), len(self.skeleton.joints)
        xyz = np.array([points.xyz for _, points in found]).reshape(count, joints, 3)
        sigma = np.array([points.sigma for _, points in found]).reshape(count, joints, 3)
        score = np.where(np.isnan(xyz[..., 0]), 0, 1 / (1 + (np.linalg.norm(sigma, axis=2) / 0.1) ** 2)).astype(F)
        root = np.array([_root(points.xyz) for _, points in found]).reshape(count, 3)
        view = next(iter(self.cameras.values()))
        spread = np.stack([np.sqrt((sigma[..., :2] ** 2).mean(axis=-1)), sigma[..., 2]], axis=-1)
        root_sigma = np.array([np.nanmean(points.sigma) for _, points in found]).reshape(count)
        missing = np.isnan(xyz[..., 0])
        return Poses(
            t=moment, taken_t=moment, seq=self._seq, name="", size_wh=view.camera.size_wh, skeleton=self.skeleton,
            xy=view.project(xyz).astype(F).reshape(count, joints, 2), score=score,
            person_score=score.mean(axis=1) if count else np.zeros(0, F),
            track_id=np.array([track.identity for track, _ in found], np.int32),
            xyz=(xyz - root[:, None]).astype(F), entered=entered, left=left, taken_wall=moment,
            space=Space("triangulated", "world", root.astype(F), root_sigma.astype(F), spread.astype(F), missing),
        )  # fmt: skip


def _root(xyz: Array) -> Array:
    """(3,) the mid hip; where it is not seen the middle of what is."""
    hips = xyz[HIPS].mean(axis=0)
    root: Array = np.nanmean(xyz, axis=0) if np.isnan(hips).any() else hips
    return root

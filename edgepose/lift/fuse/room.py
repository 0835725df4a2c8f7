"""The room: poses of its cameras go in as they come, people in metres come out, with ids of the room's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses, Skeleton, Space
from edgepose.lift.fuse.calibration import PlacedCamera
from edgepose.lift.fuse.clock import Ring
from edgepose.lift.fuse.match import Group, Sights, match
from edgepose.lift.fuse.triangulate import Points, triangulate_people
from edgepose.lift.fuse.trust import Trust

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
HIPS = [11, 12]


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
        self._origin = np.stack([camera.position for camera in cameras])
        self._rings = {name: Ring() for name in self.cameras}
        self.trust = Trust(tuple(self.cameras))
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
        sights = self._sights(moment)
        known = np.array([track.expected(moment) for track in self._tracks]).reshape(-1, len(self.skeleton.joints), 3)
        trusted = ~np.isin(sights.camera, tuple(self.trust.left_out))
        matched = match(known, sights, trusted)
        if len(sights.camera) and len(known) and self.trust.asks(moment):
            self.trust.saw(moment, matched.distance, sights.camera, self._shown(known))
        points = self._points([*matched.known.values(), *matched.new], sights)
        found: list[tuple[Track, Points]] = []
        seen: set[int] = set()
        for person, own in zip(matched.known, points, strict=False):
            if own:
                found.append((self._tracks[person].with_points(moment, own.xyz), own))
                seen.add(person)
        found.extend((self._begun(moment, own.xyz), own) for own in points[len(matched.known) :] if own)
        found.sort(key=lambda one: one[0].identity)
        waiting = [track for person, track in enumerate(self._tracks) if person not in seen]
        left = [track.identity for track in waiting if moment - track.t > FORGET_S]
        entered = [track.identity for track, _ in found if track.identity not in {old.identity for old in self._tracks}]
        self._tracks = (*(track for track, _ in found), *(track for track in waiting if track.identity not in left))
        self._seq += 1
        return self._poses(moment, found, tuple(entered), tuple(left))

    def _sights(self, moment: float) -> Sights:
        """What every camera saw then."""
        seen = [(name, poses) for name, ring in self._rings.items() if (poses := ring.at(moment)) is not None]
        counts = [len(poses) for _, poses in seen]
        camera = np.repeat(np.array([self._index[name] for name, _ in seen], np.int64), counts)
        joints = len(self.skeleton.joints)
        xy = np.concatenate([np.zeros((0, joints, 2)), *(poses.xy for _, poses in seen)])
        score = np.concatenate([np.zeros((0, joints)), *(poses.score for _, poses in seen)])
        weight = np.where((score >= LEAST_SCORE) & ~np.isnan(xy[..., 0]), score, 0)
        direction = np.zeros((*xy.shape[:2], 3))
        for name, _ in seen:
            own = camera == self._index[name]
            direction[own] = self.cameras[name].directions(np.nan_to_num(xy[own]))
        return Sights(camera, self._origin[camera], direction, weight)

    def _shown(self, known: Array) -> NDArray[np.bool_]:
        """(P, C) whether the middle of a person is in a camera's picture."""
        middle = np.array([_middle(xyz) for xyz in known])
        shown = [
            ((xy := camera.project(middle)) > 0).all(axis=1) & (xy < camera.camera.size_wh).all(axis=1)
            for camera in self.cameras.values()
        ]
        return np.stack(shown, axis=1)

    def _points(self, groups: list[Group], sights: Sights) -> list[Points | None]:
        """Joints of each person; None: they are of one camera, or their rays do not meet."""
        several = [group for group in groups if len(group) > 1]
        points = iter(triangulate_people(several, sights, self._origin) if several else ())
        met = [next(points) if len(group) > 1 else None for group in groups]
        return [own if own and (~np.isnan(own.xyz[:, 0])).sum() >= LEAST_JOINTS else None for own in met]

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
    hips: Array = xyz[HIPS].mean(axis=0)
    return _middle(xyz) if np.isnan(hips).any() else hips


def _middle(xyz: Array) -> Array:
    """(3,) the mean of the joints that are known; NaN where none is."""
    known = xyz[~np.isnan(xyz[:, 0])]
    middle: Array = known.mean(axis=0) if len(known) else np.full(3, np.nan)
    return middle

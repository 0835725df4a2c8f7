"""The room: poses of its cameras go in as they come, people in metres come out, with ids of the room's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses, Skeleton, Space
from edgepose.lift.fuse.alone import Alone
from edgepose.lift.fuse.calibration import PlacedCamera
from edgepose.lift.fuse.clock import Ring
from edgepose.lift.fuse.match import Group, Matched, Sights, claims, match, singles
from edgepose.lift.fuse.people import FORGET_S, JOINT_S, Sighting, Track, middle, root_of
from edgepose.lift.fuse.triangulate import Points, triangulate_people
from edgepose.lift.fuse.trust import Trust

F = np.float32
Array = NDArray[np.float64]
LEAST_SCORE, LEAST_JOINTS = 0.2, 5
MOST_WAIT_S = 0.1
"""Behind the newest camera; who lags more is not waited for."""
SILENT_S = 0.2
"""A camera that says nothing for so long is not waited for at all."""
BELIEVE_S, APART_M = 0.5, 0.5
"""Somebody new whom one camera alone sees is believed after that time, and that far from the rays of who is known."""
SIZE_ERROR = 0.01


class Room:
    """Fuses the poses of several cameras; pure: it reads no clock."""

    def __init__(self, cameras: Sequence[PlacedCamera], skeleton: Skeleton, alone: Alone | None = None) -> None:
        """alone: lifts whom one camera alone sees; None: they are left out."""
        self._cameras, self._alone = tuple(cameras), alone
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
        sure = [track for track in self._tracks if track.sure(moment)]
        known = np.array([track.expected(moment) for track in sure]).reshape(-1, len(self.skeleton.joints), 3)
        trusted = ~np.isin(sights.camera, tuple(self.trust.left_out))
        matched = match(known, sights, trusted)
        if len(sights.camera) and len(known) and self.trust.asks(moment):
            self.trust.saw(moment, matched.distance, sights.camera, self._shown(known))
        rest = [track for track in self._tracks if not track.sure(moment)]
        of_rest = claims(rest, [*matched.new, *singles(matched, trusted)], sights, moment)
        pairs: list[tuple[Track | None, Group]] = [
            *((sure[person], group) for person, group in matched.known.items()),
            *((rest[person] if person is not None else None, group) for person, group in of_rest),
        ]
        points = self._points([group for _, group in pairs], sights)
        seen = [
            (track, sighting)
            for (track, group), own in zip(pairs, points, strict=True)
            if (sighting := self._sighting(track, group, own, sights, matched, moment))
        ]
        return self._told(moment, seen)

    def _sighting(
        self, track: Track | None, group: Group, own: Points | None, sights: Sights, matched: Matched, moment: float
    ) -> Sighting | None:
        """A person as several cameras measured them, else lifted from one that sees them; None: nothing to go by."""
        if own:
            missing = np.isnan(own.xyz[:, 0])
            return Sighting(own.xyz, own.sigma, root_of(own.xyz), float(np.nanmean(own.sigma)), missing)
        if self._alone is None or (track is None and len(group) > 1):
            return None
        index = group[0]
        if track is None and matched.distance.size and matched.distance[:, index].min() < APART_M:
            return None  # somebody known once more, or a part of them
        number = int(sights.camera[index])
        camera = self._cameras[number]
        return self._alone(number, camera, sights.direction[index], sights.weight[index], moment, track)

    def _told(self, moment: float, seen: list[tuple[Track | None, Sighting]]) -> Poses:
        """Everybody seen, with who came and who is gone."""
        before = {track.identity for track in self._tracks}
        again = {id(track) for track, _ in seen}
        found = [
            self._named(track.seen(moment, own) if track else Track.begun(0, moment, own), own) for track, own in seen
        ]
        told = sorted(((track, own) for track, own in found if track.identity), key=lambda one: one[0].identity)
        waiting = [track for track in self._tracks if id(track) not in again]
        kept = [track for track in waiting if moment - track.t <= (FORGET_S if track.identity else JOINT_S)]
        left = tuple(track.identity for track in waiting if track not in kept and track.identity)
        entered = tuple(track.identity for track, _ in told if track.identity not in before)
        self._tracks = (*(track for track, _ in found), *kept)
        self._seq += 1
        return self._poses(moment, told, entered, left)

    def _named(self, track: Track, own: Sighting) -> tuple[Track, Sighting]:
        """With an identity, once somebody is believed: measured, or for some time where others hardly can see them."""
        lasting = track.t - track.begun_t >= BELIEVE_S
        if track.identity or (own.alone >= 0 and not (lasting and self._hidden(own))):
            return track, own
        self._next += 1
        return replace(track, identity=self._next - 1), own

    def _hidden(self, own: Sighting) -> bool:
        """Whether at most one other camera that speaks has them in its picture."""
        shown = self._shown(own.xyz[None])[0]
        speaking = [ring.newest_s > self._fused_s - SILENT_S for ring in self._rings.values()]
        counting = np.array(speaking) & ~np.isin(np.arange(len(shown)), tuple(self.trust.left_out))
        counting[own.alone] = False
        return int((shown & counting).sum()) <= 1

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
        centre = np.array([middle(xyz) for xyz in known])
        shown = [
            ((xy := camera.project(centre)) > 0).all(axis=1) & (xy < camera.camera.size_wh).all(axis=1)
            for camera in self.cameras.values()
        ]
        return np.stack(shown, axis=1)

    def _points(self, groups: list[Group], sights: Sights) -> list[Points | None]:
        """Joints of each person; None: one camera alone saw them, or their rays do not meet."""
        several = [group for group in groups if len(group) > 1]
        points = iter(triangulate_people(several, sights, self._origin) if several else ())
        met = [next(points) if len(group) > 1 else None for group in groups]
        return [own if own and (~np.isnan(own.xyz[:, 0])).sum() >= LEAST_JOINTS else None for own in met]

    def _poses(
        self, moment: float, told: list[tuple[Track, Sighting]], entered: tuple[int, ...], left: tuple[int, ...]
    ) -> Poses:
        count, joints = len(told), len(self.skeleton.joints)
        xyz = np.array([own.xyz for _, own in told]).reshape(count, joints, 3)
        sigma = np.array([own.sigma for _, own in told]).reshape(count, joints, 3)
        score = np.where(np.isnan(xyz[..., 0]), 0, 1 / (1 + (np.linalg.norm(sigma, axis=2) / 0.1) ** 2)).astype(F)
        root = np.array([own.root for _, own in told]).reshape(count, 3)
        view = self._cameras[0]
        return Poses(
            t=moment, taken_t=moment, seq=self._seq, name="", size_wh=view.camera.size_wh, skeleton=self.skeleton,
            xy=view.project(xyz).astype(F).reshape(count, joints, 2), score=score,
            person_score=score.mean(axis=1) if count else np.zeros(0, F),
            track_id=np.array([track.identity for track, _ in told], np.int32),
            xyz=(xyz - root[:, None]).astype(F), entered=entered, left=left, taken_wall=moment,
            space=_space([own for _, own in told], root, sigma),
        )  # fmt: skip


def _space(told: list[Sighting], root: Array, sigma: Array) -> Space:
    """What everybody's metres are worth."""
    spread = np.stack([np.sqrt((sigma[..., :2] ** 2).mean(axis=-1)), sigma[..., 2]], axis=-1)
    root_sigma = np.array([own.root_sigma for own in told]).reshape(len(told))
    guessed = np.array([own.guessed for own in told]).reshape(sigma.shape[:2])
    measured = np.array([own.alone < 0 for own in told], bool)
    parts = root.astype(F), root_sigma.astype(F), spread.astype(F), guessed
    if measured.all():
        return Space("triangulated", "world", *parts)
    return Space("lifted", "world", *parts, measured if measured.any() else None)

"""Follow people through the frames: who is who, who is new, who has left."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.core import config, oks
from edgepose.core.poses import Poses, Skeleton
from edgepose.follow.track.assign import assign
from edgepose.follow.track.belief import JUDGED, belief, gather, log_odds
from edgepose.follow.track.motion import LAWS, LEAST_STEP_S, SMALLEST, UNSEEN, Bodies, Floats, Index, newborn
from edgepose.kernels import Choice

RESTART_S = 2.0
"""A longer step in time, either way, is a cut: nobody from before it is known after it ..."""

FEW = 3.5
"""... unless frames come that seldom: people are remembered for so many of their distances."""

LATE = 1.5
"""A look that comes as seldom as was said may be late by so much."""

LONGEST_PERIOD_S = 60.0
"""Frames farther apart have nothing to do with each other."""

SLOW_S = 0.2
"""Where the last frame is longer ago, whoever is sure enough to enter is told of at once, not when seen twice."""

AT_ONCE = 4.0
"""Log-odds of a single look that is enough where chances are known."""

TWICE_S = 0.02
"""Sightings nearer in time than this count as one."""

NEAR = 0.25
"""Somebody new this near to another, in sizes, may be a wrong pose of that one, so that two sightings do not do ..."""

NEAR_S = 0.3
"""... and it takes sightings over so many seconds."""

CANDIDATE_S = 0.25
"""Seconds for which someone seen once may be seen again; the next frame counts, however late."""

OWN_PLACE = 0.25
"""Of a body's size: where looks are seldom, who has no identity is found again no farther from where they were."""

NOBODY_S = 90.0
"""Seconds for which it is remembered that somewhere is nobody, though something there looks like a person."""

HINT = 0.02
"""Chance from which a look counts as evidence about who is not believed yet."""

MOST_UNSEEN = 64
"""Of more people out of sight those unseen longest are forgotten early."""

UNSURE = 0.8
"""Value of finding somebody again who was out of sight or has no identity yet, against who was just seen."""

SAME = 0.35
"""OKS of a new detection with somebody seen in this frame above which it is them: split, or seen twice."""

SAME_AS_OTHER = 0.6
"""The same for the detection of somebody who was out of sight."""

LOST_S = 0.5
"""Seconds since somebody was lost within which who appears in their place is them ..."""

SHARED = 0.5
"""... where the boxes around their joints share so much of the smaller one."""

TWIN, TWIN_S = 0.6, 1.0
"""Somebody new whose box and another's are alike (shared over both) is mostly that one once more: it takes so long."""

WITHIN = 0.8
"""Who has so much of the own box in another's, and few joints, is mostly a part of that one; it takes as long."""

PART = 0.5
"""Somebody with at most so many of the joints of who appears around them is a part of them."""

SMALLEST_SIDE = 0.05
"""A box around joints reaches so much farther on each side, in sizes of the body: a single joint has none."""

SIZE_OF_AREA = 0.45
"""Square root of a person's area, which OKS measures by, in body sizes."""


class Tracker:
    """Give people identities, by where they are expected and by how alike their poses are.

    Tells of people who are seen in the frame and have an identity; all others wait untold, or are forgotten.
    """

    def __init__(
        self,
        cfg: config.Track,
        skeleton: Skeleton,
        *,
        enter: float = 0.5,
        stay: float = 0.25,
        believe: float | None = None,
        seldom_s: float = 0.0,
        kernels: Choice = "auto",
    ) -> None:
        """Take the estimate's own scores where the settings say none.

        enter    of a look, from which somebody is followed at all
        stay     of a look, down to which somebody with an identity is seen
        believe  chance, by all looks, from which somebody gets one; None: who is seen twice does
        seldom_s a camera may be looked at no oftener than this: a step that long is no cut, and nobody new is taken
                 for a stranger of long ago
        """
        self.enter_score = enter if cfg.enter_score is None else cfg.enter_score
        self.stay_score = min(stay if cfg.stay_score is None else cfg.stay_score, self.enter_score)
        self._believe: float | None = None
        """Log-odds."""
        self._starts_at = self.enter_score
        if believe is not None:
            self._believe = float(log_odds(believe if cfg.enter_score is None else cfg.enter_score))
            self._starts_at = min(enter, self.enter_score)
        self._sees_from = self.stay_score if believe is None else min(HINT, self.stay_score)
        self.memory_s = cfg.memory_s
        self._cut_s = max(RESTART_S, cfg.memory_s, LATE * seldom_s)
        self._seldom = seldom_s > 0
        self._skeleton = skeleton
        self._sigmas = np.array(skeleton.sigmas, np.float32)
        self._looseness = (2 * SIZE_OF_AREA * np.array(skeleton.sigmas)) ** 2
        self._laws = np.array(list(LAWS.values()))
        self._loops = _loops(kernels)
        self._state: tuple[Bodies, Poses] | None = None
        """Replaced as a whole, so that `expected` may be asked from another thread."""
        self._t: float | None = None
        self._period_s = 0.0
        """Between the last two frames."""
        self._next_id = 1
        self._next_mark = UNSEEN - 1
        self._gone: list[int] = []
        """Left with the tracker before this one, and not told yet."""
        self._warm_up(len(skeleton.joints))

    @property
    def remembered(self) -> int:
        """How many people it remembers, those without an identity included."""
        return len(self._state[0]) if self._state else 0

    def update(self, poses: Poses) -> Poses:
        """The frame's people with identities; who entered and who left with it."""
        step_s = self._step_s(poses.t)
        least_size = SMALLEST * max(poses.size_wh)
        seen, score, rows = self._seen(poses)
        before = self._state[0] if self._state else newborn(seen[:0], score[:0], least_size)
        left, self._gone = self._gone, []
        if step_s is None:
            left, before = [*left, *_identities(before)], before.rows([])
        bodies, of = self._recognised(before, seen, score, step_s or 0.0, poses.size_wh)
        bodies, of, gone = self._remembered(bodies, of)
        bodies, of = self._joined(bodies, of, seen, score, least_size)
        bodies, of, entered = self._named(bodies, of, at_once=step_s is None or step_s >= SLOW_S)
        self._state = bodies, poses
        return _told(poses, rows, bodies, of, entered, (*left, *gone))

    def goes_on_from(self, before: Tracker) -> None:
        """Take over from the tracker of another model: who is who if the joints are the same, else all have left.

        An identity is never given twice.
        """
        self._next_id, self._t, self._gone = before._next_id, before._t, before._gone
        self._period_s, self._next_mark = before._period_s, before._next_mark
        if before._state is not None:
            bodies, last = before._state
            if last.skeleton == self._skeleton:
                self._state = before._state
            else:
                self._gone = [*self._gone, *_identities(bodies)]

    def expected(self, t: float) -> Poses | None:
        """Everybody who may be in the picture at time `t`, where they should be then; None: nothing is known.

        So also who is out of sight for a while and, with a mark below -1 as track_id, who is not believed yet.
        """
        if self._state is None:
            return None
        bodies, last = self._state
        step_s = t - last.t
        if not abs(step_s) <= self._restart_s:
            return None
        bodies = self._moved(bodies, max(step_s, 0.0), last.size_wh)
        xy = bodies.xy
        inside = (xy >= 0) & (xy <= np.array(last.size_wh, np.float32))
        shown = np.flatnonzero(np.any(np.all(inside, axis=2), axis=1))
        shown = shown[np.argsort(-bodies.person_score[shown], kind="stable")]
        known = ~np.isnan(xy[shown, :, 0])
        return replace(
            last,
            t=t,
            xy=xy[shown],
            score=np.where(known, bodies.joints[shown, :, 4], 0.0).astype(np.float32),
            person_score=bodies.person_score[shown].astype(np.float32),
            track_id=bodies.track_id[shown],
            xyz=None,
            coarse_xy=None if last.coarse_xy is None else bodies.joints[shown, :, 2:4].astype(np.float32),
            entered=(),
            left=(),
        )

    @property
    def _restart_s(self) -> float:
        return max(self._cut_s, FEW * self._period_s)

    @property
    def _memory_s(self) -> float:
        """As set, but for a few frames at least; 0 stays 0: who is not seen has left."""
        return max(self.memory_s, FEW * self._period_s) if self.memory_s else 0.0

    def _step_s(self, t: float) -> float | None:
        """Seconds since the last frame; 0 where its stamp is not later; None where nothing from before it counts."""
        last = self._t
        if not math.isfinite(t):
            return None if last is None else 0.0
        self._t = t
        if last is None:
            return None
        step_s, first = t - last, self._period_s == 0
        known = abs(step_s) <= (LONGEST_PERIOD_S if first and step_s > 0 else self._restart_s)
        self._period_s = min(max(step_s, 0.0), LONGEST_PERIOD_S)
        return max(step_s, 0.0) if known else None

    def _seen(self, poses: Poses) -> tuple[Floats, Floats, list[int]]:
        """Who is sure enough to be followed and has a joint, their scores, and their rows in `poses`."""
        xy, joint_score = (np.ascontiguousarray(values, np.float32) for values in (poses.xy, poses.score))
        coarse_xy = xy if poses.coarse_xy is None else np.ascontiguousarray(poses.coarse_xy, np.float32)
        seen, known = np.empty((*joint_score.shape, 5)), np.empty(len(poses), np.int64)
        self._loops.read(xy, coarse_xy, joint_score, seen, known)
        usable = (poses.person_score >= self._sees_from) & (known > 0)
        rows: list[int] = np.flatnonzero(usable).tolist()
        score = poses.person_score.astype(np.float64)
        return (seen, score, rows) if len(rows) == len(score) else (seen[rows], score[rows], rows)

    def _moved(self, bodies: Bodies, step_s: float, size_wh: tuple[int, int]) -> Bodies:
        """The same people `step_s` later, nobody seen yet."""
        joints, motion = bodies.joints.copy(), bodies.motion.copy()
        width, height = size_wh
        self._loops.move(joints, motion, bodies.unseen_s, step_s, float(width), float(height), self._laws)
        age_s = max(step_s, LEAST_STEP_S)
        return Bodies(
            bodies.track_id, bodies.looks, bodies.evidence, bodies.known_s + age_s, bodies.unseen_s + age_s,
            bodies.person_score, joints, motion,
        )  # fmt: skip

    def _recognised(
        self, before: Bodies, seen: Floats, score: Floats, step_s: float, size_wh: tuple[int, int]
    ) -> tuple[Bodies, Index]:
        """Everybody known, where they are now, and the index in `seen` of each, -1 for who is not seen."""
        people, detections = len(before), len(seen)
        of = np.full(people, UNSEEN, np.int64)
        bodies = self._moved(before, step_s, size_wh)
        if not people or not detections:
            return bodies, of
        firm = (before.unseen_s == 0) & (before.track_id >= 0)
        value, common = np.empty((2, people, detections))
        off = np.empty((people, detections, 2))
        self._loops.alike(
            bodies.joints, bodies.motion, bodies.unseen_s, np.where(firm, 1.0, UNSURE), seen, self._looseness,
            self._laws, value, off, common,
        )  # fmt: skip
        value[np.ix_(before.track_id >= 0, score < self.stay_score)] = 0  # says only of a stranger that it is none
        if self._seldom:
            value[_strangers(bodies)[:, None] & _elsewhere(bodies, seen)] = 0
        for body, index in assign(value):
            of[body] = index
        doubtful = (of >= 0) & ~firm
        if doubtful.any():
            others = seen[of[firm & (of >= 0)]]
            for body in np.flatnonzero(doubtful).tolist():
                if self._is_one_of(seen[of[body]], others, SAME_AS_OTHER):
                    of[body] = UNSEEN
        self._loops.follow(bodies.joints, bodies.motion, bodies.unseen_s, seen, of, off, common, self._laws)
        np.maximum(bodies.motion[:, 0], SMALLEST * max(size_wh), out=bodies.motion[:, 0])
        here = of >= 0
        found = np.where(here, score[of], bodies.person_score)
        counts = here if self._believe is not None else here & (found >= self.enter_score)
        evidence, looks = gather(bodies.evidence, bodies.looks, found, counts)
        return Bodies(
            bodies.track_id, looks, evidence, bodies.known_s, np.where(here, 0.0, bodies.unseen_s), found,
            bodies.joints, bodies.motion,
        ), of  # fmt: skip

    def _is_one_of(self, one: Floats, others: Floats, same: float) -> bool:
        """Whether a detection (K, 5) is of somebody in `others` (M, K, 5 or 6)."""
        alike = oks.oks(one[:, :2].astype(np.float32), others[..., :2].astype(np.float32), self._sigmas)
        return bool((alike > same).any())

    def _remembered(self, bodies: Bodies, of: Index) -> tuple[Bodies, Index, list[int]]:
        """Without those who were not seen for too long; the identities among them."""
        if not bodies.unseen_s.any():
            return bodies, of, []
        nobody = (bodies.looks >= JUDGED) & (self._believe is not None)
        memory_s = np.where(bodies.track_id >= 0, self._memory_s, np.where(nobody, NOBODY_S, CANDIDATE_S))
        stays = (bodies.unseen_s == 0) | (bodies.unseen_s < memory_s - 1e-6)
        if len(bodies) > MOST_UNSEEN and (bodies.unseen_s > 0).sum() > MOST_UNSEEN:
            stays[np.argsort(bodies.unseen_s, kind="stable")[(bodies.unseen_s == 0).sum() + MOST_UNSEEN :]] = False
        if stays.all():
            return bodies, of, []
        return bodies.rows(stays), of[stays], _identities(bodies.rows(~stays))

    def _joined(
        self, bodies: Bodies, of: Index, seen: Floats, score: Floats, least_size: float
    ) -> tuple[Bodies, Index]:
        """With those seen for the first time who may get an identity."""
        taken = set(of.tolist())
        for index, sure in enumerate((score >= self._starts_at).tolist()):
            if index in taken or not sure:
                continue
            here = bodies.rows(of >= 0)
            if not self._is_one_of(seen[index], here.joints, SAME) and not _is_rest_of(seen[index], here):
                bodies = bodies.joined_by(newborn(seen[[index]], score[[index]], least_size, self._next_mark))
                self._next_mark -= 1
                of = np.append(of, index)
        return bodies, of

    def _named(self, bodies: Bodies, of: Index, at_once: bool) -> tuple[Bodies, Index, tuple[int, ...]]:
        """With identities for those seen often enough, best first; the new identities.

        Who is where somebody was lost is them, in another shape.
        """
        ready = (bodies.track_id < 0) & (of >= 0)
        if not ready.any():
            return bodies, of, ()
        ready &= self._believed(bodies, at_once)
        if not ready.any():
            return bodies, of, ()
        ready &= (bodies.known_s >= NEAR_S) | ~_near_another(bodies, of)
        ready &= (bodies.known_s >= TWIN_S) | ~_twins(bodies, of)
        who = np.flatnonzero(ready)
        who = who[np.argsort(of[who])]
        track_id, stays = bodies.track_id.copy(), np.ones(len(bodies), bool)
        new = []
        for one in who.tolist():
            former = lost_self(bodies, of, one, track_id)
            if former is None:
                track_id[one] = self._next_id
                new.append(self._next_id)
                self._next_id += 1
            else:
                track_id[one], track_id[former], stays[former] = track_id[former], UNSEEN, False
        return replace(bodies, track_id=track_id).rows(stays), of[stays], tuple(new)

    def _believed(self, bodies: Bodies, at_once: bool) -> NDArray[np.bool_]:
        """(M,) who was seen often and surely enough for an identity."""
        again = (bodies.looks > 1) & (bodies.known_s >= TWICE_S)
        if self._believe is None:
            return again | at_once
        sure = belief(bodies.evidence, bodies.looks)
        return (again | (sure >= AT_ONCE)) & (sure >= self._believe)

    def _warm_up(self, joints: int) -> None:
        """Every kernel is compiled or read from its cache before the first frame."""
        one = newborn(np.zeros((1, joints, 5)), np.zeros(1), 1.0)
        self._recognised(one, np.zeros((1, joints, 5)), np.zeros(1), 0.0, (1, 1))


def _loops(choice: Choice) -> ModuleType:
    return kernels.family("track", choice)


def _identities(bodies: Bodies) -> list[int]:
    return sorted(identity for identity in bodies.track_id.tolist() if identity >= 0)


def _strangers(bodies: Bodies) -> NDArray[np.bool_]:
    """(M,) who has no identity and was not just seen: a place that looked like somebody, more than a person."""
    unknown: NDArray[np.bool_] = (bodies.track_id < 0) & (bodies.unseen_s > CANDIDATE_S)
    return unknown


def _elsewhere(bodies: Bodies, seen: Floats) -> NDArray[np.bool_]:
    """(M, D) whether a detection is not where a body was."""
    here, there = _middles(bodies.joints[..., :2]), _middles(seen[..., :2])
    off = np.hypot(*np.moveaxis(here[:, None] - there, -1, 0))
    far: NDArray[np.bool_] = off > OWN_PLACE * bodies.motion[:, :1]
    return far


def _middles(xy: Floats) -> Floats:
    """(N, 2) of the joints that are known, of which there is one at least."""
    known = ~np.isnan(xy)
    middles: Floats = np.where(known, xy, 0).sum(axis=1) / known.sum(axis=1)
    return middles


def _near_another(bodies: Bodies, of: Index) -> NDArray[np.bool_]:
    """(M,) who lies on somebody seen in this frame who has an identity or is the surer of the two."""
    middle = _middles(bodies.joints[..., :2])
    near = ((middle[:, None] - middle) ** 2).sum(axis=2) < (NEAR * bodies.motion[:, 0]) ** 2
    first = np.where(bodies.track_id >= 0, UNSEEN, of)
    near &= (of >= 0) & (first < of[:, None])
    np.fill_diagonal(near, False)
    on_another: NDArray[np.bool_] = near.any(axis=1)
    return on_another


def lost_self(bodies: Bodies, of: Index, one: int, track_id: NDArray[np.int32]) -> int | None:
    """Whom somebody new is: a body with an identity in their place that was lost just now, or is a part of them.

    People who fall, crouch or pull themselves up change too fast to be like what they were.
    """
    known = _seen_joints(bodies)
    part = (of >= 0) & (known <= PART * known[one])
    lost = (bodies.unseen_s > 0) & (bodies.unseen_s <= LOST_S)
    maybe = np.flatnonzero((track_id >= 0) & (bodies.track_id >= 0) & (part | lost))
    if not len(maybe):
        return None
    shared, area = _boxes(bodies.rows([one, *maybe]))
    share = np.nan_to_num(shared[0, 1:] / np.minimum(area[0], area[1:]))
    best = int(share.argmax())
    return int(maybe[best]) if share[best] >= SHARED else None


def _twins(bodies: Bodies, of: Index) -> NDArray[np.bool_]:
    """(M,) who has no identity and nearly the box of somebody seen who has one, or few joints within it."""
    shared, area = _boxes(bodies)
    joints = _seen_joints(bodies)
    with np.errstate(invalid="ignore"):
        alike = shared >= TWIN * (area[:, None] + area - shared)
        alike |= (shared >= WITHIN * area[:, None]) & (joints[:, None] <= PART * joints)
    known = (bodies.track_id >= 0) & (of >= 0)
    twins: NDArray[np.bool_] = (alike & known).any(axis=1) & (bodies.track_id < 0)
    return twins


def _seen_joints(bodies: Bodies) -> Index:
    """(M,) joints in their last look."""
    seen: Index = (~np.isnan(bodies.joints[..., 0]) & (bodies.joints[..., 5] == 0)).sum(axis=1)
    return seen


def _boxes(bodies: Bodies) -> tuple[Floats, Floats]:
    """(M, M) pixels that the boxes around joints share, and (M,) that they have; NaN where no joint is known."""
    xy, least = bodies.joints[..., :2], SMALLEST_SIDE * bodies.motion[:, :1]
    low, high = np.fmin.reduce(xy, axis=1) - least, np.fmax.reduce(xy, axis=1) + least
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    return np.clip(sides, 0, None).prod(axis=2), (high - low).prod(axis=1)


def _is_rest_of(one: Floats, others: Bodies) -> bool:
    """Whether a detection (K, 5) is the other half of somebody: the joints that they lack, above or below theirs."""
    if not len(others):
        return False
    mine, theirs = one[:, :2], others.joints[..., :2]
    common = (~np.isnan(theirs[..., 0]) & ~np.isnan(mine[:, 0])).sum(axis=1)
    low, high = np.fmin.reduce(mine), np.fmax.reduce(mine)
    gap = np.maximum(np.fmin.reduce(theirs, axis=1) - high, low - np.fmax.reduce(theirs, axis=1))
    near = (gap[:, 0] < 0) & (gap[:, 1] < 0.5 * np.maximum(others.motion[:, 0], (high - low).max()))
    return bool(((common <= 1) & near).any())


def _told(
    poses: Poses, rows: list[int], bodies: Bodies, of: Index, entered: tuple[int, ...], left: tuple[int, ...]
) -> Poses:
    """Those of the frame who have an identity, in the frame's order."""
    identity = dict(zip(of.tolist(), bodies.track_id.tolist(), strict=True))
    kept = [(row, identity[index]) for index, row in enumerate(rows) if identity.get(index, UNSEEN) >= 0]
    track_id = np.array([who for _, who in kept], np.int32)
    if len(kept) == len(poses):
        return replace(poses, track_id=track_id, entered=entered, left=left)
    told = [row for row, _ in kept]
    return poses.rows(told, track_id=track_id, entered=entered, left=left)

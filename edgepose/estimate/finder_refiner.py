"""Many people by two models: a finder looks at the whole frame, a refiner at one crop a person.

Who is followed by the tracker needs no finder, so in a video a frame costs about one inference a person. Where the
budget allows fewer, the finder sees everybody in every frame and people take turns at being refined. Nobody is told
of who was not seen in the frame at hand.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config, oks
from edgepose.core.poses import Frame, Poses
from edgepose.engine import Engine
from edgepose.estimate import missing
from edgepose.estimate.attention import PLAIN, Attention, View
from edgepose.estimate.base import Found
from edgepose.estimate.boxes import around, side_of
from edgepose.estimate.budget import Budget
from edgepose.estimate.candidates import (
    SAME_COARSE,
    UNTRACKED,
    Candidate,
    Joints,
    alike,
    expected_people,
    found_people,
    meet,
    where_of,
)
from edgepose.estimate.framing import Framed, Framing, overlap
from edgepose.estimate.moved import Moved
from edgepose.estimate.night import Night
from edgepose.estimate.pairs import Pair
from edgepose.estimate.predictor import Box, Predictor
from edgepose.estimate.score import log, more
from edgepose.estimate.second_look import SecondLook
from edgepose.estimate.turned import Turn

F = np.float32
SAME_POSE = 0.5
"""Two refined poses more alike (OKS) are one person."""
SKIP = 0.9
"""A crop is skipped that has so many times the source pixels per model pixel of the whole frame: it shows no more."""
SAME_FRAME = 0.5
"""Two framed candidates that overlap (IoU) more are one."""
MARGIN_SMALL, MARGIN_LARGE, LARGE_PX = 1.25, 1.4, 224
"""Side of a crop over the longer side of a coarse pose, for refiners below and from LARGE_PX, which can afford to see
more around."""
HINT = 0.02
"""Chance of who is not believed yet down to which it is said: it is evidence against them."""
MOVES, MUCH = 1.5, 0.1
"""Log-odds that somebody not believed yet is a person, more, where so much of the crop or more changes."""
MARGIN_OF_JOINTS = 1.1
"""Times that where only joints are known, which lie well inside a body; also for a coarse pose in part."""


@dataclass(slots=True, eq=False)
class Detection:
    """One who is there, as surely as `chance` says."""

    who: Candidate
    chance: float
    xy: NDArray[np.float32]
    score: NDArray[np.float32]
    coarse: NDArray[np.float32]
    """(K, 2) NaN: there is none."""
    xyz: NDArray[np.float32]
    """(K, 3) NaN: there is none."""
    refined: bool


class FinderRefiner:
    """Finder and refiner; as Estimate."""

    def __init__(
        self,
        cfg: config.Config,
        pair: Pair,
        find: Predictor,
        refine: Predictor,
        budget: Budget | None = None,
    ) -> None:
        self.pair, self.find, self.refine = pair, find, refine
        self.budget = budget or Budget(cfg.estimate)
        self.find_every_s, self.max_people = cfg.estimate.find_every_s, cfg.decode.max_people
        self.says_why = cfg.estimate.missing
        self.counts = find.counts
        self.engines: tuple[Engine, ...] = tuple(dict.fromkeys((find.engine, refine.engine)))
        self.skeleton = refine.skeleton
        self.sigmas, self.coarse_sigmas = np.array(self.skeleton.sigmas, F), np.array(find.skeleton.sigmas, F)
        self.joints = Joints(find.skeleton, refine.skeleton)
        skeletons = (find.skeleton, refine.skeleton) if refine.upright else ()
        self.framings = {len(each.joints): Framing(each) for each in skeletons}
        """Number of joints -> how a pose of so many is framed; none: crops are not turned."""
        self.margin = pair.margin or (MARGIN_LARGE if max(refine.size_wh) >= LARGE_PX else MARGIN_SMALL)
        self.min_joint = find.min_joint(cfg.decode), refine.min_joint(cfg.decode)
        """Of the finder's poses and of the refiner's."""
        set_to = cfg.decode.min_person_score
        self.enter_score, self.stay_score = (pair.enter, pair.stay) if cfg.estimate.gate else (0.0, 0.0)
        self.believe_score = pair.believe if cfg.estimate.gate else None
        self.gate_still = set_to if set_to is not None else pair.gate * cfg.estimate.gate
        self.gate_live = set_to if set_to is not None else self.stay_score

        self.found_t = -math.inf
        """Time of the frame that the finder saw last."""
        self.turns: dict[int, int] = {}
        """Identity -> number of the frame of its last crop; strangers share a turn."""
        self.doubtful: set[int] = set()
        """Identities that their last crop did not show; they get no other one until the finder sees them."""
        self.attention = Attention()
        self.second = SecondLook(self.skeleton)
        self.moved, self.night = Moved(), Night()
        self.refused: list[tuple[float, NDArray[np.float32]]] = []
        """Time and coarse pose of candidates that turned out to be nobody."""
        self.frames = 0
        self._inferred_t = 0.0  # of the frame at hand

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:
        """As Estimate."""
        began_t = self._inferred_t = time.monotonic()
        self.budget.begin()
        self.frames += 1
        frame = self._watched(frame, new=expected is None)
        people = expected_people(expected)
        self._forget(people, frame.t)
        looked_at = [who for who in people if self._wanted(who, frame.t)]
        if expected is None or self._must_find(looked_at, frame.t):
            strangers = meet(people, self._found(frame), self._alike)
            looked_at = [who for who in looked_at if who.xy is not None or who.track_id not in self.doubtful]
            looked_at += strangers
        people = looked_at
        # who waited longest first; strangers, who share a turn, by what the finder said
        people.sort(key=lambda who: (self.turns.get(who.track_id, 0), -who.raw))
        seen = [detection for who in people if (detection := self._detect(frame, who)) is not None]
        self._resolve(expected, seen)
        poses = self._poses(frame, seen, self.gate_still if expected is None else self.gate_live)
        return Found(poses, began_t, self._inferred_t, time.monotonic())

    def _watched(self, frame: Frame, new: bool) -> Frame:
        """The frame as models get it; what moves and how dark it is are known from those before, unless it is new."""
        if new:
            self.moved, self.night = Moved(), Night()
        self.moved.see(frame)
        self.night.see(frame)
        return self.night.shown(frame, self.find.pixels(frame.size_wh))

    def _look(self, predictor: Predictor, frame: Frame, box: Box | None = None, view: View = PLAIN) -> Poses:
        """One inference, within the budget."""
        box = None if box is None else view.of(box)
        with self.budget.inference(crop=box is not None):
            if (view.mirror or view.degrees) and box is not None:
                found = predictor.turned(frame, box, Turn(view.degrees, view.mirror))
            else:
                found = predictor(frame, box)
        self._inferred_t = found.inferred_t
        return found.poses

    # --------------------------------------------------------------------------------------------- whom to look at

    def _wanted(self, who: Candidate, t: float) -> bool:
        """Whether somebody expected is looked at in this frame: not who was nobody time and again."""
        return who.track_id >= UNTRACKED or self.attention.wants(who.track_id, t)

    def _must_find(self, people: list[Candidate], t: float) -> bool:
        """Whether the finder has to look: nobody to follow, doubt, time for it, or more people than crops."""
        due = not 0 <= t - self.found_t < self.find_every_s
        doubt = any(who.track_id in self.doubtful for who in people)
        return due or doubt or not people or len(people) > self.budget.crops

    def _found(self, frame: Frame) -> list[Candidate]:
        """Whom the finder sees."""
        poses = self._look(self.find, frame)
        self.found_t = frame.t
        return found_people(poses, self.joints, self.coarse_sigmas)

    def _forget(self, people: list[Candidate], t: float) -> None:
        """Drop what was remembered of those who left, and of nobodies long ago."""
        ids = {who.track_id for who in people}
        self.turns = {identity: turn for identity, turn in self.turns.items() if identity in ids | {UNTRACKED}}
        self.doubtful &= ids
        self.attention.keep(ids)
        self.second.keep(ids)
        self.refused = [(then, where) for then, where in self.refused if 0 <= t - then < self.find_every_s]

    # ------------------------------------------------------------------------------------------------- look closer

    def _detect(self, frame: Frame, who: Candidate) -> Detection | None:
        """What this frame shows of somebody; None: nothing."""
        framed = self._framed(who.where)
        only_joints = np.isnan(who.where).any()
        box = framed.box if framed else around(who.where, self.margin * (MARGIN_OF_JOINTS if only_joints else 1.0))
        if box is None or not self._worth(frame, who, box) or not self.budget.allows:
            return self._as_found(who)
        view = View(degrees=framed.degrees) if framed else self._view(who, frame.t)
        seen = self._refined(self._look(self.refine, frame, box, view), who)
        self.turns[who.track_id] = self.frames
        if who.track_id >= 0 and not framed:
            seen = self._again(frame, who, box, seen)
        elif seen is not None:
            seen.chance = self._moving(seen.chance, box)
        self._remember(who, frame.t, seen is not None and seen.chance >= self.pair.stay)
        return self._as_found(who) if seen is None else seen

    def _resolve(self, expected: Poses | None, seen: list[Detection]) -> None:
        """End the doubt about whoever was detected anew where they were expected."""
        if expected is None or not self.doubtful:
            return
        anew = [one.xy for one in seen if not one.who.expected and one.chance >= self.pair.stay]
        for row, identity in enumerate(expected.track_id.tolist()):
            likely = identity in self.doubtful and anew
            if likely and oks.oks(expected.xy[row], np.stack(anew), self.sigmas).max() >= SAME_POSE:
                self.doubtful.discard(identity)

    def _view(self, who: Candidate, t: float) -> View:
        """How to look at somebody."""
        if who.track_id >= 0:
            return View(degrees=self.second.now(who.track_id, who.before))
        doubted = who.track_id < UNTRACKED and self.pair.again is not None
        return self.attention.look(who.track_id, t) if doubted else PLAIN

    def _again(self, frame: Frame, who: Candidate, box: Box, first: Detection | None) -> Detection | None:
        """Somebody with an identity who is hardly seen, turned another way where that shows more of them."""
        chance = 0.0 if first is None else first.chance
        enough = self.pair.enter if self.second.lies(who.before) else self.pair.stay
        if chance >= enough or not self.budget.allows:
            return first
        degrees = self.second.other(who.track_id, who.before, frame.t)
        if degrees is None:
            return first
        other = self._refined(self._look(self.refine, frame, box, View(degrees=degrees)), who)
        if other is None or other.chance <= chance:
            return first
        self.second.worked(who.track_id, degrees)
        return other

    def _moving(self, chance: float, box: Box) -> float:
        """The chance, knowing how much of the crop changes."""
        return more(chance, MOVES * min(self.moved.within(box) / MUCH, 1.0))

    def _worth(self, frame: Frame, who: Candidate, box: Box) -> bool:
        """Whether a crop would tell more than is known."""
        if who.expected:
            return True
        if who.raw < (self.pair.worth or 0.0) or any(self._same(who.where, where) for _, where in self.refused):
            return False
        if self.framings:  # its joints are others than the finder's
            return True
        side = side_of(box)
        return self.refine.pixels((side, side)) < SKIP * self.find.pixels(frame.size_wh)

    def _framed(self, where: NDArray[np.float32]) -> Framed | None:
        return self.framings[len(where)](where) if self.framings else None

    def _alike(self, seen: Candidate, who: Candidate) -> float:
        """Of one who was found and one expected, 0..1."""
        if seen.xy is None and (here := self._framed(seen.where)) and (there := self._framed(who.where)):
            return overlap(here.box, there.box)
        return alike(seen, who, self.sigmas)

    def _same(self, where: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
        if (here := self._framed(where)) and (there := self._framed(other)):
            return overlap(here.box, there.box) >= SAME_FRAME
        return bool(oks.oks(where, other[None], self.coarse_sigmas)[0] >= SAME_COARSE)

    def _remember(self, who: Candidate, t: float, there: bool) -> None:
        if not who.expected:
            if not there:
                self.refused.append((t, who.where))
        elif there:
            self.doubtful.discard(who.track_id)
        elif who.track_id >= 0:
            self.doubtful.add(who.track_id)

    def _as_found(self, who: Candidate) -> Detection | None:
        """What the finder alone says of somebody; None: nothing."""
        if who.xy is None or who.score is None:
            return None
        pair = self.pair
        chance = pair.found(log(who.raw)) if pair.found else who.raw
        known = who.where.shape == who.xy.shape
        return Detection(
            who, chance, who.xy, who.score, who.where if known else np.full_like(who.xy, np.nan),
            np.full((len(who.xy), 3), np.nan, F), refined=False,
        )  # fmt: skip

    def _refined(self, poses: Poses, who: Candidate) -> Detection | None:
        """What a crop says of somebody, together with what the finder said; None: it shows nobody."""
        if not len(poses):
            return None
        pair, raw = self.pair, float(poses.person_score[0])
        if who.xy is None and who.track_id < UNTRACKED and who.before is not None and pair.again:
            likeness = float(oks.oks(poses.xy[0], who.before[None], self.sigmas)[0])
            chance = pair.again(log(raw), likeness)
        elif who.xy is None:
            chance = pair.crop(log(raw)) if pair.crop else raw
        elif pair.both:
            likeness = float(oks.oks(poses.xy[0], who.xy[None], self.sigmas)[0])
            chance = pair.both(log(who.raw), log(raw), likeness)
        else:
            chance = math.sqrt(who.raw * raw)
        xyz = np.full((poses.xy.shape[1], 3), np.nan, F) if poses.xyz is None else poses.xyz[0]
        coarse = np.full_like(poses.xy[0], np.nan) if poses.coarse_xy is None else where_of(poses)[0]
        return Detection(who, chance, poses.xy[0], poses.score[0], coarse, xyz, refined=True)

    # ------------------------------------------------------------------------------------------------ put together

    def _poses(self, frame: Frame, told: list[Detection], least: float) -> Poses:
        """The people of a frame, best first, each once."""
        told = [seen for seen in told if seen.chance >= (HINT if seen.who.track_id < UNTRACKED else least)]
        told.sort(key=lambda seen: -seen.chance)
        if len(told) > 1:
            alone = oks.distinct(np.stack([seen.xy for seen in told]), self.sigmas, SAME_POSE)
            told = [told[row] for row in alone]
        told = told[: self.max_people]
        people, joints = len(told), len(self.skeleton.joints)
        xy, score = np.empty((people, joints, 2), F), np.empty((people, joints), F)
        coarse, xyz = np.empty((people, joints, 2), F), np.empty((people, joints, 3), F)
        for row, seen in enumerate(told):
            lost = ~(seen.score >= max(self.min_joint[seen.refined], 1e-9))
            xy[row], score[row] = np.where(lost[:, None], np.nan, seen.xy), np.where(lost, 0, seen.score)
            coarse[row], xyz[row] = seen.coarse, np.where(lost[:, None], np.nan, seen.xyz)
        poses = Poses.of(
            frame,
            self.skeleton,
            xy,
            score,
            np.array([seen.chance for seen in told], F),
            xyz=xyz if people and not np.isnan(xyz).all(axis=(1, 2)).any() else None,
            coarse_xy=None if np.isnan(coarse).all() and people else coarse,
            ran_on=next((engine.ran_on for engine in self.engines if engine.ran_on), ""),
        )
        if not self.says_why or not people:
            return poses
        needed = np.array([self.min_joint[seen.refined] for seen in told], F)
        places, scores = np.stack([seen.xy for seen in told]), np.stack([seen.score for seen in told])
        return missing.told(poses, places, scores, needed)

    def close(self) -> None:
        """As Estimate."""
        for engine in self.engines:
            engine.close()

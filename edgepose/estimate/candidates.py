"""Who may be in a frame: expected by the tracker, seen by a finder, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.core import oks
from edgepose.core.poses import Poses, Skeleton

F = np.float32
SAME_COARSE = 0.3
"""Two candidates whose coarse poses are more alike (OKS) are one; so is a candidate and somebody expected."""
UNTRACKED = -1
"""track_id of who has none; below it: a mark of who is not believed yet."""


@dataclass(slots=True, eq=False)
class Candidate:
    """One who may be there."""

    where: NDArray[np.float32]
    """(K', 2) what to look at: the coarse pose of the finder, or the one expected, or the pose itself."""
    track_id: int = UNTRACKED
    expected: bool = False
    """By the tracker."""
    before: NDArray[np.float32] | None = None
    """(K, 2) the pose that the tracker expects; None: nobody is expected."""
    xy: NDArray[np.float32] | None = None
    """(K, 2) what the finder saw, in the refiner's joints; None: it did not look, or did not see."""
    score: NDArray[np.float32] | None = None
    """(K,) of its joints."""
    raw: float = 0.0
    """Its person score."""


class Joints:
    """Joints of one skeleton in the order of another, by name."""

    def __init__(self, have: Skeleton, want: Skeleton) -> None:
        self.places = np.array([have.joints.index(name) if name in have.joints else -1 for name in want.joints])
        self.shared = bool((self.places >= 0).any())
        """Whether they have one in common."""

    def __call__(
        self, xy: NDArray[np.float32], score: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(N, K, 2) and (N, K) as wanted; who lacks a joint has NaN and score 0 there."""
        xy, score = xy[:, self.places], score[:, self.places]
        xy[:, self.places < 0] = np.nan
        score[:, self.places < 0] = 0
        return xy, score


def where_of(poses: Poses) -> NDArray[np.float32]:
    """(N, K, 2) what to look at for each."""
    return poses.xy if poses.coarse_xy is None else poses.coarse_xy


def expected_people(expected: Poses | None) -> list[Candidate]:
    """Those whom the tracker expects."""
    if expected is None:
        return []
    where = where_of(expected)
    # a body whose coarse pose was never told is looked at where its joints are
    bare = np.isnan(where).all(axis=(1, 2), keepdims=True)
    where = np.where(bare, expected.xy, where)
    return [
        Candidate(where[row], int(expected.track_id[row]), expected=True, before=expected.xy[row])
        for row in range(len(expected))
    ]


def found_people(poses: Poses, joints: Joints, sigmas: NDArray[np.float32]) -> list[Candidate]:
    """Those whom a finder saw, each once, best first; `sigmas` are of its own joints."""
    where = where_of(poses)
    rows = oks.distinct(where, sigmas, SAME_COARSE) if len(poses) > 1 else range(len(poses))
    xy, score = joints(poses.xy, poses.score)
    return [
        Candidate(
            where[row],
            xy=xy[row] if joints.shared else None,
            score=score[row] if joints.shared else None,
            raw=float(poses.person_score[row]),
        )
        for row in rows
    ]


def meet(
    expected: list[Candidate], found: list[Candidate], alike: Callable[[Candidate, Candidate], float]
) -> list[Candidate]:
    """Hand what was found to those expected there; returns who was found and not expected.

    alike  how much who was found and who is expected are, 0..1
    """
    free, strangers = list(expected), []
    for seen in found:
        likeness = [alike(seen, who) for who in free]
        best = int(np.argmax(likeness)) if likeness else -1
        if best < 0 or likeness[best] < SAME_COARSE:
            strangers.append(seen)
            continue
        who = free.pop(best)
        who.where, who.xy, who.score, who.raw = seen.where, seen.xy, seen.score, seen.raw
    return strangers


def alike(seen: Candidate, who: Candidate, sigmas: NDArray[np.float32]) -> float:
    """How much (OKS) who was found and who is expected are; `sigmas` are of the joints in which poses are told."""
    pose = seen.where if seen.where.shape == who.where.shape else seen.xy
    if pose is None or who.where.shape != pose.shape:
        return 0.0
    return float(oks.oks(pose, who.where[None], sigmas)[0])

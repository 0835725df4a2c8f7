"""What is known of the people who are tracked, and the laws by which they move.

Lengths are in body sizes where they can be, so that near and far people are judged alike. The arithmetic is in
kernels/track.py: one Kalman filter of constant, slowly forgotten speed per body, on real time; joints go with the body.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.follow.track.belief import log_odds

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

LAWS = {
    "keep_s": 2.0,  # a body forgets its speed: 1/e of it is left after so long
    "unrest": 2.0,  # spectral density of its acceleration, sizes^2 / s^3: 1 size / s faster within half a second
    "coast_s": 1.0,  # an unseen body moves for so long
    "most_lost": 0.25,  # a place is never less known than that, sizes^2: half a size, or it could be anybody
    "slack": 0.08**2,  # variance of where the mean joint lies in a body that moves its limbs, sizes^2
    "stopped": 0.7,  # how likely it is to have stopped where last seen, against going on as before
    "least_alike": 0.1,  # people less alike than this in place and pose are not the same
    "limb_s": 0.15,  # limbs move as far as the joints of like poses differ; after twice that no farther
    "noise": 0.03**2,  # variance of a body's place where all its joints are seen, sizes^2
    "joint_s": 1.0,  # a joint that is not seen is where the body has carried it, for so long
    "shrink_s": 1.0,  # a body becomes half as large at the fastest: who crouches is no smaller
}
"""In the order in which the kernels take them."""

FIRST_SPEED = 4.0
"""Variance of the speed of somebody new, (sizes / s)^2: people run."""

LEAST_STEP_S = 1 / 240
"""Seconds by which everybody ages with a frame, also where its stamp says that no time has passed."""

SMALLEST = 0.02
"""Least size of a body, in longer sides of the picture: a single joint has none of its own."""

UNSEEN = -1


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """M people; never written into once made."""

    track_id: NDArray[np.int32]
    """(M,) identity; below -1: a mark that nobody else has, of who is not believed yet."""
    looks: Index
    """(M,) times seen."""
    evidence: Floats
    """(M,) mean log-odds of a person over these, as belief.py says."""
    known_s: Floats
    """(M,) seconds since seen first."""
    unseen_s: Floats
    """(M,) seconds since seen last; 0: in this frame."""
    person_score: Floats
    """(M,) when last seen."""
    joints: Floats
    """(M, K, 6) as kernels/track.py says."""
    motion: Floats
    """(M, 8) as kernels/track.py says."""

    def __len__(self) -> int:
        return len(self.track_id)

    def rows(self, index: Any) -> Bodies:
        """Some of them: copies."""
        return Bodies(*(getattr(self, field.name)[index] for field in fields(self)))

    def joined_by(self, others: Bodies) -> Bodies:
        """These, then the others."""
        both = ((getattr(self, field.name), getattr(others, field.name)) for field in fields(self))
        return Bodies(*map(np.concatenate, both))

    @property
    def xy(self) -> NDArray[np.float32]:
        """(M, K, 2) pixels, NaN where a joint is not known."""
        return self.joints[..., :2].astype(np.float32)


def newborn(seen: Floats, person_score: Floats, least_size: float, mark: int = UNSEEN) -> Bodies:
    """People (N, K, 5) seen for the first time: where they are, and no idea of their speed."""
    people, joints = seen.shape[:2]
    known = ~np.isnan(seen[..., 0])
    motion = np.zeros((people, 8))
    motion[:, 0] = least_size
    if people:
        box = np.fmax.reduce(seen[..., :2], axis=1) - np.fmin.reduce(seen[..., :2], axis=1)
        motion[:, 0] = np.maximum(box.max(axis=1), least_size)
    motion[:, 5] = LAWS["noise"] * joints / np.maximum(known.sum(axis=1), 1)
    motion[:, 7] = FIRST_SPEED
    return Bodies(
        track_id=np.full(people, mark, np.int32),
        looks=np.ones(people, np.int64),
        evidence=log_odds(person_score),
        known_s=np.zeros(people),
        unseen_s=np.zeros(people),
        person_score=person_score,
        joints=np.concatenate((seen, np.where(known, 0.0, np.inf)[..., None]), axis=2),
        motion=motion,
    )

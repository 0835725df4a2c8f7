"""One moment for all cameras: the last poses of each, interpolated to it on the time they were taken."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from edgepose.core.poses import Poses

F = np.float32
KEPT_S = 1.0
MOST_GAP_S = 0.15
"""Between two poses of one person; over more nothing is interpolated."""
NEAR_S = 0.02
"""A pose this close to the moment is taken as it is, where there is no other to interpolate with."""


class Ring:
    """The last second of one camera; times are seconds since 1970."""

    def __init__(self) -> None:
        self._poses: deque[tuple[float, Poses]] = deque()

    @property
    def newest_s(self) -> float:
        """When its newest poses were taken; before everything while there are none."""
        return self._poses[-1][0] if self._poses else -np.inf

    def add(self, taken_s: float, poses: Poses) -> bool:
        """Keep poses; False: they are repeated or late, and dropped."""
        if taken_s <= self.newest_s:
            return False
        self._poses.append((taken_s, poses))
        while self._poses[0][0] < taken_s - KEPT_S:
            self._poses.popleft()
        return True

    def clear(self) -> None:
        """Forget everything: the clock was set."""
        self._poses.clear()

    def at(self, moment_s: float) -> Poses | None:
        """Who was seen at a moment; None: nothing is known of it."""
        before = after = None
        for taken_s, poses in self._poses:
            if taken_s <= moment_s:
                before = taken_s, poses
            else:
                after = taken_s, poses
                break
        near = [each for each in (before, after) if each and abs(each[0] - moment_s) <= NEAR_S]
        if before is None or after is None or after[0] - before[0] > MOST_GAP_S:
            return min(near, key=lambda each: abs(each[0] - moment_s))[1] if near else None
        share = (moment_s - before[0]) / (after[0] - before[0])
        return between(before[1], after[1], share)


def between(before: Poses, after: Poses, share: float) -> Poses:
    """Poses `share` of the way from one frame to the next; who is in one of them only is taken from the nearer one."""
    row = {identity: index for index, identity in enumerate(before.track_id.tolist()) if identity >= 0}
    pairs = [(row[identity], index) for index, identity in enumerate(after.track_id.tolist()) if identity in row]
    nearer = before if share < 0.5 else after
    alone = [
        index for index, identity in enumerate(nearer.track_id.tolist())
        if index not in {pair[int(share >= 0.5)] for pair in pairs}
    ]  # fmt: skip
    first, second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    xy = before.xy[first] * F(1 - share) + after.xy[second] * F(share)
    score = np.minimum(before.score[first], after.score[second])
    score = np.where(np.isnan(xy[..., 0]), F(0), score)
    return replace(
        nearer,
        xy=np.concatenate([xy, nearer.xy[alone]]).astype(F),
        score=np.concatenate([score, nearer.score[alone]]).astype(F),
        person_score=np.concatenate([after.person_score[second], nearer.person_score[alone]]),
        track_id=np.concatenate([after.track_id[second], nearer.track_id[alone]]),
        xyz=None, coarse_xy=None, space=None,
    )  # fmt: skip

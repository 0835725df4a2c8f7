"""Whether a camera hangs upside down, on its side or tilted: by how the people who walk past it stand in its pictures.

One who does a handstand, lies or does push-ups says nothing of the camera. So those who travel are asked first of all,
each once in a while; who stays where they are is believed only of up and down, and only among several people.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Poses, Skeleton

TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
LOOKS, LEAST_S, STEADY = 8, 1.0, 0.85
"""Looks and seconds at somebody, and length of the mean of the unit vectors from hips to shoulders, from which they
are asked."""
TRAVELLED, STAYED_S = 1.0, 3.0
"""Torsos from the first place from which somebody travels; seconds after which who does not is asked all the same."""
ANEW_S = 20.0
"""The same person is asked again after so long: nobody walks on their hands for four times that."""
REMEMBERED = 20
"""Answers; older ones do not count."""
SHARE = 0.75
"""Of the answers that agree."""
DOWN, MANY = 4, 6
"""Answers of travellers for upside down; answers at least for all else ..."""
PEOPLE, SPAN_S = 3, 20.0
"""... and people they come from, and seconds between the first and the last: one may crawl, or stand on their head."""
NEAR = 40.0
"""Degrees to an axis of the picture within which somebody stands along it."""
LEANS, ALIKE = 12.0, 12.0
"""Degrees from upright from which everybody leans, and between the middle one and the others."""
STEP = 5
"""Degrees to which a tilt is said."""


class Hang(NamedTuple):
    """How it hangs."""

    heads: int
    """Where people's heads point, degrees clockwise from the picture's up: 90, 180, 270, or a tilt in -35..35."""

    @property
    def tilted(self) -> bool:
        """Whether no quarter turn mends it."""
        return self.heads % 90 != 0


class _Answer(NamedTuple):
    who: int
    degrees: float
    """Clockwise from up to the head, -180..180."""
    x: float
    """Of the hips, in widths of the picture."""
    t: float
    travelled: bool


@dataclass(slots=True)
class _Seen:
    """One person since they were asked last."""

    began_t: float
    from_xy: NDArray[np.float32]
    up: complex = 0j
    """Sum of unit vectors from hips to shoulders; up is 1, right is 1j."""
    looks: int = 0
    torso: float = 0.0
    travelled: float = 0.0
    """Pixels."""
    x: float = 0.0
    asked: bool = False


class Hanging:
    """Gathers answers from tracked people; `verdict` is what they say."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._answers: deque[_Answer] = deque(maxlen=REMEMBERED)
        self._skeleton: Skeleton | None = None
        self._parts: list[int] = []
        self.verdict: Hang | None = None
        """None: it hangs as it should, or not enough people walked by."""

    def update(self, poses: Poses) -> Hang | None:
        """The verdict, with the people of one frame more."""
        if poses.skeleton is not self._skeleton:
            self._skeleton, names = poses.skeleton, poses.skeleton.joints
            self._parts = [names.index(name) for name in TORSO] if set(TORSO) <= set(names) else []
        if self._parts and len(poses) and not poses.held:
            for who, torso in zip(poses.track_id.tolist(), poses.xy[:, self._parts], strict=True):
                if who >= 0 and not np.isnan(torso).any():
                    self._look(who, torso, poses)
        for who in poses.left:
            self._seen.pop(who, None)
        return self.verdict

    def _look(self, who: int, torso: NDArray[np.float32], poses: Poses) -> None:
        """One look at one person; `torso` (4, 2) as TORSO."""
        hips = torso[2:].mean(axis=0)
        right, down = (torso[:2].mean(axis=0) - hips).tolist()
        seen = self._seen.get(who)
        if seen is None or not 0 <= poses.t - seen.began_t < ANEW_S:
            seen = self._seen[who] = _Seen(poses.t, hips)
        length = math.hypot(right, down)
        if not length:
            return
        seen.looks += 1
        seen.up += complex(-down, right) / length
        seen.torso += (length - seen.torso) / seen.looks
        seen.x += (float(hips[0]) / poses.size_wh[0] - seen.x) / seen.looks
        seen.travelled = max(seen.travelled, math.dist(hips.tolist(), seen.from_xy.tolist()))
        self._ask(who, seen, poses.t)

    def _ask(self, who: int, seen: _Seen, t: float) -> None:
        """Take somebody's answer where they were seen long and steadily enough."""
        span_s, travels = t - seen.began_t, seen.travelled >= TRAVELLED * seen.torso
        ready = span_s >= (LEAST_S if travels else STAYED_S) and seen.looks >= LOOKS
        if seen.asked or not ready or abs(seen.up) < STEADY * seen.looks:
            return
        degrees = math.degrees(math.atan2(seen.up.imag, seen.up.real))
        if travels or abs(_apart(2 * degrees, 0)) <= 2 * NEAR:
            seen.asked = True
            self._answers.append(_Answer(who, degrees, seen.x, t, travels))
            self.verdict = judged(self._answers)


def judged(answers: Collection[_Answer]) -> Hang | None:
    """What answers say together."""
    for axis in (180, 90, 270):
        agree = [one for one in answers if abs(_apart(one.degrees, axis)) <= NEAR]
        down = axis == 180 and sum(one.travelled for one in agree) >= DOWN
        if len(agree) >= SHARE * len(answers) and (down or _many(agree)):
            return Hang(axis)
    return _tilt(answers)


def _many(answers: Sequence[_Answer]) -> bool:
    """Whether it is many people that say so, over some time."""
    several = len(answers) >= MANY and len({one.who for one in answers}) >= PEOPLE
    return several and answers[-1].t - answers[0].t >= SPAN_S


def _tilt(answers: Collection[_Answer]) -> Hang | None:
    """Everybody leans by the same angle, on both sides of the picture: a wide view makes them lean apart."""
    middle = float(np.median([one.degrees for one in answers]))
    agree = [one for one in answers if abs(one.degrees - middle) <= ALIKE]
    if not LEANS <= abs(middle) <= NEAR or len(agree) < SHARE * len(answers) or not _many(agree):
        return None
    for side in ([one.degrees for one in agree if one.x < 0.5], [one.degrees for one in agree if one.x >= 0.5]):
        if len(side) < 2 or float(np.median(side)) * np.sign(middle) < LEANS:
            return None
    return Hang(STEP * round(middle / STEP))


def _apart(degrees: float, other: float) -> float:
    """Degrees between two directions, -180..180."""
    return (degrees - other + 180) % 360 - 180

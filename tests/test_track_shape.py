"""Who changes shape faster than anybody can follow keeps the identity: what is left in their place is them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, Poses
from edgepose.follow.track import Tracker, tracker
from tests.helpers.people import poses

HZ = 10.0
RNG = np.random.default_rng(3)
STANDS = np.stack((RNG.uniform(100, 180, 17), RNG.uniform(20, 220, 17)), 1).astype(np.float32)
OTHER = STANDS[np.roll(np.arange(17), 5)]
"""The same box, and no joint where it was."""
HUDDLED = (OTHER * np.array((1, 0.3)) + np.array((0, 150))).astype(np.float32)
"""At the feet."""
BESIDE = (HUDDLED + np.array((300, 0))).astype(np.float32)
FEET = np.argsort(STANDS[:, 1])[-3:]
A_PART = np.where(np.isin(np.arange(17), FEET)[:, None], STANDS, np.nan).astype(np.float32)
"""The three joints farthest down."""

Person = NDArray[np.float32]


def seen(frames: list[list[Person]], believe: float | None = None) -> list[list[int]]:
    """Identities of each frame; the first named is the surer one."""
    follows = Tracker(config.Track(), COCO17, believe=believe, kernels="numpy")
    told = []
    for at, people in enumerate(frames):
        xy = np.stack(people) if people else np.zeros((0, 17, 2), np.float32)
        score = np.where(np.isnan(xy[..., 0]), 0, 0.9).astype(np.float32)
        sure = np.linspace(0.95, 0.9, len(people)).astype(np.float32)
        frame: Poses = poses(len(people), t=at / HZ, seq=at, xy=xy, score=score, person_score=sure)
        told.append(follows.update(frame).track_id.tolist())
    return told


def identities(told: list[list[int]]) -> set[int]:
    return {identity for frame in told for identity in frame}


@pytest.fixture(params=[None, 0.97], ids=["seen twice", "believed"])
def believe(request: pytest.FixtureRequest) -> float | None:
    value: float | None = request.param
    return value


def test_who_was_lost_and_appears_in_the_same_place_in_another_shape_is_the_same(believe: float | None) -> None:
    told = seen([[STANDS]] * 10 + [[]] + [[HUDDLED]] * 10, believe)
    assert identities(told) == {1}
    assert told[-1] == [1]


def test_without_a_place_shared_they_would_be_two(believe: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "SHARED", 2.0)
    assert identities(seen([[STANDS]] * 10 + [[]] + [[HUDDLED]] * 10, believe)) == {1, 2}


def test_who_appears_beside_somebody_lost_is_another(believe: float | None) -> None:
    told = seen([[STANDS]] * 10 + [[]] + [[BESIDE]] * 10, believe)
    assert told[-1] == [2]


def test_a_part_that_is_still_followed_gives_way_to_the_whole(believe: float | None) -> None:
    told = seen([[STANDS]] * 10 + [[A_PART]] * 3 + [[HUDDLED, A_PART]] * 10, believe)
    assert identities(told) == {1}
    assert all(len(frame) <= 1 for frame in told)


def test_two_poses_in_one_box_are_one_person_for_a_second_and_two_if_they_stay(believe: float | None) -> None:
    stays = seen([[STANDS]] * 10 + [[STANDS, OTHER]] * 20, believe)
    assert identities(stays[:18]) == {1}
    assert stays[-1] == [1, 2]

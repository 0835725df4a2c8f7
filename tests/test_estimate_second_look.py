"""Which way somebody who is hardly seen is turned."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core.poses import COCO17, SKELETONS
from edgepose.estimate.second_look import AGAIN_S, MOST_AGAIN_S, SIDES, SecondLook

F = np.float32


def body(degrees: float) -> NDArray[np.float32]:
    """Somebody whose head points so many degrees clockwise from up."""
    xy = np.full((17, 2), np.nan)
    turn = np.deg2rad(degrees)
    up = np.array([np.sin(turn), -np.cos(turn)])
    across = np.array([np.cos(turn), np.sin(turn)])
    for name, high, aside in (
        ("left_shoulder", 50, 15), ("right_shoulder", 50, -15), ("left_hip", 0, 10), ("right_hip", 0, -10),
    ):  # fmt: skip
        xy[COCO17.joints.index(name)] = 200 + high * up + aside * across
    return xy.astype(F)


@pytest.mark.parametrize("degrees", [90, -90, 45, 180])
def test_who_lies_is_turned_along_the_torso_first(degrees: float) -> None:
    assert abs(SecondLook(COCO17).other(7, body(degrees), 1.0) or 0) == pytest.approx(abs(degrees), abs=8)


@pytest.mark.parametrize("before", [None, body(5), np.full((17, 2), np.nan, F)], ids=["unseen", "upright", "no joint"])
def test_else_the_sides_are_tried_in_turn_and_not_in_each_frame(before: NDArray[np.float32] | None) -> None:
    second = SecondLook(COCO17)
    times = np.arange(0, 60, AGAIN_S / 3).tolist()
    asked = [(t, degrees) for t in times if (degrees := second.other(7, before, t)) is not None]
    assert {degrees for _, degrees in asked} == set(SIDES)
    pauses = np.diff([t for t, _ in asked])
    assert pauses[:3] == pytest.approx([AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S], abs=0.11)
    assert pauses.max() == pytest.approx(MOST_AGAIN_S, abs=0.11)


def test_what_worked_is_the_first_look_until_they_stand_again() -> None:
    second = SecondLook(COCO17)
    assert second.now(7, body(90)) == 0
    second.worked(7, 90.0)
    assert second.now(7, body(90)) == 90
    assert second.now(7, None) == 90
    assert second.now(7, body(10)) == 0
    assert second.other(7, body(90), 1.0) == 0, "the second look is the plain one then"


def test_who_has_left_is_forgotten() -> None:
    second = SecondLook(COCO17)
    second.worked(7, 90.0)
    second.keep({8})
    assert second.now(7, None) == 0


def test_a_skeleton_without_a_torso_is_turned_to_the_sides() -> None:
    second = SecondLook(SKELETONS["blazepose4"])
    assert second.other(1, np.zeros((4, 2), F), 0.0) == SIDES[0]

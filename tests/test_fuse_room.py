"""A simulated room, whose people and errors are those of measurements: found, not mixed up, where they are."""

from __future__ import annotations

from typing import Any

import pytest

from edgepose.core import config
from edgepose.core.poses import COCO17
from edgepose.lift.fuse import Room, alone_of
from samples.room import EXACT, Judged, Walkers, film, ring

SETTLED_S = 0.6


def judged(cameras: int, people: int, seed: int, seconds: float = 4.0, alone: bool = True, **how: Any) -> Judged:
    placed, walkers, result = ring(cameras), Walkers(people, seed), Judged()
    room = Room(placed, COCO17, alone_of(config.Lift(kind="auto")) if alone else None)
    for name, t, poses in film(walkers, placed, seconds, seed=seed, **how):
        fused = room.add(name, t, poses)
        if fused is not None and fused.t > SETTLED_S:
            result.saw(fused, walkers.at(fused.t))
    return result


def all_of(cameras: int, people: int, seeds: range, **how: Any) -> Judged:
    total = Judged()
    for seed in seeds:
        one = judged(cameras, people, seed, **how)
        total.right, total.missed, total.wrong = (
            total.right + one.right, total.missed + one.missed, total.wrong + one.wrong,
        )  # fmt: skip
        total.switches += one.switches
        total.errors_m += one.errors_m
    return total


def test_without_errors_the_room_is_exact() -> None:
    numbers = all_of(4, 2, range(2), hz=(30.0,), errors=EXACT).numbers()
    assert numbers["recall"] == numbers["precision"] == 1
    assert numbers["switches"] == 0
    assert numbers["mm"] < 1


def test_four_cameras_and_four_people() -> None:
    numbers = all_of(4, 4, range(4)).numbers()
    assert numbers["recall"] >= 0.98, numbers
    assert numbers["precision"] >= 0.98, numbers
    assert numbers["mm"] <= 60, numbers
    assert numbers["switches"] == 0, numbers


def test_two_cameras_find_more_people_where_one_alone_may_lift() -> None:
    measured, lifted = (all_of(2, 4, range(3), alone=alone).numbers() for alone in (False, True))
    assert measured["recall"] >= 0.75, measured
    assert lifted["recall"] > measured["recall"] + 0.05, (measured, lifted)
    assert lifted["precision"] >= 0.95, lifted


TIMES: dict[str, dict[str, Any]] = {
    "out of step by 30 ms": {"hz": (30.0,), "offset_s": (0.0, 0.011, 0.019, 0.03)},
    "at 30, 10, 15 and 8 Hz": {"hz": (30.0, 10.0, 15.0, 8.0)},
    "clocks wrong by 10 ms": {"hz": (30.0,), "clock_s": (0.01, -0.01, 0.005, -0.005)},
}


@pytest.mark.parametrize("how", TIMES.values(), ids=TIMES)
def test_cameras_that_are_not_in_step_are_nearly_as_good(how: dict[str, Any]) -> None:
    in_step = all_of(4, 1, range(2), hz=(30.0,)).numbers()
    numbers = all_of(4, 1, range(2), **how).numbers()
    assert numbers["mm"] < in_step["mm"] + 4, (in_step, numbers)
    assert numbers["recall"] > 0.97

"""The life of rules: hold and hysteresis, stations, unknown, time; with sticks whose numbers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from samples.bodies import SITTING, STANDING, Floats, Stick, film, meaning_of, one, seen, told, words

SQUATS = '[[rule]]\nkind = "reps"\nsignal = "knee"\nenter = 70\nexit = 30\n'
POSTURE = '[[rule]]\nkind = "posture"\n'
FALL = '[[rule]]\nkind = "fall"\n'


def squat(t: float, period_s: float = 2.0) -> Stick:
    """Knees bend to 90 degrees and back, once in each period."""
    bend = 45 - 45 * np.cos(2 * np.pi * t / period_s)
    return replace(STANDING, thighs=(bend / 2, bend / 2), shanks=(-bend / 2, -bend / 2), wide=0.0)


@pytest.mark.parametrize("hz", [10, 15, 30, 60, 240])
def test_five_squats_are_five_at_every_frame_rate(hz: int) -> None:
    events = [event for event in told(SQUATS, film(lambda t: one(squat(t)), 10.0, hz)) if event.what == "rep"]
    assert [event.facts["count"] for event in events] == [1, 2, 3, 4, 5]
    assert [event.facts["duration_s"] for event in events[1:]] == pytest.approx([2.0] * 4, abs=1.5 / hz)
    assert events[0].facts["range"][1] == pytest.approx(90.0, abs=3.0)


def test_fifteen_and_sixty_frames_a_second_tell_the_same() -> None:
    def pose(t: float) -> Mapping[int, Floats]:
        return one(STANDING if t < 2 else SITTING if t < 4 else STANDING)

    both = [told(POSTURE, film(pose, 6.0, hz)) for hz in (15, 60)]
    assert [event.facts["posture"] for event in both[0]] == ["upright", "sitting", "upright"]
    for slow, fast in zip(*both, strict=True):
        assert slow.facts == fast.facts
        assert slow.onset_t == pytest.approx(fast.onset_t, abs=1 / 15)


def test_an_identity_that_changes_keeps_its_count() -> None:
    def pose(t: float) -> Mapping[int, Floats]:
        return {1 + int(t / 3.0): squat(t).xy}

    counts = [event.facts["count"] for event in told(SQUATS, film(pose, 10.0)) if event.what == "rep"]
    assert counts == [1, 2, 3, 4, 5]


def test_somebody_seen_twice_for_a_while_keeps_the_count() -> None:
    def pose(t: float) -> Mapping[int, Floats]:
        first, second = {1: squat(t).xy}, {2: squat(t).xy + 3.0}
        return first if t < 4.8 else {**first, **second} if t < 5.2 else second

    events = [event for event in told(SQUATS, film(pose, 10.0)) if event.what == "rep"]
    assert events[-1].facts["count"] == 5


def test_a_gap_of_two_seconds_keeps_the_count_and_one_of_four_does_not() -> None:
    def pose(gap_s: float, t: float) -> Mapping[int, Floats]:
        return one(squat(t)) if t < 4 else {} if t < 4 + gap_s else {2: squat(t).xy}

    for gap_s, last in ((2.0, 4), (4.0, 1)):  # the third is not seen
        events = told(SQUATS, film(lambda t, gap_s=gap_s: pose(gap_s, t), 10.0))  # type: ignore[misc]
        assert [event.facts["count"] for event in events if event.what == "rep"][-1] == last


def test_two_who_swap_identities_are_where_they_are() -> None:
    """Ids that swap are a tracker's mistake: nothing ends, nothing is counted twice."""

    def pose(t: float) -> Mapping[int, Floats]:
        here, there = squat(t).xy, STANDING.xy + np.array((200.0, 0.0))
        return {1: here, 2: there} if t < 5 else {2: here, 1: there}

    events = told(SQUATS, film(pose, 10.0))
    assert len([event for event in events if event.what == "rep"]) == 5


def test_a_squat_that_is_not_deep_does_not_count() -> None:
    shallow = film(
        lambda t: one(replace(STANDING, thighs=(25.0, 25.0), shanks=(-25.0, -25.0)) if int(t) % 2 else STANDING), 8
    )
    assert told(SQUATS, shallow) == []


def test_somebody_who_shifts_about_between_repetitions_is_not_counted() -> None:
    """Five squats to 90 degrees, then bends to 75 that alone would count; the far end is at 45 here."""

    def pose(t: float) -> Mapping[int, Floats]:
        deep = 1.0 if t < 10 else 0.7
        bend = (55 - 55 * np.cos(np.pi * t)) * deep
        return one(replace(STANDING, thighs=(bend / 2, bend / 2), shanks=(-bend / 2, -bend / 2), wide=0.0))

    toml = SQUATS.replace("70", "45")
    assert [event.what for event in told(toml, film(pose, 16.0))].count("rep") == 5
    assert [event.what for event in told(toml, film(lambda t: pose(t + 10), 6.0))].count("rep") == 3


def test_hidden_knees_are_unknown_and_count_nothing() -> None:
    def pose(t: float) -> Mapping[int, Floats]:
        xy = squat(t).xy
        xy[13:] = np.nan
        return {1: xy}

    meaning = meaning_of(SQUATS)
    gauges = [meaning.update(poses).gauges for poses in film(pose, 2.0)]
    first = next(gauge for made in gauges if made for gauge in made)
    assert (first.unknown, first.values["cannot_tell"]) == ("hidden", True)
    assert meaning.tallies["reps"].unjudged_s == pytest.approx(2.0, abs=0.05)


def fall(t: float, at: float = 3.0, up: float = 99.0) -> Stick:
    """Stands, falls to the right within 0.6 s, lies; stands up again at `up`."""
    share = min(max((t - at) / 0.6, 0.0), 1.0)
    if t >= up:
        share = max(0.0, 1 - (t - up) / 1.0)
    legs = -90.0 * share
    return Stick(
        hip_xy=(320.0, 250.0 + 150.0 * share), trunk=180.0 - 88.0 * share, thighs=(legs, legs), shanks=(legs, legs),
        arms=(legs, legs), forearms=(legs, legs), wide=0.1,
    )  # fmt: skip


@pytest.mark.parametrize("hz", [15, 30, 60])
def test_a_fall_is_suspected_confirmed_and_ended_by_getting_up(hz: int) -> None:
    events = told(FALL, film(lambda t: one(fall(t, up=8.0)), 12.0, hz))
    assert words(events) == ["fall suspected begin", "fall confirmed begin", "fall ended end"]
    assert 3.0 <= events[0].onset_t <= 3.7
    assert events[1].t - 3.6 <= 1.3
    assert events[2].t <= 9.0 + 1.3
    value, limit = events[0].evidence["shoulder_drop"]
    assert value >= limit == 0.9


def test_sitting_down_and_lying_down_slowly_are_no_falls() -> None:
    assert told(FALL, film(lambda t: one(STANDING if t < 2 else SITTING), 6.0)) == []
    slowly = film(lambda t: one(fall(3.0 + 0.6 * min(max(t - 2, 0) / 5, 1))), 9.0)
    assert told(FALL, slowly) == []


def test_on_a_bed_it_is_no_fall() -> None:
    bed = '[[zone]]\nname = "bed"\nkind = "surface"\npolygon_px = [[200, 350], [600, 350], [600, 450], [200, 450]]\n'
    meaning = meaning_of(bed + FALL)
    events = [event for poses in film(lambda t: one(fall(t)), 8.0) for event in meaning.update(poses).events]
    assert (events, meaning.tallies["fall"].suppressed) == ([], 1)


def test_a_fall_goes_on_under_a_new_identity() -> None:
    def pose(t: float) -> Mapping[int, Floats]:
        if 3.5 < t < 4.5:
            return {}  # lost on the way down, as trackers do
        return {1 if t < 4 else 7: fall(t).xy}

    events = told(FALL, film(pose, 8.0))
    assert [event.what for event in events][:2] == ["suspected", "confirmed"]
    assert len({event.station for event in events}) == 1


def test_nobody_and_fifty_people_are_frames_like_others() -> None:
    meaning = meaning_of(SQUATS + FALL + POSTURE)
    crowd = {n: STANDING.xy + np.array((n, 0)) for n in range(1, 51)}
    for n, people in enumerate([{}, crowd, {}, crowd]):
        meaning.update(seen(people, n / 30, n))
    assert len(meaning.stations.by_slot) == 50


def test_time_that_goes_back_begins_anew() -> None:
    meaning = meaning_of(FALL)
    for poses in film(lambda t: one(fall(t)), 6.0):
        meaning.update(poses)
    events = meaning.update(seen(one(STANDING), 0.0)).events
    assert [(event.what, event.facts["reason"]) for event in events] == [("ended", "left")]


def test_a_body_of_nan_and_of_one_point_is_nobody_to_judge() -> None:
    point = np.full((17, 2), 100.0)
    meaning = meaning_of(SQUATS + FALL + POSTURE + '[[rule]]\nkind = "gesture"\n[[rule]]\nkind = "gait"\n')
    for n in range(60):
        events = meaning.update(seen({1: np.full((17, 2), np.nan), 2: point}, n / 30, n)).events
        assert events == ()

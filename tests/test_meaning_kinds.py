"""Zones, distances, gestures, attention, control, gait: each kind against numbers that can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepose.core.poses import COCO17
from edgepose.meaning import Meaning, Person, rule, rules_of, safety
from edgepose.meaning.ground import Floor
from edgepose.meaning.settings import Ground
from edgepose.meaning.shipped import shipped
from edgepose.meaning.summary import summary
from edgepose.pipeline.meaning import read_rules
from edgepose.service.homeassistant_rules import entities
from samples.bodies import STANDING, Floats, Stick, film, meaning_of, one, seen, told, words

# 100 pixels are a metre, seen straight from above
GROUND = (
    "[ground]\npoints_px = [[100, 100], [500, 100], [500, 400], [100, 400]]\n"
    "points_m = [[0, 0], [4, 0], [4, 3], [0, 3]]\n"
)


def at(x: float, y: float, stick: Stick = STANDING) -> Floats:
    """Somebody whose ankles' middle is there."""
    xy = stick.xy
    return np.asarray(xy + np.array((x, y)) - (xy[15] + xy[16]) / 2, np.float64)


# ------------------------------------------------------------------------------------------------ safety, ground


def test_nist_worked_example_is_1_42_m() -> None:
    """PMC5117641: S_h + S_r + S_s + the rest, .32 + .10 + .05 + .95."""
    needed = safety.separation_m(
        human_m_s=1.6, reaction_s=0.1, stop_s=0.1, robot_m_s=1.0, robot_stop_m=0.05,
        intrusion_m=0.85, human_error_m=0.10, robot_error_m=0.0,
    )  # fmt: skip
    assert needed == pytest.approx(1.42, abs=1e-6)


@pytest.mark.parametrize(
    ("stop_s", "intrusion_m", "s_m"),
    [(0.1, 0.1, 0.3), (0.2, 0.1, 0.5), (0.5, 0.0, 0.8), (0.25, 0.1, 0.5), (1.0, 0.85, 2.45)],
    ids=["2 m/s below half a metre", "just half", "1.6 m/s", "never below half", "a walking body"],
)
def test_s_of_iso_13855(stop_s: float, intrusion_m: float, s_m: float) -> None:
    assert safety.protective_distance_m(stop_s, intrusion_m) == pytest.approx(s_m, abs=1e-6)


def test_speed_limit_lets_the_robot_stop_where_it_must() -> None:
    """With v the limit, v_h t + v t + v^2 / 2a + v_h v / a + d_min is the distance."""
    v = safety.speed_limit_m_s(2.0, human_m_s=1.6, reaction_s=0.15, decelerates_m_s2=2.0, least_m=0.3)
    way = (1.6 + v) * 0.15 + v * v / 4.0 + 1.6 * v / 2.0 + 0.3
    assert way == pytest.approx(2.0, abs=1e-6)
    assert safety.speed_limit_m_s(0.1, human_m_s=1.6, reaction_s=0.15, decelerates_m_s2=2.0, least_m=0.3) == 0.0


def test_a_tilted_floor_gives_its_metres_back() -> None:
    ground = Ground(
        points_px=((210, 200), (430, 200), (560, 440), (80, 440)), points_m=((0, 0), (3, 0), (3, 4), (0, 4))
    )
    floor = Floor(ground, (640, 480))
    np.testing.assert_allclose(floor.metres(np.array(ground.points_px)), ground.points_m, atol=1e-9)
    np.testing.assert_allclose(floor.pixels(floor.metres(np.array([[300.0, 300.0]]))), [[300.0, 300.0]], atol=1e-6)
    assert np.isnan(floor.metres(np.array([[320.0, -2000.0]]))).all()  # above the horizon


def test_a_floor_is_scaled_with_the_picture() -> None:
    ground = Ground(
        points_px=((100, 100), (500, 100), (500, 400), (100, 400)), points_m=((0, 0), (4, 0), (4, 3), (0, 3)),
        size_wh=(640, 480),
    )  # fmt: skip
    place = Floor(ground, (320, 240)).metres(np.array([[150.0, 125.0]]))
    np.testing.assert_allclose(place, [[2.0, 1.5]], atol=1e-9)


# ------------------------------------------------------------------------------------------------ near, zones


def test_somebody_who_walks_to_the_robot_is_warned_of_stopped_and_cleared() -> None:
    robot = '[[zone]]\nname = "robot"\nkind = "robot"\npolygon_px = [[420, 380], [500, 380], [500, 400], [420, 400]]\n'
    toml = GROUND + robot + '[[rule]]\nkind = "near"\nzone = "robot"\nwarn_m = 2.0\nstop_m = 1.0\n'

    def pose(t: float) -> Mapping[int, Floats]:
        x = 120.0 + 50.0 * t if t < 6 else 420.0 - 100.0 * (t - 6)  # half a metre a second, back at one
        return {1: at(x, 390)}

    events = told(toml, film(pose, 9.0))
    assert words(events) == [
        "near warn begin", "near stop begin", "near stop cleared end", "near clear end",
    ]  # fmt: skip
    warn, stop = events[:2]
    assert warn.t == pytest.approx(2.0, abs=0.05)  # 300 px away at first: 2 m are left after 2 s
    assert stop.t == pytest.approx(4.0, abs=0.05)
    assert warn.facts["approach_m_s"] == pytest.approx(0.5, abs=0.02)
    assert all(event.facts["safety_rated"] is False for event in events)


def test_two_people_are_as_far_apart_as_their_feet() -> None:
    meaning = meaning_of(GROUND + '[[rule]]\nkind = "near"\nwarn_m = 2.5\nstop_m = 0.5\n')
    meant = meaning.update(seen({1: at(150, 390), 2: at(350, 390)}, 1.0))
    gauges = meant.gauges or ()
    assert [gauge.values["distance_m"] for gauge in gauges] == pytest.approx([2.0, 2.0], abs=1e-6)
    assert [gauge.values["level"] for gauge in gauges] == ["warn", "warn"]


ZONE = '[[zone]]\nname = "door"\npolygon_px = [[300, 300], [500, 300], [500, 470], [300, 470]]\n'


def test_who_enters_loiters_and_leaves_a_zone_is_told_by_the_feet() -> None:
    toml = ZONE + '[[rule]]\nkind = "zone"\nzone = "door"\nloiter_s = 2.0\n'
    events = told(toml, film(lambda t: {1: at(200 if t < 1 else 400 if t < 5 else 200, 400)}, 7.0))
    assert [event.what for event in events] == ["entered", "loitering", "left", "loitering"]
    assert [event.onset_t for event in events] == pytest.approx([1.0, 1.0, 5.0, 5.0], abs=0.04)
    assert events[0].facts["by"] == "ankles"


def test_hidden_ankles_are_told_by_the_hips_and_said_so() -> None:
    xy = at(400, 400)
    xy[15:] = np.nan
    xy[:, 1] += 60.0  # the hips are in the zone as well
    events = told(ZONE + '[[rule]]\nkind = "zone"\nzone = "door"\n', film(lambda _t: {1: xy}, 1.0))
    assert [(event.what, event.facts.get("by")) for event in events][:1] == [("entered", "hips")]


@pytest.mark.parametrize(("direction", "count"), [("both", 2), ("right", 1), ("left", 1)])
def test_a_tripwire_knows_the_way(direction: str, count: int) -> None:
    toml = f'[[rule]]\nkind = "zone"\nname = "wire"\nline_px = [[300, 470], [300, 200]]\ndirection = "{direction}"\n'
    # over it to the picture's right, which is right for somebody who looks up the line, and back
    events = told(toml, film(lambda t: {1: at(200 + 100 * t if t < 2 else 400 - 100 * (t - 2), 400)}, 4.0))
    assert len(events) == count
    if direction != "both":
        assert events[0].facts["direction"] == direction


def test_a_rule_counts_only_within_its_zones() -> None:
    gesture = '[[rule]]\nkind = "gesture"\ngestures = ["raised"]\nwithin = ["door"]\n'
    up = replace(STANDING, arms=(175.0, 0.0), forearms=(178.0, 0.0))
    outside = meaning_of(ZONE + gesture)
    assert not [e for poses in film(lambda _t: {1: at(150, 400, up)}, 2.0) for e in outside.update(poses).events]
    assert outside.tallies["gesture"].suppressed == 1
    assert words(told(ZONE + gesture, film(lambda _t: {1: at(400, 400, up)}, 2.0)))[0] == "gesture raised begin"


def test_a_polygons_own_station_keeps_its_count_whoever_comes() -> None:
    toml = ZONE.rstrip() + "\nstation = true\n" + '[[rule]]\nkind = "fall"\n'
    meaning = meaning_of(toml)
    for n, identity in enumerate((1, 2)):
        for poses in film(lambda _t, who=identity: {who: at(400, 400)}, 1.0, begin=20.0 * n):  # type: ignore[misc]
            meaning.update(poses)
    assert [station.number for station in meaning.stations.by_slot.values()] == [1]


# ------------------------------------------------------------------------------------------------ gestures


GESTURES = {
    "raised left": replace(STANDING, arms=(175.0, 0.0), forearms=(178.0, 0.0)),
    "raised both": replace(STANDING, arms=(175.0, -175.0), forearms=(178.0, -178.0)),
    "t_pose both": replace(STANDING, arms=(90.0, -90.0), forearms=(90.0, -90.0)),
    "point left": replace(STANDING, arms=(90.0, 0.0), forearms=(90.0, 0.0)),
}


@pytest.mark.parametrize(("name", "stick"), GESTURES.items(), ids=GESTURES)
def test_a_held_gesture_is_told_with_its_side_and_ends(name: str, stick: Stick) -> None:
    events = told('[[rule]]\nkind = "gesture"\n', film(lambda t: one(stick if 1 <= t < 3 else STANDING), 5.0))
    said = [(f"{event.facts['gesture']} {event.facts['side']}", event.phase) for event in events]
    assert said == [(name, "begin"), (name, "end")]
    assert events[0].t == pytest.approx(1.5, abs=0.05)


def waving(t: float, hz: float = 1.5) -> Stick:
    """The left hand up, to and fro."""
    return replace(STANDING, arms=(150.0, 0.0), forearms=(180.0 + 35.0 * math.sin(2 * math.pi * hz * t), 0.0))


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_a_hand_that_goes_to_and_fro_waves(rate: int) -> None:
    events = told('[[rule]]\nkind = "gesture"\ngestures = ["wave"]\n', film(lambda t: one(waving(t)), 4.0, rate))
    assert words(events)[0] == "gesture wave begin"
    assert events[0].facts["side"] == "left"
    assert events[0].evidence["left_wave"][1] == 3.0


def test_a_hand_that_is_only_held_up_does_not_wave() -> None:
    up = replace(STANDING, arms=(150.0, 0.0), forearms=(180.0, 0.0))
    assert told('[[rule]]\nkind = "gesture"\ngestures = ["wave"]\n', film(lambda _t: one(up), 4.0)) == []


def test_a_taught_gesture_is_known_again_mirrored_too(tmp_path: Path) -> None:
    from edgepose.meaning import taught

    akimbo = replace(STANDING, arms=(50.0, -10.0), forearms=(-50.0, 0.0))
    mirror = replace(STANDING, arms=(10.0, -50.0), forearms=(0.0, 50.0))
    noise = np.random.default_rng(0).normal(size=(60, 17, 2))
    path = tmp_path / "taught.json"
    path.write_text(
        taught.written({
            "akimbo": taught.examples(seen({1: akimbo.xy + one_ * 3}, 0.0) for one_ in noise),
            taught.OTHER: taught.examples(seen({1: STANDING.xy + one_ * 3}, 0.0) for one_ in noise),
        })
    )  # fmt: skip
    toml = f'[[rule]]\nkind = "gesture"\ntaught = "{path}"\ngestures = ["akimbo"]\n'
    for stick, found in ((akimbo, True), (mirror, True), (STANDING, False)):
        assert bool(told(toml, film(lambda _t, stick=stick: one(stick), 2.0))) is found  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------ the rest


def head(turn: float) -> Floats:
    """The nose moved towards the person's left ear by `turn` of the way."""
    xy = STANDING.xy
    xy[0, 0] += turn * (xy[3, 0] - xy[4, 0]) / 2
    return xy


def test_attention_is_facing_turned_and_nobody() -> None:
    def pose(t: float) -> Mapping[int, Floats]:
        return {1: head(0.0 if t < 3 else 0.9)} if t < 6 else {}

    events = told('[[rule]]\nkind = "attention"\n', film(pose, 10.0))
    assert [event.facts["attention"] for event in events] == ["facing", "turned left", "nobody"]


def test_axes_start_at_a_neutral_pose_and_have_a_dead_zone() -> None:
    meaning = meaning_of('[[rule]]\nkind = "control"\n')

    def pose(t: float) -> Mapping[int, Floats]:
        return {1: STANDING.xy + np.array((0.0 if t < 3 else 40.0, 0.0))}  # half a torso to the right

    last = [gauge for poses in film(pose, 5.0) for gauge in meaning.update(poses).gauges or ()][-1]
    assert last.values["calibrated"]
    assert last.values["axes"]["lean"] == 0.0
    assert last.values["axes"]["move"] == pytest.approx((0.5 - 0.15) / 0.85, abs=0.02)


def walker(t: float, steps_per_s: float = 2.0) -> Stick:
    """Strides to the picture's right; a foot strikes whenever it is farthest ahead, every half second in turn."""
    swing = 28.0 * math.sin(math.pi * steps_per_s * t)
    return Stick(hip_xy=(60.0 + 60.0 * t, 250.0), thighs=(swing, -swing), shanks=(swing, -swing), wide=0.0)


@pytest.mark.parametrize("hz", [25, 30, 60])
def test_steps_are_counted_when_the_foot_is_farthest_ahead(hz: int) -> None:
    events = told('[[rule]]\nkind = "gait"\n', film(lambda t: one(walker(t)), 8.0, hz))
    strikes = [event.onset_t for event in events if event.what == "step"]
    due = [0.25 + 0.5 * n for n in range(16)]
    assert len(strikes) >= 12
    assert all(min(abs(strike - true) for true in due) < 0.01 for strike in strikes)
    assert events[-1].facts["cadence_per_min"] == pytest.approx(120.0, abs=0.5)
    assert {event.facts["side"] for event in events} == {"left", "right"}


def test_a_function_is_a_rule_with_hold_and_unknown() -> None:
    @rule("test_left_knee_up", needs=("hip_left",))
    def knee_up(person: Person) -> bool | None:
        return None if math.isnan(person["hip_left"]) else person["hip_left"] > person.options["degrees"]

    assert callable(knee_up)
    toml = '[[rule]]\nkind = "user"\nname = "knee"\nfunction = "test_left_knee_up"\nhold_s = 0.5\n'
    toml += "options = {degrees = 60}\n"
    up = replace(STANDING, thighs=(90.0, 0.0), wide=0.0)
    events = told(toml, film(lambda t: one(up if 1 <= t < 3 else STANDING), 5.0))
    assert words(events) == ["knee knee begin", "knee knee end"]
    assert events[0].t == pytest.approx(1.5, abs=0.05)


def test_what_repeats_is_counted_without_a_word_about_it() -> None:
    def jack(t: float) -> Stick:
        way = 80.0 - 80.0 * math.cos(2 * math.pi * t / 1.5)
        return replace(STANDING, arms=(way, -way), forearms=(way, -way), thighs=(way / 8, -way / 8))

    noise = np.random.default_rng(0).normal(size=(1000, 17, 2))
    events = told('[[rule]]\nkind = "reps"\n', film(lambda t: {1: jack(t).xy + noise[round(t * 30)]}, 15.0))
    (end,) = [event for event in events if event.what == "set"]
    assert abs(end.facts["count"] - 10) <= 1
    still = told('[[rule]]\nkind = "reps"\n', film(lambda t: {1: STANDING.xy + noise[round(t * 30)]}, 15.0))
    assert still == []


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_file_is_read_and_home_assistant_is_told_of_it(name: str) -> None:
    rules = read_rules(name)
    meaning = Meaning(rules, COCO17, (640, 480))
    meaning.update(seen({1: STANDING.xy}, 0.0))
    meant = meaning.update(seen({1: STANDING.xy}, 1.0))
    told_ = summary(meant.gauges or (), {one_.called: one_.kind for one_ in rules.rules})
    assert set(told_) == {one_.called for one_ in rules.rules}
    for entity in entities(rules, "edgepose/board/door").values():
        assert entity["p"] in ("sensor", "binary_sensor", "device_automation")
        topic = "topic" if entity["p"] == "device_automation" else "state_topic"
        assert entity[topic].startswith("edgepose/board/door/")


def test_a_zone_tells_how_many_are_in_it() -> None:
    meaning = meaning_of(ZONE + '[[rule]]\nkind = "zone"\nzone = "door"\n')
    gauges = [meaning.update(poses).gauges for poses in film(lambda _t: {1: at(400, 400), 2: at(450, 450)}, 1.0)]
    last = [made for made in gauges if made][-1]
    stand = summary(last, {"zone": "zone"})["zone"]
    assert (stand["count"], stand["occupied"], stand["people"]) == (2, True, [])


def test_there_is_a_shipped_file_for_each_place() -> None:
    assert set(shipped()) == {"care-room", "gym", "robot-cell", "shop", "drivers-seat", "game"}


def test_rules_are_in_any_settings_file_too() -> None:
    assert rules_of({"camera": "hall", "rule": [{"kind": "fall"}]}, "edgepose.toml").rules[0].called == "fall"

"""Who is looked at how closely, and how often: by models that know where people are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.core import config
from edgepose.core.errors import FrameLostError
from edgepose.core.poses import COCO17, Poses, Skeleton
from edgepose.estimate.boxes import BodyBox, around
from edgepose.estimate.budget import Budget
from edgepose.estimate.finder_refiner import FinderRefiner
from edgepose.estimate.pairs import PAIRS, Pair, pair_of
from edgepose.estimate.predictor import new_counts
from edgepose.estimate.score import Logistic, raw_of
from edgepose.estimate.single import SingleModel
from tests.helpers.fake_predictor import BODY, FakeLook, Scene, frame_at, poses_at

F = np.float32
STEP_S = 0.1


class Run:
    """A pair of fakes, and a tracker that knows everybody who was told of, for ever."""

    def __init__(self, people: int = 0, junk: int = 0, skeleton: Skeleton = COCO17, **estimate: Any) -> None:
        places = [(70.0 + 90 * place, 250.0) for place in range(people)]
        self.scene = Scene(places, [(50.0 + 70 * place, 60.0) for place in range(junk)])
        counts = new_counts()
        self.find, self.refine = FakeLook(self.scene, counts, 256, skeleton), FakeLook(self.scene, counts, 192)
        cfg = config.Config(estimate=config.Estimate(**estimate), decode=config.Decode(max_people=10))
        budget = Budget(cfg.estimate, clock=lambda: self.find.now + self.refine.now)
        pair = Pair("finder", "refiner", worth=0.05, gate=0.5, enter=0.4, stay=0.3)
        self.estimate = FinderRefiner(cfg, pair, self.find, self.refine, budget)
        self.expected: Poses | None = None
        self.t = 0.0

    def still(self) -> Poses:
        return self.estimate(frame_at(self.t), None).poses

    def step(self, moved: float = 0.0) -> Poses:
        """One frame of a video; everybody goes to the right."""
        self.t += STEP_S
        self.scene.people = [(x + moved, y) for x, y in self.scene.people]
        frame = frame_at(self.t)
        if self.expected is None:
            self.expected = poses_at(self.scene, [], frame)
        told = self.estimate(frame, self.expected).poses
        ids = {place: index + 1 for index, place in enumerate(self.scene.people)}
        known = {int(identity): row for row, identity in enumerate(self.expected.track_id)}
        for row in range(len(told)):
            place = min(ids, key=lambda place: abs(place[0] - float(told.xy[row, :, 0].mean())))
            known.setdefault(ids[place], -1)
        places = [(self.scene.people[identity - 1], 0.9) for identity in known if identity <= len(self.scene.people)]
        seen = poses_at(self.scene, places, frame)
        track_id = np.array([identity for identity in known if identity <= len(self.scene.people)], np.int32)
        self.expected = replace(seen, track_id=track_id)
        return told

    def spent(self) -> tuple[int, int]:
        """Whole frames and crops since the last call."""
        looks = self.find.boxes + self.refine.boxes
        self.find.boxes, self.refine.boxes = [], []
        return sum(box is None for box in looks), sum(box is not None for box in looks)


def test_a_still_costs_the_finder_and_one_crop_a_person() -> None:
    run = Run(people=3)
    assert len(run.still()) == 3
    assert run.spent() == (1, 3)


def test_the_crop_lies_around_its_person() -> None:
    run = Run(people=1)
    run.still()
    (box,) = run.refine.boxes
    assert box is not None
    body = run.scene.body(run.scene.people[0])
    assert box[2] - box[0] == pytest.approx(98 * 1.25, abs=0.1)  # the body is 98 px high
    assert box[3] - box[1] == pytest.approx(box[2] - box[0])
    np.testing.assert_allclose(
        [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], (body.max(axis=0) + body.min(axis=0)) / 2, atol=0.1
    )


def test_who_fills_the_frame_is_not_looked_at_again() -> None:
    run = Run()
    run.scene.people, run.scene.size = [(500.0, 250.0)], 8.0
    assert len(run.still()) == 1
    assert run.spent() == (1, 0)


def test_nobody_is_told_of_where_only_the_finder_saw_one() -> None:
    run = Run(junk=2)
    assert len(run.still()) == 0
    run = Run(junk=2, gate=False)
    told = run.still()
    assert len(told) == 2
    assert told.person_score.max() < 0.2


def test_a_video_costs_one_crop_a_person_and_the_finder_now_and_then() -> None:
    run = Run(people=3, find_every_s=0.5)
    run.step()
    run.spent()
    frames = 50
    for _ in range(frames):
        assert len(run.step(moved=2)) == 3
    whole, crops = run.spent()
    assert crops == 3 * frames
    # every half second, where stamps a tenth apart do not quite add up
    assert frames / 6 <= whole <= frames / 5


def test_junk_is_looked_at_once_in_a_while_not_in_every_frame() -> None:
    run = Run(junk=1, find_every_s=1.0)
    for _ in range(50):
        assert len(run.step()) == 0
    whole, crops = run.spent()
    assert whole == 50  # nobody is there, so the finder looks for somebody
    assert crops <= 5


@given(st.integers(0, 10), st.integers(0, 4), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_no_frame_costs_more_inferences_than_asked_for(people: int, junk: int, most: int) -> None:
    run = Run(people=people, junk=junk, max_invokes=most)
    for _ in range(12):
        run.step(moved=1)
        assert sum(run.spent()) <= most


@pytest.mark.parametrize("most", [2, 3, 4])
def test_beyond_the_budget_people_take_turns_and_all_are_told_of(most: int) -> None:
    run = Run(people=6, max_invokes=most)
    for _ in range(4):
        run.step()
    run.spent()
    crops_at: list[float] = []
    for _ in range(12):
        assert len(run.step()) == 6
        crops_at += [round((box[0] + box[2]) / 2) for box in run.refine.boxes if box]
        run.spent()
    # everybody equally often, but for who happens to be next
    often = [crops_at.count(round(x)) for x, _ in run.scene.people]
    assert sum(often) == 12 * (most - 1)
    assert max(often) - min(often) <= 1


def test_junk_does_not_take_the_turns_of_people() -> None:
    run = Run(people=3, junk=4, max_invokes=2)
    for _ in range(40):
        run.step()
    boxes = [box for box in run.refine.boxes if box]
    on_people = [box for box in boxes if (box[1] + box[3]) / 2 > 150]
    assert len(on_people) >= 0.7 * len(boxes)


def test_a_budget_of_time_holds_from_one_to_ten_people() -> None:
    for people in range(1, 11):
        run = Run(people=people, budget_ms=50.0)
        run.find.takes_s, run.refine.takes_s = 0.012, 0.010
        for _ in range(20):
            before = run.find.now + run.refine.now
            told = run.step()
            assert run.find.now + run.refine.now - before <= 0.0501
        assert len(told) == people


def test_who_left_is_cropped_once_more_and_once_turned_and_then_only_looked_for() -> None:
    run = Run(people=2, find_every_s=10.0)
    for _ in range(3):
        run.step()
    staying, leaving = run.scene.people
    run.scene.people = [staying]
    assert run.expected is not None
    expected = replace(
        poses_at(run.scene, [(staying, 0.9), (leaving, 0.9)], frame_at(0)), track_id=np.array([1, 2], np.int32)
    )
    run.spent()
    spent = []
    for step in range(4):
        assert len(run.estimate(frame_at(1 + step / 10), expected).poses) == 1
        spent.append(run.spent())
    assert spent == [(0, 3), (1, 1), (1, 1), (1, 1)]
    run.scene.people = [staying, leaving]
    assert len(run.estimate(frame_at(2.0), expected).poses) == 2
    run.spent()
    assert len(run.estimate(frame_at(2.1), expected).poses) == 2
    assert run.spent() == (0, 2)


def test_two_crops_of_one_person_are_one_person() -> None:
    run = Run(people=1)
    (place,) = run.scene.people
    near = (place[0] + 30, place[1])
    expected = replace(
        poses_at(run.scene, [(place, 0.9), (near, 0.9)], frame_at(0)), track_id=np.array([1, 2], np.int32)
    )
    assert len(run.estimate(frame_at(0.1), expected).poses) == 1


@pytest.mark.parametrize("jump", [-5.0, 3600.0, 0.0])
def test_times_that_jump_or_repeat_only_make_the_finder_look(jump: float) -> None:
    run = Run(people=2)
    for _ in range(3):
        run.step()
    run.t += jump - STEP_S
    run.spent()
    assert len(run.step()) == 2
    assert run.spent() == (int(jump != 0), 2)


def test_a_lost_frame_passes_through_and_the_next_one_goes_on() -> None:
    run = Run(people=2)
    run.step()
    for look in (run.find, run.refine):
        look.lose = True
        with pytest.raises(FrameLostError):
            run.step() if look is run.refine else run.still()
        look.lose = False
    assert len(run.step()) == 2


def test_joints_that_the_finder_lacks_are_not_told_of_before_the_refiner_saw_them() -> None:
    torso = Skeleton("torso", COCO17.joints[5:13], (), COCO17.sigmas[5:13])
    run = Run(people=1, skeleton=torso, max_invokes=1)
    told = run.still()
    assert told.skeleton is COCO17
    known = ~np.isnan(told.xy[0, :, 0])
    assert known.tolist() == [False] * 5 + [True] * 8 + [False] * 4
    assert (told.score[0][~known] == 0).all()
    run = Run(people=1, skeleton=torso)
    assert not np.isnan(run.still().xy).any()


def test_who_expects_nobody_finds_who_comes() -> None:
    run = Run()
    for _ in range(3):
        assert len(run.step()) == 0
    run.scene.people.append((500.0, 250.0))
    assert len(run.step()) == 1


# --------------------------------------------------------------------------------------------------- one model


class Alone:
    """One fake that follows the person it sees."""

    def __init__(self, **estimate: Any) -> None:
        self.scene = Scene([(300.0, 250.0)], [])
        self.look = FakeLook(self.scene, new_counts(), 192)
        options = {"min_person_score": 0.2}
        self.look.engine.manifest = type("M", (), {"score": None, "decoder": type("D", (), {"options": options})})
        self.estimate = SingleModel(config.Config(estimate=config.Estimate(**estimate)), self.look, follow=True)

    def __call__(self, t: float, *expected: tuple[float, float]) -> Poses:
        where = poses_at(self.scene, [(place, 0.9) for place in expected], frame_at(t))
        return self.estimate(frame_at(t), where).poses


def test_one_model_looks_where_its_person_is_expected_and_everywhere_when_lost() -> None:
    alone = Alone()
    (place,) = alone.scene.people
    assert len(alone.estimate(frame_at(0), None).poses) == 1
    assert len(alone(0.1, place)) == 1
    alone.scene.people = [(800.0, 250.0)]
    assert len(alone(0.2, place)) == 0  # the crop shows nobody
    assert len(alone(0.3, place)) == 1  # so everything is looked at
    assert len(alone(0.4, (800.0, 250.0))) == 1
    assert [box is None for box in alone.look.boxes] == [True, False, False, True, False]


def test_one_model_costs_one_inference_a_frame() -> None:
    alone = Alone()
    for step in range(5):
        alone(step / 10, *alone.scene.people)
    assert alone.estimate.counts == {"invokes": 5, "crops": 5}


# ------------------------------------------------------------------------------------------------------- boxes


@given(
    st.lists(st.tuples(st.floats(-80, 80), st.floats(-80, 80)), min_size=17, max_size=17),
    st.tuples(st.floats(0, 2000), st.floats(0, 2000)),
)
@settings(max_examples=60, deadline=None)
def test_a_followed_crop_holds_every_joint(moved: list[tuple[float, float]], place: tuple[float, float]) -> None:
    """Wherever the limbs are: peers measured each limb by the joint that a loop before had ended on."""
    xy = (BODY + np.array(moved, F) + np.array(place, F)).astype(F)
    box = BodyBox(COCO17, 1.35)(xy)
    assert box is not None
    assert (xy >= np.array(box[:2]) - 1e-2).all()
    assert (xy <= np.array(box[2:]) + 1e-2).all()


def test_stretched_limbs_make_the_followed_crop_larger() -> None:
    arms_up = BODY.copy()
    arms_up[[9, 10], 1] = -95  # wrists high above the head, 100 px above the hips
    left, top, right, bottom = BodyBox(COCO17, 1.35)(arms_up) or (0, 0, 0, 0)
    # the hips' middle is (0, 5); the farthest joint is 100 above it, and a fifth more is seen
    np.testing.assert_allclose([left, top, right, bottom], [-120, -115, 120, 125], atol=0.01)
    # shoulders 35 above the hips' middle rule where no limb is farther than 35 * 1.9 / 1.2
    half = BodyBox(COCO17, 1.35)(np.where(np.arange(17)[:, None] >= 13, np.nan, BODY).astype(F)) or (0, 0, 0, 0)
    assert half[2] - half[0] == pytest.approx(2 * 35 * 1.9, abs=0.01)


def test_a_crop_needs_two_joints_and_has_a_least_size() -> None:
    xy = np.full((17, 2), np.nan, F)
    assert around(xy, 1.25) is None
    assert BodyBox(COCO17, 1.25)(xy) is None
    xy[0] = 5, 5
    assert around(xy, 1.25) is None
    xy[1] = 5, 5
    box = around(xy, 1.25)
    assert box == (1.0, 1.0, 9.0, 9.0)


def test_without_hips_the_crop_lies_around_what_is_seen() -> None:
    xy = BODY.copy()
    xy[11:] = np.nan
    assert BodyBox(COCO17, 1.35)(xy) == around(xy, 1.35)


# ------------------------------------------------------------------------------------------------ names, chances


def test_a_pair_is_named_by_its_name_or_by_its_two_models() -> None:
    assert pair_of("default") is PAIRS["default"]
    assert pair_of("movenet_multipose_192x256+movenet_thunder_256") is PAIRS["best"]
    assert pair_of("a+/some/b.tflite") == Pair("a", "/some/b.tflite")
    assert pair_of("movenet_lightning_192") is None


def test_a_file_with_a_plus_in_its_name_is_one_model(tmp_path: Any) -> None:
    path = tmp_path / "a+b.tflite"
    path.touch()
    assert pair_of(str(path)) is None


def test_every_pair_has_its_two_models_and_its_measured_chances() -> None:
    from edgepose.engine.zoo import find_model

    for name, pair in PAIRS.items():
        for model in (pair.finder, pair.refiner):
            assert find_model(model).exists(), name
        assert None not in (pair.found, pair.crop, pair.both), name
        assert 0 < pair.stay < pair.enter <= pair.gate < 1, name


@given(st.floats(0.02, 0.98), st.floats(-3, 6), st.floats(0.3, 4))
@settings(max_examples=40, deadline=None)
def test_a_chance_and_its_raw_score_belong_together(chance: float, bias: float, slope: float) -> None:
    raw = raw_of(chance, bias, slope)
    if 1e-4 < raw < 1:
        assert Logistic(bias, (slope,))(np.log(raw)) == pytest.approx(chance, abs=1e-6)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_each_further_pass_looks_closer_at_what_the_one_before_saw(passes: int) -> None:
    alone = Alone(passes=passes)
    poses = alone.estimate(frame_at(0), None).poses
    box = BodyBox(COCO17, 1.0)(poses.xy[0])
    assert alone.look.boxes == [None] + [box] * (passes - 1)
    assert len(poses) == 1


def test_a_second_pass_is_not_made_where_nobody_was_seen() -> None:
    alone = Alone(passes=2)
    alone.scene.people.clear()
    alone.estimate(frame_at(0), None)
    assert alone.look.boxes == [None]

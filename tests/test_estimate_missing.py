"""Each joint that was not found says why, where `estimate.missing` asks for it; else messages are as before."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from edgepose import wire
from edgepose.core import config
from edgepose.core.poses import COCO17, DOUBTFUL, HIDDEN, OUT, REASONS, Frame, Poses
from edgepose.estimate.missing import told
from edgepose.estimate.opening import open_estimate
from edgepose.wire.reading import poses_of
from tests.helpers.people import frame, poses
from tests.helpers.service import picture

NOSE, WRIST, KNEE, ANKLE = (COCO17.index(name) for name in ("nose", "left_wrist", "left_knee", "left_ankle"))
NEEDED = 0.2


def judged(places: dict[int, tuple[float, float, float]]) -> Poses:
    """Somebody 100 pixels tall in a picture of 320x240, joints found in the middle but for those given: x, y, score."""
    xy = np.full((1, 17, 2), (160.0, 120.0), np.float32)
    xy[0, 0, 1], xy[0, 5, 1] = 70, 170  # the nose above, a shoulder below: the size of the body
    score = np.full((1, 17), 0.9, np.float32)
    for joint, (x, y, sure) in places.items():
        xy[0, joint], score[0, joint] = (x, y), sure
    lost = score < NEEDED
    found = np.where(lost[..., None], np.nan, xy).astype(np.float32)
    people = Poses.of(frame(), COCO17, found, np.where(lost, 0, score).astype(np.float32), np.ones(1, np.float32))
    return told(people, xy, score, np.array([NEEDED], np.float32))


@pytest.mark.parametrize(
    ("place", "why"),
    [
        pytest.param((160, 120, 0.02), HIDDEN, id="inside, not seen at all"),
        pytest.param((160, 120, 0.15), DOUBTFUL, id="inside, nearly enough"),
        pytest.param((160, 250, 0.15), OUT, id="below the picture"),
        pytest.param((160, 238, 0.02), OUT, id="at its edge, where models put what they do not see"),
        pytest.param((-5, 120, 0.02), OUT, id="left of it"),
        pytest.param((160, 250, 0.9), 0, id="found, though outside"),
    ],
)
def test_a_joint_says_why_it_was_not_found(place: tuple[float, float, float], why: int) -> None:
    missing = judged({WRIST: place}).missing
    assert missing is not None
    assert missing[0, WRIST] == why
    assert np.delete(missing[0], WRIST).tolist() == [0] * 16


def test_a_limb_that_leaves_the_picture_does_not_come_back() -> None:
    missing = judged({KNEE: (160, 260, 0.02), ANKLE: (160, 150, 0.15)}).missing
    assert missing is not None
    assert missing[0, [KNEE, ANKLE]].tolist() == [OUT, OUT]


def test_a_hip_is_not_out_because_the_knee_is() -> None:
    hip = COCO17.index("left_hip")
    missing = judged({KNEE: (160, 260, 0.02), hip: (160, 150, 0.02)}).missing
    assert missing is not None
    assert missing[0, [hip, KNEE]].tolist() == [HIDDEN, OUT]


def test_a_limb_found_close_to_the_edge_goes_on_outside() -> None:
    missing = judged({KNEE: (160, 232, 0.9), ANKLE: (160, 200, 0.02)}).missing
    assert missing is not None
    assert missing[0, [KNEE, ANKLE]].tolist() == [0, OUT]


def test_the_message_has_a_word_for_each_and_comes_back() -> None:
    people = judged({KNEE: (160, 260, 0.02), NOSE: (160, 100, 0.15), WRIST: (160, 120, 0.0)})
    data = wire.encode(people, "pi", "door")
    words = json.loads(data)["people"][0]["missing"]
    assert {at: word for at, word in enumerate(words) if word} == {NOSE: "doubtful", WRIST: "hidden", KNEE: "out"}
    back = poses_of(wire.decode(data))
    assert people.missing is not None
    assert back.missing is not None
    assert back.missing.tolist() == people.missing.tolist()
    person = next(iter(back))
    assert person.why_missing("left_knee") == "out"
    assert person.why_missing("left_hip") == ""
    assert person.to_dict()["missing"]["left_wrist"] == "hidden"


def test_messages_that_were_not_asked_say_nothing() -> None:
    assert b"missing" not in wire.encode(poses(2), "pi", "door")
    assert "missing" not in poses(2).to_dicts()[0]
    assert next(iter(poses(1))).why_missing("nose") == ""


def test_a_word_of_a_later_version_is_hidden_and_a_list_too_short_is_refused() -> None:
    whole = json.loads(wire.encode(judged({WRIST: (160, 120, 0.0)}), "pi", "door"))
    whole["people"][0]["missing"][WRIST] = "behind glass"
    back = poses_of(wire.decode(json.dumps(whole).encode()))
    assert back.missing is not None
    assert back.missing[0, WRIST] == HIDDEN
    whole["people"][0]["missing"].pop()
    with pytest.raises(ValueError, match="16 missing, expected 17"):
        wire.decode(json.dumps(whole).encode())


@pytest.mark.parametrize("model", ["default", "movenet_lightning_192"])
def test_who_is_cut_off_by_the_picture_has_legs_out_of_it(model: str) -> None:
    base = config.Config(estimate=config.Estimate(missing=True))
    cfg = msgspec.structs.replace(base, engine=config.Engine(model=model))
    estimate = open_estimate(cfg)
    image = np.ascontiguousarray(picture())  # an astronaut, down to the waist
    found = estimate(Frame(image, "bgr", 0.0, 0.0, 0), None).poses
    estimate.close()
    assert len(found) == 1
    assert found.missing is not None
    lost = np.isnan(found.xy[0, :, 0])
    assert ((found.missing[0] > 0) == lost).all()
    legs = [COCO17.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
    assert {REASONS[why] for why in found.missing[0, legs] if why} <= {"out"}

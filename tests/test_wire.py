from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgepose import wire
from edgepose.core.poses import COCO17, Poses, Skeleton
from samples.people import poses

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=timezone.utc).timestamp()


def encoded(made: Poses, now_t: float = 2.0, now_wall: float = NOON) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(wire.encode(made, "board", "door", now_t, now_wall))
    return raw


def test_a_message_reads_as_documented() -> None:
    xy = np.full((1, 17, 2), np.nan, np.float32)
    score = np.zeros((1, 17), np.float32)
    xy[0, 0], score[0, 0] = (12.34, 56.78), 0.98765
    made = poses(xy=xy, score=score, person_score=np.array([0.87654], np.float32), track_id=np.array([7], np.int32))

    assert encoded(made, now_t=2.0123) == {
        "schema": "edgepose.poses/1",
        "device": "board",
        "camera": "door",
        "seq": 0,
        "captured": "2026-01-02T11:59:59.987700Z",
        "age_ms": 12.3,
        "size_wh": [320, 240],
        "skeleton": "coco17",
        "joints": list(COCO17.joints),
        "people": [{"id": 7, "score": 0.877, "keypoints": [[12.3, 56.8, 0.988]] + [None] * 16}],
    }


def test_a_file_adds_its_name_and_the_position_in_it() -> None:
    raw = encoded(poses(t=3.5, taken_t=1.0, name="street.mp4"))

    assert raw["source"] == "street.mp4"
    assert raw["media_s"] == 3.5
    assert raw["age_ms"] == 1000.0


def test_nobody_is_an_empty_list() -> None:
    assert encoded(poses(0))["people"] == []


def test_a_person_without_track_has_no_id() -> None:
    assert encoded(poses(1))["people"][0]["id"] is None
    assert encoded(poses(1, track_id=np.zeros(1, np.int32)))["people"][0]["id"] == 0


def test_captured_has_microseconds_even_on_the_second() -> None:
    assert encoded(poses(0))["captured"] == "2026-01-02T12:00:00.000000Z"


def test_minus_zero_is_zero() -> None:
    xy = np.full((1, 17, 2), -0.01, np.float32)

    assert b"-0" not in wire.encode(poses(1, xy=xy), "board", "door", 2.0, NOON).split(b'"people"')[1]


THREE = Skeleton("three", ("head", "hand", "foot"), ((0, 1),), (0.1, 0.1, 0.1))


@st.composite
def any_poses(draw: st.DrawFn) -> Poses:
    people = draw(st.integers(0, 3))
    anything = st.floats(width=32, allow_nan=True, allow_infinity=True)
    unit = st.floats(0, 1, width=32) | st.just(float("nan"))
    return poses(
        people,
        skeleton=THREE,
        seq=draw(st.integers(0, 2**40)),
        xy=draw(hnp.arrays(np.float32, (people, 3, 2), elements=anything)),
        score=draw(hnp.arrays(np.float32, (people, 3), elements=unit)),
        person_score=draw(hnp.arrays(np.float32, people, elements=unit)),
        track_id=draw(hnp.arrays(np.int32, people, elements=st.integers(-1, 2**31 - 1))),
    )


@given(any_poses())
def test_what_is_encoded_decodes_to_the_same_within_the_grid(made: Poses) -> None:
    data = wire.encode(made, "board", "door", 2.5, NOON)

    message = wire.decode(data)

    assert not {"NaN", "Infinity"} & set(data.decode().replace("[", ",").replace("]", ",").split(","))
    assert (message.seq, message.size_wh, len(message.people)) == (made.seq, (320, 240), len(made))
    for index, person in enumerate(message.people):
        assert person.id == (None if made.track_id[index] < 0 else made.track_id[index])
        assert person.score == pytest.approx(np.nan_to_num(made.person_score[index]), abs=0.0005)
        for joint, keypoint in enumerate(person.keypoints):
            xy, score = made.xy[index, joint], made.score[index, joint]
            if not (np.isfinite(xy).all() and np.isfinite(score)):
                assert keypoint is None
                continue
            assert keypoint is not None
            assert keypoint[:2] == pytest.approx(xy.astype(float), rel=1e-12, abs=0.0501)
            assert keypoint[2] == pytest.approx(float(score), abs=0.00051)


def test_who_entered_and_left_how_far_ahead_and_what_ran_it_go_along() -> None:
    made = poses(1, track_id=np.array([7], np.int32), entered=(7, 8), left=(3,), predicted_s=0.0804, ran_on="edgetpu")

    raw = encoded(made)

    assert (raw["entered"], raw["left"], raw["predicted_ms"], raw["ran_on"]) == ([7, 8], [3], 80.4, "edgetpu")
    message = wire.decode(json.dumps(raw).encode())
    assert (message.entered, message.left, message.predicted_ms, message.ran_on) == ([7, 8], [3], 80.4, "edgetpu")


def test_what_there_is_nothing_to_say_of_is_left_out_and_read_as_nothing() -> None:
    raw = encoded(poses(1))

    assert not {"entered", "left", "predicted_ms", "ran_on"} & set(raw)
    message = wire.decode(json.dumps(raw).encode())
    assert (message.entered, message.left, message.predicted_ms, message.ran_on) == ([], [], 0.0, "")


def test_the_last_to_leave_an_empty_picture_are_told_of() -> None:
    raw = encoded(poses(0, left=(1, 2)))

    assert (raw["people"], raw["left"]) == ([], [1, 2])


def test_a_reader_ignores_keys_it_does_not_know() -> None:
    raw = encoded(poses(1))
    raw["room"] = "hall"
    raw["people"][0]["mood"] = 0.5

    assert wire.decode(json.dumps(raw).encode()).people[0].score == 0.9


def change(*path: str | int, to: Any) -> bytes:
    raw = encoded(poses(1))
    at: Any = raw
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return json.dumps(raw).encode()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        pytest.param(b"", "truncated", id="empty"),
        pytest.param(b'{"schema": "edge', "truncated", id="cut off"),
        pytest.param(b"\xff\xfe", "malformed", id="not text"),
        pytest.param(b"[]", "Expected `object`", id="a list"),
        pytest.param(change("schema", to="edgepose.poses/2"), "'edgepose.poses/2', expected", id="other schema"),
        pytest.param(change("seq", to="1"), "$.seq", id="text for a number"),
        pytest.param(change("people", 0, "score", to=None), "$.people[0].score", id="null for a number"),
        pytest.param(change("left", to=["1"]), "$.left[0]", id="text for an identity"),
        pytest.param(change("predicted_ms", to=None), "$.predicted_ms", id="null for a horizon"),
        pytest.param(change("people", 0, "keypoints", 0, to=[1, 2]), "length", id="no score"),
        pytest.param(change("people", 0, "keypoints", to=[None]), "1 keypoints, expected 17", id="joints missing"),
    ],
)
def test_a_wrong_message_is_refused_in_one_line(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^message: ") as caught:
        wire.decode(data)

    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_joints_in_three_dimensions_go_along_where_the_model_knows_them() -> None:
    xyz = np.zeros((1, 17, 3), np.float32)
    xyz[0, 0] = 0.1234, -2.0, 3.5
    xyz[0, 1] = np.nan
    (person,) = encoded(poses(1, xyz=xyz))["people"]
    assert person["xyz"][:2] == [[0.123, -2.0, 3.5], None]
    assert "xyz" not in encoded(poses(1))["people"][0]
    short = encoded(poses(1, xyz=xyz))
    short["people"][0]["xyz"].pop()
    with pytest.raises(ValueError, match=r"people\[0\] has 16 xyz, expected 17"):
        wire.decode(json.dumps(short).encode())

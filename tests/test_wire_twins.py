"""The fast writers against slow, obvious ones: the same bytes."""

from __future__ import annotations

import math
import struct
from datetime import datetime, timezone

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgepose import wire
from edgepose.core.poses import Poses, Skeleton
from samples.people import poses

FEW = Skeleton("few", ("head", "hand", "foot"), ((0, 1),), (0.1, 0.1, 0.1))
WALL = 1_790_000_000.25


@st.composite
def any_poses(draw: st.DrawFn) -> Poses:
    people = draw(st.integers(0, 3))
    place = st.floats(-3000, 6000, width=32) | st.sampled_from([math.nan, math.inf, -math.inf, -(2.0**-7), 2.0**100])
    unit = st.floats(0, 1, width=32) | st.sampled_from([math.nan, -0.5, 1.5])
    return poses(
        people,
        skeleton=FEW,
        seq=draw(st.integers(0, 2**40)),
        size_wh=draw(st.tuples(st.integers(16, 9000), st.integers(16, 9000))),
        xy=draw(hnp.arrays(np.float32, (people, 3, 2), elements=place)),
        score=draw(hnp.arrays(np.float32, (people, 3), elements=unit)),
        person_score=draw(hnp.arrays(np.float32, people, elements=unit)),
        track_id=draw(hnp.arrays(np.int32, people, elements=st.integers(-1, 2**31 - 1))),
        xyz=draw(st.none() | hnp.arrays(np.float32, (people, 3, 3), elements=st.floats(-9, 9, width=32))),
        name=draw(st.sampled_from(["", "a.mp4"])),
        entered=draw(st.sampled_from([(), (1, 2)])),
        left=draw(st.sampled_from([(), (3,)])),
        predicted_s=draw(st.sampled_from([0.0, 0.05])),
    )


def on_grid(value: float, steps: float) -> float:
    return round(value * steps) / steps + 0.0


def plain_json(made: Poses, now_t: float, now_wall: float) -> bytes:
    """Number by number."""
    people = []
    for index in range(len(made)):
        keypoints: list[list[float] | None] = []
        for (x, y), score in zip(made.xy[index].tolist(), made.score[index].tolist(), strict=True):
            found = all(map(math.isfinite, (x, y, score)))
            keypoints.append([on_grid(x, 10), on_grid(y, 10), on_grid(score, 1000)] if found else None)
        solid: list[list[float] | None] | None = None
        if made.xyz is not None:
            solid = [[on_grid(axis, 1000) for axis in joint] for joint in made.xyz[index].tolist()]
        score, id_ = float(made.person_score[index]), int(made.track_id[index])
        score = round(score, 3) if math.isfinite(score) else 0.0
        people.append(wire.Person(None if id_ < 0 else id_, score, keypoints, solid))
    taken = datetime.fromtimestamp(now_wall - (now_t - made.taken_t), timezone.utc)
    return msgspec.json.encode(
        wire.Message(
            schema="edgepose.poses/1", device="board", camera="door", source=made.name, seq=made.seq,
            captured=taken.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), age_ms=round((now_t - made.taken_t) * 1e3, 1),
            media_s=None if made.t == made.taken_t else round(made.t, 6), size_wh=made.size_wh, skeleton="few",
            joints=["head", "hand", "foot"], people=people, entered=list(made.entered), left=list(made.left),
            predicted_ms=round(made.predicted_s * 1e3, 1) or wire.poses_json.AS_SEEN,
            space="model" if people and made.xyz is not None else "",
        )
    )  # fmt: skip


def plain_joint(made: Poses, person: int, joint: int) -> bytes:
    """By the formula of the documentation."""
    raw = []
    for value, side in zip(made.xy[person, joint].tolist(), made.size_wh, strict=True):
        steps = 65535 if math.isnan(value) else (min(max(value / side, -0.5), 1.5) + 0.5) / 2 * 65534
        raw.append(round(steps))
    score = float(made.score[person, joint])
    return struct.pack("<HHB", *raw, 0 if math.isnan(score) else round(min(max(score, 0), 1) * 255))


@settings(max_examples=200, deadline=None)
@given(any_poses(), st.floats(0, 100))
def test_json_is_the_same_byte_for_byte(made: Poses, age_s: float) -> None:
    now_t = 2.0 + age_s
    assert wire.encode(made, "board", "door", now_t, WALL) == plain_json(made, now_t, WALL)


@settings(max_examples=200, deadline=None)
@given(any_poses())
def test_binary_is_within_half_a_step_of_the_formula(made: Poses) -> None:
    data = wire.binary.encode(made, 2.5, WALL)
    start, size, people = struct.unpack_from("<HHB", data, 4)
    assert people == len(made)
    for person in range(people):
        for joint in range(3):
            at = start + person * size + 6 + 5 * joint
            fast, slow = struct.unpack_from("<HHB", data, at), struct.unpack("<HHB", plain_joint(made, person, joint))
            for one, other in zip(fast, slow, strict=True):
                assert abs(one - other) <= 1, (fast, slow)  # a half is rounded either way
                assert (one == 65535) == (other == 65535)


@pytest.mark.parametrize(
    ("wall", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_767_355_200.0, "2026-01-02T12:00:00.000000Z"),
        (1_767_355_199.9999998, "2026-01-02T12:00:00.000000Z"),
        (1_767_355_199.9999, "2026-01-02T11:59:59.999900Z"),
        (-0.25, "1969-12-31T23:59:59.750000Z"),
    ],
)
def test_a_moment_is_told_in_utc_to_the_microsecond(wall: float, text: str) -> None:
    assert wire.iso_utc(wall) == text


@given(st.floats(0, 4e9))
def test_a_moment_is_what_the_library_says(wall: float) -> None:
    assert wire.iso_utc(wall) == datetime.fromtimestamp(wall, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_two_people_of_17_joints_are_222_bytes() -> None:
    assert len(wire.binary.encode(poses(2), 2.5, WALL)) == 222


def test_more_people_and_ids_than_fit_are_left_out() -> None:
    many = poses(
        300, xy=np.ones((300, 17, 2), np.float32), score=np.ones((300, 17), np.float32),
        person_score=np.ones(300, np.float32), track_id=np.arange(1, 301, dtype=np.int32), entered=tuple(range(1, 301)),
    )  # fmt: skip
    read = wire.binary.decode(wire.binary.encode(many, 2.5, WALL))

    assert read.id.tolist() == list(range(1, 256))
    assert read.entered == tuple(range(1, 64))

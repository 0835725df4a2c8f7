"""The compact binary form: small, exact to what it states, and never a crash."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.core.poses import COCO17, Poses, Space
from edgepose.wire import binary

WALL = 1_790_000_000.25


def made(people: int, size_wh: tuple[int, int] = (1920, 1080), seed: int = 0, **more: object) -> Poses:
    rng = np.random.default_rng(seed)
    xy = (rng.random((people, 17, 2)) * 2 - 0.5).astype(np.float32) * np.asarray(size_wh, np.float32)
    score = rng.random((people, 17)).astype(np.float32)
    if people:
        xy[0, 3], score[0, 3] = np.nan, 0
    return Poses(
        t=5.0, taken_t=5.0, seq=70, name="", size_wh=size_wh, skeleton=COCO17, xy=xy, score=score,
        person_score=np.sort(rng.random(people).astype(np.float32))[::-1],
        track_id=np.arange(1, people + 1, dtype=np.int32), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_two_people_of_17_joints_take_at_most_260_bytes() -> None:
    assert len(binary.encode(made(2, entered=(1, 2)), 5.02, WALL)) <= 260


@settings(max_examples=40, deadline=None)
@given(people=st.integers(0, 9), seed=st.integers(0, 99), width=st.integers(16, 8192), height=st.integers(16, 8192))
def test_what_is_read_is_what_was_written_to_the_stated_error(people: int, seed: int, width: int, height: int) -> None:
    poses = made(people, (width, height), seed)
    read = binary.decode(binary.encode(poses, 5.02, WALL))
    assert (read.seq, read.captured_us, read.age_us) == (70, 1_790_000_000_230_000, 20_000)
    assert (read.skeleton, read.size_wh, read.entered, read.left) == ("coco17", (width, height), (), ())
    assert np.array_equal(np.isnan(read.xy), np.isnan(poses.xy))
    apart = np.abs(read.xy - poses.xy) / (width, height)
    assert not people or np.nanmax(apart) <= 1.05 / 65534  # 5 % for float32
    assert np.abs(read.score - poses.score).max(initial=0) <= 1.001 / 510
    assert read.id.tolist() == list(range(1, people + 1))
    assert np.allclose(read.person_score, poses.person_score, atol=1e-5)
    assert read.xyz is None


def test_every_field_comes_back() -> None:
    poses = made(1, entered=(1, 7), left=(3,), ran_on="edgetpu", predicted_s=0.0503)
    read = binary.decode(binary.encode(poses))
    assert (read.entered, read.left, read.ran_on, read.predicted_ms) == ((1, 7), (3,), "edgetpu", 50.3)
    assert (read.captured_us, read.age_us, read.media_us) == (0, None, None)


def test_poses_that_know_when_they_were_taken_tell_it() -> None:
    read = binary.decode(binary.encode(made(1, taken_wall=WALL)))
    assert (read.captured_us, read.age_us) == (1_790_000_000_250_000, None)
    later = binary.decode(binary.encode(made(1, taken_wall=WALL), 900.0, WALL + 0.5))
    assert (later.captured_us, later.age_us) == (1_790_000_000_250_000, 500_000)


def test_a_third_coordinate_goes_along() -> None:
    xyz = np.linspace(-1.2, 0.9, 51, dtype=np.float32).reshape(1, 17, 3)
    xyz[0, 5] = np.nan
    read = binary.decode(binary.encode(made(1, xyz=xyz)))
    assert read.xyz is not None
    assert np.isnan(read.xyz[0, 5]).all()
    assert np.nanmax(np.abs(read.xyz - xyz)) <= 0.5001 * 1.2 / 32767


def test_what_metres_are_worth_goes_along_to_the_millimetre() -> None:
    xyz = np.linspace(-1.2, 0.9, 102, dtype=np.float32).reshape(2, 17, 3)
    sigma = np.linspace(0.01, 0.4, 68, dtype=np.float32).reshape(2, 17, 2)
    sigma[0, 3] = np.nan
    root = np.array([[0.4, -0.2, 4.321], [np.nan] * 3], np.float32)
    guessed = np.arange(34).reshape(2, 17) % 5 == 0
    space = Space("lifted", "camera", root, np.array([0.26, np.nan], np.float32), sigma, guessed)
    read = binary.decode(binary.encode(made(2, xyz=xyz, space=space))).space
    assert read is not None
    assert (read.kind, read.frame) == ("lifted", "camera")
    np.testing.assert_allclose(read.root, root, atol=5e-4)
    np.testing.assert_allclose(read.root_sigma, space.root_sigma, atol=5e-4)
    np.testing.assert_allclose(read.sigma, sigma, atol=5e-4)
    np.testing.assert_array_equal(read.guessed, guessed)


@pytest.mark.parametrize("step", [float("nan"), float("inf"), 3e38, -1e37])
def test_a_third_coordinate_that_is_no_number_is_missing(step: float) -> None:
    xyz = np.linspace(-1.2, 0.9, 51, dtype=np.float32).reshape(1, 17, 3)
    data = bytearray(binary.encode(made(1, xyz=xyz)))
    struct.pack_into("<f", data, struct.unpack_from("<H", data, 4)[0] + 6 + 17 * 5, step)

    read = binary.decode(bytes(data))

    assert read.xyz is not None
    assert np.isnan(read.xyz[0, 0]).all()
    assert not np.isinf(read.xyz).any()


def test_a_joint_far_outside_lies_half_a_picture_outside_when_read() -> None:
    poses = made(1)
    poses.xy[0, 0] = (1e7, -1e7)
    read = binary.decode(binary.encode(poses))
    assert read.xy[0, 0].tolist() == [1.5 * 1920, -0.5 * 1080]


def test_readers_skip_fields_flags_and_bytes_they_do_not_know() -> None:
    data = bytearray(binary.encode(made(2), 5.02, WALL))
    start, size = struct.unpack_from("<HH", data, 4)
    newer = bytearray(data[:start]) + bytes((99, 3)) + b"new"
    for person in range(2):
        newer += data[start + person * size : start + (person + 1) * size] + b"more"
    newer += b"and more"
    newer[3] |= 0x80
    struct.pack_into("<HH", newer, 4, start + 5, size + 4)
    old, new = binary.decode(bytes(data)), binary.decode(bytes(newer))
    assert np.array_equal(old.xy, new.xy, equal_nan=True)
    assert new.skeleton == "coco17"


def test_a_message_cut_anywhere_is_refused() -> None:
    data = binary.encode(made(2, entered=(1,)), 5.02, WALL)
    for length in range(len(data)):
        with pytest.raises(ValueError, match="message"):
            binary.decode(data[:length])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    for start in (b"", b"EP\x01"):
        try:
            read = binary.decode(start + data)
        except ValueError:
            continue
        assert read.xy.shape[0] == len(read.id)

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import Layout
from edgepose.sink.draw import COLOURS, DARK, bgr, colour_of, draw
from edgepose.sink.overlay import OverlaySink
from edgepose.sink.whole import unused
from samples.people import frame, poses


def near(image: np.ndarray, xy: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(image[xy[1], xy[0]].astype(int) - colour).max() < 40)


def one_bone(a: tuple[float, float], b: tuple[float, float]) -> np.ndarray:
    """Shoulders only."""
    xy = np.full((1, 17, 2), np.nan, np.float32)
    xy[0, 5], xy[0, 6] = a, b
    return xy


def test_a_bone_is_drawn_between_its_joints_and_nowhere_else() -> None:
    black = np.zeros((240, 320, 3), np.uint8)

    image = draw(black, poses(1, xy=one_bone((100, 150), (200, 150))))

    assert near(image, (150, 150), COLOURS[0])
    assert near(image, (100, 150), (255, 255, 255))
    assert not image[165:].any()
    assert not image[:, :80].any()
    assert not black.any()


def test_a_person_keeps_the_colour_of_its_identity() -> None:
    xy = one_bone((100, 150), (200, 150))

    image = draw(np.zeros((240, 320, 3), np.uint8), poses(1, xy=xy, track_id=np.array([13], np.int32)))

    assert near(image, (150, 150), colour_of(13))


def lightness(colour: tuple[int, int, int]) -> float:
    """Relative luminance, WCAG 2."""
    part = [value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour]
    return 0.0722 * part[0] + 0.7152 * part[1] + 0.2126 * part[2]


def test_identities_have_colours_far_from_each_other_and_light_enough_for_dark_writing() -> None:
    colours = [colour_of(identity) for identity in range(25)]

    dark = lightness(DARK) + 0.05
    assert len(set(colours)) == 16
    assert all((lightness(colour) + 0.05) / dark > 5 for colour in colours)
    for first in range(25 - 6):
        for second in range(first + 1, first + 6):  # of any six in a row
            assert np.linalg.norm(np.subtract(colours[first], colours[second])) > 55


def test_an_identity_is_written_above_the_head_even_if_a_hand_is_higher() -> None:
    xy = np.full((1, 17, 2), np.nan, np.float32)
    xy[0, 0], xy[0, 9], xy[0, 15] = (200, 100), (60, 20), (200, 230)

    image = draw(np.zeros((240, 320, 3), np.uint8), poses(1, xy=xy, track_id=np.array([3], np.int32)))

    badge = np.abs(image.astype(int) - colour_of(3)).max(axis=2) < 20
    assert badge[45:95, 180:220].sum() > 100
    assert badge[:15].sum() == 0


def test_labels_of_people_at_one_place_do_not_hide_each_other() -> None:
    xy = np.repeat(one_bone((100, 6), (104, 8)), 4, axis=0)

    image = draw(np.zeros((240, 320, 3), np.uint8), poses(4, xy=xy, track_id=np.arange(1, 5, dtype=np.int32)))

    for identity in range(1, 5):
        assert (np.abs(image.astype(int) - colour_of(identity)).max(axis=2) < 20).sum() > 80


def test_a_predicted_frame_says_how_far_ahead() -> None:
    black = np.zeros((240, 320, 3), np.uint8)
    xy = one_bone((100, 50), (200, 50))

    image = draw(black, poses(1, xy=xy, predicted_s=0.08))

    assert image[200:, :80].max() > 200
    assert not draw(black, poses(1, xy=xy))[200:].any()


def test_nobody_and_no_joint_leave_the_picture_as_it_is() -> None:
    picture = frame().image

    assert np.array_equal(draw(picture, poses(0)), picture)
    assert np.array_equal(draw(picture, poses(1, xy=np.full((1, 17, 2), np.nan, np.float32))), picture)


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 5000), (5000, 3)])
def test_odd_pictures_and_joints_far_outside_are_survived(size_hw: tuple[int, int]) -> None:
    xy = poses(1).xy.copy()
    xy[0, :4] = (1e30, -1e30), (-5, -5), (np.inf, 0), (1e6, 1e6)

    assert draw(np.zeros((*size_hw, 3), np.uint8), poses(1, xy=xy)).shape == (*size_hw, 3)


RED_BGR = np.full((4, 6, 3), (0, 0, 255), np.uint8)


def nv12() -> np.ndarray:
    planes = cv2.cvtColor(RED_BGR, cv2.COLOR_BGR2YUV_I420)
    chroma = planes[4:].reshape(2, 6)
    return np.concatenate((planes[:4], np.stack((chroma[0], chroma[1]), 1).reshape(2, 6)))


@pytest.mark.parametrize(
    ("layout", "image", "expected"),
    [
        pytest.param("bgr", RED_BGR, (0, 0, 255), id="bgr"),
        pytest.param("rgb", RED_BGR[..., ::-1].copy(), (0, 0, 255), id="rgb"),
        pytest.param("gray", np.full((4, 6), 90, np.uint8), (90, 90, 90), id="gray"),
        pytest.param("i420", cv2.cvtColor(RED_BGR, cv2.COLOR_BGR2YUV_I420), (0, 0, 255), id="i420"),
        pytest.param("nv12", nv12(), (0, 0, 255), id="nv12"),
    ],
)
def test_every_layout_becomes_blue_green_red(layout: Layout, image: np.ndarray, expected: tuple[int, int, int]) -> None:
    converted = bgr(frame(image=image, layout=layout))

    assert converted.shape == (4, 6, 3)
    assert np.abs(converted.astype(int) - expected).max() <= 3


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pictures_are_named_after_theirs(tmp_path: Path) -> None:
    with OverlaySink(str(tmp_path / "out"), live=False, fps=30) as sink:
        for seq, name in enumerate(("a.jpg", "b.png", "b.jpg", "street.mp4", "street.mp4", "")):
            sink.write(poses(1), frame(seq=seq, name=name))

    assert names(tmp_path / "out") == sorted(
        [
            "a_poses.jpg",
            "b_poses.jpg",
            "b_000002_poses.jpg",
            "street_000003_poses.jpg",
            "street_000004_poses.jpg",
            "000005_poses.jpg",
        ]
    )
    picture = cv2.imread(str(tmp_path / "out" / "a_poses.jpg"))
    assert picture is not None
    assert picture.shape == (240, 320, 3)


def read(path: Path) -> tuple[float, list[np.ndarray]]:
    video = cv2.VideoCapture(str(path))
    images = []
    while True:
        more, image = video.read()
        if not more:
            break
        images.append(image)
    rate = video.get(cv2.CAP_PROP_FPS)
    video.release()
    return rate, images


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv", ".webm"])
def test_a_video_has_the_frames_and_the_rate_of_its_source(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    with OverlaySink(str(path), live=False, fps=99) as sink:
        for seq in range(5):
            sink.write(poses(1), frame(seq=seq, t=seq / 20, name="street.mp4"))

    rate, images = read(path)
    assert rate == pytest.approx(20, abs=0.1)
    assert len(images) == 5
    assert images[0].shape == (240, 320, 3)


def clip(path: Path, times: list[float], live: bool = False, fps: float = 25, codec: str = "") -> list[Path]:
    """An overlay of frames taken at these times; what lies in its folder while it is written."""
    with OverlaySink(str(path), live=live, fps=fps, codec=codec) as sink:
        for seq, t in enumerate(times):
            sink.write(
                poses(0), frame(seq=seq, t=t, name="street.mp4", image=np.full((240, 320, 3), seq % 256, np.uint8))
            )
        return sorted(path.parent.iterdir())


UNEVEN = {
    "two frames at the start, then 15 a second": [0.0, 0.004, *(index / 15 for index in range(1, 44))],
    "a screen that stands still": [*(index / 30 for index in range(30)), *(5 + index / 30 for index in range(30))],
    "half the rate half way": [*(index / 30 for index in range(60)), *(2 + index / 15 for index in range(60))],
    "twice the rate half way": [*(index / 15 for index in range(60)), *(4 + index / 30 for index in range(60))],
    "at random": np.cumsum(np.random.default_rng(1).uniform(0.01, 0.2, 60)).tolist(),
}


@pytest.mark.parametrize("times", UNEVEN.values(), ids=UNEVEN)
def test_a_video_lasts_as_long_as_its_recording(tmp_path: Path, times: list[float]) -> None:
    clip(tmp_path / "out.avi", times)

    rate, images = read(tmp_path / "out.avi")
    assert len(images) / rate == pytest.approx(times[-1] - times[0], abs=0.2)


EVEN = {
    "25": [index / 25 for index in range(200)],
    "29.97 to the millisecond": [round(index / 29.97, 3) for index in range(600)],
    "120 to the millisecond": [round(index / 120, 3) for index in range(600)],
    "one frame is missing": [index / 10 for index in range(40) if index != 20],
}


@pytest.mark.parametrize("times", EVEN.values(), ids=EVEN)
def test_frames_that_come_evenly_are_written_once_each_at_the_rate_of_the_first_two(
    tmp_path: Path, times: list[float]
) -> None:
    clip(tmp_path / "out.avi", times)

    rate, images = read(tmp_path / "out.avi")
    assert len(images) == len(times)
    assert rate == pytest.approx(1 / times[1], rel=1e-3)


def test_a_video_is_written_beside_its_place_and_what_was_there_stays_until_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "out.avi").write_bytes(b"an earlier one")
    with OverlaySink(str(tmp_path / "out.avi"), live=True, fps=25) as sink:
        sink.write(poses(0), frame())
        assert names(tmp_path) == ["out.avi", "out.avi.part.avi"]
        assert (tmp_path / "out.avi").read_bytes() == b"an earlier one"

    assert names(tmp_path) == ["out.avi"]
    assert len(read(tmp_path / "out.avi")[1]) == 1


def test_a_video_without_a_frame_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out.avi").write_bytes(b"an earlier one")
    clip(tmp_path / "out.avi", [])

    assert (tmp_path / "out.avi").read_bytes() == b"an earlier one"


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out.avi").symlink_to(tmp_path / "disk" / "real.avi")
    clip(tmp_path / "out.avi", [0.0, 0.1])

    assert (tmp_path / "out.avi").is_symlink()
    assert names(tmp_path / "disk") == ["real.avi"]


def test_a_picture_is_not_written_through_a_link(tmp_path: Path) -> None:
    original = tmp_path / "a.jpg"
    original.write_bytes(b"the only copy")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_poses.jpg").hardlink_to(original)
    with OverlaySink(str(tmp_path / "out"), live=False, fps=30) as sink:
        sink.write(poses(1), frame(name="a.jpg"))

    assert original.read_bytes() == b"the only copy"
    assert cv2.imread(str(tmp_path / "out" / "a_poses.jpg")) is not None


ODD_NAMES = {
    "a time": "2024-05-01T10:30:05",
    "no text": os.fsdecode(b"caf\xe9"),
    "percent": "50%d",
    "long": "x" * 240,
    "a protocol": "http:x",
}


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
@pytest.mark.parametrize("ending", [".mp4", ".avi", ".webm"])
def test_a_video_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ending: str) -> None:
    monkeypatch.chdir(tmp_path)
    clip(Path(name + ending), [0.0, 0.1, 0.2])

    assert [path.name for path in tmp_path.iterdir()] == [name + ending]
    (tmp_path / (name + ending)).rename(tmp_path / f"plain{ending}")
    assert len(read(tmp_path / f"plain{ending}")[1]) == 3


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 3000 + ".jpg", "\ud800.jpg", "../../etc/a.jpg", "a\nb.jpg", ".."])
def test_pictures_are_named_whatever_their_source_was_called(tmp_path: Path, name: str) -> None:
    with OverlaySink(str(tmp_path / "out"), live=False, fps=30) as sink:
        sink.write(poses(1), frame(name=name))

    (path,) = (tmp_path / "out").iterdir()
    assert path.name.isprintable()
    assert cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR) is not None


@pytest.mark.parametrize("codec", ["vp8", "vp9", "mjpeg", "mp4v"])
def test_a_codec_may_be_chosen(tmp_path: Path, codec: str) -> None:
    clip(tmp_path / "out.mkv", [0.0, 0.1, 0.2], codec=codec)

    assert len(read(tmp_path / "out.mkv")[1]) == 3


def test_a_codec_that_this_opencv_has_not_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda _: False)
    with (
        OverlaySink(str(tmp_path / "out.mp4"), live=True, fps=25, codec="h264") as sink,
        pytest.raises(
            SinkError, match=r"320x240 video of codec avc1 by this OpenCV; set sink\.overlay\.codec"
        ) as caught,
    ):
        sink.write(poses(0), frame())

    assert not caught.value.retryable
    assert names(tmp_path) == []


def test_a_single_frame_makes_a_video_too(tmp_path: Path) -> None:
    with OverlaySink(str(tmp_path / "out.avi"), live=False, fps=25) as sink:
        sink.write(poses(1), frame())

    assert len(read(tmp_path / "out.avi")[1]) == 1


def test_a_cameras_missed_frames_become_stills(tmp_path: Path) -> None:
    with OverlaySink(str(tmp_path / "out.avi"), live=True, fps=10) as sink:
        for t in (7.0, 7.1, 7.5):
            sink.write(poses(0), frame(t=t))

    rate, images = read(tmp_path / "out.avi")
    assert rate == pytest.approx(10)
    assert len(images) == 6


def test_a_frame_of_another_size_is_letterboxed(tmp_path: Path) -> None:
    with OverlaySink(str(tmp_path / "out.avi"), live=False, fps=10) as sink:
        sink.write(poses(0), frame(t=0.0))
        sink.write(poses(0), frame(t=0.1, image=np.full((240, 80, 3), 255, np.uint8)))

    second = read(tmp_path / "out.avi")[1][1]
    assert second.shape == (240, 320, 3)
    assert second[:, 130:190].min() > 200
    assert second[:, :110].max() < 40


@pytest.mark.parametrize("path", ["out.gif", "poses.jpg"])
def test_an_ending_that_is_no_video_is_a_wrong_setting(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"sink\.overlay\.path .* neither a folder nor one of \.mp4"):
        OverlaySink(str(tmp_path / path), live=False, fps=30)


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot make the folder"):
        OverlaySink(str(tmp_path / "file" / "out"), live=False, fps=30)


def test_a_video_that_cannot_be_opened_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "out.avi").symlink_to(tmp_path / "gone" / "out.avi")

    with (
        OverlaySink(str(tmp_path / "out.avi"), live=True, fps=30) as sink,
        pytest.raises(SinkError, match="No such file or directory; check the folder"),
    ):
        sink.write(poses(0), frame())


def test_a_picture_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    with OverlaySink(str(tmp_path / "out"), live=True, fps=30) as sink:
        (tmp_path / "out" / "000000_poses.jpg.part.jpg").symlink_to("/dev/full")
        with pytest.raises(SinkError, match="No space left on device; free some space"):
            sink.write(poses(0), frame())


def test_a_full_disk_under_a_video_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))

    with (
        OverlaySink(str(tmp_path / "out.avi"), live=True, fps=30) as sink,
        pytest.raises(SinkError, match="the disk is full"),
    ):
        sink.write(poses(0), frame())


def test_a_video_that_is_begun_again_leaves_the_one_before(tmp_path: Path) -> None:
    first = str(tmp_path / "out.mp4")
    assert unused(first) == first
    (tmp_path / "out.mp4").touch()
    (tmp_path / "out_2.mp4").touch()
    assert unused(first) == str(tmp_path / "out_3.mp4")
    assert unused(str(tmp_path)) == str(tmp_path)

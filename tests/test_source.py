"""Recordings and lists: what is read, in which order, at what time, and what a bad input says."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Frame
from edgepose.source import COUNTS, SOURCES, ListSource, Source, kind_of, open_source
from edgepose.source.detect import masked
from edgepose.source.files import natural
from samples.shared import shared
from tests.helpers import fake_imx500, fake_picamera2
from tests.helpers.fake_capture import plugged_in

Image = NDArray[np.uint8]


def opened(uri: object, **settings: Any) -> Source:
    return open_source(config.Source(uri=str(uri), **settings))


def frames_of(uri: object, **settings: Any) -> list[Frame]:
    with opened(uri, **settings) as source:
        return list(source)


def plain(value: int, size_wh: tuple[int, int] = (64, 48)) -> Image:
    return np.full((size_wh[1], size_wh[0], 3), value, np.uint8)


def write_picture(path: Path, image: NDArray[Any] | None = None) -> Path:
    assert cv2.imwrite(str(path), plain(128) if image is None else image)
    return path


def write_video(path: Path, count: int = 20, fps: float = 25.0) -> Path:
    """Frame i is a plain grey of 10 * i, so a decoded frame says which one it is."""
    code = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, (64, 48))
    for index in range(count):
        writer.write(plain(10 * index % 256))
    writer.release()
    return path


def which(frame: Frame) -> int:
    return round(float(frame.image.mean()) / 10)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------------------------ which kind


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("0", "v4l2"),
        ("12", "v4l2"),
        ("/dev/video3", "v4l2"),
        ("/dev/v4l/by-id/usb-cam-index0", "v4l2"),
        ("picamera2", "picamera2"),
        ("picamera2:1", "picamera2"),
        ("imx500", "imx500"),
        ("imx500:1a", "imx500"),
        ("csi", "stream"),
        ("csi:1", "stream"),
        ("rtsp://camera/stream", "stream"),
        ("RTSPS://camera/stream", "stream"),
        ("http://camera/mjpg", "stream"),
        ("https://camera/mjpg", "stream"),
        ("rtmp://camera/live", "stream"),
        ("udp://0.0.0.0:5000", "stream"),
        ("videotestsrc ! videoconvert ! appsink", "stream"),
    ],
)
def test_an_address_tells_its_kind(uri: str, kind: str) -> None:
    assert kind_of(uri) == kind


def test_a_path_is_a_folder_a_picture_by_its_suffix_or_else_a_video(tmp_path: Path) -> None:
    for name, kind in {"a.JPG": "image", "b.png": "image", "c.mp4": "video", "d": "video"}.items():
        (tmp_path / name).write_bytes(b"x")
        assert kind_of(str(tmp_path / name)) == kind
    assert kind_of(str(tmp_path)) == "folder"


def test_every_kind_of_the_settings_is_a_row_and_every_row_but_list_a_kind() -> None:
    (setting,) = (setting for setting in config.settings() if setting.key == "source.kind")
    assert set(config.choices(setting.hint)) - {"auto"} == set(SOURCES) - {"list"}


@pytest.mark.parametrize(
    ("name", "says"),
    [("walk.mp", "did you mean {folder}/walk.mp4?"), ("zzz", "pass a picture, a folder"), ("no/walk.mp4", "no folder")],
)
def test_a_path_that_does_not_exist_names_the_nearest_that_does(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "walk.mp4").write_bytes(b"x")
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert says.format(folder=tmp_path) in str(caught.value)


@pytest.mark.parametrize("kind", ["auto", "image", "folder", "video", "v4l2", "stream", "picamera2"])
def test_an_empty_address_says_what_to_pass(kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"source\.uri is empty: pass a picture"):
        opened("", kind=kind)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ConfigError, match="gopher:// is no stream"):
        opened("gopher://old/cam")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://admin:s3cret@cam/1", "rtsp://***@cam/1"),
        ("rtsp://admin:p@ss/word@cam/1", "rtsp://***@cam/1"),
        ("http://cam/video?user=a&password=b&channel=1", "http://cam/video?user=***&password=***&channel=1"),
        (
            "rtspsrc location=rtsp://u:p@cam user-pw=x ! appsink",
            "rtspsrc location=rtsp://***@cam user-pw=*** ! appsink",
        ),
        ("rtsp://cam/1", "rtsp://cam/1"),
    ],
)
def test_credentials_are_masked(uri: str, shown: str) -> None:
    assert masked(uri) == shown


# ------------------------------------------------------------------------------------------------ the contract


@pytest.fixture(params=[*SOURCES, "mp4"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """One of each row of SOURCES; cameras are fakes that give six frames and are lost then."""
    pictures = [plain(10 * index) for index in range(6)]
    kind: Any = request.param
    if kind == "list":
        return ListSource(pictures)
    if kind == "mp4":
        return opened(write_video(tmp_path / "clip.mp4"))
    uri = {"picamera2": "picamera2", "imx500": "imx500", "stream": "rtsp://camera/1"}.get(kind, str(tmp_path / kind))
    if kind == "image":
        uri = str(write_picture(tmp_path / "a.png"))
    elif kind == "folder":
        (tmp_path / kind).mkdir()
        for index, picture in enumerate(pictures):
            write_picture(tmp_path / kind / f"{index}.png", picture)
    elif kind == "video":
        uri = str(write_video(tmp_path / "clip.avi"))
    elif kind in ("picamera2", "imx500"):
        planar = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8) for picture in pictures]
        monkeypatch.setattr(fake_picamera2, "hardware", fake_picamera2.Hardware(frames=planar))
        monkeypatch.setitem(sys.modules, "picamera2", fake_picamera2)
        monkeypatch.setitem(sys.modules, "picamera2.devices.imx500", fake_imx500)
        monkeypatch.setattr(fake_imx500, "sensor", fake_imx500.Sensor())
    else:
        (tmp_path / kind).touch()
        plugged_in(monkeypatch, pictures)
    return opened(uri, kind=kind, size_wh=(64, 48), reconnect=False, stall_s=0.5, network=__file__)


def frames_until_lost(source: Source) -> Iterator[Frame]:
    """The frames of a source, where the end of a fake camera is an end like any other."""
    with contextlib.suppress(SourceError) if source.live else contextlib.nullcontext():
        yield from source


def test_frames_come_in_order_with_rising_time(source: Source) -> None:
    with source:
        frames = list(frames_until_lost(source))
    assert len(frames) == source.counts["frames"] >= 1
    assert all(earlier.seq < later.seq for earlier, later in itertools.pairwise(frames))
    assert all(earlier.t < later.t for earlier, later in itertools.pairwise(frames))
    assert all(earlier.taken_t <= later.taken_t for earlier, later in itertools.pairwise(frames))
    assert all(frame.image.dtype == np.uint8 and frame.image.flags.c_contiguous for frame in frames)
    assert all(frame.size_wh == (64, 48) for frame in frames)
    assert set(source.counts) == set(COUNTS)


def test_a_recording_loses_nothing_and_a_camera_counts_what_it_drops(source: Source) -> None:
    with source:
        frames = list(frames_until_lost(source))
    last = frames[-1].seq
    assert source.counts["dropped"] == last + 1 - len(frames)
    assert source.total == (None if source.live else len(frames))
    if source.live:
        assert last + 1 == 6
        assert all(frame.t == frame.taken_t for frame in frames)
    else:
        assert last + 1 == len(frames)
        assert frames[0].t == 0


def test_frames_are_memory_of_their_own(source: Source) -> None:
    with source:
        frames = list(frames_until_lost(source))
    for one, other in itertools.combinations(frames, 2):
        assert not np.shares_memory(one.image, other.image)


def test_close_ends_an_iteration_in_progress_and_may_be_repeated(source: Source) -> None:
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    assert list(source) == []


def test_leaving_an_iteration_early_leaves_no_thread_behind(source: Source) -> None:
    before = set(threading.enumerate())
    with source:
        for _ in source:
            break
    assert set(threading.enumerate()) <= before


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(np.full((4, 6), 77, np.uint8), 77, id="grey"),
        pytest.param(np.full((4, 6), 77 * 256 + 5, np.uint16), 77, id="16 bit grey"),
        pytest.param(np.full((4, 6, 3), 77 * 256 + 5, np.uint16), 77, id="16 bit colour"),
        pytest.param(np.dstack([np.full((4, 6, 3), 77, np.uint8), np.zeros((4, 6), np.uint8)]), 77, id="alpha"),
        pytest.param(np.full((1, 1, 3), 77, np.uint8), 77, id="1x1"),
        pytest.param(np.full((3, 20000, 3), 77, np.uint8), 77, id="20000x3"),
    ],
)
def test_any_picture_becomes_8_bit_bgr(tmp_path: Path, image: NDArray[Any], expected: int) -> None:
    (frame,) = frames_of(write_picture(tmp_path / "a.png", image))
    assert frame.image.shape == (*image.shape[:2], 3)
    assert frame.image.dtype == np.uint8
    assert (frame.image == expected).all()
    assert (frame.layout, frame.name, frame.t, frame.seq) == ("bgr", "a.png", 0.0, 0)


def test_a_colour_picture_is_bgr(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 0] = 200
    (frame,) = frames_of(write_picture(tmp_path / "blue.png", image))
    assert frame.image[0, 0].tolist() == [200, 0, 0]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    """Orientation 6: the stored picture must be turned a quarter clockwise, so its left edge becomes its top."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, :16] = 255
    good, data = cv2.imencode(".jpg", stored)
    assert good
    tiff = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, 6) + struct.pack("<I", 0)
    exif = b"Exif\0\0" + tiff
    jpeg = data.tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    (frame,) = frames_of(path)
    assert frame.size_wh == (16, 32)
    assert frame.image[4].mean() > 250
    assert frame.image[-4].mean() < 5


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "is empty, zero bytes", id="zero bytes"),
        pytest.param(b"hello, this is not a picture", "no picture that OpenCV can read", id="text"),
        pytest.param(png_header(40000, 40000), "too large for OpenCV", id="too many pixels"),
    ],
)
def test_a_picture_that_cannot_be_read_is_one_line(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(SourceError) as caught:
        frames_of(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_picture_cut_in_half_never_raises_anything_else(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for suffix in (".jpg", ".png", ".bmp", ".webp", ".tif", ".ppm"):
        path = write_picture(tmp_path / f"cut{suffix}", noise)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with contextlib.suppress(SourceError):
            assert [frame.size_wh for frame in frames_of(path)] == [(40, 40)]


def test_a_looped_picture_comes_again_with_time_and_number_rising(tmp_path: Path) -> None:
    with opened(write_picture(tmp_path / "a.png"), loop=True, fps=10) as source:
        assert source.total is None
        frames = [frame for frame, _ in zip(source, range(4), strict=False)]
    assert [frame.seq for frame in frames] == [0, 1, 2, 3]
    assert [frame.t for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])


# ------------------------------------------------------------------------------------------------ folders


def test_a_folder_is_read_in_natural_order_and_only_its_pictures(tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "IMG1.PNG", "b.jpg"):
        write_picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "sub.png").mkdir()
    frames = frames_of(tmp_path, fps=4)
    assert [frame.name for frame in frames] == ["b.jpg", "IMG1.PNG", "img2.png", "img10.png"]
    assert [frame.t for frame in frames] == [0, 0.25, 0.5, 0.75]


def test_natural_order_survives_names_of_any_shape() -> None:
    assert sorted(["10", "9", "a", "a1b2", "a1b10", ""], key=natural) == ["", "9", "10", "a", "a1b2", "a1b10"]


def test_an_unreadable_picture_in_a_folder_is_counted_told_once_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"")
    write_picture(tmp_path / "3.png")
    with opened(tmp_path, loop=True, fps=10) as source:
        frames = [frame for frame, _ in zip(source, range(6), strict=False)]
        assert source.counts["unreadable"] >= 2
    assert [frame.name for frame in frames] == ["1.png", "3.png"] * 3
    assert [frame.t for frame in frames] == pytest.approx([0, 0.2, 0.3, 0.5, 0.6, 0.8])
    assert [record.message for record in caplog.records] == [f"{tmp_path / '2.png'}: is empty, zero bytes; skipped"]


def test_a_folder_with_no_picture_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ConfigError, match="no picture in this folder"):
        opened(tmp_path)


@pytest.mark.parametrize("loop", [False, True])
def test_a_folder_whose_pictures_are_all_unreadable_is_a_source_error(tmp_path: Path, loop: bool) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(SourceError, match="none of its 1 pictures can be read"):
        frames_of(tmp_path, loop=loop)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_folder_read_as_a_file_names_the_right_kind(tmp_path: Path, kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"is a folder; source\.kind folder"):
        opened(tmp_path, kind=kind)


# ------------------------------------------------------------------------------------------------ videos


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_a_video_gives_every_frame_at_its_time(tmp_path: Path, suffix: str) -> None:
    frames = frames_of(write_video(tmp_path / f"clip{suffix}", count=20, fps=25))
    assert [which(frame) for frame in frames] == list(range(20))
    assert [frame.t for frame in frames] == pytest.approx([index / 25 for index in range(20)], abs=1e-3)
    assert {frame.name for frame in frames} == {f"clip{suffix}"}


@pytest.mark.parametrize(
    ("stamps_ms", "times"),
    [
        pytest.param([0, 40, 300, 340], [0, 0.04, 0.3, 0.34], id="variable rate"),
        pytest.param([0, 40, 300, 200], [0, 0.04, 0.3, 0.3], id="backwards"),
        pytest.param([0, 0, 0, 0], [0, 0.04, 0.08, 0.12], id="none"),
    ],
)
def test_a_videos_time_is_that_of_its_stamps_as_far_as_they_make_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamps_ms: list[float], times: list[float]
) -> None:
    stamps = iter(stamps_ms)
    capture = plugged_in(monkeypatch, [plain(0)] * 4)
    monkeypatch.setattr(capture, "get", lambda _, prop: next(stamps) if prop == cv2.CAP_PROP_POS_MSEC else 0.0)
    (tmp_path / "clip.mkv").write_bytes(b"x")
    assert [frame.t for frame in frames_of(tmp_path / "clip.mkv", fps=25)] == pytest.approx(times)


def test_a_looped_video_goes_on_counting(tmp_path: Path) -> None:
    with opened(write_video(tmp_path / "clip.avi", count=3, fps=10), loop=True) as source:
        frames = [frame for frame, _ in zip(source, range(7), strict=False)]
    assert [which(frame) for frame in frames] == [0, 1, 2, 0, 1, 2, 0]
    assert [frame.seq for frame in frames] == list(range(7))
    assert [frame.t for frame in frames] == pytest.approx([index / 10 for index in range(7)], abs=1e-3)


def test_a_video_may_be_read_twice(tmp_path: Path) -> None:
    with opened(write_video(tmp_path / "clip.avi", count=3)) as source:
        assert [which(frame) for frame in source] == [0, 1, 2]
        assert [which(frame) for frame in source] == [0, 1, 2]


def test_a_video_cut_short_gives_what_it_has_and_says_where_it_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "cut.avi", count=60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with opened(path) as source:
        frames = list(source)
    assert 10 < len(frames) < 50
    assert [which(frame) for frame in frames[:20]] == list(range(20))[: len(frames)]
    assert source.counts["unreadable"] == 60 - len(frames)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"cut.avi: ended at frame {len(frames)} (" in record.message
    assert "of the 60 its header promises" in record.message


def test_a_video_damaged_in_its_middle_goes_on_behind_the_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "hole.avi", count=25)
    data = bytearray(path.read_bytes())
    start = [match.end() for match in re.finditer(b"00dc", data)][12]
    data[start + 4 : start + 200] = bytes(196)
    path.write_bytes(data)
    frames = frames_of(path)
    assert len(frames) < 25
    assert which(frames[0]) == 0
    assert which(frames[-1]) == 24
    assert all(earlier.t <= later.t for earlier, later in itertools.pairwise(frames))


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        pytest.param("empty.mp4", b"", "is empty, zero bytes", id="zero bytes"),
        pytest.param("noise.mp4", bytes(range(256)) * 40, "no video that OpenCV can read", id="noise"),
        pytest.param("README.md", b"# a text\n" * 100, "no video that OpenCV can read", id="markdown"),
        pytest.param("notes.txt", b"hello\n" * 1000, "is a text", id="text"),
    ],
)
def test_what_is_no_video_is_a_source_error(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        frames_of(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert says in str(caught.value)


def test_an_mp4_without_its_index_is_a_source_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.mp4")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(SourceError, match="damaged from its start"):
        frames_of(path)


def test_a_damaged_video_keeps_the_terminal_quiet(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.avi", count=60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    program = (
        "import sys; from edgepose.core import config; from edgepose.source import open_source\n"
        "with open_source(config.Source(uri=sys.argv[1])) as source: print(len(list(source)))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 10
    assert [line for line in done.stderr.splitlines() if "header promises" not in line] == []


def test_only_pictures_have_nothing_to_do_with_each_other(source: Source) -> None:
    """People are followed through everything else."""
    with source:
        assert source.still == (type(source).__name__ in ("ImageSource", "FolderSource"))


def test_a_real_recording_is_read_in_full() -> None:
    with opened(shared("data/video/three_dancers.avi")) as source:
        assert source.total == 393
        frames = list(source)
    assert len(frames) == 393
    assert frames[0].size_wh == (384, 288)
    assert frames[-1].t == pytest.approx(39.2)


# ------------------------------------------------------------------------------------------------ lists and the import


def test_a_list_hands_out_its_frames_and_wraps_bare_pictures() -> None:
    ready = Frame(plain(5), "rgb", 7.0, 8.0, 9, "mine")
    frames = list(ListSource([ready, plain(6), np.zeros((2, 3), np.uint8)], fps=10))
    assert frames[0] is ready
    assert (frames[1].layout, frames[1].t, frames[1].seq) == ("bgr", 0.1, 1)
    assert (frames[2].layout, frames[2].size_wh) == ("gray", (3, 2))


def test_a_list_that_plays_live_stamps_frames_when_they_are_taken() -> None:
    source = ListSource([plain(0)], live=True)
    (frame,) = source
    assert source.live
    assert frame.t == frame.taken_t > 0


@pytest.mark.parametrize("wrong", [np.zeros((2, 2, 3), np.float32), np.zeros(5, np.uint8)])
def test_a_list_refuses_what_is_no_picture(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"frames\[0\] is .*, expected uint8"):
        ListSource([wrong])


def test_importing_the_sources_loads_no_camera_stack() -> None:
    program = "import sys, edgepose.source; print([name for name in ('cv2', 'picamera2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

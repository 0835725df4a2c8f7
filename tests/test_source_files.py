"""What a file is goes by its content; whatever it is called, it is read, or told by name what it is instead."""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Frame, Layout
from edgepose.sink.draw import bgr
from edgepose.source import kind_of, open_source
from edgepose.source.header import SIZES, picture_kind, picture_size
from edgepose.source.picture import MOST_BYTES, read_picture
from edgepose.source.turn import turned

Image = NDArray[np.uint8]
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200
ODD_NAMES = {
    "a time": "2024-05-01T10:30:05",
    "no text": os.fsdecode(b"caf\xe9"),
    "a protocol": "file:x",
    "percent": "50%d",
    "brackets": "a[1]*",
    "digits": "20240501",
}


def frames_of(uri: object, **settings: Any) -> list[Frame]:
    with open_source(config.Source(uri=str(uri), **settings)) as source:
        return list(source)


def encoded(suffix: str, image: NDArray[Any] | None = None) -> bytes:
    done, data = cv2.imencode(suffix, np.full((33, 70, 3), 90, np.uint8) if image is None else image)
    assert done
    return data.tobytes()


def gif(frames: int) -> bytes:
    """2x1 pixels, black and white, in so many frames."""
    picture = b"\x21\xf9\x04\0\x0a\0\0\0" + b"\x2c\0\0\0\0\x02\0\x01\0\0" + b"\x02\x02\x44\x0a\0"
    return b"GIF89a" + struct.pack("<HHBBB", 2, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + picture * frames + b"\x3b"


READS_GIF = cv2.imdecode(np.frombuffer(gif(1), np.uint8), cv2.IMREAD_COLOR) is not None
"""Whether this OpenCV does: 4.11 and before do not."""


def on_its_side(suffix: str = ".jpg") -> bytes:
    """80x60, its left half white, with EXIF orientation 6: to be turned a quarter clockwise."""
    stored = np.zeros((60, 80, 3), np.uint8)
    stored[:, :40] = 255
    tiff = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, 6) + struct.pack("<I", 0)
    exif = b"Exif\0\0" + tiff
    jpeg = encoded(suffix, stored)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def write_video(path: Path, count: int = 5) -> Path:
    made = path.with_name("made.avi")
    writer = cv2.VideoWriter(str(made), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for index in range(count):
        writer.write(np.full((48, 64, 3), 10 * index, np.uint8))
    writer.release()
    return made.rename(path)


# ------------------------------------------------------------------------------------------------ by its content


@pytest.mark.parametrize("name", ["side.jpg", "side.jfif", "side", "side.mp4", "side.txt", "SIDE.PNG"])
def test_a_photograph_is_read_upright_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(on_its_side())

    assert kind_of(str(tmp_path / name)) == "image"
    (frame,) = frames_of(tmp_path / name)
    assert frame.size_wh == (60, 80)
    assert frame.image[10].mean() > 250
    assert frame.image[-10].mean() < 5


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".jp2", ".ppm", ".pgm", ".ras", ".hdr"])
def test_kind_and_size_are_told_by_the_first_bytes(suffix: str) -> None:
    image: NDArray[Any] = np.full((33, 70, 3), 90, np.uint8)
    image = image.astype(np.float32) if suffix == ".hdr" else image[..., 0] if suffix == ".pgm" else image
    data = encoded(suffix, image)

    assert picture_kind(data) in SIZES
    assert picture_size(data) == (70, 33)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (HEIC, "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", ""),
        (b"\xff\x0a" + b"\0" * 20, "JPEG XL"),
        (gif(1), "GIF"),
        (gif(2), "animated GIF"),
        (b"<?xml version='1.0'?>\n<svg>", "SVG"),
        (b"hello", ""),
        (b"", ""),
        (b"P3 of the report is missing", ""),
    ],
)
def test_what_is_no_common_photograph_is_known_too(data: bytes, kind: str) -> None:
    assert picture_kind(data) == kind


def test_a_gif_is_a_picture_unless_it_moves(tmp_path: Path) -> None:
    (tmp_path / "still").write_bytes(gif(1))
    (tmp_path / "moving").write_bytes(gif(3))

    assert (kind_of(str(tmp_path / "still")), kind_of(str(tmp_path / "moving"))) == ("image", "video")
    if READS_GIF:
        (frame,) = frames_of(tmp_path / "still")
        assert frame.size_wh == (2, 1)
    else:
        with pytest.raises(SourceError, match="GIF picture, which OpenCV"):
            frames_of(tmp_path / "still")
    assert len(frames_of(tmp_path / "moving")) == 3


@pytest.mark.parametrize("name", ["photo.heic", "photo.jpg", "photo"])
def test_a_heic_is_told_to_be_one_and_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HEIC)

    with pytest.raises(SourceError, match=rf"{name}: is a HEIC picture, .*; convert it to JPEG"):
        frames_of(tmp_path / name)


def test_a_folder_reads_pictures_of_any_name_and_tells_by_name_what_it_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, data in {
        "1.jpg": on_its_side(), "2.jfif": on_its_side(), "3": on_its_side(), "4.gif": gif(1), "5.heic": HEIC,
        "6.mp4": HEIC, "7.cr3": b"x", "notes.txt": b"x", "walk.mp4": b"x", ".hidden": b"x",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    with caplog.at_level(logging.INFO), open_source(config.Source(uri=str(tmp_path))) as source:
        frames = list(source)

    assert [frame.name for frame in frames] == [*["1.jpg", "2.jfif", "3"], *["4.gif"] * READS_GIF]
    assert source.counts["unreadable"] == (3 if READS_GIF else 4)
    told = {record.levelname: record.message for record in caplog.records if "left out" in record.message}
    assert told["WARNING"].endswith("left out, as OpenCV does not read them: 5.heic, 6.mp4, 7.cr3")
    assert told["INFO"].endswith("left out, as they are no pictures: notes.txt, pipe.jpg, sub, walk.mp4")


def test_a_folder_of_nothing_but_others_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "photo.heic").write_bytes(HEIC)

    with pytest.raises(ConfigError, match=r"no picture in this folder; .*; it holds photo\.heic"):
        frames_of(tmp_path)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_few_bits_in_a_16_bit_picture_are_not_black(tmp_path: Path, bits: int) -> None:
    image = np.full((4, 6, 3), (1 << bits) - 1, np.uint16)
    image[:, :3] = (1 << bits) // 4
    cv2.imwrite(str(tmp_path / "a.png"), image)

    (frame,) = frames_of(tmp_path / "a.png")
    assert frame.image[0, 5].tolist() == [255] * 3
    assert frame.image[0, 0].tolist() == [64] * 3


def test_a_dark_8_bit_picture_stays_dark(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6, 3), 7, np.uint8))

    (frame,) = frames_of(tmp_path / "a.png")
    assert (frame.image == 7).all()


# ------------------------------------------------------------------------------------------------ what fills memory


def test_a_picture_that_claims_to_be_huge_is_not_decoded(tmp_path: Path) -> None:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 1, 0, 0, 0, 0))
    rows = zlib.compress(b"\0" * (30000 * 3751))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))

    with pytest.raises(SourceError, match=r"is 30000x30000, 900 megapixels; at most 200 are decoded: scale it down"):
        frames_of(tmp_path / "bomb.png")


def test_a_sparse_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(MOST_BYTES + 1)

    with pytest.raises(SourceError, match="has 256 MiB, more than any picture"):
        frames_of(tmp_path / "sparse.jpg")


@pytest.mark.parametrize("name", ["pipe.jpg", "pipe.mp4", "pipe"])
def test_a_pipe_is_told_to_be_one_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    with pytest.raises(SourceError, match=f"{name}: is a pipe"):
        frames_of(tmp_path / name)


def test_a_folder_that_becomes_a_pipe_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(on_its_side())
    source = open_source(config.Source(uri=str(tmp_path)))
    (tmp_path / "a.jpg").unlink()
    os.mkfifo(tmp_path / "a.jpg")

    with source, pytest.raises(SourceError, match="none of its 1 pictures"):
        list(source)


# ------------------------------------------------------------------------------------------------ by any name


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_a_video_and_a_picture_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path() if relative else tmp_path
    write_video(tmp_path / f"{name}.avi")
    (tmp_path / f"{name}.jpg").write_bytes(on_its_side())

    frames = frames_of(folder / f"{name}.avi", loop=False)

    assert [round(float(frame.image.mean()) / 10) for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.name for frame in frames} == {f"{name}.avi"}
    (frame,) = frames_of(folder / f"{name}.jpg")
    assert frame.name == f"{name}.jpg"


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_a_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.jpg").write_bytes(on_its_side())

    assert kind_of(name) == "folder"
    assert len(frames_of(name)) == 1


def test_a_camera_goes_before_a_file_of_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").mkdir()
    lexists = os.path.lexists
    monkeypatch.setattr("os.path.lexists", lambda path: str(path) == "/dev/video7" or lexists(path))

    assert kind_of("7") == "v4l2"


def test_an_address_that_is_no_text_is_a_wrong_setting_not_a_crash() -> None:
    with pytest.raises(ConfigError, match=r"source\.uri is rtsp://caf\?: not UTF-8 text"):
        open_source(config.Source(uri=os.fsdecode(b"rtsp://caf\xe9")))


# ------------------------------------------------------------------------------------------------ several


def test_a_pattern_stands_for_its_pictures_in_natural_order(tmp_path: Path) -> None:
    for name in ("img10.jpg", "img2.jpg", "other.png"):
        (tmp_path / name).write_bytes(on_its_side())

    frames = frames_of(tmp_path / "img*.jpg", fps=4)

    assert [frame.name for frame in frames] == ["img2.jpg", "img10.jpg"]
    assert [frame.t for frame in frames] == [0, 0.25]


def test_several_pictures_are_read_in_the_order_they_are_given(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(on_its_side())

    frames = frames_of(tmp_path / "b.jpg", also=(str(tmp_path / "a.jpg"), str(tmp_path / "c*")))

    assert [frame.name for frame in frames] == ["b.jpg", "a.jpg", "c.jpg"]


def test_several_videos_are_told_to_be_given_alone(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(on_its_side())
    write_video(tmp_path / "walk.avi")

    with pytest.raises(ConfigError, match=r"walk\.avi: is no picture, .*; give it alone"):
        frames_of(tmp_path / "b.jpg", also=(str(tmp_path / "walk.avi"),))


# ------------------------------------------------------------------------------------------------ turned


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("http://nas/clip.mp4", "video"),
        ("https://nas/a/Clip.MOV?x=1#t", "video"),
        ("http://cam/mjpg", "stream"),
        ("http://cam/live.m3u8", "stream"),
        ("http://cam/x?file=a.mp4", "stream"),
        ("rtsp://cam/clip.mp4", "stream"),
    ],
)
def test_a_file_at_a_web_address_is_a_video_not_a_camera(uri: str, kind: str) -> None:
    assert kind_of(uri) == kind


CORNERS = np.zeros((4, 6, 3), np.uint8)
CORNERS[:2, :2], CORNERS[:2, -2:], CORNERS[-2:, :2], CORNERS[-2:, -2:] = 40, 90, 140, 190


def corners(image: NDArray[Any]) -> list[int]:
    """Top left, top right, bottom left, bottom right."""
    return [round(float(image[y, x].mean())) for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1))]


TURNS = {
    "as it is": (0, False, [40, 90, 140, 190]),
    "a quarter clockwise": (90, False, [140, 40, 190, 90]),
    "upside down": (180, False, [190, 140, 90, 40]),
    "a quarter back": (270, False, [90, 190, 40, 140]),
    "mirrored": (0, True, [90, 40, 190, 140]),
    "a quarter clockwise, then mirrored": (90, True, [40, 140, 90, 190]),
}


def laid_out(image: Image, layout: Layout) -> Image:
    """A grey picture in any layout."""
    if layout in ("bgr", "rgb"):
        return image
    planar = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
    height, width = image.shape[:2]
    if layout == "gray":
        return image[..., 0].copy()
    if layout == "i420":
        return planar
    chroma = planar[height:].reshape(2, -1)
    return np.concatenate((planar[:height], np.stack((chroma[0], chroma[1]), 1).reshape(-1, width)))


@pytest.mark.parametrize(("rotate", "mirror", "expected"), TURNS.values(), ids=TURNS)
@pytest.mark.parametrize("layout", ["bgr", "rgb", "gray", "i420", "nv12"])
def test_a_frame_of_any_layout_is_turned(layout: Layout, rotate: int, mirror: bool, expected: list[int]) -> None:
    image = turned(laid_out(CORNERS, layout), layout, rotate, mirror=mirror)

    frame = Frame(image, layout, 0.0, 0.0, 0)
    assert frame.size_wh == ((4, 6) if rotate % 180 else (6, 4))
    assert image.flags.c_contiguous
    assert corners(bgr(frame)) == pytest.approx(expected, abs=3)


def test_the_colours_of_a_yuv_frame_turn_with_it() -> None:
    """Left half red, right half blue: after a quarter clockwise red is on top."""
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, :6], image[:, 6:] = (0, 0, 255), (255, 0, 0)
    for layout in ("i420", "nv12"):
        found = bgr(Frame(turned(laid_out(image, layout), layout, 90, mirror=False), layout, 0.0, 0.0, 0))
        assert found.shape == (12, 8, 3)
        assert np.abs(found[1, 4].astype(int) - (0, 0, 255)).max() < 6
        assert np.abs(found[-2, 4].astype(int) - (255, 0, 0)).max() < 6


def test_a_turned_picture_is_turned_after_its_exif_orientation(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(on_its_side())

    (frame,) = frames_of(tmp_path / "a.jpg", rotate=180)

    assert frame.size_wh == (60, 80)
    assert frame.image[10].mean() < 5


def test_a_picture_is_read_as_it_is_stored_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(on_its_side())

    assert read_picture(tmp_path / "a.jpg", upright=False).shape == (60, 80, 3)


# ------------------------------------------------------------------------------------------------ a whole command


def edgepose(*words: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "edgepose", *words, "--model", "movenet_lightning_192"],
        cwd=cwd, capture_output=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip


def test_a_video_and_its_overlay_of_a_name_that_is_no_text_run_to_their_end(tmp_path: Path) -> None:
    write_video(tmp_path / ODD_NAMES["no text"])
    done = edgepose(
        "run", "--source", ODD_NAMES["no text"], "--overlay", os.fsdecode(b"o\xe9.mp4"), "--jsonl", "-", cwd=tmp_path
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b'"source":"caf?"') == 5
    assert (tmp_path / os.fsdecode(b"o\xe9.mp4")).stat().st_size > 1000


@pytest.mark.parametrize("flag", ["--overlay", "--jsonl", "--record"])
def test_a_run_never_writes_over_its_source(tmp_path: Path, flag: str) -> None:
    source = write_video(tmp_path / "clip.avi")
    before = source.read_bytes()

    done = edgepose("run", "--source", "clip.avi", flag, "./clip.avi", cwd=tmp_path)

    assert done.returncode == 78
    assert b"is the same as source.uri" in done.stderr
    assert source.read_bytes() == before


def test_a_run_of_a_pipe_ends_by_itself(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")

    done = edgepose("run", "--source", "a.jpg", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"a.jpg: is a pipe" in done.stderr

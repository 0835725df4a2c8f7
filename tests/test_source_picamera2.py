"""The Raspberry Pi camera, against a fake that is itself checked against the real package's signatures."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Frame
from edgepose.source import Source, open_source, yuv
from tests.helpers import fake_picamera2
from tests.helpers.fake_picamera2 import Hardware
from tests.helpers.picamera2_signatures import FILES, RELEASES, Signatures, signatures_in, signatures_of

RECORDED: Signatures = json.loads((Path(__file__).parent / "golden" / "picamera2_signatures.json").read_text())
"""Of picamera2 0.3.38; tests/helpers/picamera2_signatures.py says how to record them anew."""

COLOURS_BGR = ((40, 60, 200), (200, 90, 30), (60, 180, 70), (128, 128, 128))
"""Of the four quarters of the test picture."""


def quarters(size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """A bgr picture whose quarters have COLOURS_BGR; they meet between two cells of chroma."""
    width, height = size_wh
    image = np.zeros((height, width, 3), np.uint8)
    for index, colour in enumerate(COLOURS_BGR):
        down, right = divmod(index, 2)
        image[down * (height // 4 * 2) :, right * (width // 4 * 2) :] = colour
    return image


def as_i420(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)


def as_nv12(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """I420 with U and V interleaved in rows as long as those of Y."""
    planar = as_i420(bgr)
    height, width = bgr.shape[:2]
    chroma = planar[height:].reshape(2, -1)
    return np.concatenate([planar[:height], chroma.T.reshape(height // 2, width)])


TO_BGR = {"i420": cv2.COLOR_YUV2BGR_I420, "nv12": cv2.COLOR_YUV2BGR_NV12}


def assert_quarters(frame: Frame) -> None:
    """The picture shows its four colours, to the loss of the YUV conversion."""
    bgr = cv2.cvtColor(frame.image, TO_BGR[frame.layout]) if frame.layout in TO_BGR else frame.image
    assert np.abs(bgr.astype(int) - quarters(frame.size_wh)).max() <= 6
    assert frame.image.flags.c_contiguous


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hardware]:
    """One camera, reached through the fake package."""
    fresh = Hardware()
    monkeypatch.setattr(fake_picamera2, "hardware", fresh)
    monkeypatch.setitem(sys.modules, "picamera2", fake_picamera2)
    yield fresh
    deadline = time.monotonic() + 20
    while fresh.opened != fresh.closed:
        assert time.monotonic() < deadline, "a camera was not given back"
        time.sleep(0.01)
    assert fresh.outstanding == 0


def pi_camera(uri: str = "picamera2", **changed: Any) -> Source:
    return open_source(
        config.Source(**{"uri": uri, "size_wh": (320, 240), "reconnect": False, "stall_s": 0.1, **changed})
    )


def first_frame(**changed: Any) -> Frame:
    with pi_camera(**changed) as source:
        return next(iter(source))


# ------------------------------------------------------------------------------------------------ the fake is true


def test_the_fake_has_the_signatures_of_the_real_package() -> None:
    classes = tuple(name for names in FILES.values() for name in names)
    fake = signatures_in(Path(fake_picamera2.__file__).read_text(), classes)
    assert "Picamera2.captured_request" in fake
    assert {name: RECORDED.get(name) for name in fake} == fake


def real_packages() -> dict[str, Path]:
    """Release -> folder of a real picamera2's source: those in $EDGEPOSE_PICAMERA2, and what is installed."""
    there = {version: Path(os.environ.get("EDGEPOSE_PICAMERA2", ".")) / version / "picamera2" for version in RELEASES}
    found = {version: path for version, path in there.items() if "EDGEPOSE_PICAMERA2" in os.environ}
    spec = importlib.util.find_spec("picamera2")
    if spec is not None and spec.origin is not None:
        found["installed"] = Path(spec.origin).parent
    return found


@pytest.mark.parametrize("release", [*RELEASES, "installed"])
def test_the_recorded_signatures_are_those_of_the_real_package(release: str) -> None:
    package = real_packages().get(release)
    if package is None:
        pytest.skip(f"picamera2 {release} is not at hand; ./tools/test fetches the source of the releases")
    fake = signatures_in(Path(fake_picamera2.__file__).read_text(), ("Picamera2", "MappedArray", "CompletedRequest"))
    real = signatures_of(package)
    assert {name: real.get(name) for name in fake} == {name: RECORDED[name] for name in fake}


def test_the_oldest_release_looked_at_is_the_oldest_that_pip_may_take() -> None:
    told = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"picamera2>={RELEASES[0]}"' in told


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize(
    "size_wh",
    [
        pytest.param((320, 240), id="no padding"),
        pytest.param((192, 192), id="no padding square"),
        pytest.param((300, 200), id="padding"),
        pytest.param((258, 194), id="odd number of chroma rows"),
        pytest.param((34, 18), id="more padding than picture"),
    ],
)
@pytest.mark.parametrize("form", ["YUV420", "NV12"])
def test_a_padded_yuv_stream_becomes_a_frame_without_padding(
    hardware: Hardware, size_wh: tuple[int, int], form: str
) -> None:
    hardware.formats = (form,)
    image = {"YUV420": as_i420, "NV12": as_nv12}[form](quarters(size_wh))
    hardware.frames = [image.copy()]
    frame = first_frame(size_wh=size_wh)
    assert frame.layout == {"YUV420": "i420", "NV12": "nv12"}[form]
    assert frame.size_wh == size_wh
    assert (frame.image == image).all()
    assert_quarters(frame)


@given(
    width=st.integers(1, 40).map(lambda half: 2 * half),
    height=st.integers(1, 20).map(lambda half: 2 * half),
    padding=st.integers(0, 20).map(lambda half: 2 * half),
    data=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_i420_is_unpadded_for_any_size_and_stride(width: int, height: int, padding: int, data: Any) -> None:
    image = np.frombuffer(data.randbytes(width * height * 3 // 2), np.uint8).reshape(height * 3 // 2, width)
    buffer = fake_picamera2._padded(image, "YUV420", width + padding)
    unpadded = yuv.i420(buffer, (width, height))
    assert (unpadded == image).all()
    assert not np.shares_memory(unpadded, buffer)


def test_rgb888_of_the_main_stream_is_bgr_and_the_last_resort(hardware: Hardware) -> None:
    """libcamera names formats by their bytes from the last to the first."""
    hardware.formats, hardware.streams = ("RGB888",), ("main",)
    hardware.frames = [quarters((100, 60))]
    frame = first_frame(size_wh=(100, 60))
    assert frame.layout == "bgr"
    assert_quarters(frame)


@pytest.mark.parametrize(
    ("streams", "formats", "stream", "form"),
    [
        (("main", "lores"), ("YUV420", "NV12"), "lores", "YUV420"),
        (("main", "lores"), ("NV12",), "lores", "NV12"),
        (("main",), ("YUV420", "NV12"), "main", "YUV420"),
        (("main",), ("NV12",), "main", "NV12"),
    ],
)
def test_the_best_stream_that_the_camera_has_is_taken(
    hardware: Hardware, streams: tuple[str, ...], formats: tuple[str, ...], stream: str, form: str
) -> None:
    hardware.streams, hardware.formats = streams, formats
    hardware.frames = [{"YUV420": as_i420, "NV12": as_nv12}[form](quarters((320, 240)))]
    assert_quarters(first_frame())
    (configured,) = hardware.configured
    assert configured[stream]["format"] == form
    assert (configured["lores"] is None) == (stream == "main")


def test_the_camera_is_configured_for_the_newest_frame_at_the_rate_asked_for(hardware: Hardware) -> None:
    hardware.frames = [as_i420(quarters((320, 240)))]
    first_frame(fps=25)
    (configured,) = hardware.configured
    assert configured["lores"]["size"] == configured["main"]["size"] == (320, 240)
    assert configured["queue"] is False
    assert configured["buffer_count"] == 4
    assert configured["display"] is configured["encode"] is None
    assert configured["controls"] == {"FrameDurationLimits": (40000, 40000)}


def test_a_camera_without_a_rate_control_is_not_asked_for_one(hardware: Hardware) -> None:
    hardware.controls = ()
    hardware.frames = [as_i420(quarters((320, 240)))]
    first_frame()
    assert hardware.configured[0]["controls"] == {}


def test_an_odd_size_is_rounded_down_to_an_even_one(hardware: Hardware) -> None:
    hardware.frames = [as_i420(quarters((100, 60)))]
    assert first_frame(size_wh=(101, 61)).size_wh == (100, 60)


# ------------------------------------------------------------------------------------------------ time


def test_the_capture_time_is_the_sensors(hardware: Hardware) -> None:
    hardware.age_s = 2.0
    hardware.frames = [as_i420(quarters((320, 240)))]
    before = time.monotonic()
    frame = first_frame()
    assert before - 2 <= frame.t == frame.taken_t <= time.monotonic() - 2


@pytest.mark.parametrize(("age_s", "stamped"), [(-3.0, True), (100.0, True), (0.0, False)])
def test_a_sensor_time_of_another_clock_or_none_becomes_the_time_of_arrival(
    hardware: Hardware, age_s: float, stamped: bool
) -> None:
    hardware.age_s, hardware.stamped = age_s, stamped
    hardware.frames = [as_i420(quarters((320, 240)))]
    before = time.monotonic()
    assert before <= first_frame().t <= time.monotonic()


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_without_picamera2_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(ConfigError, match=r"sudo apt install python3-picamera2.*--system-site-packages"):
        pi_camera()


@pytest.mark.parametrize("uri", ["picamera2:", "picamera2:1"])
def test_a_number_chooses_the_camera(hardware: Hardware, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hardware.cameras = 2
    hardware.frames = [as_i420(quarters((320, 240)))]
    opened: list[int] = []
    real: Any = fake_picamera2.Picamera2

    def recorded(camera_num: int) -> Any:
        opened.append(camera_num)
        return real(camera_num)

    recorded.global_camera_info = real.global_camera_info  # type: ignore[attr-defined]
    monkeypatch.setattr(fake_picamera2, "Picamera2", recorded)
    first_frame(uri=uri)
    assert opened == [int(uri.partition(":")[2] or 0)]


@pytest.mark.parametrize("uri", ["picamera2:x", "picamera2:-1"])
def test_a_camera_number_that_is_none_is_a_config_error(hardware: Hardware, uri: str) -> None:
    with pytest.raises(ConfigError, match=f"source.uri is '{uri}', expected picamera2 or picamera2:N"):
        pi_camera(uri)


def test_another_address_read_as_picamera2_is_a_config_error(hardware: Hardware) -> None:
    with pytest.raises(ConfigError, match="expected picamera2 or picamera2:N"):
        pi_camera("/dev/video0", kind="picamera2")


@pytest.mark.parametrize(("cameras", "says"), [(0, "none is connected: check the cable"), (1, "there are 0: imx708")])
def test_a_camera_that_is_not_there_names_those_that_are(hardware: Hardware, cameras: int, says: str) -> None:
    hardware.cameras = cameras
    with pytest.raises(SourceError, match=f"picamera2:1: no such camera; {says}"):
        first_frame(uri="picamera2:1")


def test_a_camera_in_use_is_a_source_error(hardware: Hardware) -> None:
    hardware.busy = True
    with pytest.raises(SourceError, match=r"did not complete.*another program may use the camera"):
        first_frame()


def test_a_camera_with_no_format_we_read_is_a_source_error(hardware: Hardware) -> None:
    hardware.formats = ()
    with pytest.raises(SourceError, match="Invalid camera configuration"):
        first_frame()


def test_a_camera_that_stops_is_reopened(hardware: Hardware) -> None:
    image = as_i420(quarters((320, 240)))
    hardware.frames = [image.copy()]
    with pi_camera(reconnect=True, backoff_max_s=0.5) as source:
        frames = iter(source)
        assert next(frames).seq == 0
        while hardware.opened < 2:
            hardware.frames.append(image.copy())
            frame = next(frames)
        assert_quarters(frame)
    assert source.counts["reconnects"] >= 1

"""A camera that slows down while nothing moves, and is back with the next frame."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepose.core import config
from edgepose.lab.bench.power import camera, pictures
from edgepose.source import open_source
from edgepose.source.live import Grab, LiveSource
from edgepose.source.picamera2 import Picamera2Grabber
from edgepose.source.stream import AddressGrabber
from edgepose.source.v4l2 import V4l2Grabber
from tests.helpers import fake_picamera2
from tests.helpers.fake_capture import plugged_in
from tests.helpers.fake_picamera2 import Hardware

PICTURE = np.zeros((48, 64, 3), np.uint8)


class Clocked:
    """Pictures whenever `tick` is set; counts what was decoded and what was not."""

    def __init__(self, pictures: int) -> None:
        self.left, self.decoded, self.skipped = pictures, 0, 0

    def open(self) -> None:
        pass

    def grab(self) -> Grab | None:
        self.left -= 1
        self.decoded += 1
        return Grab(PICTURE.copy(), "bgr", time.monotonic()) if self.left >= 0 else None

    def skip(self) -> bool:
        self.left -= 1
        self.skipped += 1
        time.sleep(0.001)
        return self.left >= 0

    def close(self) -> None:
        pass


def test_pictures_that_nobody_needs_are_not_decoded_and_the_next_wanted_one_is() -> None:
    camera = Clocked(100_000)
    source = LiveSource(config.Source(uri="0", fps=1000), lambda: camera, "cam")
    source.slow(1.0)
    with source:
        frames: Iterator[object] = iter(source)
        next(frames)
        while not camera.skipped:
            time.sleep(0.001)
        before = camera.decoded
        taken = threading.Thread(target=next, args=(frames,))
        taken.start()
        source.slow(0.0)
        taken.join(20)
        until_t = time.monotonic() + 20
        while camera.decoded == before and time.monotonic() < until_t:
            time.sleep(0.001)
        assert camera.decoded > before


def test_a_rate_that_the_camera_has_anyway_is_no_wish() -> None:
    camera = Clocked(50)
    source = LiveSource(config.Source(uri="0", fps=5, reconnect=False), lambda: camera, "cam")
    source.slow(10.0)
    with source:
        next(iter(source))
    assert camera.skipped == 0


def test_a_v4l2_camera_hands_buffers_back_undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = plugged_in(monkeypatch, [PICTURE, PICTURE])
    monkeypatch.setattr("os.access", lambda *_: True)
    grabber = V4l2Grabber(config.Source(uri="/dev/null"), Path("/dev/null"))
    grabber.open()
    assert [grabber.skip(), grabber.grab() is not None, grabber.skip()] == [True, True, False]
    assert made.made[0].skipped == 2


def test_motion_jpeg_over_http_is_the_same_picture_before_and_after_packets_were_let_go() -> None:
    with camera(pictures("empty")[:1], fps=60) as uri:
        grabber = AddressGrabber(config.Source(uri=uri, stall_s=5))
        grabber.open()
        try:
            before = grabber.grab()
            assert [grabber.skip() for _ in range(3)] == [True] * 3
            after = grabber.grab()
            assert before is not None
            assert after is not None
            assert after.layout == before.layout == "bgr"
            off = np.abs(after.image.astype(int) - before.image.astype(int))
            assert off.mean() < 1  # another decoder, the same picture
        finally:
            grabber.close()


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Hardware:
    fresh = Hardware()
    monkeypatch.setattr(fake_picamera2, "hardware", fresh)
    monkeypatch.setitem(sys.modules, "picamera2", fake_picamera2)
    return fresh


def test_a_raspberry_pi_camera_is_told_the_frame_duration_while_it_runs(hardware: Hardware) -> None:
    grabber = Picamera2Grabber(config.Source(uri="picamera2", fps=25), 0)
    grabber.open()
    grabber.slow(10.0)
    grabber.slow(0.0)
    assert [controls["FrameDurationLimits"] for controls in hardware.set_controls] == [(100_000,) * 2, (40_000,) * 2]


def test_a_raspberry_pi_camera_without_a_rate_control_is_left_alone(hardware: Hardware) -> None:
    hardware.controls = ()
    grabber = Picamera2Grabber(config.Source(uri="picamera2"), 0)
    grabber.open()
    grabber.slow(10.0)
    assert hardware.set_controls == []


def test_the_wish_reaches_the_camera_before_its_next_picture(hardware: Hardware) -> None:
    picture = np.zeros((720, 640), np.uint8)
    hardware.frames = [picture.copy() for _ in range(3)]
    source = open_source(config.Source(uri="picamera2", fps=30, stall_s=0.2, reconnect=False))
    source.slow(5.0)
    with source:
        next(iter(source))
    assert hardware.set_controls[0]["FrameDurationLimits"] == (200_000, 200_000)

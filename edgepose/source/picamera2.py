"""Raspberry Pi cameras: the scaled-down YUV stream of the image processor, stamped by the sensor."""

from __future__ import annotations

import importlib
import logging
import time
from functools import partial
from typing import Any

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Sensed
from edgepose.source.live import Grab, LiveSource, capture_time
from edgepose.source.yuv import LAYOUTS

log = logging.getLogger(__name__)

CHOICES = (("lores", "YUV420"), ("lores", "NV12"), ("main", "YUV420"), ("main", "NV12"), ("main", "RGB888"))
"""Stream and format in order of preference: the first that the camera can be configured to is taken."""

BUFFERS = 4
"""With fewer, frames are lost while one is copied."""


def picamera2_source(cfg: config.Source) -> LiveSource:
    """The camera `picamera2`, or `picamera2:N` for another than the first.

    Raises:
        ConfigError: picamera2 is not installed, or N is not a number.
    """
    _, _, number = cfg.uri.partition(":")
    if (number and not number.isdecimal()) or not cfg.uri.startswith("picamera2"):
        raise ConfigError(f"source.uri is {cfg.uri!r}, expected picamera2 or picamera2:N, N the number of a camera")
    try:
        importlib.import_module("picamera2")
    except ImportError as error:
        raise ConfigError(
            f"source.uri is {cfg.uri!r}, and picamera2 cannot be imported ({error}): "
            "`sudo apt install python3-picamera2`, and make the environment with --system-site-packages"
        ) from None
    return LiveSource(cfg, partial(Picamera2Grabber, cfg, int(number or 0)), cfg.uri)


class Picamera2Grabber:
    """As live.Grabber."""

    def __init__(self, cfg: config.Source, number: int) -> None:
        self._cfg = cfg
        self._number = number
        self._camera: Any = None
        self._stream = ""
        self._format = ""
        self._size_wh = (0, 0)

    def open(self) -> None:
        """As Grabber.open."""
        self._start(self._number)

    def _start(self, number: int) -> None:
        from picamera2 import Picamera2

        found = Picamera2.global_camera_info()
        if number >= len(found):
            there = ", ".join(f"{each['Num']}: {each.get('Model', each['Id'])}" for each in found)
            raise SourceError(
                f"{self._cfg.uri}: no such camera; "
                + (f"there are {there}" if found else "none is connected: check the cable and `rpicam-hello --list`")
            )
        try:
            self._camera = Picamera2(number)
            self._configure()
            self._camera.start()
        except (RuntimeError, OSError) as error:
            raise SourceError(
                f"{self._cfg.uri}: cannot be started: {error}; another program may use the camera"
            ) from None

    def _configure(self) -> None:
        """Take the first of CHOICES that the camera can do; the last error otherwise."""
        size_wh = tuple(length // 2 * 2 for length in self._cfg.size_wh)
        controls = self._at(self._cfg.fps)
        refusal = RuntimeError("it gives no picture format that can be read")
        for stream, form in CHOICES:
            wanted = {"size": size_wh, "format": form}
            streams = {"main": wanted} if stream == "main" else {"main": dict(wanted), "lores": wanted}
            try:
                settings = self._camera.create_video_configuration(
                    **streams, buffer_count=BUFFERS, queue=False, display=None, encode=None, controls=controls
                )
                self._camera.configure(settings)
            except RuntimeError as error:
                refusal = error
                continue
            got = self._camera.camera_configuration()[stream]
            if got["format"] in LAYOUTS:
                self._stream, self._format, self._size_wh = stream, got["format"], tuple(got["size"])
                log.info("%s: gives %s %s of %dx%d", self._cfg.uri, stream, self._format, *self._size_wh)
                return
        raise refusal

    def _at(self, fps: float) -> dict[str, Any]:
        """The controls for a frame rate."""
        duration_us = round(1e6 / fps)
        known = "FrameDurationLimits" in self._camera.camera_controls
        return {"FrameDurationLimits": (duration_us, duration_us)} if known else {}

    def slow(self, fps: float) -> None:
        """As Slowing.slow: the sensor itself runs slower, from the next frame but one."""
        controls = self._at(fps or self._cfg.fps)
        if controls:
            self._camera.set_controls(controls)

    def grab(self) -> Grab | None:
        """As Grabber.grab; the time is when the sensor began to read the frame out."""
        from concurrent import futures

        from picamera2 import MappedArray

        layout, unpadded = LAYOUTS[self._format]
        try:
            with self._camera.captured_request(wait=self._cfg.stall_s) as request:
                metadata = request.get_metadata()
                stamp_ns = metadata.get("SensorTimestamp", 0)
                sensed = self._sensed(request, metadata)
                with MappedArray(request, self._stream, write=False) as mapped:
                    image = unpadded(mapped.array, self._size_wh)
        except (futures.TimeoutError, futures.CancelledError):
            return None
        except (RuntimeError, OSError) as error:
            raise SourceError(f"{self._cfg.uri}: failed: {error}") from None
        return Grab(image, layout, capture_time(stamp_ns / 1e9, time.monotonic()), sensed)

    def _sensed(self, _request: Any, _metadata: dict[str, Any]) -> Sensed | None:
        """What the camera's own network says; an ordinary camera has none."""
        return None

    def close(self) -> None:
        """As Grabber.close."""
        if self._camera is None:
            return
        try:
            self._camera.close()
        except (RuntimeError, OSError) as error:
            log.info("%s: did not close: %s", self._cfg.uri, error)

"""A picamera2 without a camera: the part that a camera source uses, with the real one's signatures and manners.

What it copies from 0.3.38: lores may not exceed main; libcamera pads rows to a stride; the YUV420 array keeps the
padding, the NV12 array is sliced; a request must be released, and its array is dead afterwards; a wait that is a number
raises the time-out of concurrent.futures.
"""
# ruff: noqa: B006, B008  the defaults are the real ones

from __future__ import annotations

import contextlib
import time
from concurrent import futures
from dataclasses import dataclass, field
from types import SimpleNamespace, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

libcamera = SimpleNamespace(Transform=lambda: None)

BYTES_PER_ROW = {"YUV420": 1, "NV12": 1, "RGB888": 3, "BGR888": 3}
"""Format -> bytes of one pixel in a row of its first plane."""


@dataclass
class Hardware:
    """What is plugged in, and everything that was done to it."""

    cameras: int = 1
    align: int = 64
    """Strides are multiples of this."""
    streams: tuple[str, ...] = ("main", "lores")
    formats: tuple[str, ...] = tuple(BYTES_PER_ROW)
    controls: tuple[str, ...] = ("FrameDurationLimits",)
    busy: bool = False
    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    """Unpadded pictures in the format that is asked for; after the last one nothing comes."""
    metadata: list[dict[str, Any]] = field(default_factory=list)
    """What else is said of each frame, as long as there is some."""
    age_s: float = 0.02
    """How long ago the sensor saw a frame when it is fetched."""
    stamped: bool = True
    configured: list[dict[str, Any]] = field(default_factory=list)
    set_controls: list[dict[str, Any]] = field(default_factory=list)
    """Controls changed while it ran."""
    opened: int = 0
    closed: int = 0
    outstanding: int = 0
    """Requests fetched and not released."""


hardware = Hardware()


class Picamera2:
    def __init__(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):  # type: ignore[no-untyped-def]
        if hardware.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        hardware.opened += 1
        self.camera_num = camera_num
        self.started = False
        self.camera_config: dict[str, Any] = {}

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [{"Model": f"imx{708 + num}", "Id": f"/base/i2c/{num}", "Num": num} for num in range(hardware.cameras)]

    @property
    def camera_controls(self) -> dict[str, tuple[Any, Any, Any]]:
        return dict.fromkeys(hardware.controls, (1, 10**9, None))

    def create_video_configuration(  # type: ignore[no-untyped-def]
        self,
        main={},
        lores=None,
        raw={},
        transform=libcamera.Transform(),
        colour_space=None,
        buffer_count=6,
        controls={},
        display="main",
        encode="main",
        queue=True,
        sensor={},
        use_case="video",
    ) -> dict[str, Any]:
        main = {"format": "XBGR8888", "size": (1280, 720), **main}
        lores = None if lores is None else {"format": "YUV420", "size": main["size"], **lores}
        return {
            "main": main, "lores": lores, "buffer_count": buffer_count, "controls": controls,
            "display": display, "encode": encode, "queue": queue,
        }  # fmt: skip

    def configure(self, camera_config=None) -> None:  # type: ignore[no-untyped-def]
        config = {**camera_config}
        for name in ("main", "lores"):
            if config[name] is None:
                continue
            width, height = config[name]["size"]
            form = config[name]["format"]
            if width % 2 or height % 2:
                raise RuntimeError("width and height should be even")
            if name not in hardware.streams or form not in hardware.formats:
                raise RuntimeError(f"Invalid camera configuration: {config}")
            if any(own > full for own, full in zip((width, height), config["main"]["size"], strict=True)):
                raise RuntimeError("lores stream dimensions may not exceed main stream")
            stride = -(-width * BYTES_PER_ROW[form] // hardware.align) * hardware.align
            config[name] = {**config[name], "stride": stride}
        self.camera_config = config
        hardware.configured.append(config)

    def set_controls(self, controls) -> None:  # type: ignore[no-untyped-def]
        assert self.started
        hardware.set_controls.append(dict(controls))

    def camera_configuration(self) -> dict[str, Any]:
        return self.camera_config

    def start(self, config=None, show_preview=False) -> None:  # type: ignore[no-untyped-def]
        if not self.camera_config:
            raise RuntimeError("Camera has not been configured")
        self.started = True

    @contextlib.contextmanager
    def captured_request(self, wait=None, flush=None):  # type: ignore[no-untyped-def]
        request = self.capture_request(wait=wait, flush=flush)  # type: ignore[no-untyped-call]
        try:
            yield request
        finally:
            request.release()

    def capture_request(self, wait=None, signal_function=None, flush=None):  # type: ignore[no-untyped-def]
        assert self.started
        if not hardware.frames:
            time.sleep(wait)
            raise futures.TimeoutError
        hardware.outstanding += 1
        return CompletedRequest(hardware.frames.pop(0), self)

    def close(self) -> None:
        hardware.closed += 1
        self.started = False


class CompletedRequest:
    def __init__(self, request: Any, picam2: Picamera2) -> None:
        self.request = request
        self.picam2 = picam2
        self.config = picam2.camera_config
        self._more = hardware.metadata.pop(0) if hardware.metadata else {}

    def get_metadata(self) -> dict[str, Any]:
        stamp_ns = time.monotonic_ns() - round(hardware.age_s * 1e9)
        return {"ExposureTime": 10000, **self._more, **({"SensorTimestamp": stamp_ns} if hardware.stamped else {})}

    def release(self) -> None:
        hardware.outstanding -= 1
        self.request = None


class MappedArray:
    """The camera's own memory: overwritten with 0xAA as soon as it is let go."""

    def __init__(self, request: CompletedRequest, stream: str, reshape: bool = True, write: bool = True) -> None:
        stream_config = request.config[stream]
        self._array = _padded(request.request, stream_config["format"], stream_config["stride"])
        self._shown = self._array
        if stream_config["format"] != "YUV420":
            self._shown = self._array[:, : stream_config["size"][0]]

    def __enter__(self) -> MappedArray:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, exc_traceback: TracebackType | None
    ) -> None:
        self._array[...] = 0xAA

    @property
    def array(self) -> NDArray[np.uint8]:
        return self._shown


def _padded(image: NDArray[np.uint8], form: str, stride: int) -> NDArray[np.uint8]:
    """The picture in a buffer with a stride, as libcamera fills it; padding is 0xEE."""
    if form == "YUV420":
        rows, width = image.shape
        height = rows * 2 // 3
        buffer = np.full(rows * stride, 0xEE, np.uint8)
        buffer[: height * stride].reshape(height, stride)[:, :width] = image[:height]
        chroma = image[height:].reshape(height, width // 2)  # H / 2 rows of U, then as many of V
        buffer[height * stride :].reshape(height, stride // 2)[:, : width // 2] = chroma
        return buffer.reshape(rows, stride)
    if form == "NV12":
        padded = np.full((image.shape[0], stride), 0xEE, np.uint8)
        padded[:, : image.shape[1]] = image
        return padded
    height, width = image.shape[:2]
    padded = np.full((height, stride // 3 + 1, 3), 0xEE, np.uint8)
    padded[:, :width] = image
    return padded

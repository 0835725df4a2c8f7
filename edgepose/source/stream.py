"""Network cameras, the ribbon cameras of Jetsons, and GStreamer pipelines, through OpenCV."""

from __future__ import annotations

import os
import re
import time
from functools import partial
from typing import TYPE_CHECKING

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Layout
from edgepose.source.detect import CSI, address, masked
from edgepose.source.live import OPEN_S, Grab, Grabber, LiveSource, Skipping

if TYPE_CHECKING:
    import cv2

    from edgepose.source.web import Told

PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
"""TCP port of a scheme, for asking what is wrong with an address that does not open."""

UNASKED_S = 0.02
"""A camera of single pictures that need not give one is left alone for so long."""

PROBE_S = 2.0
"""Longest wait for the answer to that."""

YUV: dict[str, Layout] = {"I420": "i420", "NV12": "nv12"}
"""Format in a pipeline's last caps -> layout of its frames; all others are told by their shape."""


def stream_source(cfg: config.Source) -> LiveSource:
    """An address FFmpeg reads, a GStreamer pipeline that ends in appsink, or `csi`, `csi:N`, which stands for one.

    Raises:
        ConfigError: a pipeline, and an OpenCV without GStreamer; or N is not a number.
    """
    if pipeline := pipeline_of(cfg):
        _require_gstreamer(cfg.uri if pipeline != cfg.uri else "a GStreamer pipeline")
        return LiveSource(cfg, partial(PipelineGrabber, cfg, pipeline), masked(cfg.uri))
    if cfg.uri.lower().startswith(("http://", "https://")):
        return LiveSource(cfg, WebGrabbers(cfg).next, masked(cfg.uri))
    return LiveSource(cfg, partial(AddressGrabber, cfg), masked(cfg.uri))


def pipeline_of(cfg: config.Source) -> str | None:
    """The GStreamer pipeline that the settings ask for, if they do.

    Raises:
        ConfigError: the number of a `csi` camera is none.
    """
    if " ! " in cfg.uri:
        return cfg.uri
    if (csi := CSI.fullmatch(cfg.uri)) is None:
        return None
    number = csi[1] or "0"
    if not (number.isascii() and number.isdigit()):
        raise ConfigError(f"source.uri is {cfg.uri!r}, expected csi or csi:N, N the number of a camera")
    return csi_pipeline(int(number), cfg.size_wh, cfg.fps)


def csi_pipeline(number: int, size_wh: tuple[int, int], fps: float) -> str:
    """What gives the pictures of a Jetson's ribbon camera, scaled by its image processor, the newest only."""
    from fractions import Fraction

    rate = Fraction(fps).limit_denominator(1001)
    width, height = (length // 2 * 2 for length in size_wh)  # chroma comes in pairs
    return (
        f"nvarguscamerasrc sensor-id={number} ! "
        f"video/x-raw(memory:NVMM), format=NV12, framerate={rate.numerator}/{rate.denominator} ! "
        f"nvvidconv ! video/x-raw, format=I420, width={width}, height={height} ! "
        "appsink drop=true max-buffers=1 sync=false"
    )


class _StreamGrabber:
    """As live.Grabber, without `open`. The time of a frame is that of its arrival."""

    def __init__(self, cfg: config.Source, yuv: Layout | None = None) -> None:
        self._cfg = cfg
        self._yuv = yuv
        self._capture: cv2.VideoCapture | None = None
        self._packets = False

    def grab(self) -> Grab | None:
        """As Grabber.grab."""
        from edgepose.source.opencv import colour, read_live

        if self._capture is None or (image := read_live(self._capture, self._packets)) is None:
            return None
        now = time.monotonic()
        image, layout = colour(image)
        return Grab(image, self._yuv if self._yuv and layout == "gray" else layout, now)

    def skip(self) -> bool:
        """As Skipping.skip: decoded, as the next may build on it, but not converted."""
        return self._capture is not None and self._capture.grab()

    def close(self) -> None:
        """As Grabber.close."""
        if self._capture is not None:
            self._capture.release()


class AddressGrabber(_StreamGrabber):
    """RTSP (over TCP unless OPENCV_FFMPEG_CAPTURE_OPTIONS says otherwise), HTTP, RTMP, UDP."""

    def open(self) -> None:
        """As Grabber.open."""
        from edgepose.core.opencv import cv2

        os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round((OPEN_S - PROBE_S) * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(self._cfg.stall_s * 1000)),
        ]
        self._capture = cv2.VideoCapture(address(self._cfg), cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise SourceError(f"{masked(self._cfg.uri)}: cannot be opened; {_why_not(self._cfg.uri)}")

    def skip(self) -> bool:
        """As Skipping.skip: motion JPEG is not even decoded."""
        from edgepose.source.opencv import by_packets

        if self._capture is not None and not self._packets:
            self._packets = by_packets(self._capture)
        return super().skip()


class WebGrabber:
    """As live.Grabber, for a web address: a stream, or a picture that is asked for again and again."""

    def __init__(self, cfg: config.Source, known: WebGrabbers) -> None:
        self._cfg, self._known = cfg, known
        self._grabber: Grabber = AddressGrabber(cfg)
        self._frames = 0

    def open(self) -> None:
        """As Grabber.open; a video that is a file is refused: it would be started again for ever."""
        from edgepose.source.web import SnapshotGrabber

        told = self._known.told()
        if told.kind == "video" and told.whole:
            raise ConfigError(f"{masked(self._cfg.uri)}: is a video file, not a camera; set source.kind to video")
        if told.kind == "image":
            self._grabber = SnapshotGrabber(self._cfg)
        self._grabber.open()

    def grab(self) -> Grab | None:
        """As Grabber.grab."""
        grab = self._grabber.grab()
        self._frames += grab is not None
        return grab

    def skip(self) -> bool:
        """As Skipping.skip; a picture that nobody wants is not asked for."""
        if isinstance(self._grabber, Skipping):
            self._frames += 1
            return self._grabber.skip()
        time.sleep(UNASKED_S)
        return True

    def close(self) -> None:
        """As Grabber.close."""
        self._known.ended(self._frames)
        self._grabber.close()


class WebGrabbers:
    """The connections to one web address, and what was learnt by the ones before."""

    def __init__(self, cfg: config.Source) -> None:
        self._cfg = cfg
        self._told: Told | None = None
        self._method = "HEAD"

    def next(self) -> WebGrabber:
        """A new connection."""
        return WebGrabber(self._cfg, self)

    def told(self) -> Told:
        """What is there; asked once, and once more by GET where a stream ended with its first picture."""
        from edgepose.source.web import ask

        if self._told is None:
            self._told = ask(address(self._cfg), self._method)
        return self._told

    def ended(self, frames: int) -> None:
        """A connection gave so many."""
        if frames == 1 and self._method == "HEAD":
            self._told, self._method = None, "GET"


class PipelineGrabber(_StreamGrabber):
    """A GStreamer pipeline, its frames bgr, bgrx, grey, I420 or NV12."""

    def __init__(self, cfg: config.Source, pipeline: str) -> None:
        super().__init__(cfg, pipeline_yuv(pipeline))
        self._pipeline = pipeline

    def open(self) -> None:
        """As Grabber.open."""
        from edgepose.core.opencv import cv2

        self._capture = cv2.VideoCapture(self._pipeline, cv2.CAP_GSTREAMER)
        if not self._capture.isOpened():
            raise SourceError(
                f"{masked(self._pipeline)}: does not start; try it with gst-launch-1.0, and end it in "
                "`appsink drop=true max-buffers=1 sync=false`"
            )


def pipeline_yuv(uri: str) -> Layout | None:
    """The YUV layout that a pipeline's last caps ask for, if they do."""
    formats: list[str] = re.findall(r"format\s*=\s*(?:\(\w+\))?\s*\"?(\w+)", uri)
    return YUV.get(formats[-1]) if formats else None


def _require_gstreamer(what: str) -> None:
    from edgepose.core.opencv import cv2

    if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
        raise ConfigError(
            f"source.uri is {what}, which takes GStreamer, and this OpenCV {cv2.__version__} is built without it, "
            "as all that pip installs are; `sudo apt install python3-opencv`, make the environment with "
            "--system-site-packages, and uninstall opencv-python-headless there"
        )


def _why_not(uri: str) -> str:
    """What a plain TCP connection says about an address that FFmpeg could not open."""
    try:
        from urllib.parse import urlsplit

        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or PORTS.get(parts.scheme.lower())
    except ValueError:  # whose message may hold a piece of the password
        return "the address is malformed; a password with / : @ or % goes into source.password_file"
    if not host or not port:
        return "check the address, and that something is sent to it"
    try:
        import socket

        socket.create_connection((host, port), PROBE_S).close()
    except OSError as error:
        return f"{host}:{port} does not answer: {error.strerror or error}"
    return f"{host}:{port} answers but gives no video: check path, user name and password"

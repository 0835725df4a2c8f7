"""The Raspberry Pi AI Camera: frames with the answers of the network that its IMX500 sensor runs.

The network's file goes to the sensor before the camera is opened; the first time that takes minutes. A frame faster
than the network comes without an answer. Untested on hardware: held against picamera2's own source.
"""

from __future__ import annotations

import importlib
import logging
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Sensed
from edgepose.source.live import LiveSource
from edgepose.source.picamera2 import Picamera2Grabber

log = logging.getLogger(__name__)

UPLOAD_S = 600.0
"""A network's way to the sensor, 2 MB at some 9 kB/s, and the first frame."""
NETWORK_STAGE = 2
"""Of the sensor's firmware: its loader, its main part, the network."""
LOOK_S = 5.0
"""How often the upload is looked at."""
INSTALL = "`sudo apt install imx500-all python3-picamera2`"


def imx500_source(cfg: config.Source) -> LiveSource:
    """The AI Camera `imx500`, or `imx500:ID`, ID a part of its name in `rpicam-hello --list`.

    Raises:
        ConfigError: picamera2 or the network's file is not there, or the picture is to be turned.
    """
    name, _, camera_id = cfg.uri.partition(":")
    if name != "imx500":
        raise ConfigError(f"source.uri is {cfg.uri!r}, expected imx500 or imx500:ID")
    if cfg.rotate or cfg.mirror:
        raise ConfigError(
            "source.rotate and source.mirror: the AI Camera's network sees the picture as the sensor does; "
            "turn the camera, or use source picamera2 and a model on the processor"
        )
    if not Path(cfg.network).is_file():
        raise ConfigError(f"source.network: {cfg.network}: no such file; {INSTALL} brings the networks along")
    try:
        importlib.import_module("picamera2.devices.imx500")
    except ImportError as error:
        raise ConfigError(
            f"source.uri is {cfg.uri!r}, and picamera2.devices.imx500 cannot be imported ({error}): {INSTALL}, "
            "and make the environment with --system-site-packages"
        ) from None
    return LiveSource(cfg, partial(Imx500Grabber, cfg, camera_id), cfg.uri, open_s=UPLOAD_S)


class Imx500Grabber(Picamera2Grabber):
    """As live.Grabber, with what the sensor's network says."""

    def __init__(self, cfg: config.Source, camera_id: str) -> None:
        super().__init__(cfg, 0)
        self._camera_id = camera_id
        self._sensor: Any = None
        self._rate = cfg.fps
        self._arrived = Event()
        """The first frame did, or none will."""

    def open(self) -> None:
        """As Grabber.open: the network first, then the camera, then the part of the picture that it sees."""
        from picamera2.devices.imx500 import IMX500

        try:
            self._sensor = IMX500(self._cfg.network, self._camera_id)
        except (RuntimeError, OSError, ValueError, KeyError, StopIteration) as error:
            raise SourceError(
                f"{self._cfg.uri}: no AI Camera takes {self._cfg.network}: {error or 'it is in no list of cameras'}; "
                f"see `rpicam-hello --list` and the cable, and install its firmware: {INSTALL}"
            ) from None
        told = self._sensor.network_intrinsics
        self._rate = min(self._cfg.fps, getattr(told, "inference_rate", None) or self._cfg.fps)
        Thread(target=self._tell_upload, name="edgepose imx500 upload", daemon=True).start()
        self._start(self._sensor.camera_num)
        if getattr(told, "preserve_aspect_ratio", None) is not False:
            self._sensor.set_auto_aspect_ratio()
        log.info("%s: %s runs in the sensor, %g frames a second", self._cfg.uri, self._cfg.network, self._rate)

    def _at(self, fps: float) -> dict[str, Any]:
        """As Picamera2Grabber: never faster than the network, which would answer less often then."""
        return super()._at(min(fps, self._rate))

    def _tell_upload(self) -> None:
        """Log how far the network's upload is, where the kernel tells."""
        from subprocess import SubprocessError

        # what reading the progress raises where the kernel does not tell it, or not to us
        fails = (OSError, ValueError, IndexError, AssertionError, SubprocessError)
        last = -1
        while not self._arrived.wait(LOOK_S):
            try:
                done, total = self._sensor.get_fw_upload_progress(NETWORK_STAGE)
            except fails:
                log.info("%s: waits for the sensor's network; the first upload takes minutes", self._cfg.uri)
                return
            percent = 100 * done // total if total else last
            if percent != last:
                log.info("%s: %d %% of the network is in the sensor", self._cfg.uri, percent)
                last = percent

    def _sensed(self, request: Any, metadata: dict[str, Any]) -> Sensed | None:
        """As Picamera2Grabber: the network's outputs; None where this frame has none."""
        self._arrived.set()
        tensors = self._sensor.get_outputs(metadata)
        if not tensors:
            return None
        left, top, width, height = self._sensor.get_roi_scaled(request, self._stream)
        return Sensed(tuple(np.ascontiguousarray(each) for each in tensors), (left, top, width, height))

    def close(self) -> None:
        """As Grabber.close."""
        self._arrived.set()
        super().close()

"""Sends OSC over UDP: nobody answers, nothing waits, what is lost is lost."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import Frame, Poses
from edgepose.sink.base import Sink
from edgepose.sink.osc.avatar import rest_places
from edgepose.sink.osc.packet import bundles, message
from edgepose.sink.osc.trackers import Trackers
from edgepose.sink.osc.vmc import Vmc

Tells = Callable[[Poses], Iterator[bytes]]
"""Messages of a frame."""


class OscSink(Sink):
    """To one receiver."""

    waits = False

    def __init__(self, cfg: config.Osc, camera: str) -> None:
        """Check where to.

        Raises:
            ConfigError: no such place, or no avatar.
        """
        host, _, port = cfg.to.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ConfigError(f"sink.osc.to is {cfg.to!r}; give HOST:PORT, such as 192.168.1.20:39539")
        if cfg.kind == "vmc" and not cfg.avatar:
            raise ConfigError("sink.osc.avatar: VMC sets an avatar's bones, so it needs the avatar's .vrm")
        try:
            family, kind, number, _, there = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise ConfigError(f"sink.osc.to: {host}: {error.strerror or error}") from None
        self._to: tuple[Any, ...] = there
        opens: dict[str, Callable[[], Tells]] = {
            "osc": lambda: self._plain,
            "vmc": lambda: Vmc(rest_places(Path(cfg.avatar))).messages,
            "vrchat": lambda: Trackers().messages,
        }
        self._tells = opens[cfg.kind]()
        self._root = f"/edgepose/{camera}"
        self._socket = socket.socket(family, kind, number)
        self._socket.setblocking(False)
        self._counts, self._closed = {"sent": 0, "lost": 0}, False

    @property
    def counts(self) -> dict[str, int]:
        """sent: frames that left; lost: those that the network did not take."""
        return dict(self._counts)

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """As Sink.write."""
        if self._closed:
            raise ValueError("OscSink is closed")
        try:
            for packet in bundles(self._tells(poses)):
                self._socket.sendto(packet, self._to)
        except OSError:  # full, or nobody listens there: the next frame is tried anew
            self._counts["lost"] += 1
            return
        self._counts["sent"] += 1

    def _plain(self, poses: Poses) -> Iterator[bytes]:
        """How many people, and each joint that was found: x, y from 0 to 1 of the picture, score."""
        yield message(f"{self._root}/people", len(poses))
        size = np.array(poses.size_wh, np.float64)
        for row, identity in enumerate(poses.track_id.tolist()):
            at = poses.xy[row] / size
            for joint, (x, y), score in zip(poses.skeleton.joints, at.tolist(), poses.score[row].tolist(), strict=True):
                if score > 0:
                    yield message(f"{self._root}/person/{identity}/{joint}", x, y, score)

    def close(self) -> None:
        """As Sink.close."""
        self._closed = True
        self._socket.close()

"""BVH as it happens, over TCP: whoever connects gets a file that never ends, of the person of the lowest id."""

from __future__ import annotations

import logging
import socket

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.sink.base import Sink
from edgepose.sink.export.bvh import head, rows
from edgepose.sink.export.motion import places
from edgepose.sink.export.rig import Rigged, rigged

log = logging.getLogger("edgepose.sink")

Array = NDArray[np.float64]
LEARNT = 30
"""Frames of somebody, from which the lengths of bones are taken; they stay for as long as the program runs."""
MOST_CLIENTS = 16
MOST_LATE_S = 2.0
"""More of the motion that a gap lasts is not made up for."""


class LiveBvh(Sink):
    """A port that hands out motion; who reads too slowly is let go."""

    waits = False

    def __init__(self, cfg: config.Bvh) -> None:
        """Open the port.

        Raises:
            ConfigError: it cannot be.
        """
        host, _, port = cfg.listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ConfigError(f"sink.bvh.listen is {cfg.listen!r}; give HOST:PORT, such as 127.0.0.1:7001")
        try:
            self._port = socket.create_server((host.strip("[]"), int(port)), family=_family(host))
        except OSError as error:
            raise ConfigError(f"sink.bvh.listen: {cfg.listen}: {error.strerror or error}") from None
        self._port.setblocking(False)
        self._step_s = 1 / cfg.fps
        self._clients: list[socket.socket] = []
        self._seen: list[Array] = []
        self._identity, self._xyz, self._length = -1, np.full((17, 3), np.nan), np.zeros(0)
        self._next_t = -np.inf
        self._counts, self._closed = {"sent": 0, "lines": 0, "let_go": 0}, False

    @property
    def counts(self) -> dict[str, int]:
        """sent: frames taken; lines: of motion; let_go: readers that were too slow, or went."""
        return dict(self._counts)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._port.getsockname()[:2]
        return host, port

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (every sink gets the frame)
        """As Sink.write."""
        if self._closed:
            raise ValueError("LiveBvh is closed")
        self._counts["sent"] += 1
        if not self._follow(poses):
            return
        if not len(self._length):
            self._learn()
            return
        rig = self._rig()
        self._welcome(rig)
        self._send(poses.t, next(rows(rig)).encode("ascii"))

    def _follow(self, poses: Poses) -> bool:
        """Take the person's joints; False: nobody is there who could be shown."""
        if poses.skeleton != COCO17 or poses.space is None or not len(poses):
            return False
        row = int(np.argmin(poses.track_id))
        xyz = places(poses, row)
        if np.isnan(xyz[[11, 12]]).any():
            return False
        if poses.track_id[row] != self._identity:
            self._identity, self._xyz, self._seen = int(poses.track_id[row]), np.full((17, 3), np.nan), []
        self._xyz = np.where(np.isnan(xyz), self._xyz, xyz)
        return True

    def _learn(self) -> None:
        self._seen.append(self._xyz)
        if len(self._seen) >= LEARNT:
            self._length = rigged(np.stack(self._seen), COCO17.joints).length
            self._seen = []

    def _rig(self) -> Rigged:
        rig = rigged(self._xyz[None], COCO17.joints)
        return rig._replace(length=self._length)

    def _welcome(self, rig: Rigged) -> None:
        """The skeleton, to whoever came since."""
        while True:
            try:
                client, _ = self._port.accept()
            except OSError:  # nobody
                return
            if len(self._clients) >= MOST_CLIENTS:
                client.close()
                continue
            client.setblocking(False)
            self._clients.append(client)
            self._hand([client], head(rig, 0, 1 / self._step_s).encode("ascii"))

    def _send(self, t: float, line: bytes) -> None:
        """A line for each step of the clock that has come; the last pose stands where frames come slower."""
        if not 0 <= t - self._next_t <= MOST_LATE_S:
            if self._next_t - self._step_s <= t < self._next_t:
                return
            self._next_t = t
        due = int((t - self._next_t) / self._step_s) + 1
        self._next_t += due * self._step_s
        for _ in range(due):
            self._hand(list(self._clients), line)
            self._counts["lines"] += 1

    def _hand(self, clients: list[socket.socket], data: bytes) -> None:
        for client in clients:
            try:
                whole = client.send(data) == len(data)
            except OSError:  # gone, or its buffer is full
                whole = False
            if not whole:
                client.close()
                self._clients.remove(client)
                self._counts["let_go"] += 1

    def close(self) -> None:
        """As Sink.close."""
        self._closed = True
        for each in (*self._clients, self._port):
            each.close()
        self._clients.clear()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET

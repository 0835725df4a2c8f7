"""A network camera: motion JPEG over HTTP, with people who come and go, and with every way a camera has to fail."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FPS = 15.0
SIZE_WH = (640, 480)
SHOWN_S, EMPTY_S = 0.9, 0.8
"""How long somebody stays, how long nobody is there; the tracker's memory is shorter."""
PICTURES = Path(__file__).resolve().parents[2] / "edgepose" / "lab" / "demo" / "pictures"
WALL_BGR = (96, 100, 104)

Mode = Literal["well", "silent", "corrupt"]


def clip() -> list[bytes]:
    """JPEGs of one turn: each photograph drifts a little, between them is an empty wall."""
    from edgepose.core.opencv import cv2

    frames: list[bytes] = []
    for path in sorted(PICTURES.glob("*.jpg")):
        picture = cv2.imread(str(path))
        if picture is None:
            raise RuntimeError(f"{path} cannot be read")
        height, width = picture.shape[:2]
        scale = min(SIZE_WH[0] / width, SIZE_WH[1] / height)
        for step in range(round(SHOWN_S * FPS)):
            move = np.array([[scale, 0, 40 + 2 * step], [0, scale, 0]], np.float32)
            frames.append(_jpeg(cv2.warpAffine(picture, move, SIZE_WH, borderValue=WALL_BGR)))
        frames += [wall()] * round(EMPTY_S * FPS)
    return frames


def wall() -> bytes:
    """A JPEG of nobody."""
    return _jpeg(np.full((SIZE_WH[1], SIZE_WH[0], 3), WALL_BGR, np.uint8))


def _jpeg(image: NDArray[Any]) -> bytes:
    from edgepose.core.opencv import cv2

    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


class Camera:
    """Serves on a port of its own until closed; `mode` may change at any time."""

    def __init__(self, rng: random.Random) -> None:
        self.mode: Mode = "well"
        self.people = True
        """False: the wall alone."""
        self.frames = 0
        """Sent so far."""
        self._clip, self._wall, self._rng = clip(), wall(), rng
        self._began_t = time.monotonic()
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Be there (again), on the same port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(8)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._listen, args=(listener,), name="soak-camera", daemon=True).start()

    def stop(self) -> None:
        """Be gone, as if somebody pulled the cable of its power: connections are reset, the port is closed."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.shutdown(socket.SHUT_RDWR)

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="soak-camera-client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.add(client)
        try:
            client.settimeout(2)
            client.recv(65536)
            client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
            due_t = time.monotonic()
            while self._listener is not None:
                due_t += 1 / FPS
                time.sleep(max(0.0, due_t - time.monotonic()))
                if self.mode != "silent":
                    client.sendall(self._part())
                    self.frames += 1
        except OSError:
            pass
        finally:
            with self._lock:
                self._clients.discard(client)
            client.close()

    def _part(self) -> bytes:
        place = int((time.monotonic() - self._began_t) * FPS) % len(self._clip)
        picture = self._clip[place] if self.people else self._wall
        length = len(picture)
        if self.mode == "corrupt":
            picture = self._spoiled(picture)
            length = len(picture) if self._rng.random() < 0.7 else length
        return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (length, picture)

    def _spoiled(self, picture: bytes) -> bytes:
        """Flipped, cut off, or something else altogether."""
        way = self._rng.randrange(4)
        if way == 0:
            return picture[: self._rng.randrange(len(picture))]
        if way == 1:
            return self._rng.randbytes(self._rng.randrange(1, len(picture)))
        spoiled = bytearray(picture)
        for _ in range(200 if way == 2 else 5):
            spoiled[self._rng.randrange(len(spoiled))] = self._rng.randrange(256)
        return bytes(spoiled)

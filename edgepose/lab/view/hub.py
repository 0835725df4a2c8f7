"""The newest that every camera said, for viewers who ask. A viewer has one answer under way and nothing is queued."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edgepose import wire
from edgepose.core.errors import one_line
from edgepose.wire.reading import read

MOST_CAMERAS = 256
"""More are somebody who makes topics."""
MOST_EVENTS = 200
MOST_GONE = 64
NAME_CHARS = 80
MOST_SIDE = 1 << 16

_encoder = msgspec.json.Encoder()


def _poses(payload: bytes) -> bytes:
    if payload[:2] == wire.binary.MAGIC:
        age_us = wire.binary.decode(payload).age_us
        message = wire.decode(wire.encode(read(payload), "", ""))
        return _encoder.encode(msgspec.structs.replace(message, age_ms=None if age_us is None else age_us / 1e3))
    message = wire.decode(payload)
    if not all(0 < side <= MOST_SIDE for side in message.size_wh):
        raise ValueError("a picture that cannot be")
    return _encoder.encode(message)


def _struct(kind: type[msgspec.Struct]) -> Callable[[bytes], bytes]:
    return lambda payload: _encoder.encode(wire.decode_struct(kind, payload))


READERS: Mapping[str, Callable[[bytes], bytes]] = {
    "poses": _poses,
    "status": _struct(wire.Status),
    "health": _struct(wire.Health),
    "presence": _struct(wire.Presence),
    "meaning": _struct(wire.Meaning),
    "availability": lambda payload: _encoder.encode(one_line(payload[:20].decode(errors="replace"))),
}
"""What is known of a camera -> from what came in to JSON as the contract has it; ValueError where it is no such."""


@dataclass(slots=True)
class Item:
    """One message, read when the first viewer asks for it."""

    version: int
    heard_t: float
    """Monotonic seconds."""
    payload: bytes
    json: msgspec.Raw | None = None
    refused: bool = False


@dataclass(slots=True)
class Camera:
    """What is known of one."""

    names: tuple[str, str]
    """Device and camera, as the topic has them."""
    items: dict[str, Item] = field(default_factory=dict)


class Hub:
    """Takes what feeds say and answers viewers; any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._cameras: dict[str, Camera] = {}
        self._gone: deque[tuple[int, str]] = deque(maxlen=MOST_GONE)
        self._events: deque[tuple[int, msgspec.Raw]] = deque(maxlen=MOST_EVENTS)
        self._numbers: dict[str, int] = {}
        self._trouble: tuple[int, str] = (0, "")
        self._closed = False
        self.refused = 0
        """Messages that nobody can read, or of more cameras than are shown."""

    def put(self, root: str, names: tuple[str, str], kind: str, payload: bytes) -> None:
        """Replace what was known; kind is a row of READERS."""
        now_t = time.monotonic()
        with self._changed:
            if (camera := self._camera(root, names)) is not None:
                self._version += 1
                camera.items[kind] = Item(self._version, now_t, payload)
                self._changed.notify_all()

    def event(self, root: str, names: tuple[str, str], payload: bytes) -> None:
        """Add one of the last events; a repeat is left out."""
        try:
            event = wire.decode_event(payload)
        except ValueError:
            self.refused += 1
            return
        with self._changed:
            if self._camera(root, names) is None or event.number <= self._numbers.get(root, -1):
                return
            self._numbers[root] = event.number
            self._version += 1
            told = {"root": root, "shown": _shown(names, root), "event": event}
            self._events.append((self._version, msgspec.Raw(_encoder.encode(told))))
            self._changed.notify_all()

    def forget(self, root: str) -> None:
        """A camera whose kept messages were cleared."""
        with self._changed:
            if self._cameras.pop(root, None) is not None:
                self._version += 1
                self._gone.append((self._version, root))
                self._changed.notify_all()

    def trouble(self, what: str) -> None:
        """Why nothing comes; empty: all is well."""
        with self._changed:
            if what != self._trouble[1]:
                self._version += 1
                self._trouble = self._version, what
                self._changed.notify_all()

    def names(self, root: str) -> tuple[str, str] | None:
        """Of a camera that is known."""
        with self._changed:
            camera = self._cameras.get(root)
            return None if camera is None else camera.names

    def since(self, version: int, wait_s: float) -> bytes:
        """All that is newer, as JSON; waits for something, and comes back empty after `wait_s`."""
        began_t = time.monotonic()
        with self._changed:
            if version > self._version:
                version = 0  # of another run
            self._changed.wait_for(lambda: self._version > version or self._closed, wait_s)
            waited_ms = 1e3 * (time.monotonic() - began_t)
            return _encoder.encode({"version": self._version, "waited_ms": round(waited_ms, 1), **self._newer(version)})

    def _newer(self, version: int) -> dict[str, Any]:
        told: dict[str, Any] = {"cameras": {}}
        for root, camera in self._cameras.items():
            newer = {kind: item for kind, item in camera.items.items() if item.version > version}
            if newer:
                told["cameras"][root] = self._told(root, camera, newer)
        if events := [event for number, event in self._events if number > version]:
            told["events"] = events
        if gone := [root for number, root in self._gone if number > version]:
            told["gone"] = gone
        if self._trouble[0] > version:
            told["trouble"] = self._trouble[1]
        return told

    def _told(self, root: str, camera: Camera, newer: Mapping[str, Item]) -> dict[str, Any]:
        now_t = time.monotonic()
        told: dict[str, Any] = {
            "device": camera.names[0],
            "camera": camera.names[1],
            "shown": _shown(camera.names, root),
        }
        for kind, item in newer.items():
            if (json := self._json(kind, item)) is not None:
                told[kind] = json
                if kind == "poses":
                    told["held_ms"] = round(1e3 * (now_t - item.heard_t), 1)
        return told

    def _json(self, kind: str, item: Item) -> msgspec.Raw | None:
        if item.json is None and not item.refused:
            try:
                item.json = msgspec.Raw(READERS[kind](item.payload))
            except ValueError:
                item.refused = True
                self.refused += 1
        return item.json

    def _camera(self, root: str, names: tuple[str, str]) -> Camera | None:
        camera = self._cameras.get(root)
        if camera is None and len(self._cameras) < MOST_CAMERAS:
            camera = self._cameras[root] = Camera(names)
        self.refused += camera is None
        return camera

    def close(self) -> None:
        """Let viewers go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _shown(names: tuple[str, str], root: str) -> str:
    """What a tile is called, in one line."""
    told = one_line("/".join(filter(None, names)) or root)
    return told if len(told) <= NAME_CHARS else f"{told[:NAME_CHARS]}..."

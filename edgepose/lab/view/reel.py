"""A recording for the page: played once through tracker and smoother, kept in blocks that a viewer asks for."""

from __future__ import annotations

import logging
import tempfile
import threading
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from edgepose import wire
from edgepose.core import config
from edgepose.core.errors import EdgeposeError, SourceError
from edgepose.core.poses import Frame, Poses
from edgepose.pipeline.replay.play import Plan, Replay, named_by
from edgepose.sink.base import Sink
from edgepose.wire.recording import Session, read

log = logging.getLogger("edgepose.view")

BLOCK = 64
"""Frames that are fetched together."""
MOST_MARKS = 2000
_encoder = msgspec.json.Encoder()


class Place(NamedTuple):
    """Where a block lies in the file."""

    offset: int
    size: int


class Reel(Sink):
    """The frames of a recording as messages, while they are played and after; any thread may ask.

    Each frame is a message with `at_s`, seconds from the start of all, and what rules say: `events`, `meaning`.
    """

    waits = False

    def __init__(self, path: Path, cfg: config.Config, plan: Plan) -> None:
        self._recording = read(path)
        first = next(iter(self._recording), None)
        if first is None:
            raise SourceError(self._recording.warning or f"{path}: has no frames")
        self.name, self._session = path.name, first.session
        self._cfg = replace(named_by(cfg, first.session), sink=config.Sink())
        self._replay = Replay(self._recording, self._cfg, [self], plan)
        self._lock = threading.Lock()
        self._file = tempfile.TemporaryFile(prefix="edgepose-view-")  # noqa: SIM115 (closed with the reel)
        self._places: list[Place] = []
        self._starts: list[float] = []
        self._block: list[bytes] = []
        self._people: list[int] = []
        self._marks: list[float] = []
        self._session_t: tuple[Session | None, float, float] = (None, 0.0, 0.0)
        self._pending: dict[str, Any] | None = None
        self._number = 0
        self.frames, self.seconds, self.done, self.failed = 0, 0.0, False, ""
        self._thread = threading.Thread(target=self._run, name="edgepose-view-reel", daemon=True)

    def __enter__(self) -> Reel:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._replay.stop()
        self._thread.join()
        self._recording.close()
        self._file.close()

    def close(self) -> None:
        """As Sink: what was written stays to be asked for."""

    @property
    def counts(self) -> dict[str, int]:
        """As Sink."""
        return {"sent": self.frames}

    def _run(self) -> None:
        try:
            self._replay.run()
        except EdgeposeError as error:
            self.failed = str(error)
            log.error("%s", error)
        with self._lock:
            self._keep_pending()
            self._flush()
            self.done = True

    # ------------------------------------------------------------------------------------------- as a sink

    def write(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002 (a sink gets it)
        """As Sink."""
        place = self._place(poses)
        content = msgspec.json.decode(wire.encode(poses, self._cfg.device_name, self._cfg.camera))
        with self._lock:
            self._keep_pending()
            self._pending = {**content, "at_s": round(place, 6)}
            if self.frames % BLOCK == 0:
                self._starts.append(place)
            self.frames, self.seconds = self.frames + 1, max(self.seconds, place)
            second = int(place)
            self._people += [0] * (second + 1 - len(self._people))
            self._people[second] = max(self._people[second], len(poses))
            self._pending["events"] = [self._came(poses, type_, id_) for type_, id_ in _comings(poses)]

    def write_meaning(self, meaning: Any, poses: Poses) -> None:
        """As Sink: belongs to the frame just written."""
        with self._lock:
            if self._pending is None:
                return
            told = [self._event(one, poses) for one in meaning.events]
            self._pending["events"] += told
            if told and len(self._marks) < MOST_MARKS:
                self._marks.append(self._pending["at_s"])
            if meaning.rules is not None:
                self._pending["meaning"] = meaning.rules

    def _came(self, poses: Poses, type_: Any, id_: int) -> wire.Event:
        self._number += 1
        return wire.event_of(poses, type_, id_, self._number, "", "", "", poses.taken_wall or 0.0)

    def _event(self, told: Any, poses: Poses) -> wire.Event:
        self._number += 1
        return wire.event_of_rule(told, poses, self._number, "", "", "", poses.taken_wall or 0.0)

    def _place(self, poses: Poses) -> float:
        """Seconds from the start; runs that were appended count on, as `replay --from` does."""
        known, start_t, began = self._session_t
        session = self._replay.session
        if session is not known:
            if known is None or session is None or not session.continues:
                start_t, began = poses.t, self.seconds if known else 0.0
            self._session_t = session, start_t, began
        return began + poses.t - start_t

    def _keep_pending(self) -> None:
        if self._pending is not None:
            self._block.append(_encoder.encode(self._pending))
            self._pending = None
            if len(self._block) == BLOCK:
                self._flush()

    def _flush(self) -> None:
        if self._block:
            data = zlib.compress(b"[" + b",".join(self._block) + b"]", 1)
            offset = self._file.seek(0, 2)
            self._file.write(data)
            self._places.append(Place(offset, len(data)))
            self._block = []

    # ------------------------------------------------------------------------------------------- for the page

    def described(self) -> dict[str, Any]:
        """What the page knows first, and asks for again until it is `done`."""
        text = self._session.skeleton
        with self._lock:
            return {
                "root": f"recording/{self.name}/{id(self)}",
                "name": self.name,
                "frames": self.frames,
                "seconds": self.seconds,
                "done": self.done,
                "failed": self.failed,
                "block": BLOCK,
                "starts": self._starts[:],
                "status": {
                    "state": "recorded",
                    "engines": [f"{self._session.device}/{self._session.camera}"],
                    "skeleton": text.name,
                    "joints": text.joints,
                    "bones": text.bones,
                },
            }

    def ribbon(self) -> dict[str, Any]:
        """How many people were in view in each second, and when rules said something."""
        with self._lock:
            return {"seconds": 1.0, "people": self._people[:], "marks": self._marks[:]}

    def block(self, number: int) -> bytes | None:
        """The frames of one block as a JSON list; None: there is none."""
        with self._lock:
            if 0 <= number < len(self._places):
                place = self._places[number]
                self._file.seek(place.offset)
                return zlib.decompress(self._file.read(place.size))
            if number == len(self._places) and self._block:
                return b"[" + b",".join(self._block) + b"]"
        return None


def _comings(poses: Poses) -> list[tuple[str, int]]:
    return [*(("entered", id_) for id_ in poses.entered), *(("left", id_) for id_ in poses.left)]

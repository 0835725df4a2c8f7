"""What is published beside poses: events, status, health, answers to commands. JSON, one struct each."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from edgepose.poses import Poses
from edgepose.wire.poses_json import iso_utc, utf8

EVENT = "edgepose.event/1"
STATUS = "edgepose.status/1"
HEALTH = "edgepose.health/1"
ANSWER = "edgepose.answer/1"


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody entered or left."""

    schema: str
    number: int
    """Rises by one from event to event of this device and camera, also across restarts: one seen before is a repeat."""
    type: Literal["entered", "left"]
    id: int
    """Who, as in the poses."""
    run: str
    """Identifies the run of the program: ids start anew with each."""
    device: str
    camera: str
    seq: int
    """Frame it was seen in."""
    captured: str
    """When that frame was taken: ISO 8601, UTC."""
    source: str = ""
    """File the frame came from; left out for a camera."""
    media_s: float | None = None
    """Position in the file, seconds; left out for a camera."""


class Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What runs; kept by the broker, sent again on every change."""

    schema: str
    version: str
    """Of edgepose."""
    device: str
    camera: str
    run: str
    since: str
    """Start of the run: ISO 8601, UTC."""
    state: Literal["starting", "running", "paused", "waiting", "stopping"]
    reason: str = ""
    """Why, where it is not running."""
    source: str
    """Address of the source, without secrets."""
    model: str
    """engine.model as set or commanded."""
    engines: list[str]
    """Each model, its runtime and where it runs."""
    skeleton: str
    joints: list[str]
    bones: list[tuple[int, int]]
    format: Literal["json", "binary"]
    """Of the poses."""
    smoothing: str
    max_fps: float = 0.0


class Health(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers, as they are now; counters count from the start of the run."""

    schema: str
    device: str
    camera: str
    run: str
    at: str
    """ISO 8601, UTC."""
    uptime_s: float
    people: int
    """In the newest frame."""
    fps: float
    """Frames looked at a second, lately."""
    counts: dict[str, int]
    """frames, dropped, lost, late, sent, refused, reconnects, ... as in the metrics."""
    latency_ms: dict[str, dict[str, float]]
    """Stage -> p50, p95, p99: wait, infer, decode, publish, latency."""
    spool: dict[str, int] = {}
    """kept, dropped, failed."""
    delegate: str = ""
    """What computes, where it is not the CPU as asked."""
    temperature_c: float | None = None
    throttled: bool | None = None
    memory_mib: float | None = None


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a command."""

    schema: str
    command: str
    """The last part of the topic it came on."""
    ok: bool
    error: str = ""
    """Why nothing was changed."""
    id: str = ""
    """The command's own `id`, if it had one."""
    result: dict[str, Any] = {}
    """What it asked for."""


SCHEMAS: dict[type[Struct], str] = {Event: EVENT, Status: STATUS, Health: HEALTH, Answer: ANSWER}
"""What `schema` says in each."""

_encoder = msgspec.json.Encoder()
_decoders = {struct: msgspec.json.Decoder(struct) for struct in SCHEMAS}
_T = TypeVar("_T", bound=Struct)


def encode_struct(message: Struct) -> bytes:
    """One JSON object of an Event, Status, Health or Answer."""
    return _encoder.encode(message)


def encode_event(event: Event) -> bytes:
    """One JSON object."""
    return _encoder.encode(event)


def decode_struct(struct: type[_T], data: bytes) -> _T:
    """Read an Event, Status, Health or Answer, as `struct` says; unknown keys are ignored.

    Raises:
        ValueError: not JSON, a wrong type, or another schema.
    """
    name = struct.__name__.lower()
    try:
        message: Any = _decoders[struct].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{name}: {error}") from None
    if message.schema != SCHEMAS[struct]:
        raise ValueError(f"{name}: schema is {message.schema[:80]!r}, expected {SCHEMAS[struct]!r}")
    read: _T = message
    return read


def decode_event(data: bytes) -> Event:
    """`decode_struct` of an Event."""
    return decode_struct(Event, data)


def event_of(
    poses: Poses, type_: Literal["entered", "left"], id_: int, number: int, run: str, device: str, camera: str,
    captured_wall: float,
) -> Event:  # fmt: skip
    """The event of one identity of `poses`; captured_wall is seconds since 1970 of the frame."""
    return Event(
        schema=EVENT,
        number=number,
        type=type_,
        id=id_,
        run=run,
        device=device,
        camera=camera,
        seq=poses.seq,
        captured=iso_utc(captured_wall),
        source=utf8(poses.name),
        media_s=None if poses.t == poses.taken_t else round(poses.t, 6),
    )

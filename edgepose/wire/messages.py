"""What is published beside poses: events, status, health, answers to commands. JSON, one struct each."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from edgepose.core.places import utf8, utf8_all
from edgepose.core.poses import Poses
from edgepose.wire.poses_json import Moment, iso_utc

EVENT = "edgepose.event/1"
STATUS = "edgepose.status/1"
HEALTH = "edgepose.health/1"
ANSWER = "edgepose.answer/1"
PRESENCE = "edgepose.presence/1"
MEANING = "edgepose.meaning/1"
NUMBERING = "edgepose.numbering/1"


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody entered or left, or a rule says that something happened."""

    schema: str
    """What this is, and its version."""
    number: int
    """Rises by one from event to event of this device and camera, also across restarts: one not above the last is a
    repeat. It jumps far ahead, to the clock's microseconds or to what the broker keeps on `numbering`, where the last
    one is not known: a new or broken disk."""
    type: Annotated[str, Meta(extra_json_schema={"examples": ["entered", "left", "fall", "reps"]})]
    """What happened: entered, or left and never to come again under the same id; or the kind of the rule that says it,
    and then `what` says more. Readers ignore other words."""
    id: int
    """Who, as in the poses."""
    run: str
    """Identifies the run of the program: ids start anew with each."""
    device: str
    """Name of the board, as set."""
    camera: str
    """Name of the camera, as set."""
    seq: int
    """Number of the frame it was seen in, as in the poses."""
    captured: Moment
    """When that frame was taken: ISO 8601, UTC, microseconds, "Z"."""
    source: str = ""
    """File the frame came from; left out for a camera."""
    media_s: float | None = None
    """Position in the file, seconds; left out for a camera."""
    rule: str = ""
    """Name of the rule; it and what follows are left out of entered and left."""
    what: str = ""
    """What happened, in a word of that kind of rule: confirmed, rep, entered, wave, step."""
    phase: Annotated[str, Meta(extra_json_schema={"examples": ["begin", "end", "once"]})] = ""
    """begin is followed by an end of the same rule and station; once by nothing."""
    station: int = 0
    """Whose state it is: it goes on where an id is lost and another is found at the same place; 0: of none."""
    place: str = ""
    """Zone; left out outside."""
    onset: str = ""
    """When it began to be true, as `captured`."""
    confidence: float | None = None
    """0..1."""
    evidence: dict[str, tuple[float | None, float]] = {}
    """Each condition: its value and its limit, the unit in the name where it is no plain number."""
    facts: dict[str, Any] = {}
    """What else there is to say: count, duration_s, side."""


class Status(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What runs; kept by the broker, sent again on every change."""

    schema: str
    """What this is, and its version."""
    version: str
    """Of edgepose."""
    device: str
    """Name of the board, as set."""
    camera: str
    """Name of the camera, as set."""
    run: str
    """Identifies the run of the program: ids start anew with each."""
    since: Moment
    """Start of the run: ISO 8601, UTC, microseconds, "Z"."""
    state: Annotated[
        str, Meta(extra_json_schema={"examples": ["starting", "running", "paused", "waiting", "stopping"]})
    ]
    """What it does; waiting: it should run and cannot, for the reason given. Other words may come."""
    reason: str = ""
    """Why, where it is not running; else left out."""
    source: str
    """Address of the source, without secrets."""
    model: str
    """engine.model as set or commanded."""
    engines: list[str]
    """Each model, its runtime and where it runs."""
    skeleton: str
    """Name of the set of joints."""
    joints: list[str]
    """Names of the joints, in the order of the poses."""
    bones: list[tuple[int, int]]
    """Pairs of joints to draw a line between, as places in `joints`."""
    format: Annotated[str, Meta(extra_json_schema={"examples": ["json", "binary"]})]
    """Of the poses."""
    smoothing: str
    """smooth.preset as set or commanded."""
    max_fps: float = 0.0
    """Most frames looked at in a second, Hz; left out where all are."""
    power: Annotated[str, Meta(extra_json_schema={"examples": ["empty", "active", "calm", "off"]})] = ""
    """How much the camera is looked at, as in `health`; off: at every frame."""
    limited: Annotated[
        str, Meta(extra_json_schema={"examples": ["nothing", "cpu", "temperature", "throttled", "schedule"]})
    ] = ""
    """What holds the frame rate down."""
    troubles: list[str] = []
    """What does not work as set though poses flow, and is tried again: a disk, a port; left out when all does."""


class Power(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much the camera is looked at, and why."""

    state: Annotated[str, Meta(extra_json_schema={"examples": ["empty", "active", "calm"]})]
    """Nobody is known; somebody moves; everybody keeps still. Other words may come."""
    shares: dict[str, float]
    """State -> share of the time since the start, 0..1."""
    woke: Annotated[
        str, Meta(extra_json_schema={"examples": ["start", "motion", "scene", "timer", "people", "command"]})
    ]
    """Why it last left empty or calm."""
    woke_at: tuple[int, int] | None = None
    """Where something moved then, x and y in pixels; left out where it was nothing that moved."""
    wakes: int = 0
    """Times that it left empty or calm."""
    limited: Annotated[str, Meta(extra_json_schema={"examples": ["cpu", "temperature", "throttled", "schedule"]})] = ""
    """What holds the frame rate down; left out where nothing does."""
    max_fps: float | None = None
    """Most frames looked at in a second because of that, Hz."""
    under_voltage: bool | None = None
    """Whether the supply is too weak now; left out where nothing tells it."""


class Health(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers, as they are now; counters count from the start of the run."""

    schema: str
    """What this is, and its version."""
    device: str
    """Name of the board, as set."""
    camera: str
    """Name of the camera, as set."""
    run: str
    """Identifies the run of the program: counters start anew with each."""
    at: Moment
    """When the numbers were read: ISO 8601, UTC, microseconds, "Z"."""
    uptime_s: float
    """Since the start of the run, seconds."""
    people: int
    """In the newest frame."""
    fps: float
    """Frames looked at in a second, lately, Hz."""
    counts: dict[str, int]
    """frames, dropped, lost, late, sent, refused, reconnects, ... as in the metrics."""
    latency_ms: dict[str, dict[str, float]]
    """Stage -> p50, p95, p99, milliseconds: wait, infer, decode, publish, latency."""
    spool: dict[str, int] = {}
    """Events on disk: kept, dropped, failed."""
    delegate: str = ""
    """What computes, where it is not the CPU as asked; else left out."""
    temperature_c: float | None = None
    """Of the processor, degrees Celsius; left out where nothing tells it."""
    throttled: bool | None = None
    """Whether heat or power slow the board down now; left out where nothing tells it."""
    memory_mib: float | None = None
    """Resident memory of the process, MiB."""
    cpu: float | None = None
    """CPU time lately, as a share of one core; above 1 of several."""
    power: Power | None = None
    """How much the camera is looked at; left out where every frame is."""


class Presence(Struct, frozen=True, kw_only=True):
    """How many people are there, calm enough to switch a lamp; kept by the broker, sent again on every change."""

    schema: str
    """What this is, and its version."""
    people: int | None
    """Most of them in view at once within the last second; null while nobody looks: paused, or no frames."""
    present: bool | None
    """Whether there is anybody; null as above."""
    since: Moment
    """Of this state: ISO 8601, UTC, microseconds, "Z"."""


class Numbering(Struct, frozen=True, kw_only=True):
    """A bound for the numbers of events, kept by the broker for edgepose itself; readers need not know it."""

    schema: str
    """What this is, and its version."""
    below: int
    """Every number so far is below it."""
    lineage: str
    """Names the spool that the numbers come from."""
    run: str
    """Who said so."""


class Meaning(Struct, frozen=True, kw_only=True):
    """How every rule stands; kept by the broker, sent again on change, at most twice a second."""

    schema: str
    """What this is, and its version."""
    device: str
    """Name of the board, as set."""
    camera: str
    """Name of the camera, as set."""
    run: str
    """Identifies the run of the program: ids and stations start anew with each."""
    seq: int
    """Number of the frame, as in the poses."""
    captured: Moment
    """When that frame was taken: ISO 8601, UTC, microseconds, "Z"."""
    age_ms: float
    """Between that and this message, milliseconds."""
    rules: dict[str, dict[str, Any]]
    """Name -> kind, what it says of all together, and `people`: of each its station, id, values, and `unknown`, why it
    cannot be judged."""


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a command."""

    schema: str
    """What this is, and its version."""
    command: str
    """The last part of the topic it came on."""
    ok: bool
    """Whether it was done."""
    error: str = ""
    """Why nothing was changed; left out when it was done."""
    id: str = ""
    """The command's own `id`, if it had one."""
    result: dict[str, Any] = {}
    """What it asked for, or what is in force now."""


SCHEMAS: dict[type[Struct], str] = {
    Event: EVENT, Status: STATUS, Health: HEALTH, Presence: PRESENCE, Meaning: MEANING, Answer: ANSWER,
    Numbering: NUMBERING,
}  # fmt: skip
"""What `schema` says in each."""

_encoder = msgspec.json.Encoder()
_decoders = {struct: msgspec.json.Decoder(struct) for struct in SCHEMAS}
_T = TypeVar("_T", bound=Struct)


def encode_struct(message: Struct) -> bytes:
    """One JSON object of an Event, Status, Health or Answer, ...; "?" stands for what in it is no text."""
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError:
        return _encoder.encode(utf8_all(msgspec.to_builtins(message)))


def encode_event(event: Event) -> bytes:
    """`encode_struct` of an Event."""
    return encode_struct(event)


def renumbered(event: bytes, number: int) -> bytes:
    """The same event with another number; it is one of ours.

    Raises:
        ValueError: it is none.
    """
    content = msgspec.json.decode(event)
    if not isinstance(content, dict):
        raise ValueError("event: not an object")
    return _encoder.encode({**content, "number": number})


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
    captured_wall: float, **fields: Any,
) -> Event:  # fmt: skip
    """The event of one identity of `poses`; captured_wall is seconds since 1970 of the frame, `fields` are more."""
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
        **fields,
    )


def event_of_rule(
    told: Any, poses: Poses, number: int, run: str, device: str, camera: str, captured_wall: float,
    age_s: float | None = None,
) -> Event:  # fmt: skip
    """The event that a rule has told, with the fields of meaning.Event; captured_wall is seconds since 1970.

    age_s  between capture and now; what is about distances to keep says it, for it counts there
    """
    aged = {"age_ms": round(1e3 * max(age_s, 0.0), 1)} if age_s is not None and "safety_rated" in told.facts else {}
    return event_of(
        poses, told.kind, told.id, number, run, device, camera, captured_wall,
        rule=told.rule,
        what=told.what,
        phase=told.phase,
        station=max(told.station, 0),
        place=told.place,
        onset=iso_utc(captured_wall - (poses.t - told.onset_t)),
        confidence=told.confidence,
        evidence={name: (_number(value), limit) for name, (value, limit) in told.evidence.items()},
        facts={**told.facts, **aged},
    )  # fmt: skip


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if value == value else None


def meaning_of(
    rules: dict[str, dict[str, Any]], poses: Poses, run: str, device: str, camera: str, captured_wall: float,
    age_s: float,
) -> Meaning:  # fmt: skip
    """The message of how rules stand."""
    return Meaning(
        schema=MEANING,
        device=device,
        camera=camera,
        run=run,
        seq=poses.seq,
        captured=iso_utc(captured_wall),
        age_ms=round(1e3 * max(age_s, 0.0), 1),
        rules=rules,
    )

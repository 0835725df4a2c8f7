"""The published message: Poses <-> bytes, schema edgepose.poses/1 (JSON). No clocks and no I/O in here.

A reader must ignore keys it does not know: version 1 may gain some. What is here never changes its meaning.
"""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from math import isfinite
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from edgepose.core.places import utf8
from edgepose.core.poses import REASONS, Poses, Space

SCHEMA = "edgepose.poses/1"
AS_SEEN = 0.0
"""No prediction; only this very object is left out of a message."""

Keypoint = Annotated[
    list[float],
    Meta(
        min_length=3,
        max_length=3,
        description="x right, y down, pixels of the source picture to 0.1; score, 0..1 to 0.001",
    ),
]
Point = Annotated[list[float], Meta(min_length=3, max_length=3, description="x right, y down, z away, to 0.001")]
Sigma = Annotated[
    list[float],
    Meta(min_length=2, max_length=2, description="metres across and along the view, one sigma"),
]
Root = Annotated[list[float], Meta(min_length=4, max_length=4, description="x, y, z, one standard deviation; metres")]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Person(Struct, frozen=True, omit_defaults=True):
    """One person of a message."""

    id: int | None
    """Identity, stable over frames; null before tracking."""
    score: float
    """How sure, 0..1, to 0.001."""
    keypoints: list[Keypoint | None]
    """One per name in `joints`; null where the joint was not found."""
    xyz: list[Point | None] | None = None
    """x right, y down, z away from the camera, in the model's own unit, to 0.001; left out where the model is 2D.

    Where the message's `space` is "lifted" or "triangulated": metres from `root` along the axes of `frame`.
    """
    root: Root | None = None
    """Where the person is in `frame`: the mid hip. A joint's place is root + xyz."""
    sigma: list[Sigma | None] | None = None
    """How sure each joint's xyz is, seen from the root."""
    guessed: list[int] | None = None
    """Joints, counted from 0, that no picture shows: where they usually are in such a pose. Left out: none."""
    space: str = ""
    """How this person's xyz came about where it is better than the message's `space` says: "triangulated" among people
    of whom some are "lifted". Left out: as the message says."""
    missing: list[str] | None = None
    """Why each joint that is null was not found: "hidden", "out" of the picture, "doubtful"; empty where it was found.

    One per name in `joints`; left out unless `estimate.missing` asks for it. Other words may come.
    """


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The people of one frame, as published."""

    schema: str
    """What this is, and its version."""
    device: str
    """Name of the board, as set."""
    camera: str
    """Name of the camera, as set."""
    source: str = ""
    """File the frame came from; left out for a camera."""
    seq: int
    """Frame number at the source; gaps are dropped frames."""
    captured: Moment = ""
    """When the frame was taken (camera) or read (file): ISO 8601, UTC, microseconds, "Z".

    Left out in the JSON lines of a file, which are the same bytes each time it is read.
    """
    age_ms: float | None = None
    """How old the frame was when it was sent, milliseconds; left out in JSON lines of a file."""
    media_s: float | None = None
    """Position in the file, seconds; left out for a camera."""
    size_wh: tuple[int, int]
    """Width and height of the source picture, pixels."""
    skeleton: str
    """Name of the set of joints."""
    joints: list[str]
    """Names in the order of `keypoints`."""
    people: list[Person]
    """Highest score first; empty when nobody is there."""
    entered: list[int] = []
    """Ids that are new with this frame; left out when there are none."""
    left: list[int] = []
    """Ids that are gone for good with this frame; left out when there are none."""
    predicted_ms: float = AS_SEEN
    """How far after `captured` the keypoints are predicted, milliseconds; left out where they are as seen."""
    ran_on: str = ""
    """What computed them where it is not the CPU as asked: "edgetpu", "cpu instead of edgetpu"; else left out."""
    space: str = ""
    """How xyz came about: "lifted" from one camera by what people look like, "triangulated" from several by geometry,
    "model" by a model that brings a third coordinate in its own unit. Left out where there is no xyz. Of people
    of several kinds it is the least, "lifted"; a person's own `space` says who is better than that."""
    frame: str = ""
    """Axes of xyz where it is metres: "camera", x right, y down, z away; "world", as the calibration says, z up."""
    held: bool = False
    """The message before once more, with its `seq` and `captured`: everybody keeps still, and nobody was looked at
    since (power.hold). Left out where they were just seen."""


_GRID = np.array((10.0, 10.0, 1000.0))
"""Steps per unit of x, y and score."""
_MILLI = np.array((1000.0,))
_ZERO = np.zeros(1)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


class _Sent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Message as it is written: the same keys in the same order, what never changes encoded before."""

    schema: str
    device: str
    camera: str
    source: str = ""
    seq: int
    captured: str = ""
    age_ms: float | None = None
    media_s: float | None = None
    size_wh: tuple[int, int]
    skeleton: str
    joints: msgspec.Raw
    people: list[Person]
    entered: list[int] = []
    left: list[int] = []
    predicted_ms: float = AS_SEEN
    ran_on: str = ""
    space: str = ""
    frame: str = ""
    held: bool = False


def encode(poses: Poses, device: str, camera: str, now_t: float | None = None, now_wall: float | None = None) -> bytes:
    """One JSON object, no newline.

    now_t     monotonic seconds, the clock of `poses.taken_t`
    now_wall  the same instant in seconds since 1970; without the two nothing is said of when, unless the poses do
    """
    captured, age_ms = "", None
    if now_t is not None and now_wall is not None:
        age_s = poses.age_s(now_t, now_wall)
        captured, age_ms = iso_utc(now_wall - age_s), round(age_s * 1e3, 1)
    elif poses.taken_wall is not None:
        captured = iso_utc(poses.taken_wall)
    return _encoder.encode(
        _Sent(
            schema=SCHEMA,
            device=device,
            camera=camera,
            source=utf8(poses.name) if poses.name else "",
            seq=poses.seq,
            captured=captured,
            age_ms=age_ms,
            media_s=None if poses.t == poses.taken_t else round(poses.t, 6),
            size_wh=poses.size_wh,
            skeleton=poses.skeleton.name,
            joints=_names(poses.skeleton.joints),
            people=_told(poses) if len(poses.person_score) else [],
            entered=list(poses.entered),
            left=list(poses.left),
            predicted_ms=round(poses.predicted_s * 1e3, 1) or AS_SEEN,
            ran_on=poses.ran_on,
            space=_kind(poses),
            frame=poses.space.frame if poses.space else "",
            held=poses.held,
        )
    )


def _kind(poses: Poses) -> str:
    if poses.space is not None:
        return poses.space.kind
    return "model" if poses.xyz is not None and len(poses) else ""


def iso_utc(wall: float) -> str:
    """Seconds since 1970 in ISO 8601: UTC, microseconds, "Z"."""
    second, rest = divmod(wall, 1.0)
    micro = round(rest * 1e6)
    if micro == 1_000_000:
        second, micro = second + 1, 0
    return f"{_second(second)}.{micro:06d}Z"


@lru_cache(maxsize=8)
def _second(wall: float) -> str:
    return datetime.fromtimestamp(wall, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=64)
def _names(joints: tuple[str, ...]) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(joints))


def _told(poses: Poses) -> list[Person]:
    """The people, with why joints are missing where that is known."""
    people = _people(poses)
    if poses.missing is None:
        return people
    return [
        msgspec.structs.replace(person, missing=_reasons(person.keypoints, missing))
        for person, missing in zip(people, poses.missing.tolist(), strict=True)
    ]


def _reasons(keypoints: list[Keypoint | None], missing: list[int]) -> list[str]:
    """A word for each joint that has no place."""
    return ["" if place else REASONS[why] for place, why in zip(keypoints, missing, strict=True)]


def _people(poses: Poses) -> list[Person]:
    """Round on the grid in float64, so that 0.1 prints as 0.1; adding 0 turns -0.0 into 0.0."""
    joints = np.empty((*poses.score.shape, 3))
    joints[:, :, :2] = poses.xy
    joints[:, :, 2] = poses.score
    rows = _rows(joints, _grid(*poses.score.shape))
    solid: list[list[Point | None]] | list[None] = [None] * len(rows)
    if poses.xyz is not None:
        solid = _rows(poses.xyz.astype(np.float64), _MILLI)
    if poses.space is not None:
        return _people_in(poses.space, poses, rows, solid)
    return [
        Person(None if id_ < 0 else id_, round(score, 3) if isfinite(score) else 0.0, keypoints, xyz)
        for id_, score, keypoints, xyz in zip(
            poses.track_id.tolist(), poses.person_score.tolist(), rows, solid, strict=True
        )
    ]


def _people_in(
    space: Space, poses: Poses, rows: list[list[Keypoint | None]], solid: list[list[Point | None]] | list[None]
) -> list[Person]:
    """People in metres; who has no place has no root, and nothing but null in xyz and sigma."""
    roots = _rows(np.column_stack([space.root, space.root_sigma]).astype(np.float64)[None], _MILLI)[0]
    sigmas = _rows(space.sigma.astype(np.float64), _MILLI)
    people = []
    for row, root in enumerate(roots):
        score, identity = float(poses.person_score[row]), int(poses.track_id[row])
        people.append(
            Person(
                None if identity < 0 else identity,
                round(score, 3) if isfinite(score) else 0.0,
                rows[row],
                solid[row],
                root,
                sigmas[row],
                np.flatnonzero(space.guessed[row]).tolist() or None,
                "triangulated" if space.measured is not None and space.measured[row] else "",
            )
        )
    return people


@lru_cache(maxsize=64)
def _grid(people: int, joints: int) -> NDArray[np.float64]:
    """(N, K, 3) the same for each: twice as fast as numpy's spreading of it, for so few."""
    return np.tile(_GRID, (people, joints, 1))


def _rows(joints: NDArray[np.float64], grid: NDArray[np.float64]) -> list[list[list[float] | None]]:
    """(N, K, 3), which is written into, on the grid; None where a joint has no place."""
    joints *= grid
    np.rint(joints, joints)
    joints /= grid
    joints += _ZERO
    rows: list[list[list[float] | None]] = joints.tolist()
    for row, found in zip(rows, np.logical_and.reduce(np.isfinite(joints), 2).tolist(), strict=True):
        if False in found:
            for joint, there in enumerate(found):
                if not there:
                    row[joint] = None
    return rows


def decode(data: bytes) -> Message:
    """Read a message; unknown keys are ignored.

    Raises:
        ValueError: not JSON, a wrong type, another schema, or keypoints that do not match `joints`.
    """
    try:
        message = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"message: {error}") from None
    if message.schema != SCHEMA:
        raise ValueError(f"message: schema is {message.schema[:80]!r}, expected {SCHEMA!r}")
    for index, person in enumerate(message.people):
        if len(person.keypoints) != len(message.joints):
            raise ValueError(
                f"message: people[{index}] has {len(person.keypoints)} keypoints, expected {len(message.joints)}"
            )
        if person.xyz is not None and len(person.xyz) != len(message.joints):
            raise ValueError(f"message: people[{index}] has {len(person.xyz)} xyz, expected {len(message.joints)}")
        if person.sigma is not None and len(person.sigma) != len(message.joints):
            raise ValueError(f"message: people[{index}] has {len(person.sigma)} sigma, expected {len(message.joints)}")
        if person.missing is not None and len(person.missing) != len(message.joints):
            raise ValueError(
                f"message: people[{index}] has {len(person.missing)} missing, expected {len(message.joints)}"
            )
    return message

"""Poses in the compact binary form, version 1: two people of 17 joints in 222 bytes. Little-endian throughout.

    offset  size
         0     2  "EP"
         2     1  version, 1
         3     1  flags: 1 there is a third coordinate, 2 it is metres, 4 it is the message before once more,
                    for everybody keeps still; the others are 0 and to be ignored
         4     2  H, bytes before the first person
         6     2  P, bytes of one person
         8     1  N, people
         9     1  K, joints of each
        10     4  seq, modulo 2^32
        14     8  captured, microseconds since 1970, UTC; 0 not told
        22     4  age when sent, microseconds; 2^32 - 1 not told or longer
        26     2  width of the source picture, pixels
        28     2  height
        30     2  predicted, tenths of a millisecond
        32        fields until H, each: tag (1), length (1), that many bytes. Tags unknown are skipped.
                    1 skeleton's name, UTF-8       2 ids that entered, 4 bytes each      3 ids that left
                    4 ran_on      5 source      6 media_s, microseconds, signed, 8 bytes
                    7 with flag 2: 1 lifted or 2 triangulated (1), axes 1 of the camera or 2 of the world (1)
                    8 where 7 says lifted: a bit for each person, lowest first, in whole bytes; 1 is triangulated
         H        the people, highest score first, P bytes each:
                    id (4), 0 none; score (2), 65535 is 1; K joints of x (2), y (2), score (1), 255 is 1;
                    with flag 1 then a step (4, float) and K times x, y, z (2 each, signed) in steps, -32768 missing
                    with flag 2 then the root's x, y, z (4 each, signed) and sigma (4) in millimetres, -2^31 missing;
                    K times sigma across and along the view (2 each) in millimetres, 65535 missing; K bits, lowest
                    first, in whole bytes: 1 is a guessed joint
                    what follows up to P is skipped

x = (raw / 65534 * 2 - 0.5) * width, y the same with the height; x or y 65535: the joint was not found. So joints may
lie half a picture outside; what lies further is moved to that edge. Error: at most width / 65534 (0.03 px at 1920),
scores 1/510.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Axes, Kind, Poses, Space

MAGIC, VERSION = b"EP", 1
HEADER = struct.Struct("<2sBBHHBBIQIHHH")
PERSON = struct.Struct("<IH")
SOLID = 1
"""Flag: there is a third coordinate."""
METRES = 2
"""Flag: it is metres, and what it is worth follows."""
HELD = 4
"""Flag: nobody was looked at since the message before, which it repeats."""
SKELETON, ENTERED, LEFT, RAN_ON, SOURCE, MEDIA, SPACE, MEASURED = range(1, 9)
KINDS: tuple[Kind, ...] = ("lifted", "triangulated")
FRAMES: tuple[Axes, ...] = ("camera", "world")
"""Counted from 1 in the field SPACE."""
ROOT = struct.Struct("<iiiI")
NO_ROOT = -(2**31)
STEPS, MISSING = 65534, 65535
LONGEST_SIDE = 65535
"""Of a picture, pixels."""
NOT_TOLD = 0xFFFFFFFF
MISSING_XYZ = -32768
MOST_PEOPLE = 255
MOST_IDS = 63
"""Of one message that entered or left."""

JOINT = np.dtype([("x", "<u2"), ("y", "<u2"), ("score", "u1")])


class BinaryMessage(NamedTuple):
    """The people of one frame, as read from the binary form."""

    seq: int
    captured_us: int
    """Microseconds since 1970, UTC; 0: not told."""
    age_us: int | None
    media_us: int | None
    size_wh: tuple[int, int]
    predicted_ms: float
    skeleton: str
    source: str
    ran_on: str
    entered: tuple[int, ...]
    left: tuple[int, ...]
    id: NDArray[np.uint32]
    """(N,) 0: none."""
    person_score: NDArray[np.float32]
    """(N,)"""
    xy: NDArray[np.float32]
    """(N, K, 2) pixels, NaN where the joint was not found."""
    score: NDArray[np.float32]
    """(N, K)"""
    xyz: NDArray[np.float32] | None
    """(N, K, 3) as Poses.xyz."""
    space: Space | None = None
    """As Poses.space."""
    held: bool = False
    """As Poses.held."""


def encode(poses: Poses, now_t: float | None = None, now_wall: float | None = None) -> bytes:
    """One message; the arguments are those of `wire.encode`. Device and camera are in the topic.

    The first 255 people and 63 ids are told.
    """
    people, joints = poses.score.shape
    people = min(people, MOST_PEOPLE)
    if joints > 255:
        raise ValueError(f"a skeleton of {joints} joints does not fit the binary form, which has up to 255")
    captured, age = 0, NOT_TOLD
    if now_t is not None and now_wall is not None:
        age_s = poses.age_s(now_t, now_wall)
        captured, age = max(0, round((now_wall - age_s) * 1e6)), min(max(0, round(age_s * 1e6)), NOT_TOLD)
    elif poses.taken_wall is not None:
        captured = max(0, round(poses.taken_wall * 1e6))
    tail = _fields(poses)
    solid = poses.xyz is not None
    person = _person(joints)
    metres = solid and poses.space is not None
    size = person.size + (4 + 6 * joints if solid else 0) + (_space_size(joints) if metres else 0)
    flags = SOLID * solid | METRES * metres | HELD * poses.held
    parts = [
        HEADER.pack(
            MAGIC, VERSION, flags, HEADER.size + len(tail), size, people, joints,
            poses.seq & 0xFFFFFFFF, captured, age, *(min(side, LONGEST_SIDE) for side in poses.size_wh),
            min(max(0, round(poses.predicted_s * 1e4)), 65535),
        ),
        tail,
    ]  # fmt: skip
    if people:
        ids, scores = poses.track_id.tolist(), poses.person_score.tolist()
        for index, raw in enumerate(_raw(poses, people)):
            parts.append(person.pack(max(0, ids[index]), _share(scores[index]), *raw))
            if poses.xyz is not None:
                parts.append(_solid(poses.xyz[index]))
            if metres and poses.space is not None:
                parts.append(_space(poses.space, index))
    return b"".join(parts)


@lru_cache(maxsize=64)
def _person(joints: int) -> struct.Struct:
    """Of one person, without a third coordinate."""
    return struct.Struct("<IH" + "HHB" * joints)


def _share(score: float) -> int:
    """0..1 as 0..65535; NaN is 0."""
    return round(min(max(score, 0.0), 1.0) * 65535) if score == score else 0


def _raw(poses: Poses, people: int) -> list[list[int]]:
    """(N, 3 K) x, y and score of each joint as they are sent."""
    joints = poses.score.shape[1]
    steps, half, least, most = _spread(*poses.size_wh, people, joints)
    raw = np.empty(steps.shape)
    raw[:, :, :2] = poses.xy[:people]
    raw[:, :, 2] = poses.score[:people]
    raw *= steps
    raw += half
    np.fmax(raw, least, out=raw)  # a score that is NaN is 0; a place that is NaN stays that
    np.minimum(raw, most, out=raw)
    np.maximum(raw, 0.0, out=raw)
    np.rint(raw, raw)
    np.fmin(raw, MISSING, out=raw)  # and is MISSING here
    rows: list[list[int]] = raw.astype(np.uint16).reshape(people, 3 * joints).tolist()
    return rows


@lru_cache(maxsize=64)
def _spread(width: int, height: int, people: int, joints: int) -> tuple[NDArray[np.float64], ...]:
    """Factor, offset, least and most of each number, (N, K, 3): whole arrays are twice as fast as numpy's spreading."""
    half = STEPS / 2
    factor = half / min(width, LONGEST_SIDE), half / min(height, LONGEST_SIDE), 255.0
    rows = factor, (half / 2, half / 2, 0.0), (np.nan, np.nan, 0.0), (STEPS, STEPS, 255.0)
    return tuple(np.tile(np.array(row), (people, joints, 1)) for row in rows)


def _solid(xyz: NDArray[np.float32]) -> bytes:
    """A person's third coordinates: a step, and numbers of steps."""
    known = np.isfinite(xyz).all(axis=1)
    longest = float(np.abs(xyz[known]).max()) if known.any() else 0.0
    step = np.float32(longest / 32767) or np.float32(1)
    steps = np.full(xyz.shape, MISSING_XYZ, "<i2")
    steps[known] = np.clip(np.rint(xyz[known] / step), -32767, 32767)
    return struct.pack("<f", step) + steps.tobytes()


def _space_size(joints: int) -> int:
    return ROOT.size + 4 * joints + -(-joints // 8)


def _space(space: Space, index: int) -> bytes:
    """What a person's metres are worth."""
    root, sigma = space.root[index].astype(np.float64), space.sigma[index].astype(np.float64)
    known = bool(np.isfinite(root).all())
    place = np.clip(np.rint(root * 1000), -(2**31) + 1, 2**31 - 1).astype(int).tolist() if known else [NO_ROOT] * 3
    far = min(round(float(space.root_sigma[index]) * 1000), NOT_TOLD) if known else 0
    across = np.where(np.isfinite(sigma), np.clip(np.rint(sigma * 1000), 0, MISSING - 1), MISSING).astype("<u2")
    return ROOT.pack(*place, far) + across.tobytes() + np.packbits(space.guessed[index], bitorder="little").tobytes()


def _fields(poses: Poses) -> bytes:
    """The tagged fields that are not empty."""
    fields = [_field(SKELETON, poses.skeleton.name)]
    if poses.entered:
        fields.append(_id_field(ENTERED, poses.entered))
    if poses.left:
        fields.append(_id_field(LEFT, poses.left))
    if poses.ran_on:
        fields.append(_field(RAN_ON, poses.ran_on))
    if poses.name:
        fields.append(_field(SOURCE, poses.name))
    if poses.t != poses.taken_t:
        fields.append(struct.pack("<BBq", MEDIA, 8, round(poses.t * 1e6)))
    if poses.space is not None:
        kind, frame = KINDS.index(poses.space.kind) + 1, FRAMES.index(poses.space.frame) + 1
        fields.append(bytes((SPACE, 2, kind, frame)))
        if poses.space.measured is not None and poses.space.measured.any():
            bits = np.packbits(poses.space.measured[:MOST_PEOPLE], bitorder="little").tobytes()
            fields.append(bytes((MEASURED, len(bits))) + bits)
    return b"".join(fields)


@lru_cache(maxsize=64)
def _field(tag: int, text: str) -> bytes:
    """A field of text; its first 255 bytes."""
    data = text.encode(errors="replace")[:255]
    return bytes((tag, len(data))) + data


def _id_field(tag: int, ids: tuple[int, ...]) -> bytes:
    told = ids[:MOST_IDS]
    return struct.pack(f"<BB{len(told)}I", tag, 4 * len(told), *told)


def decode(data: bytes) -> BinaryMessage:
    """Read a message; unknown flags, fields and trailing bytes are ignored.

    Raises:
        ValueError: not a message of this version, or cut off.
    """
    if len(data) < HEADER.size:
        raise ValueError(f"message: {len(data)} bytes, the header alone has {HEADER.size}")
    magic, version, flags, start, size, people, joints, seq, captured, age, width, height, predicted = (
        HEADER.unpack_from(data)
    )
    if magic != MAGIC or version != VERSION:
        raise ValueError(f"message: starts with {data[:3].hex()}, expected {(MAGIC + bytes((VERSION,))).hex()}")
    solid = bool(flags & SOLID)
    metres = solid and bool(flags & METRES)
    least = PERSON.size + joints * JOINT.itemsize + (4 + 6 * joints if solid else 0)
    least += _space_size(joints) if metres else 0
    if start < HEADER.size or size < least or start + people * size > len(data):
        raise ValueError(
            f"message: {len(data)} bytes do not hold {people} people of {size} bytes after {start}; "
            f"{joints} joints need at least {least}"
        )
    fields = _read_fields(data[HEADER.size : start])
    rows = np.frombuffer(data, np.uint8, people * size, start).reshape(people, size)
    ids = np.ascontiguousarray(rows[:, :4]).view("<u4")[:, 0]
    scores = np.ascontiguousarray(rows[:, 4:6]).view("<u2")[:, 0]
    flat_end = PERSON.size + joints * JOINT.itemsize
    flat = np.ascontiguousarray(rows[:, PERSON.size : flat_end]).view(JOINT).reshape(people, joints)
    raw = np.stack((flat["x"], flat["y"]), axis=2).astype(np.float64)
    xy = (raw * (2 / STEPS) - 0.5) * (width, height)
    xy[(raw > STEPS).any(axis=2)] = np.nan
    media = fields.get(MEDIA, b"")
    solid_end = flat_end + 4 + 6 * joints
    return BinaryMessage(
        seq=seq,
        captured_us=captured,
        age_us=None if age == NOT_TOLD else age,
        media_us=struct.unpack("<q", media)[0] if len(media) == 8 else None,
        size_wh=(width, height),
        predicted_ms=predicted / 10,
        skeleton=_text(fields, SKELETON),
        source=_text(fields, SOURCE),
        ran_on=_text(fields, RAN_ON),
        entered=_ids(fields, ENTERED),
        left=_ids(fields, LEFT),
        id=ids.astype(np.uint32),
        person_score=(scores / np.float32(65535)).astype(np.float32),
        xy=xy.astype(np.float32),
        score=(flat["score"] / np.float32(255)).astype(np.float32),
        xyz=_read_solid(rows[:, flat_end:solid_end], joints) if solid else None,
        space=_read_space(rows[:, solid_end : solid_end + _space_size(joints)], joints, fields) if metres else None,
        held=bool(flags & HELD),
    )


def _read_fields(data: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    at = 0
    while at + 2 <= len(data):
        tag, length = data[at], data[at + 1]
        if at + 2 + length > len(data):
            raise ValueError(f"message: field {tag} of {length} bytes is cut off")
        fields[tag] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return fields


def _text(fields: dict[int, bytes], tag: int) -> str:
    return fields.get(tag, b"").decode(errors="replace")


def _ids(fields: dict[int, bytes], tag: int) -> tuple[int, ...]:
    data = fields.get(tag, b"")
    return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])


def _read_space(rows: NDArray[np.uint8], joints: int, fields: dict[int, bytes]) -> Space | None:
    """What metres are worth; None where the message does not say whose metres."""
    told = fields.get(SPACE, b"\0\0")
    if len(told) < 2 or not 1 <= told[0] <= len(KINDS) or not 1 <= told[1] <= len(FRAMES):
        return None
    place = np.ascontiguousarray(rows[:, :12]).view("<i4").astype(np.float64)
    far = np.ascontiguousarray(rows[:, 12:16]).view("<u4")[:, 0].astype(np.float64)
    raw = np.ascontiguousarray(rows[:, 16 : 16 + 4 * joints]).view("<u2").reshape(len(rows), joints, 2)
    unknown = (place == NO_ROOT).any(axis=1)
    bits = np.zeros(-(-len(rows) // 8), np.uint8)
    told_bits = np.frombuffer(fields.get(MEASURED, b"")[: len(bits)], np.uint8)
    bits[: len(told_bits)] = told_bits
    measured = np.unpackbits(bits, count=len(rows), bitorder="little").astype(bool)
    place[unknown], far[unknown] = np.nan, np.nan
    return Space(
        KINDS[told[0] - 1],
        FRAMES[told[1] - 1],
        (place / 1000).astype(np.float32),
        (far / 1000).astype(np.float32),
        np.where((raw == MISSING).any(axis=2, keepdims=True), np.nan, raw / 1000).astype(np.float32),
        np.unpackbits(rows[:, 16 + 4 * joints :], axis=1, count=joints, bitorder="little").astype(bool),
        measured if told[0] == 1 and measured.any() else None,
    )


def _read_solid(rows: NDArray[np.uint8], joints: int) -> NDArray[np.float32]:
    step = np.ascontiguousarray(rows[:, :4]).view("<f4")
    steps = np.ascontiguousarray(rows[:, 4:]).view("<i2").reshape(len(rows), joints, 3)
    with np.errstate(over="ignore", invalid="ignore"):  # a step may be any number, and none
        xyz: NDArray[np.float32] = steps.astype(np.float32) * step[:, :, None]
    xyz[((steps == MISSING_XYZ) | ~np.isfinite(xyz)).any(axis=2)] = np.nan
    return xyz

"""Frames of a recording <-> the payload of a chunk. Numbers are kept as they are, to the last bit; little-endian.

offset  size
     0     8  W, float: seconds since 1970 minus the clock of `taken`; NaN where the time of day means nothing
     8     4  A, bytes of all frames' facts
    12     4  B, bytes of all frames' numbers
    16     A  facts of each frame:
                flags (2), people N (2), t (8, float), taken (8, float), seq (8, signed), width (4), height (4),
                bytes of its name (2) and of what it ran on (1), then both, UTF-8
                flag TOLD: predicted (8, float), counts (2 each) of ids that entered and left, N + those ids (4)
                flag HEADS: offset and scale of the crop (4 floats of 8)
  16+A     B  numbers (4, float) of each frame: person_score N; score N K; xy N K 2;
              flag XYZ: xyz N K 3; flag COARSE: coarse_xy N K 2; flag SPACE: 1 lifted or 2 triangulated, axes 1 of the
              camera or 2 of the world, root N 3, its sigma N, sigma N K 2, guessed (0 or 1) N K; flag MEASURED: N,
              1 is triangulated though the frame is lifted. Of all of them first every first byte, then every second,
              third and fourth, which deflates a fifth better.
16+A+B        raw heads of the frames that have them, in the session's order
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import Axes, Crop, Frame, Heads, Kind, Poses, Skeleton, Space
from edgepose.wire.recording.session import HeadShape, Session, skeleton_of

BEGIN = struct.Struct("<dII")
FACTS = struct.Struct("<HHddqIIHB")
TELLING = struct.Struct("<dHH")
CROP = struct.Struct("<4d")
XYZ, COARSE, TOLD, HEADS, PART, UNEXPECTED, SPACE, MEASURED = 1, 2, 4, 8, 16, 32, 64, 128
"""Flags: what a frame has; its crop is a part of the picture; nobody was expected when it was looked at."""
KINDS: tuple[Kind, ...] = ("lifted", "triangulated")
FRAMES: tuple[Axes, ...] = ("camera", "world")
MOST_PEOPLE = 0xFFFF
MOST_SIDE = 1 << 20
"""Pixels."""
LONGEST_S = 1e10
"""Of a clock: three hundred years."""
BLACK = np.zeros((1, 1, 3), np.uint8)


class RawHeads(NamedTuple):
    """What a decoder got for one frame."""

    heads: Heads
    crop: Crop
    part: bool
    """A part of the picture was looked at."""
    nothing_expected: bool


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One frame as a recording has it."""

    session: Session
    poses: Poses
    raw: RawHeads | None = None


@dataclass(frozen=True, slots=True, eq=False)
class KeptFrame(Frame):
    """A frame of a recording: what was found in it, and an empty picture of its size."""

    kept: Kept = field(kw_only=True)


def frame_of(kept: Kept, taken_t: float) -> KeptFrame:
    """taken_t: as a frame's, of its replay."""
    poses = kept.poses
    width, height = poses.size_wh
    black = np.broadcast_to(BLACK, (height, width, 3))
    return KeptFrame(black, "bgr", poses.t, taken_t, poses.seq, poses.name, kept=kept)


@dataclass(slots=True)
class Block:
    """Frames on their way into one chunk."""

    wall: float
    """W above."""
    facts: list[bytes] = field(default_factory=list)
    numbers: list[bytes] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes so far."""

    def add(self, poses: Poses, raw: RawHeads | None, heads: list[HeadShape]) -> None:
        """One more frame; all of it is copied."""
        flags, facts = _facts(poses, raw)
        numbers = [poses.person_score, poses.score, poses.xy]
        if flags & XYZ:
            numbers.append(poses.xyz)  # type: ignore[arg-type]
        if flags & COARSE:
            numbers.append(poses.coarse_xy)  # type: ignore[arg-type]
        if poses.space is not None:
            numbers += _space(poses.space)
        packed = b"".join(np.asarray(one, "<f4").tobytes() for one in numbers)
        parts = [] if raw is None else [_head_bytes(raw.heads[head.role], head) for head in heads]
        self.facts.append(facts)
        self.numbers.append(packed)
        self.raw += parts
        self.size += len(facts) + len(packed) + sum(map(len, parts))

    def payload(self) -> bytes:
        """Of the chunk."""
        facts, numbers = b"".join(self.facts), b"".join(self.numbers)
        planes = np.frombuffer(numbers, np.uint8).reshape(-1, 4).T.tobytes()
        return b"".join((BEGIN.pack(self.wall, len(facts), len(numbers)), facts, planes, *self.raw))


def _facts(poses: Poses, raw: RawHeads | None) -> tuple[int, bytes]:
    told = bool(poses.entered or poses.left or poses.predicted_s or (poses.track_id != -1).any())
    flags = (
        (XYZ if poses.xyz is not None else 0)
        | (COARSE if poses.coarse_xy is not None else 0)
        | (SPACE if poses.space is not None else 0)
        | (MEASURED if poses.space is not None and poses.space.measured is not None else 0)
        | (TOLD if told else 0)
        | (0 if raw is None else HEADS | (PART if raw.part else 0) | (UNEXPECTED if raw.nothing_expected else 0))
    )
    name, ran_on = _utf8(poses.name, 0xFFFF), _utf8(poses.ran_on, 0xFF)
    width, height = poses.size_wh
    parts = [
        FACTS.pack(
            flags, len(poses), poses.t, poses.taken_t, poses.seq, width, height, len(name), len(ran_on),
        ),
        name,
        ran_on,
    ]  # fmt: skip
    if told:
        parts.append(TELLING.pack(poses.predicted_s, len(poses.entered), len(poses.left)))
        parts.append(np.array((*poses.track_id.tolist(), *poses.entered, *poses.left), "<i4").tobytes())
    if raw is not None:
        parts.append(CROP.pack(*raw.crop.offset_xy, *raw.crop.scale_xy))
    return flags, b"".join(parts)


def _space(space: Space) -> list[NDArray[Any]]:
    told = np.array([KINDS.index(space.kind) + 1, FRAMES.index(space.frame) + 1])
    numbers: list[NDArray[Any]] = [told, space.root, space.root_sigma, space.sigma, space.guessed]
    return numbers if space.measured is None else [*numbers, space.measured]


def _utf8(text: str, most: int) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:most]


def _head_bytes(head: NDArray[Any], shape: HeadShape) -> bytes:
    if head.shape != shape.shape or head.dtype != np.dtype(shape.dtype):
        raise ValueError(f"head {shape.role} is {head.dtype} {head.shape}, expected {shape.dtype} {shape.shape}")
    return head.astype(head.dtype.newbyteorder("<"), copy=False).tobytes()


# ------------------------------------------------------------------------------------------------ reading


class DamagedError(ValueError):
    """A payload whose checksum is right and whose content is not: another program wrote it."""


def frames_of(payload: bytes, session: Session) -> Iterator[Kept]:
    """The frames of a chunk; raises DamagedError."""
    try:
        yield from _frames(payload, session, skeleton_of(session))
    except (struct.error, IndexError, ValueError) as error:
        raise DamagedError(str(error)) from None


def _frames(payload: bytes, session: Session, skeleton: Skeleton) -> Iterator[Kept]:
    wall, facts, numbers = BEGIN.unpack_from(payload)
    if numbers % 4 or BEGIN.size + facts + numbers > len(payload):
        raise DamagedError("its parts are longer than it is")
    at, end = BEGIN.size, BEGIN.size + facts
    planes = np.frombuffer(payload, np.uint8, numbers, end).reshape(4, -1)
    floats = _Floats(np.ascontiguousarray(planes.T).reshape(-1).view("<f4"))
    raw_at = end + numbers
    while at < end:
        flags, people, t, taken_t, seq, width, height, name_size, ran_on_size = FACTS.unpack_from(payload, at)
        at += FACTS.size
        if (
            max(width, height) > MOST_SIDE
            or min(width, height) < 1
            or not (abs(t) < LONGEST_S and abs(taken_t) < LONGEST_S)  # nor NaN
            or not (math.isnan(wall) or abs(taken_t + wall) < LONGEST_S)
        ):
            raise DamagedError("a picture that cannot be")
        name, ran_on = payload[at : at + name_size], payload[at + name_size : at + name_size + ran_on_size]
        at += name_size + ran_on_size
        predicted_s, ids, entered, left = 0.0, np.full(people, -1, np.int32), (), ()
        if flags & TOLD:
            predicted_s, entering, leaving = TELLING.unpack_from(payload, at)
            if not abs(predicted_s) < LONGEST_S:
                raise DamagedError("a prediction that cannot be")
            every = np.frombuffer(payload, "<i4", people + entering + leaving, at + TELLING.size)
            at += TELLING.size + every.nbytes
            ids = every[:people].astype(np.int32)
            entered, left = (
                tuple(every[people : people + entering].tolist()),
                tuple(every[people + entering :].tolist()),
            )
        crop = Crop((0.0, 0.0), (1.0, 1.0))
        if flags & HEADS:
            x, y, scale_x, scale_y = CROP.unpack_from(payload, at)
            at += CROP.size
            crop = Crop((x, y), (scale_x, scale_y))
        if at > end:
            raise DamagedError("facts are cut off")
        joints = len(skeleton.joints)
        poses = Poses(
            t=t, taken_t=taken_t, seq=seq, name=name.decode("utf-8", "surrogateescape"), size_wh=(width, height),
            skeleton=skeleton, person_score=floats.take(people), score=floats.take(people, joints),
            xy=floats.take(people, joints, 2), track_id=ids,
            xyz=floats.take(people, joints, 3) if flags & XYZ else None,
            coarse_xy=floats.take(people, joints, 2) if flags & COARSE else None,
            space=_read_space(floats, people, joints, bool(flags & MEASURED)) if flags & SPACE else None,
            entered=entered, left=left, predicted_s=predicted_s, ran_on=ran_on.decode("utf-8", "surrogateescape"),
            taken_wall=taken_t + wall if math.isfinite(wall) else None,
        )  # fmt: skip
        raw = None
        if flags & HEADS:
            heads, raw_at = _heads(payload, raw_at, session.heads)
            raw = RawHeads(heads, crop, bool(flags & PART), bool(flags & UNEXPECTED))
        yield Kept(session, poses, raw)


def _read_space(floats: _Floats, people: int, joints: int, mixed: bool) -> Space:
    kind, frame = floats.take(2).tolist()
    if kind not in (1, 2) or frame not in (1, 2):
        raise DamagedError("metres that cannot be")
    return Space(
        KINDS[int(kind) - 1], FRAMES[int(frame) - 1], floats.take(people, 3), floats.take(people),
        floats.take(people, joints, 2), floats.take(people, joints) > 0, floats.take(people) > 0 if mixed else None,
    )  # fmt: skip


class _Floats:
    """Numbers taken in order."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self._values, self._at = values, 0

    def take(self, *shape: int) -> NDArray[np.float32]:
        count = math.prod(shape)
        taken = self._values[self._at : self._at + count]
        if len(taken) != count:
            raise DamagedError("numbers are missing")
        self._at += count
        return taken.reshape(shape).astype(np.float32)


def _heads(payload: bytes, at: int, shapes: list[HeadShape]) -> tuple[dict[str, NDArray[Any]], int]:
    heads = {}
    for shape in shapes:
        if at + shape.size > len(payload):
            raise DamagedError("heads are missing")
        dtype = np.dtype(shape.dtype)
        raw = np.frombuffer(payload, dtype.newbyteorder("<"), math.prod(shape.shape), at)
        heads[shape.role] = raw.reshape(shape.shape).astype(dtype)
        at += shape.size
    return heads, at

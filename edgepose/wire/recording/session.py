"""What holds for all frames of one run: who recorded, with what, and the skeleton in full."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from edgepose.core.places import utf8_all
from edgepose.core.poses import HeadSpec, Skeleton

Name = Annotated[str, Meta(max_length=1024)]
Index = Annotated[int, Meta(ge=0, le=255)]


class SkeletonText(Struct, frozen=True, kw_only=True):
    """A skeleton, whoever it comes from."""

    name: Name
    joints: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=256)]
    bones: Annotated[tuple[tuple[Index, Index], ...], Meta(max_length=4096)]
    sigmas: tuple[float, ...]


class HeadShape(Struct, frozen=True, kw_only=True):
    """One raw head, as HeadSpec says it."""

    role: Name
    shape: Annotated[tuple[Annotated[int, Meta(ge=1, le=1 << 20)], ...], Meta(min_length=1, max_length=6)]
    dtype: Literal["uint8", "int8", "int16", "float32"]
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """Bytes."""
        count = 1
        for side in self.shape:
            count *= side
        return count * {"uint8": 1, "int8": 1, "int16": 2, "float32": 4}[self.dtype]


class Session(Struct, frozen=True, kw_only=True):
    """A run of one model; unknown keys are ignored."""

    schema: Literal["edgepose.recording/1"] = "edgepose.recording/1"
    device: Name
    camera: Name
    live: bool
    """A camera: `t` is on the clock of the board that recorded, and frames carry the time of day."""
    still: bool
    """Pictures that have nothing to do with each other."""
    followed: bool = False
    """People have their identities already: a room's, fused from several cameras."""
    continues: bool = False
    """The same run as before, with another model."""
    started: float
    """Seconds since 1970."""
    edgepose: Name
    """Version that recorded."""
    enter_score: float
    stay_score: float
    """The estimate's, which the tracker goes by."""
    believe_score: float | None = None
    """The same; None: who is seen twice gets an id."""
    skeleton: SkeletonText
    models: list[dict[str, Any]]
    """Manifests, with the sha256 of each model."""
    settings: dict[str, Any]
    """The sections that poses depend on; nothing of where from and where to, and no secret."""
    heads: Annotated[list[HeadShape], Meta(max_length=256)] = []
    """Raw heads of each frame, in this order; empty: none are kept."""


_decoder = msgspec.json.Decoder(Session)


def encode(session: Session) -> bytes:
    """Its payload."""
    try:
        return msgspec.json.encode(session)
    except UnicodeEncodeError:
        return msgspec.json.encode(utf8_all(msgspec.to_builtins(session)))


def decode(payload: bytes) -> Session | None:
    """None: no session that can be used."""
    try:
        session = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    skeleton = session.skeleton
    fits = len(skeleton.sigmas) == len(skeleton.joints) and all(
        joint < len(skeleton.joints) for bone in skeleton.bones for joint in bone
    )
    return session if fits else None


def text_of(skeleton: Skeleton) -> SkeletonText:
    """For a session."""
    return SkeletonText(
        name=skeleton.name, joints=skeleton.joints, bones=skeleton.bones, sigmas=tuple(map(float, skeleton.sigmas))
    )


def skeleton_of(session: Session) -> Skeleton:
    """The one its poses are in."""
    text = session.skeleton
    return Skeleton(text.name, text.joints, text.bones, text.sigmas)


def shape_of(spec: HeadSpec) -> HeadShape:
    """For a session."""
    return HeadShape(
        role=spec.role,
        shape=tuple(map(int, spec.shape)),
        dtype=spec.dtype.name,  # type: ignore[arg-type]
        scale=float(spec.scale),
        zero_point=int(spec.zero_point),
    )

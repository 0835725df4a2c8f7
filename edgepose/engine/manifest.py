"""NAME.toml beside NAME.tflite: what the graph cannot say, checked before anything relies on it."""

import os
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from edgepose.core import config
from edgepose.core.config import Section
from edgepose.core.errors import ConfigError, ModelError, passes
from edgepose.core.poses import SKELETONS, Skeleton
from edgepose.engine import sound

USUAL_SIGMA = 0.08
"""Spread of a joint whose manifest gives none: that of COCO's shoulders."""

Shape = Annotated[tuple[Annotated[int, Meta(ge=1, le=1 << 16)], ...], Meta(min_length=1, max_length=6)]


class Input(Section, frozen=True, kw_only=True):
    """The picture the model expects."""

    shape: Annotated[tuple[int, int, int, int], Meta(description="batch, height, width, channels")]
    dtype: Literal["uint8", "int8", "int16", "float32"]
    colour: Literal["rgb", "bgr"]
    range: tuple[float, float]
    """Real value of byte 0 and of byte 255."""
    resize: Literal["linear", "nearest", "area"]
    fit: Literal["letterbox", "stretch"]
    pad: Annotated[int, Meta(ge=0, le=255)] = 0
    """Byte in the bars of a letterbox."""


class Head(Section, frozen=True, kw_only=True):
    """One output of the graph and what it means."""

    role: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]
    output: Annotated[int, Meta(ge=0, le=255)]
    """Position among the graph's outputs."""
    shape: Shape
    """As the file has it, with the batch axis if it has one."""
    dtype: Literal["uint8", "int8", "int16", "float32"]
    batch_axis: bool = True
    """False: the first axis counts something else, such as boxes, and the decoder gets it too."""

    @property
    def decoded_shape(self) -> tuple[int, ...]:
        """What the decoder gets: without the batch axis."""
        return self.shape[1:] if self.batch_axis else self.shape


class OwnSkeleton(Section, frozen=True, kw_only=True):
    """Joints of a model that has none of edgepose's skeletons."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    joints: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(min_length=1, max_length=256)]
    """In the order of the keypoint axis."""
    bones: tuple[tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]], ...] = ()
    """Joint pairs to draw a line between."""
    sigmas: tuple[Annotated[float, Meta(gt=0, le=1)], ...] = ()
    """Spread of each joint in OKS; none: 0.08 for all."""


class Decoder(Section, frozen=True, kw_only=True):
    """Which decoder reads the heads, with its constants; the decoder checks them."""

    name: str
    options: dict[str, Any] = {}


class Score(Section, frozen=True, kw_only=True):
    """How the decoder's person score becomes the chance that it is a person: 1 / (1 + exp(-bias - slope * log))."""

    bias: float
    slope: Annotated[float, Meta(gt=0, le=100)]
    gate: Annotated[float, Meta(ge=0, le=1)]
    """Chance from which somebody in a single picture is told of."""
    enter: Annotated[float, Meta(ge=0, le=1)]
    """Chance from which somebody in a video gets an id, when seen twice."""
    stay: Annotated[float, Meta(ge=0, le=1)]
    """Chance down to which somebody with an id is told of."""


class Origin(Section, frozen=True, kw_only=True):
    """Where the weights come from and what was done to them."""

    package: str
    """Registry, name and version: "npm @vladmandic/human@3.3.6"."""
    files: dict[str, str] = {}
    """Path in the package -> its sha256."""
    made: str
    """What turned the package's files into this one."""


class Licence(Section, frozen=True, kw_only=True):
    """Terms of the weights."""

    spdx: str
    notice: str
    """Who to credit and what was changed."""


class Build(Section, frozen=True, kw_only=True):
    """The same model, compiled for an accelerator: the same input and heads to the last step of their quantisation."""

    file: Annotated[str, Meta(pattern="^[^/\\\\\x00]+$")]
    """Name of the file in the manifest's folder."""
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Delegates(Section, frozen=True, kw_only=True):
    """What accelerators need to know of a model."""

    edgetpu: Build | None = None
    """For a Coral Edge TPU; where it is named, the manifest's own file is the one for the CPU."""
    tolerance: dict[str, Annotated[float, Meta(gt=0)]] = {}
    """Role -> root of the mean square by which an accelerator's head may differ from the CPU's, in real units, on the
    probe picture; a head that is not named may by 0.7 of its own spread."""


class Manifest(Section, frozen=True, kw_only=True):
    """A model file and everything a pipeline must know of it."""

    schema: Literal[1]
    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    title: str
    file: Annotated[str, Meta(pattern="^[^/\\\\\x00]+$")]
    """Name of the model file in the manifest's folder."""
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    skeleton: str | OwnSkeleton
    """Name of one of edgepose's, or a table with joints, bones and sigmas."""
    input: Input
    heads: Annotated[tuple[Head, ...], Meta(min_length=1)]
    decoder: Decoder
    score: Score | None = None
    """None: the decoder's own scores and thresholds, measured against nothing."""
    origin: Origin
    licence: Licence
    accuracy: dict[str, Any] = {}
    """What was measured, on what."""
    delegates: Delegates = Delegates()

    @property
    def joints(self) -> Skeleton:
        """The skeleton itself."""
        own = self.skeleton
        if isinstance(own, str):
            return SKELETONS[own]
        return Skeleton(own.name, own.joints, own.bones, own.sigmas or (USUAL_SIGMA,) * len(own.joints))


SUFFIX = ".toml"
MAX_FILE_BYTES = 1 << 28


def read_manifest(path: Path) -> Manifest:
    """Read and check one manifest.

    Raises:
        ModelError: naming the file, the key, what came and what was expected.
    """
    try:
        manifest = config.convert(config.read_toml(path), Manifest, str(path))
    except ConfigError as error:
        raise ModelError(str(error), passes=error.passes) from None
    _check_skeleton(manifest.skeleton, str(path))
    roles = [head.role for head in manifest.heads]
    if len(set(roles)) != len(roles):
        raise ModelError(f"{path}: heads name a role twice: {', '.join(roles)}")
    for role in manifest.delegates.tolerance:
        if role not in roles:
            raise ModelError(f"{path}: delegates.tolerance.{role} is no head, expected one of {', '.join(roles)}")
    return manifest


def _check_skeleton(skeleton: str | OwnSkeleton, where: str) -> None:
    if isinstance(skeleton, str):
        if skeleton not in SKELETONS:
            raise ModelError(f"{where}: skeleton is {skeleton!r}, expected one of {', '.join(SKELETONS)} or a table")
        return
    count = len(skeleton.joints)
    if len(set(skeleton.joints)) != count:
        raise ModelError(f"{where}: skeleton.joints names a joint twice")
    if any(joint >= count for bone in skeleton.bones for joint in bone):
        raise ModelError(f"{where}: skeleton.bones names a joint above {count - 1}, the last")
    if len(skeleton.sigmas) not in (0, count):
        raise ModelError(f"{where}: skeleton.sigmas has {len(skeleton.sigmas)} numbers, expected {count}")


def read_model(manifest_path: Path, manifest: Manifest | Build, *, noted: bool = False) -> bytes:
    """The bytes of the model beside its manifest, equal to the manifest's sha256; or of a build of it.

    noted  True: a file that was found so since this machine started is not hashed again

    Raises:
        ModelError: missing, unreadable or different.
    """
    path = manifest_path.with_name(manifest.file)
    content, status = _read(path, manifest_path.name)
    note = sound.note(status, manifest.sha256) if noted else ""
    if sound.known(note):
        return content
    import hashlib

    found = hashlib.sha256(content).hexdigest()
    if found != manifest.sha256:
        raise ModelError(
            f"{path}: sha256 is {found[:12]}..., {manifest_path.name} says {manifest.sha256[:12]}...; "
            "the file is damaged or another one, fetch it again"
        )
    sound.remember(note)
    return content


def read_file(path: Path, manifest: str = "") -> bytes:
    """The bytes of a model file.

    manifest  name of the one that asks for it

    Raises:
        ModelError: missing, unreadable, empty, too large or no file at all.
    """
    return _read(path, manifest)[0]


def _read(path: Path, manifest: str) -> tuple[bytes, os.stat_result]:
    """The bytes of a file, and what it was before they were read."""
    missing = "no such file" + (f", but {manifest} names it; restore it or remove both" if manifest else "")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path}: is not a file" + (f"; {manifest} needs the model there" if manifest else ""))
        if status.st_size > MAX_FILE_BYTES:
            raise ModelError(
                f"{path}: has {status.st_size >> 20} MiB, expected at most {MAX_FILE_BYTES >> 20}; fetch it again"
            )
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read()
    except FileNotFoundError:
        raise ModelError(f"{path}: {missing}") from None
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror}; check its permissions", passes=passes(error)
        ) from None
    except ValueError:  # a null byte
        raise ModelError(f"{str(path)!r}: {missing}") from None
    if not content:
        raise ModelError(f"{path}: is empty; fetch it again")
    return content, status

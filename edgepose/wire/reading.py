"""Messages back into Poses: what a program that listens works with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import HIDDEN, REASONS, SKELETONS, Axes, Kind, Poses, Skeleton, Space
from edgepose.wire import binary, poses_json

F = np.float32
MOST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Heard(Poses):
    """Poses as a board published them.

    `t` is the position in the file in seconds, or of a camera when the frame was taken, seconds since 1970.
    """

    device: str = ""
    """Name of the board."""
    camera: str = ""
    """Name of the camera."""


def _missing(people: Sequence[poses_json.Person]) -> NDArray[np.uint8] | None:
    """(N, K) as Poses.missing; a word of a later version says no more than hidden."""
    if not people or any(person.missing is None for person in people):
        return None
    numbers = {why: number for number, why in enumerate(REASONS)}
    return np.array([[numbers.get(why, HIDDEN) for why in person.missing or ()] for person in people], np.uint8)


def poses_of(message: poses_json.Message) -> Heard:
    """The people of a JSON message."""
    captured = _wall(message.captured)
    missing = [np.nan, np.nan, 0.0]
    rows = [[joint or missing for joint in person.keypoints] for person in message.people]
    joints = _floats(rows).reshape(-1, len(message.joints), 3)
    nowhere = [np.nan] * 3
    solid = None
    if message.people and all(person.xyz is not None for person in message.people):
        points = [[point or nowhere for point in person.xyz or ()] for person in message.people]
        solid = _floats(points).reshape(-1, len(message.joints), 3)
    space = None if solid is None else _space_of(message)
    when = message.media_s if message.media_s is not None else captured or 0.0
    return Heard(
        t=when,
        taken_t=when,
        seq=message.seq,
        name=message.source,
        size_wh=message.size_wh,
        skeleton=skeleton_of(message.skeleton, tuple(message.joints)),
        xy=joints[..., :2],
        score=joints[..., 2],
        person_score=_floats([person.score for person in message.people]),
        track_id=_ids(-1 if person.id is None else person.id for person in message.people),
        xyz=solid,
        missing=_missing(message.people),
        entered=tuple(message.entered),
        left=tuple(message.left),
        predicted_s=message.predicted_ms / 1e3,
        ran_on=message.ran_on,
        taken_wall=captured,
        space=space,
        held=message.held,
        device=message.device,
        camera=message.camera,
    )


def poses_of_binary(message: binary.BinaryMessage, device: str = "", camera: str = "") -> Heard:
    """The people of a binary message; device and camera are in its topic.

    A skeleton that is unknown here has numbered joints.
    """
    captured = message.captured_us / 1e6 if message.captured_us else None
    when = message.media_us / 1e6 if message.media_us is not None else captured or 0.0
    joints = tuple(f"joint_{number}" for number in range(message.score.shape[1]))
    known = SKELETONS.get(message.skeleton)
    return Heard(
        t=when,
        taken_t=when,
        seq=message.seq,
        name=message.source,
        size_wh=message.size_wh,
        skeleton=known if known and len(known.joints) == len(joints) else skeleton_of(message.skeleton, joints),
        xy=message.xy,
        score=np.where(np.isfinite(message.xy).all(axis=2), message.score, 0).astype(F),
        person_score=message.person_score,
        track_id=_ids(identity or -1 for identity in message.id.tolist()),
        xyz=message.xyz,
        entered=message.entered,
        left=message.left,
        predicted_s=message.predicted_ms / 1e3,
        ran_on=message.ran_on,
        taken_wall=captured,
        space=message.space,
        held=message.held,
        device=device,
        camera=camera,
    )


def _floats(rows: Sequence[Any]) -> NDArray[np.float32]:
    """As Poses has them; raises ValueError for what would be infinite there."""
    values = np.array(rows, np.float64)
    if (np.abs(values) > np.finfo(F).max).any():
        raise ValueError("message: has a number larger than any place or score")
    return values.astype(F)


def _ids(given: Iterable[int]) -> NDArray[np.int32]:
    """(N,) as Poses has them; no message's number is too large to be read."""
    return np.array([min(max(identity, -1), MOST_ID) for identity in given], np.int32)


def _space_of(message: poses_json.Message) -> Space | None:
    """What xyz means where it is metres; None: in the model's own unit, or in axes that are unknown here."""
    kind, frame = message.space, message.frame
    if kind not in get_args(Kind) or frame not in get_args(Axes):
        return None
    joints = len(message.joints)
    roots = _floats([person.root or [np.nan] * 4 for person in message.people]).reshape(-1, 4)
    unsure = [[np.nan] * 2] * joints
    sigma = [[each or [np.nan] * 2 for each in person.sigma or unsure] for person in message.people]
    guessed = np.zeros((len(message.people), joints), bool)
    for row, person in enumerate(message.people):
        guessed[row, [joint for joint in person.guessed or () if 0 <= joint < joints]] = True
    spread = _floats(sigma).reshape(-1, joints, 2)
    measured = np.array([person.space == "triangulated" for person in message.people], bool)
    known = measured if kind == "lifted" and measured.any() else None
    return Space(cast("Kind", kind), cast("Axes", frame), roots[:, :3], roots[:, 3], spread, guessed, known)


def read(data: bytes, names: Sequence[str] = ("", "")) -> Heard:
    """A message of either form; `names` are device and camera for one that does not say.

    Raises:
        ValueError: it is of neither form.
    """
    if data[:2] == binary.MAGIC:
        return poses_of_binary(binary.decode(data), *names)
    return poses_of(poses_json.decode(data))


@lru_cache(maxsize=16)
def skeleton_of(name: str, joints: tuple[str, ...]) -> Skeleton:
    """The skeleton of that name where its joints are these; a model may bring its own, without bones and spreads."""
    known = SKELETONS.get(name)
    return known if known and known.joints == joints else Skeleton(name, joints, bones=(), sigmas=())


def _wall(captured: str) -> float | None:
    """Seconds since 1970; None where nothing is said, or nonsense."""
    try:
        return datetime.fromisoformat(captured.replace("Z", "+00:00")).timestamp() if captured else None
    except ValueError:
        return None

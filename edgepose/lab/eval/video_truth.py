"""Who really is in a video, frame by frame, and how well that was followed.

The file: {"joints": ["nose", ...], "frames": [FRAME, ...]}. `joints` may be left out where they are COCO's 17.
FRAME is the list of its people, the first that of frame 0; or {"frame": 12, "people": [...]}, then other frames are
not judged. A person is {"id": 1, "keypoints": [x, y, v, x, y, v, ...]}, v = 0 where not labelled, or
{"id": 1, "box": [x, y, width, height]}, or both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.core.oks import AREA_OF_BOX
from edgepose.core.poses import COCO17, Poses, Skeleton
from edgepose.lab.eval.find import places
from edgepose.lab.eval.match import pairs, similarity
from edgepose.lab.eval.truth import Person, joint_name, skeleton_of
from edgepose.lab.eval.video import Track, lag_ms

SAME = 0.3
"""Least OKS, or overlap of boxes, between somebody and a pose."""


@dataclass(frozen=True, eq=False)
class Film:
    """The truth of a video."""

    skeleton: Skeleton
    frames: Mapping[int, list[tuple[int, Person]]]
    """Frame number -> (identity, person) of everybody in it."""


@dataclass(frozen=True, eq=False)
class Followed:
    """How somebody was followed."""

    numbers: dict[str, float | None]
    events: list[tuple[float, int, str]]
    """Seconds, identity in the truth, "switch" or "fragmentation"."""


def read_film(path: Path) -> Film:
    """Read a file as above.

    Raises:
        ConfigError: it is none; says where.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"--truth {path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--truth {path}: not valid JSON: {error}") from None
    frames = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(frames, list):
        raise ConfigError(f'--truth {path}: expected {{"frames": [...]}}, a list of people for each frame')
    names = data.get("joints")
    skeleton = COCO17 if names is None else skeleton_of("truth", tuple(map(joint_name, names)), data.get("skeleton"))
    film: dict[int, list[tuple[int, Person]]] = {}
    for index, frame in enumerate(frames):
        where = f"{path}: frames[{index}]"
        number: Any = index
        people = frame
        if isinstance(frame, dict):
            number, people = frame.get("frame"), frame.get("people")
        if not isinstance(number, int) or not isinstance(people, list):
            raise ConfigError(f'{where}: expected a list of people, or {{"frame": number, "people": [...]}}')
        film[number] = [_person(one, len(skeleton.joints), number, where) for one in people]
        if len({identity for identity, _ in film[number]}) != len(people):
            raise ConfigError(f"{where}: has an id twice")
    return Film(skeleton, film)


def _person(entry: Any, joints: int, frame: int, where: str) -> tuple[int, Person]:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), int):
        raise ConfigError(f"{where}: a person without a whole number as id")
    xy = np.full((joints, 2), np.nan)
    try:
        given = np.array(entry.get("keypoints") or [0] * 3 * joints, np.float64).reshape(joints, 3)
        box = np.array(entry.get("box", ()), np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: person {entry['id']}: keypoints are not {joints} of x, y, visibility") from None
    labelled = (given[:, 2] > 0) & np.isfinite(given).all(axis=1)
    xy[labelled] = given[labelled, :2]
    if box.shape != (4,):
        if not labelled.any():
            raise ConfigError(f"{where}: person {entry['id']} has neither keypoints nor a box of four numbers")
        low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
        box = np.concatenate((low, np.maximum(high - low, 1)))
    area = AREA_OF_BOX * float(box[2] * box[3])
    return entry["id"], Person(frame, (box[0], box[1], box[2], box[3]), max(area, 1.0), xy, labelled, False)


def followed(film: Film, reported: Sequence[Poses]) -> Followed:
    """Compare what was told with the truth of the same frames.

    Who was whose in the last frame stays so while it fits; the others are paired, most alike first.
    Source: Bernardin and Stiefelhagen, CLEAR MOT metrics, 2008.
    """
    sigmas = np.array(film.skeleton.sigmas)
    last: dict[int, int] = {}
    was_lost: set[int] = set()
    events: list[tuple[float, int, str]] = []
    people = missed = false = matched = 0
    likeness: list[float] = []
    errors: list[float] = []
    for poses in reported:
        if poses.seq not in film.frames:
            continue
        here = film.frames[poses.seq]
        xy = _in_joints(poses, film.skeleton)
        alike = _alike(xy, [person for _, person in here], sigmas)
        alike[alike < SAME] = 0
        chosen = _kept(alike, [identity for identity, _ in here], poses.track_id.tolist(), last)
        people += len(here)
        matched += len(chosen)
        missed += len(here) - len(chosen)
        false += len(poses) - len(chosen)
        for index, (identity, person) in enumerate(here):
            if index not in chosen:
                if identity in last:
                    was_lost.add(identity)
                continue
            pose = chosen[index]
            track = int(poses.track_id[pose])
            if identity in was_lost:
                events.append((poses.t, identity, "fragmentation"))
                was_lost.discard(identity)
            if identity in last and last[identity] != track:
                events.append((poses.t, identity, "switch"))
            last[identity] = track
            if person.labelled.any():
                likeness.append(float(similarity(xy[pose : pose + 1], [person], sigmas)[0, 0]))
                apart = np.linalg.norm(xy[pose] - person.xy, axis=1)
                errors += apart[np.isfinite(apart)].tolist()
    switches = sum(kind == "switch" for _, _, kind in events)
    numbers: dict[str, float | None] = {
        "switches": switches,
        "fragmentations": len(events) - switches,
        "recall": matched / people if people else None,
        "precision": matched / (matched + false) if matched + false else None,
        "mota": 1 - (missed + false + switches) / people if people else None,
        "mean_oks": float(np.mean(likeness)) if likeness else None,
        "error_px": float(np.median(errors)) if errors else None,
        "lag_truth_ms": _lag(film, reported),
    }
    return Followed(numbers, events)


def _in_joints(poses: Poses, skeleton: Skeleton) -> NDArray[np.float64]:
    """(N, K, 2) the poses in the joints of the truth."""
    where = places(poses.skeleton, skeleton)
    xy = np.full((len(poses), len(where), 2), np.nan)
    for joint, place in enumerate(where):
        if place >= 0:
            xy[:, joint] = poses.xy[:, place]
    return xy


def _alike(xy: NDArray[np.float64], people: Sequence[Person], sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, P) OKS to people with joints, overlap of boxes (intersection over union) with the others."""
    alike = similarity(xy, people, sigmas)
    found: NDArray[np.bool_] = np.asarray(np.isfinite(xy).all(axis=2))
    low = np.where(found[..., None], xy, np.inf).min(axis=1)
    high = np.where(found[..., None], xy, -np.inf).max(axis=1)
    for index, person in enumerate(people):
        if person.labelled.any():
            continue
        corner = np.array(person.box_xywh[:2])
        opposite = corner + person.box_xywh[2:]
        common = np.clip(np.minimum(high, opposite) - np.maximum(low, corner), 0, None).prod(axis=1)
        own = np.clip(high - low, 0, None).prod(axis=1)
        with np.errstate(invalid="ignore"):
            overlap = common / (own + float(np.prod(person.box_xywh[2:])) - common)
        alike[:, index] = np.nan_to_num(overlap)
    return alike


def _kept(
    alike: NDArray[np.float64], people: Sequence[int], tracks: Sequence[int], last: Mapping[int, int]
) -> dict[int, int]:
    """Index of a person -> index of the pose that is theirs."""
    chosen: dict[int, int] = {}
    for index, identity in enumerate(people):
        track = last.get(identity, -1)
        if track >= 0 and track in tracks and alike[tracks.index(track), index] > 0:
            chosen[index] = tracks.index(track)
    left = alike.copy()
    left[:, list(chosen)] = 0
    left[list(chosen.values()), :] = 0
    return chosen | {person: pose for pose, person in pairs(left)}


def _lag(film: Film, reported: Sequence[Poses]) -> float | None:
    """Of poses behind the people whom they are nearest to."""
    sigmas = np.array(film.skeleton.sigmas)
    true: dict[int, list[tuple[float, int, NDArray[np.float64]]]] = {}
    seen: dict[int, list[tuple[float, int, NDArray[np.float64]]]] = {}
    for poses in reported:
        here = film.frames.get(poses.seq, [])
        xy = _in_joints(poses, film.skeleton)
        alike = similarity(xy, [person for _, person in here], sigmas)
        for identity, person in here:
            true.setdefault(identity, []).append((poses.t, poses.seq, person.xy))
        for pose, index in pairs(alike):
            seen.setdefault(here[index][0], []).append((poses.t, poses.seq, xy[pose]))
    return lag_ms(_tracks(true), _tracks(seen))


def _tracks(rows: Mapping[int, list[tuple[float, int, NDArray[np.float64]]]]) -> dict[int, Track]:
    return {
        identity: Track(
            np.array([t for t, _, _ in seen]),
            np.array([seq for _, seq, _ in seen], np.int64),
            np.array([xy for _, _, xy in seen]),
        )
        for identity, seen in rows.items()
    }

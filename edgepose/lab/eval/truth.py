"""What is really in the pictures: a COCO-keypoints file read with care, and the pictures it speaks of."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.core.oks import AREA_OF_BOX
from edgepose.core.poses import COCO17, SKELETONS, Skeleton

USUAL_SIGMA = 0.08
"""Spread of a joint that none of our skeletons knows."""

OTHER_NAMES = {"top_head": "head_top", "head": "head_top", "upper_neck": "neck"}
"""Joint names of other data sets."""

SHOWN = 5
"""File names told of in one message."""


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated person, or a region that may hold people."""

    picture_id: int
    box_xywh: tuple[float, float, float, float]
    area: float
    """Square pixels of the person, as the file says; else a share of the box."""
    xy: NDArray[np.float64]
    """(K, 2) pixels; NaN where not labelled."""
    seen: NDArray[np.bool_]
    """(K,) labelled and visible; labelled and hidden is False."""
    crowd: bool

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(K,) joints that the file gives."""
        return ~np.isnan(self.xy[:, 0])

    @property
    def counts(self) -> bool:
        """Whether it must be found; a crowd, or somebody without joints, neither must nor is wrong to find."""
        return not self.crowd and bool(self.labelled.any())


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture that is there."""

    id: int
    name: str
    path: Path
    size_wh: tuple[int, int] | None
    """As the file says."""
    people: tuple[Person, ...] = ()

    @property
    def empty(self) -> bool:
        """Nobody is annotated in it, in any way."""
        return not self.people


@dataclass(frozen=True, eq=False)
class Truth:
    """The pictures to look at, and who is in them."""

    skeleton: Skeleton
    """The joints of the file, in its order."""
    category_id: int
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...] = ()
    """What was left out and why, one line each."""
    missing: tuple[str, ...] = ()
    """Names of pictures that are not in the folder."""
    empties: tuple[Picture, ...] = ()
    """More pictures without people: they count for false people and nothing else."""
    absent: tuple[str, ...] = ()
    """Joints of the file that the model does not have; nobody is asked for them."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(K,) joints that are asked for."""
        return np.array([joint not in self.absent for joint in self.skeleton.joints])

    @property
    def people(self) -> list[Person]:
        """Everybody who must be found."""
        return [person for picture in self.pictures for person in picture.people if person.counts]


@dataclass
class _Left:
    """What could not be used, by reason."""

    counts: Counter[str] = field(default_factory=Counter)

    def notes(self) -> list[str]:
        return [f"{count} {reason}" for reason, count in self.counts.items()]


def read_truth(annotations: Path, images: Path, limit: int = 0, empty: Path | None = None) -> Truth:
    """Read a COCO-keypoints file; pictures that are not there are left out and named.

    limit  use the first so many pictures; 0 is all
    empty  a folder of pictures without people

    Raises:
        ConfigError: the file is no such file, or none of its pictures is there.
    """
    data = _load(annotations)
    category = _category(data, annotations)
    names = tuple(joint_name(joint) for joint in category["keypoints"])
    if len(set(names)) != len(names):
        raise ConfigError(f"{annotations}: category {category.get('name')!r} names a joint twice: {', '.join(names)}")
    if not images.is_dir():
        raise ConfigError(f"--images {images}: no such folder")
    left = _Left()
    listed = _listed(data["images"], left)
    people = _people(data["annotations"], listed, category, len(names), left)
    pictures: list[Picture] = []
    missing: list[str] = []
    for picture_id, entry in listed.items():
        if limit and len(pictures) == limit:
            break
        name = str(entry["file_name"])
        path = _find(images, name)
        if path is None:
            missing.append(name)
            continue
        pictures.append(Picture(picture_id, name, path, _size(entry), tuple(people.get(picture_id, ()))))
    if not pictures:
        raise ConfigError(_none_there(annotations, images, missing))
    return Truth(
        skeleton=skeleton_of(str(category.get("name", "person")), names, category.get("skeleton")),
        category_id=int(category["id"]),
        pictures=tuple(pictures),
        notes=tuple(left.notes()),
        missing=tuple(missing),
        empties=empties(empty) if empty else (),
    )


def asked_of(truth: Truth, joints: tuple[str, ...]) -> Truth:
    """The same truth, asking only for the joints that a model has.

    Raises:
        ConfigError: it has none of them.
    """
    absent = tuple(joint for joint in truth.skeleton.joints if joint not in joints)
    if len(absent) == len(truth.skeleton.joints):
        raise ConfigError(
            f"engine.model: has none of the annotated joints ({some(list(truth.skeleton.joints))}); "
            f"it has {some(list(joints))}"
        )
    if not absent:
        return truth
    hidden = np.array([joint in absent for joint in truth.skeleton.joints])

    def without(person: Person) -> Person:
        return replace(person, xy=np.where(hidden[:, None], np.nan, person.xy), seen=person.seen & ~hidden)

    pictures = tuple(replace(one, people=tuple(map(without, one.people))) for one in truth.pictures)
    return replace(truth, pictures=pictures, absent=absent)


def some(names: tuple[str, ...] | list[str]) -> str:
    """A few of the names, and how many more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _load(path: Path) -> dict[str, Any]:
    try:
        data: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"--annotations {path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"--annotations {path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from None
    expected = "expected a COCO-keypoints file with images, annotations and categories"
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds a {type(data).__name__}, {expected}")
    for key in ("images", "annotations", "categories"):
        entries = data.get(key)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ConfigError(f"{path}: {key} is {'missing' if entries is None else 'no list of objects'}, {expected}")
    return dict(data)


def _category(data: dict[str, Any], where: Path) -> dict[str, Any]:
    """The category with joints; "person" where there are several."""
    known = [
        category
        for category in data["categories"]
        if isinstance(category.get("keypoints"), list) and category["keypoints"] and isinstance(category.get("id"), int)
    ]
    if not known:
        raise ConfigError(f"{where}: no category has an id and names its keypoints; was it made for boxes only?")
    people = [category for category in known if category.get("name") == "person"]
    return dict((people or known)[0])


def joint_name(joint: object) -> str:
    """A joint as our skeletons call it: "Left Hip" is left_hip."""
    name = str(joint).strip().lower().replace(" ", "_").replace("-", "_")
    return OTHER_NAMES.get(name, name)


def skeleton_of(name: str, joints: tuple[str, ...], bones: Any) -> Skeleton:
    """Joints with the spreads of COCO where it has them, else of the first of our skeletons that does."""
    if joints == COCO17.joints:
        return COCO17
    whole = next((known for known in SKELETONS.values() if set(joints) <= set(known.joints)), None)
    spread: dict[str, float] = {}
    for known in [*([whole] if whole else []), COCO17, *SKELETONS.values()]:
        for joint, sigma in zip(known.joints, known.sigmas, strict=True):
            spread.setdefault(joint, sigma)
    pairs = []
    for bone in bones if isinstance(bones, list) else []:
        a, b = bone if isinstance(bone, list) and len(bone) == 2 else (0, 0)
        if isinstance(a, int) and isinstance(b, int) and 1 <= a <= len(joints) and 1 <= b <= len(joints):
            pairs.append((a - 1, b - 1))
    return Skeleton(name, joints, tuple(pairs), tuple(spread.get(joint, USUAL_SIGMA) for joint in joints))


def _listed(entries: list[dict[str, Any]], left: _Left) -> dict[int, dict[str, Any]]:
    listed: dict[int, dict[str, Any]] = {}
    for entry in entries:
        if not isinstance(entry.get("id"), int) or not isinstance(entry.get("file_name"), str):
            left.counts["pictures without an id or a file_name: left out"] += 1
        elif entry["id"] in listed:
            left.counts["pictures whose id another one has: left out"] += 1
        else:
            listed[entry["id"]] = entry
    return listed


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    width, height = entry.get("width"), entry.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _people(
    entries: list[dict[str, Any]],
    listed: dict[int, dict[str, Any]],
    category: dict[str, Any],
    joints: int,
    left: _Left,
) -> dict[int, list[Person]]:
    people: dict[int, list[Person]] = {}
    for entry in entries:
        if entry.get("image_id") not in listed:
            left.counts["annotations of pictures that the file does not list: left out"] += 1
            continue
        if entry.get("category_id", category["id"]) != category["id"]:
            left.counts[f"annotations of another category than {category.get('name', 'person')!r}: left out"] += 1
            continue
        person = _person(entry, joints, left)
        if person:
            people.setdefault(person.picture_id, []).append(person)
    return people


def _person(entry: dict[str, Any], joints: int, left: _Left) -> Person | None:
    given = entry.get("keypoints")
    if given is None or given == []:
        left.counts["annotations without keypoints: finding them is neither right nor wrong"] += 1
        given = [0] * (3 * joints)
    values = _numbers(given)
    if values is None or len(values) != 3 * joints:
        left.counts[f"annotations with another number of keypoints than {joints} of x, y, visibility: left out"] += 1
        return None
    table = values.reshape(joints, 3)
    labelled = (table[:, 2] > 0) & np.isfinite(table).all(axis=1)
    if entry.get("num_keypoints") == 0:
        labelled[:] = False
    xy = np.where(labelled[:, None], table[:, :2], np.nan)
    box = _numbers(entry.get("bbox"))
    if box is None or len(box) != 4 or not np.isfinite(box).all() or (box[2:] <= 0).any():
        if not labelled.any():
            left.counts["annotations with neither a box nor keypoints: left out"] += 1
            return None
        left.counts["annotations without a box: it is drawn around their keypoints"] += 1
        low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
        box = np.concatenate((low, np.maximum(high - low, 1.0)))
    area = entry.get("area")
    if not isinstance(area, (int, float)) or not np.isfinite(area) or area <= 0:
        left.counts[f"annotations without an area: {AREA_OF_BOX} of the box is taken"] += 1
        area = AREA_OF_BOX * float(box[2] * box[3])
    return Person(
        picture_id=entry["image_id"],
        box_xywh=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        area=float(area),
        xy=xy,
        seen=labelled & (table[:, 2] > 1),
        crowd=bool(entry.get("iscrowd")),
    )


def _numbers(given: Any) -> NDArray[np.float64] | None:
    try:
        values = np.array(given, np.float64)
    except (TypeError, ValueError):
        return None
    return values if values.ndim == 1 else None


def _find(images: Path, name: str) -> Path | None:
    """The file of that name, with its subfolders, or right in the folder; never one outside of it."""
    inside = os.path.normpath(name)
    if inside.startswith("..") or Path(inside).is_absolute():
        inside = Path(name).name
    for path in (images / inside, images / Path(name).name):
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name too long, a null byte
            continue
    return None


def _none_there(annotations: Path, images: Path, missing: list[str]) -> str:
    if not missing:
        return f"{annotations}: lists no pictures"
    return (
        f"--images {images}: has none of the {len(missing)} pictures of {annotations.name}, "
        f"such as {some(missing[:2])}; give the folder those names start from"
    )


def empties(folder: Path, flag: str = "--empty") -> tuple[Picture, ...]:
    """The pictures of a folder in which nobody is.

    Raises:
        ConfigError: there are none; names the flag.
    """
    from edgepose.source.files import PICTURES

    if not folder.is_dir():
        raise ConfigError(f"{flag} {folder}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
    if not paths:
        raise ConfigError(f"{flag} {folder}: has no pictures")
    return tuple(Picture(-1 - index, str(path.relative_to(folder)), path, None) for index, path in enumerate(paths))

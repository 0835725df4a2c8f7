"""What a file cannot tell of a model, measured: the model and our own look at the same people, and joints are matched.

Tried are the colour order, the range of a float input, sides mirrored, and for heatmaps the order of the channels. A
guess is replaced only by what is clearly better; the evidence is a picture with the joints of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.oks import oks
from edgepose.core.poses import Frame, Poses
from edgepose.engine import Engine
from edgepose.engine.surgery.intake import SPANS
from edgepose.estimate.decode import open_decoder, sees_one
from edgepose.lab.models.views import REACH, Bundle, opened

BETTER = 0.05
"""OKS by which another reading must be more like our own poses than the guess."""
ENOUGH = 5
"""People that a measurement needs."""
MOST = 24
FAR = 0.35
"""Distance over a person's size beyond which a channel is not at a joint at all."""


class Person(NamedTuple):
    """Somebody our own models see, and the frame."""

    frame: Frame
    xy: NDArray[np.float32]
    """(17, 2) COCO's joints in source pixels."""


class Measured(NamedTuple):
    """What came out."""

    bundle: Bundle
    """The model with what was measured in its manifest."""
    said: tuple[str, ...]
    """Lines for people."""
    likeness: float
    """Mean OKS with our own poses; NaN: there was nobody to measure on."""


def measure(bundle: Bundle, people: Sequence[Person], joints: Sequence[str]) -> Measured:
    """Try what a file cannot tell; `joints` names those of `people`."""
    if len(people) < ENOUGH:
        return Measured(bundle, (f"{len(people)} people on the pictures: too few to measure on",), float("nan"))
    best, said = (_likeness(bundle, people, joints), bundle), []
    for step in (_inputs, _orders):
        tried = [(_likeness(each, people, joints), each, what) for each, what in step(best[1], people, joints)]
        likely = max(tried, key=lambda row: row[0], default=(0.0, best[1], ""))
        if likely[0] > best[0] + BETTER:
            said.append(f"{likely[2]}: OKS {likely[0]:.2f} with our own poses, {best[0]:.2f} without")
            best = likely[0], likely[1]
    said = said or [f"as guessed: OKS {best[0]:.2f} with our own poses of {len(people)} people; nothing else is better"]
    return Measured(best[1], tuple(said), best[0])


def _inputs(bundle: Bundle, _people: Sequence[Person], _joints: Sequence[str]) -> Iterator[tuple[Bundle, str]]:
    """Other colours, other ranges of a float input."""
    now = bundle.table["input"]
    spans = [now["range"], *([] if now["dtype"] != "float32" else map(list, SPANS))]
    for colour in ("rgb", "bgr"):
        for span in spans:
            table = {**bundle.table, "input": {**now, "colour": colour, "range": list(span)}}
            yield Bundle(table, bundle.content), f"input is {colour}, {span[0]:g}..{span[1]:g}"


def _orders(bundle: Bundle, people: Sequence[Person], joints: Sequence[str]) -> Iterator[tuple[Bundle, str]]:
    """Heatmaps: sides mirrored; each of our joints the channel that lies on it."""
    decoder = bundle.table["decoder"]
    if decoder["name"] != "heatmap":
        return
    with opened(bundle) as engine:
        names = engine.manifest.joints.joints
        found = [_seen(engine, person) for person in people]
    channels = list(decoder["options"].get("channels") or range(len(names)))
    yield _with(bundle, [channels[names.index(_other(name))] for name in names]), "sides are mirrored"
    yield _with(bundle, _matched(channels, names, joints, people, found)), "joints come in another order"


def _with(bundle: Bundle, channels: list[int]) -> Bundle:
    decoder = bundle.table["decoder"]
    options = {**decoder["options"], "channels": channels}
    return Bundle({**bundle.table, "decoder": {**decoder, "options": options}}, bundle.content)


def _other(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name[5:]
    return "left_" + name[6:] if name.startswith("right_") else name


def _matched(
    channels: list[int], names: Sequence[str], joints: Sequence[str], people: Sequence[Person], found: Sequence[Poses]
) -> list[int]:
    """Channel of each of the model's joints: nearest pairs first; what is left keeps its order."""
    away = np.full((len(names), len(joints)), np.inf)
    rows = [
        np.linalg.norm(poses.xy[0][:, None] - person.xy[None], axis=2) / _size(person.xy)
        for person, poses in zip(people, found, strict=True)
        if len(poses)
    ]
    if rows:
        stacked = np.where(np.isnan(np.stack(rows)), FAR, np.stack(rows))
        away = np.median(np.minimum(stacked, FAR), axis=0)
    given: dict[str, int] = {}
    for place, joint in zip(*np.unravel_index(np.argsort(away, axis=None), away.shape), strict=True):
        name = joints[joint]
        if name in names and name not in given and channels[place] not in given.values():
            given[name] = channels[place]
    left = [channel for channel in channels if channel not in given.values()]
    return [given[name] if name in given else left.pop(0) for name in names]


def _size(xy: NDArray[np.float32]) -> float:
    return float(max(np.ptp(xy[~np.isnan(xy[:, 0])], axis=0).max(), 1.0))


def _seen(engine: Engine, person: Person) -> Poses:
    """The model's poses where somebody is."""
    from edgepose.estimate.boxes import around
    from edgepose.estimate.preprocess import Preprocess

    manifest = engine.manifest
    one = sees_one(manifest.decoder.name, manifest.decoder.options, 1)
    least = 0.0 if one else None
    limits = config.Decode(max_people=1 if one else 20, min_person_score=least, min_joint_score=least)
    options: dict[str, Any] = manifest.decoder.options
    decode = open_decoder(manifest.name, manifest.decoder.name, options, manifest.joints, engine.heads, limits)
    tensor, crop = Preprocess(engine.input)(person.frame, around(person.xy, REACH) if one else None)
    return decode(engine.run(tensor), crop, person.frame)


def _likeness(bundle: Bundle, people: Sequence[Person], joints: Sequence[str]) -> float:
    """Mean OKS with our own poses, over the joints that both name."""
    with opened(bundle) as engine:
        skeleton = engine.manifest.joints
        common = [name for name in skeleton.joints if name in joints]
        own = [joints.index(name) for name in common]
        theirs = [skeleton.joints.index(name) for name in common]
        sigmas = np.array(skeleton.sigmas, np.float32)[theirs]
        best = []
        for person in people:
            poses = _seen(engine, person)
            alike = oks(person.xy[own], poses.xy[:, theirs], sigmas) if len(poses) and common else np.zeros(1)
            best.append(float(alike.max()))
    return float(np.mean(best))


def people_in(frames: Sequence[Frame]) -> tuple[list[Person], tuple[str, ...]]:
    """Who is on the pictures, as `best` sees them, and the names of their joints."""
    from edgepose.estimate import open_estimate

    estimate = open_estimate(config.Config(engine=config.Engine(model="best")))
    try:
        seen = [(frame, estimate(frame, None).poses) for frame in frames]
    finally:
        estimate.close()
    people = [Person(frame, xy) for frame, poses in seen for xy in poses.xy if (~np.isnan(xy[:, 0])).sum() > ENOUGH]
    return people[:MOST], estimate.skeleton.joints


def evidence(measured: Measured, people: Sequence[Person], path: Path) -> None:
    """Write a picture: our own joints as rings, the model's as dots."""
    import cv2

    person = people[0]
    image = np.array(person.frame.image)
    radius = max(2, round(_size(person.xy) / 80))
    with opened(measured.bundle) as engine:
        poses = _seen(engine, person)
    for joints, colour, width in ((person.xy, (0, 200, 0), 2), *((xy, (0, 0, 255), -1) for xy in poses.xy)):
        for x, y in joints[~np.isnan(joints[:, 0])]:
            cv2.circle(image, (round(float(x)), round(float(y))), radius if width < 0 else 2 * radius, colour, width)
    cv2.imwrite(str(path), image)

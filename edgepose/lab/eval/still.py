"""Pictures held still before a noisy camera: who is reported where nobody is, and how soon who is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgepose.core import config
from edgepose.core.errors import ConfigError, FrameLostError, SourceError
from edgepose.core.poses import Poses
from edgepose.estimate import Estimate, open_estimate
from edgepose.lab.eval.find import places, read_image
from edgepose.lab.eval.held import Camera, held
from edgepose.lab.eval.match import pairs, similarity
from edgepose.lab.eval.measure import reliability
from edgepose.lab.eval.run import Progress
from edgepose.lab.eval.truth import Person, Picture, Truth, empties
from edgepose.pipeline import described
from edgepose.pipeline.stages import stages_of
from edgepose.source import ListSource

APART_S = 3600.0
"""Between two scenes, on the clock of the frames: nothing is remembered from one to the next."""
SAME = 0.3
"""Least OKS between somebody and a pose."""

CAMERAS = {
    "day": Camera(),
    "night": Camera(noise=8.0, light=0.2),
    "infrared": Camera(noise=12.0, light=0.6, grey=True),
}
"""What --light may name."""

MEANINGS = {
    "scenes": "pictures held still",
    "hours": "that they were looked at, all together",
    "invokes_per_frame": "inferences",
    "empty_scenes": "of them without people",
    "ghost_scenes": "of these with somebody reported",
    "ghosts_per_100": "the same of a hundred",
    "ghosts": "identities in them",
    "ghosts_per_hour": "the same by time",
    "people": "annotated in the others",
    "reported": "share of them reported at all",
    "first_s_p50": "seconds from the first frame until somebody is reported, median of those who are",
    "first_s_p95": "the same, 95 % of those who are",
    "frames_reported": "share of people's frames in which they are reported",
}
"""Key -> what it says."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What was reported of one picture."""

    name: str
    seconds: float
    people: int | None
    """Annotated; None: nobody is there."""
    identities: int
    first_s: dict[int, float]
    """Person -> seconds until reported."""
    frames: int
    person_frames: int
    """Reported, over all people."""
    scores: list[tuple[float, bool]]
    """Of every pose reported, and whether it is of a person."""
    worst: tuple[float, list[float]] | None = None
    """Score and box, left top right bottom, of the surest that is nobody."""


@dataclass(frozen=True, eq=False)
class Held:
    """All scenes, measured."""

    cfg: config.Config
    described: str
    scenes: list[Scene]
    numbers: dict[str, float | None]
    reliability: list[dict[str, float]]
    """Of tracks, frame by frame."""


def pictures_of(folder: Path, truth: Truth | None) -> tuple[Picture, ...]:
    """What is held: everything in a folder, or the annotated pictures of it.

    Raises:
        ConfigError: there is nothing.
    """
    return empties(folder, "--still") if truth is None else truth.pictures


def hold(
    cfg: config.Config,
    pictures: Sequence[Picture],
    truth: Truth | None,
    camera: Camera,
    seconds: float,
    progress: Progress,
) -> Held:
    """Look at every picture as if a fixed camera did."""
    if cfg.track.mode == "off":
        raise ConfigError("track.mode: off has no tracks to judge; --still needs them")
    estimate = open_estimate(cfg)
    try:
        scenes = []
        for index, picture in enumerate(pictures):
            scenes.append(_scene(cfg, estimate, picture, truth, camera, seconds, index))
            progress.step()
        ran = " + ".join(described(engine) for engine in estimate.engines)
        invokes = estimate.counts["invokes"]
    finally:
        progress.clear()
        estimate.close()
    numbers = _numbers(scenes, invokes)
    scores = [pair for scene in scenes for pair in scene.scores]
    return Held(cfg, ran, scenes, numbers, reliability(scores))


def _scene(
    cfg: config.Config,
    estimate: Estimate,
    picture: Picture,
    truth: Truth | None,
    camera: Camera,
    seconds: float,
    index: int,
) -> Scene:
    people = [person for person in picture.people if person.counts]
    first_s: dict[int, float] = {}
    scores: list[tuple[float, bool]] = []
    identities: set[int] = set()
    frames, worst = 0, None
    for t, poses in _tracked(cfg, estimate, picture, camera, seconds, index):
        frames += 1
        identities |= set(poses.track_id.tolist())
        whose = _whose(poses, people, truth)
        for row, score in enumerate(poses.person_score.tolist()):
            scores.append((score, row in whose))
            if row in whose:
                first_s.setdefault(whose[row], t)
            elif worst is None or score > worst[0]:
                worst = score, [*np.nanmin(poses.xy[row], axis=0).tolist(), *np.nanmax(poses.xy[row], axis=0).tolist()]
    return Scene(
        name=picture.name, seconds=frames / camera.fps, people=None if picture.empty else len(people),
        identities=len(identities), first_s=first_s, frames=frames,
        person_frames=sum(right for _, right in scores), scores=scores, worst=worst,
    )  # fmt: skip


def _tracked(
    cfg: config.Config, estimate: Estimate, picture: Picture, camera: Camera, seconds: float, index: int
) -> Iterator[tuple[float, Poses]]:
    """Seconds since the start of the scene, and who is reported then."""
    try:
        image, _ = read_image(picture)
    except SourceError as error:
        raise ConfigError(str(error)) from None
    stages = stages_of(cfg, ListSource([], live=True), estimate)
    for frame in held(image, camera, seconds, index, picture.name):
        placed = replace(frame, t=frame.t + APART_S * index)
        try:
            yield frame.t, stages.follow(estimate(placed, stages.expected(placed)).poses)
        except FrameLostError:
            continue


def _whose(poses: Poses, people: Sequence[Person], truth: Truth | None) -> dict[int, int]:
    """Row -> the person it shows."""
    if truth is None or not people or not len(poses):
        return {}
    where = places(poses.skeleton, truth.skeleton)
    xy = np.full((len(poses), len(where), 2), np.nan)
    for joint, place in enumerate(where):
        if place >= 0:
            xy[:, joint] = poses.xy[:, place]
    alike = similarity(xy, people, np.array(truth.skeleton.sigmas))
    alike[alike < SAME] = 0
    return dict(pairs(alike))


def _numbers(scenes: Sequence[Scene], invokes: int) -> dict[str, float | None]:
    empty = [scene for scene in scenes if scene.people is None]
    shown = [scene for scene in scenes if scene.people is not None]
    ghosts = sum(scene.identities > 0 for scene in empty)
    hours = sum(scene.seconds for scene in empty) / 3600
    people = sum(scene.people or 0 for scene in shown)
    firsts = sorted(t for scene in shown for t in scene.first_s.values())
    frames = sum((scene.people or 0) * scene.frames for scene in shown)
    identities = sum(scene.identities for scene in empty)
    return {
        "scenes": len(scenes),
        "hours": sum(scene.seconds for scene in scenes) / 3600,
        "invokes_per_frame": invokes / max(sum(scene.frames for scene in scenes), 1),
        "empty_scenes": len(empty),
        "ghost_scenes": ghosts,
        "ghosts_per_100": 100 * ghosts / len(empty) if empty else None,
        "ghosts": identities,
        "ghosts_per_hour": identities / hours if hours else None,
        "people": people,
        "reported": len(firsts) / people if people else None,
        "first_s_p50": _share(firsts, 0.5),
        "first_s_p95": _share(firsts, 0.95),
        "frames_reported": sum(scene.person_frames for scene in shown) / frames if frames else None,
    }


def _share(ordered: Sequence[float], share: float) -> float | None:
    """The value that so many of a hundred do not exceed."""
    return ordered[min(math.ceil(share * len(ordered)) - 1, len(ordered) - 1)] if ordered else None


def as_json(seen: Held, camera: Camera, seconds: float, command: str) -> dict[str, Any]:
    """Everything measured, as it is written."""
    return {
        **seen.numbers,
        "reliability": seen.reliability,
        "ghost_places": [
            {"name": scene.name, "score": scene.worst[0], "box": scene.worst[1], "identities": scene.identities}
            for scene in seen.scenes
            if scene.people is None and scene.worst is not None
        ],
        "camera": {**vars(camera), "seconds": seconds},
        "ran": seen.described,
        "settings": msgspec.to_builtins(seen.cfg),
        "command": command,
    }

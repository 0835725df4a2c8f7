"""A model's answers to annotated pictures: whole ones, as `edgepose run` sees them, or one crop per annotated box."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, FrameLostError, SourceError
from edgepose.core.opencv import cv2
from edgepose.core.places import utf8
from edgepose.core.poses import Frame, Poses, Skeleton
from edgepose.lab.eval.match import People
from edgepose.lab.eval.truth import Person, Picture
from edgepose.pipeline import described

RANKED_FROM = 0.01
"""Least person score of a candidate: average precision wants the unlikely ones too. The models run as configured."""


class Seen(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What one picture gave; goes through JSON and back."""

    picture_id: int
    candidates: list[Any]
    """[xy, joint scores, person score] of everybody likely at all, best first."""
    reported: list[Any]
    """The same of those that `edgepose run` tells of."""
    ms: float
    """Of the estimate as configured."""
    read_ms: float
    invokes: int
    crops: int
    candidate_invokes: int
    resized: bool = False
    """The picture has another size than the annotations say."""
    failed: str = ""
    """Why there is no answer."""
    boxes: tuple[int, ...] = ()
    """--boxes gt: index of the person whose box gave each candidate."""


class Finder(Protocol):
    """Looks at one picture after another."""

    joints: tuple[str, ...]
    """Of the model."""
    described: str
    """What runs, in words."""
    manifests: str
    """All that the models' manifests say."""

    def __call__(self, picture: Picture) -> Seen:
        """The people in it."""

    def close(self) -> None:
        """Close the engines."""


def open_finder(cfg: config.Config, joints: Skeleton, given: frozenset[str], boxes: str, box_scale: float) -> Finder:
    """What looks at pictures.

    joints     of the truth
    given      keys of the settings that somebody set: these hold for candidates too
    boxes      "none" or "gt"
    box_scale  side of a crop over the longer side of the annotated box
    """
    return InBoxes(cfg, joints, box_scale) if boxes == "gt" else InPictures(cfg, joints, given)


class InPictures:
    """Whole pictures, twice: as configured, and again for candidates where the settings hide the unlikely ones."""

    def __init__(self, cfg: config.Config, joints: Skeleton, given: frozenset[str]) -> None:
        from edgepose.estimate import open_estimate

        loose = for_candidates(cfg, given)
        with ExitStack() as opened:
            self.estimate = open_estimate(cfg)
            opened.callback(self.estimate.close)
            self.candidates = self.estimate if loose == cfg else open_estimate(loose)
            opened.callback(self.candidates.close)
            self._closes = opened.pop_all()
        self.joints = self.estimate.skeleton.joints
        self.places = places(self.estimate.skeleton, joints)
        self.manifests = repr([each.manifest for each in self.estimate.engines])
        self.described = " + ".join(described(engine) for engine in self.estimate.engines)
        self.warm = False

    def __call__(self, picture: Picture) -> Seen:
        """As Finder."""
        started_t = time.perf_counter()
        try:
            image, resized = read_image(picture)
        except SourceError as error:
            return _nothing(picture, str(error))
        read_t = time.perf_counter()
        frame = Frame(image, "bgr", 0.0, time.monotonic(), 0, picture.name)
        try:
            if not self.warm:  # what compiles or fills a cache does so before the clock runs
                self.estimate(frame, None)
                self.warm = True
            before, ready_t = dict(self.estimate.counts), time.perf_counter()
            reported = self.estimate(frame, None).poses
            ms = (time.perf_counter() - ready_t) * 1e3
            invokes, crops = (self.estimate.counts[key] - before[key] for key in ("invokes", "crops"))
            loose, candidate_invokes = reported, invokes
            if self.candidates is not self.estimate:
                count = self.candidates.counts["invokes"]
                loose = self.candidates(frame, None).poses
                candidate_invokes = self.candidates.counts["invokes"] - count
        except FrameLostError as error:
            return _nothing(picture, str(error))
        return Seen(
            picture_id=picture.id,
            candidates=packed(loose, self.places),
            reported=packed(reported, self.places),
            ms=ms,
            read_ms=(read_t - started_t) * 1e3,
            invokes=invokes,
            crops=crops,
            candidate_invokes=candidate_invokes,
            resized=resized,
        )

    def close(self) -> None:
        """As Finder."""
        self._closes.close()


class InBoxes:
    """One square crop around each annotated box: what a one-person model can do when told where to look."""

    def __init__(self, cfg: config.Config, joints: Skeleton, box_scale: float) -> None:
        from edgepose.engine import open_engine
        from edgepose.estimate.decode import open_decoder
        from edgepose.estimate.pairs import pair_of
        from edgepose.estimate.preprocess import Preprocess

        pair = pair_of(cfg.engine.model)
        if pair is not None:
            raise ConfigError(
                f"--boxes gt: looks with one model, and {cfg.engine.model} is two; --model {pair.refiner} is the second"
            )
        decode = msgspec.structs.replace(cfg.decode, max_people=1, min_person_score=0.0, min_joint_score=0.0)
        with ExitStack() as opened:
            self.engine = opened.enter_context(open_engine(cfg.engine))
            model = self.engine.manifest
            self.decode = open_decoder(
                model.name, model.decoder.name, model.decoder.options, model.joints, self.engine.heads, decode
            )
            self._closes = opened.pop_all()
        self.preprocess = Preprocess(self.engine.input)
        self.joints, self.places = model.joints.joints, places(model.joints, joints)
        self.scale = box_scale
        self.manifests = repr(model)
        self.described = described(self.engine)

    def __call__(self, picture: Picture) -> Seen:
        """As Finder; a pose's score is the mean of its joints' scores."""
        started_t = time.perf_counter()
        wanted = [index for index, person in enumerate(picture.people) if person.counts]
        try:
            image, resized = read_image(picture)
        except SourceError as error:
            return _nothing(picture, str(error))
        read_t = time.perf_counter()
        answers: list[tuple[float, int, Any]] = []
        for index in wanted:
            try:
                poses, offset, scale = self._look(image, picture.people[index])
            except FrameLostError as error:
                return _nothing(picture, str(error))
            if len(poses):
                ((xy, score, _),) = packed(poses, self.places, offset, scale)[:1]
                answers.append((float(poses.score[0].mean()), index, [xy, score, float(poses.score[0].mean())]))
        ms = (time.perf_counter() - read_t) * 1e3
        answers.sort(key=lambda answer: -answer[0])
        found = [answer for _, _, answer in answers]
        return Seen(
            picture_id=picture.id,
            candidates=found,
            reported=found,
            ms=ms,
            read_ms=(read_t - started_t) * 1e3,
            invokes=len(wanted),
            crops=len(wanted),
            candidate_invokes=len(wanted),
            resized=resized,
            boxes=tuple(index for _, index, _ in answers),
        )

    def _look(self, image: NDArray[np.uint8], person: Person) -> tuple[Poses, NDArray[np.float64], float]:
        """Poses in one crop, and the picture pixels of its first pixel and per pixel."""
        height, width = self.engine.input.tensor.shape[:2]
        x, y, box_w, box_h = person.box_xywh
        scale = self.scale * max(box_w, box_h) / min(width, height)
        offset = np.array([x + box_w / 2, y + box_h / 2]) - scale * np.array([width, height]) / 2
        to_crop = np.column_stack([np.eye(2) / scale, -offset / scale])
        crop = np.asarray(cv2.warpAffine(image, to_crop, (width, height), flags=cv2.INTER_LINEAR), np.uint8)
        frame = Frame(crop, "bgr", 0.0, time.monotonic(), 0)
        tensor, placed = self.preprocess(frame)
        return self.decode(self.engine.run(tensor), placed, frame), offset, scale

    def close(self) -> None:
        """As Finder."""
        self._closes.close()


def for_candidates(cfg: config.Config, given: frozenset[str]) -> config.Config:
    """The settings that tell of unlikely people and joints too, but for what somebody set."""
    decode = cfg.decode
    if "decode.min_person_score" not in given:
        decode = msgspec.structs.replace(decode, min_person_score=RANKED_FROM)
    if "decode.min_joint_score" not in given:
        decode = msgspec.structs.replace(decode, min_joint_score=0.0)
    return msgspec.structs.replace(cfg, decode=decode)


def places(model: Skeleton, truth: Skeleton) -> list[int]:
    """(K,) where each joint of the truth is in the model's skeleton; -1: nowhere."""
    return [model.joints.index(joint) if joint in model.joints else -1 for joint in truth.joints]


def packed(
    poses: Poses, where: Sequence[int], offset: NDArray[np.float64] | None = None, scale: float = 1.0
) -> list[Any]:
    """Poses in the joints of the truth, as Seen keeps them; what is not found is null.

    offset, scale  picture = offset + crop * scale
    """
    xy = poses.xy.astype(np.float64) * scale + (0 if offset is None else offset)
    packs: list[Any] = []
    for index in range(len(poses)):
        there = [place >= 0 and bool(np.isfinite(xy[index, place]).all()) for place in where]
        packs.append(
            [
                [xy[index, place].tolist() if has else None for place, has in zip(where, there, strict=True)],
                [_finite(poses.score[index, place]) if has else 0.0 for place, has in zip(where, there, strict=True)],
                _finite(poses.person_score[index]),
            ]
        )
    return packs


def _finite(score: Any) -> float:
    return float(score) if np.isfinite(score) else 0.0


def unpacked(packs: Sequence[Any], joints: int) -> People:
    """What `packed` made, as arrays, best first."""
    order = sorted(range(len(packs)), key=lambda index: -packs[index][2])
    xy = np.full((len(packs), joints, 2), np.nan)
    for row, index in enumerate(order):
        for joint, at in enumerate(packs[index][0]):
            if at is not None:
                xy[row, joint] = at
    score = np.array([packs[index][1] for index in order], np.float64).reshape(-1, joints)
    return People(xy, score, np.array([packs[index][2] for index in order], np.float64))


def read_image(picture: Picture) -> tuple[NDArray[np.uint8], bool]:
    """(H, W, 3) bgr as the annotations see it, and whether it has another size than they say.

    Raises:
        SourceError: it cannot be read.
    """
    from edgepose.source.picture import read_picture

    image = read_picture(picture.path)
    if picture.size_wh is None or image.shape[1::-1] == picture.size_wh:
        return image, False
    as_stored = read_picture(picture.path, upright=False)
    if as_stored.shape[1::-1] == picture.size_wh:
        return as_stored, False  # annotated without a look at its EXIF orientation
    return image, True


def _nothing(picture: Picture, why: str) -> Seen:
    return Seen(
        picture_id=picture.id, candidates=[], reported=[], ms=0.0, read_ms=0.0, invokes=0, crops=0, candidate_invokes=0,
        failed=utf8(why),
    )  # fmt: skip

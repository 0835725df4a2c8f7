"""COCO's average precision and recall, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ConfigError
from edgepose.lab.eval.match import MOST, People
from edgepose.lab.eval.truth import Person, Picture, Truth

NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
"""What pycocotools' summary lists for keypoints, in its order."""

RECALLS = np.linspace(0, 1, 101)


def require_pycocotools() -> None:
    """Say what to type where it is not installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError as error:
        missing = str(error).splitlines()[0]
        raise ConfigError(f"eval needs pycocotools ({missing}); pip install 'edgepose[eval]'") from None


@dataclass(frozen=True, eq=False)
class Ranking:
    """Every pose of all pictures by score, and whether it is right at each of COCO's similarities."""

    picture: NDArray[np.int64]
    """(D,) index of its picture."""
    right: NDArray[np.bool_]
    """(T, D)."""
    ignored: NDArray[np.bool_]
    """(T, D)."""
    people: NDArray[np.int64]
    """(pictures,) people to be found."""

    def ap(self, weight: NDArray[np.float64] | None = None) -> float:
        """AP, where picture i counts weight[i] times; NaN without people."""
        weight = np.ones(len(self.people)) if weight is None else weight
        total = float((self.people * weight).sum())
        if not total:
            return float("nan")
        if not len(self.picture):
            return 0.0
        each = weight[self.picture]
        hits = np.cumsum(self.right * each, axis=1)
        misses = np.cumsum((~self.right & ~self.ignored) * each, axis=1)
        recall = hits / total
        precision = hits / (hits + misses + np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        means = []
        for row in range(len(recall)):
            at = np.searchsorted(recall[row], RECALLS, side="left")
            means.append(np.where(at < len(self.picture), precision[row][np.minimum(at, len(self.picture) - 1)], 0))
        return float(np.mean(means))


def coco(truth: Truth, found: Sequence[People]) -> tuple[dict[str, float | None], Ranking]:
    """COCO's numbers by name (None where nothing is of that size), and what they are made of.

    found  the poses of each of truth.pictures
    """
    require_pycocotools()
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    detections = [
        row
        for picture, people in zip(truth.pictures, found, strict=True)
        for row in rows(truth, picture.id, _without_gaps(people, truth.known))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        expected = COCO()
        expected.dataset = _dataset(truth)
        expected.createIndex()
        answers = expected.loadRes(detections) if detections else COCO()
        judge = COCOeval(expected, answers, "keypoints")
        judge.params.kpt_oks_sigmas = np.array(truth.skeleton.sigmas)
        judge.params.maxDets = [MOST]
        judge.params.imgIds = [picture.id for picture in truth.pictures]
        judge.params.catIds = [truth.category_id]
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    numbers = {name: None if value < 0 else float(value) for name, value in zip(NAMES, judge.stats, strict=True)}
    return numbers, _ranking(truth, judge)


def _without_gaps(people: People, known: NDArray[np.bool_]) -> People:
    """Joints that the model does not have, which nobody asks for, at the pose's middle: its size shall not suffer."""
    if known.all():
        return people
    found = ~np.isnan(people.xy[..., 0])
    total = np.where(found[..., None], people.xy, 0).sum(axis=1)
    middle = total / np.maximum(found.sum(axis=1), 1)[:, None]
    return People(np.where(known[:, None], people.xy, middle[:, None]), people.score, people.person_score)


def _ranking(truth: Truth, judge: Any) -> Ranking:
    """Of the evaluations of people of all sizes."""
    thresholds = len(judge.params.iouThrs)
    by_id = {entry["image_id"]: entry for entry in judge.evalImgs if entry and entry["aRng"] == judge.params.areaRng[0]}
    picture, score = [], []
    right, ignored = [np.zeros((thresholds, 0), bool)], [np.zeros((thresholds, 0), bool)]
    for index, one in enumerate(truth.pictures):
        entry = by_id.get(one.id)
        if entry is None:
            continue
        picture += [index] * len(entry["dtScores"])
        score += entry["dtScores"]
        ignored.append(np.asarray(entry["dtIgnore"], bool).reshape(thresholds, -1))
        right.append((np.asarray(entry["dtMatches"]).reshape(thresholds, -1) > 0) & ~ignored[-1])
    order = np.argsort(-np.array(score, np.float64), kind="mergesort")
    return Ranking(
        np.array(picture, np.int64)[order],
        np.concatenate(right, axis=1)[:, order],
        np.concatenate(ignored, axis=1)[:, order],
        np.array([sum(person.counts for person in one.people) for one in truth.pictures]),
    )


def rows(truth: Truth, picture_id: int, people: People) -> list[dict[str, Any]]:
    """The poses of one picture as COCO's result format has them; a joint not found is 0, 0, 0."""
    table = np.concatenate((people.xy, people.score[..., None]), axis=2)
    table[np.isnan(table).any(axis=2)] = 0
    return [
        {
            "image_id": picture_id,
            "category_id": truth.category_id,
            "keypoints": [round(float(value), 4) for value in table[index].reshape(-1)],
            "score": float(people.person_score[index]),
        }
        for index in range(len(people))
    ]


def _dataset(truth: Truth) -> dict[str, Any]:
    people = [person for picture in truth.pictures for person in picture.people]
    category = {"id": truth.category_id, "name": truth.skeleton.name, "keypoints": list(truth.skeleton.joints)}
    return {
        "info": {},
        "images": [_image(picture) for picture in truth.pictures],
        "annotations": [_annotation(truth, index + 1, person) for index, person in enumerate(people)],
        "categories": [category],
    }


def _image(picture: Picture) -> dict[str, Any]:
    return {"id": picture.id, "file_name": picture.name}


def _annotation(truth: Truth, number: int, person: Person) -> dict[str, Any]:
    labelled = person.labelled
    table = np.zeros((len(labelled), 3))
    table[labelled, :2] = person.xy[labelled]
    table[:, 2] = np.where(labelled, np.where(person.seen, 2, 1), 0)
    return {
        "id": number,
        "image_id": person.picture_id,
        "category_id": truth.category_id,
        "iscrowd": int(person.crowd),
        "num_keypoints": int(labelled.sum()),
        "keypoints": table.reshape(-1).tolist(),
        "bbox": list(person.box_xywh),
        "area": person.area,
    }

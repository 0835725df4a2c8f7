"""Answers and truth become numbers. Everything is first counted per picture, so that pictures can be drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgepose.lab.eval.ap import Ranking, coco
from edgepose.lab.eval.find import Seen, unpacked
from edgepose.lab.eval.match import IGNORED, WRONG, People, matches, pairs, similarity
from edgepose.lab.eval.truth import Person, Picture, Truth

LEAST_JOINTS = 8
"""Labelled joints that a person must have to count in mean_oks."""
RIGHT = 0.5
"""OKS from which a pose is right."""
NOBODYS = 0.1
"""OKS below which a pose is not shown as that of a person."""
NEAR = 0.2
"""PCK: a joint is right within this share of the torso."""
BINS = 10
TOLD_FROM = 0.05
"""Least score in the reliability curve: below lie candidates without end that are nobody, and say so."""

TORSO = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))

MEANINGS = {
    "AP": "COCO average precision over OKS .50 to .95, of all candidates by score",
    "AP50": "the same at OKS .50",
    "AP75": "the same at OKS .75",
    "APM": "AP of people of medium size, 32 to 96 pixels square",
    "APL": "AP of larger people",
    "AR": "COCO average recall over OKS .50 to .95, with at most 20 candidates a picture",
    "mean_oks": f"mean over people with {LEAST_JOINTS} labelled joints or more of the OKS of the best candidate",
    "mean_oks_told": "the same of the best pose told of, where a joint it hides counts as wrong",
    "pck": f"share of labelled joints whose pose, the best of one to one, is within {NEAR} of the torso's diagonal",
    "pck_box": f"the same within {NEAR} of the longer side of the box",
    "joint_error_px": f"median distance of joints of people found (candidates at OKS {RIGHT}), pixels",
    "joint_error_torso": "the same in torso diagonals",
    "precision": f"share of the poses told of that are right at OKS {RIGHT}",
    "precision_people": "share of the poses told of that have half their joints in somebody's box, right or not",
    "recall": f"share of the people that a pose told of is right for, at OKS {RIGHT}",
    "recall_candidates": "the same of candidates",
    "kept": "recall / recall_candidates: what the gate and the thresholds leave",
    "false_people_per_picture": f"poses told of that are right for nobody at OKS {RIGHT}, a picture",
    "false_people_per_empty": "poses told of a picture where nobody is annotated",
    "ece": "expected calibration error: mean distance of a candidate's score from the share right at that score",
    "ms_per_picture": "median time of the estimate as configured, reading the picture not counted",
    "pictures_per_s": "1000 / the mean of it",
    "invokes_per_picture": "inferences, as configured",
    "crops_per_picture": "those of them that looked at a part of the picture",
    "candidate_invokes_per_picture": "inferences for the candidates",
}
"""Key -> what it says."""

RATIOS = {
    "mean_oks": ("oks", "judged"),
    "mean_oks_told": ("oks_told", "judged"),
    "pck": ("near", "near_of"),
    "pck_box": ("near_box", "near_box_of"),
    "precision": ("right", "told"),
    "precision_people": ("on_people", "everything"),
    "recall": ("right", "people"),
    "recall_candidates": ("found", "people"),
    "false_people_per_picture": ("false", "one"),
    "false_people_per_empty": ("false_in_empty", "empty"),
    "invokes_per_picture": ("invokes", "one"),
    "crops_per_picture": ("crops", "one"),
    "candidate_invokes_per_picture": ("candidate_invokes", "one"),
}
"""Key -> sums over pictures whose ratio it is."""

SUMS = tuple(dict.fromkeys(name for pair in RATIOS.values() for name in pair))


@dataclass(frozen=True, eq=False)
class Case:
    """One person or one false pose, to be shown."""

    picture: Picture
    person: Person | None
    """None: nobody is there."""
    xy: NDArray[np.float64] | None
    """(K, 2) the pose; None: missed."""
    oks: float
    score: float


@dataclass(frozen=True, eq=False)
class Measured:
    """All there is to say about one model on one set."""

    numbers: dict[str, float | None]
    """By MEANINGS, None where there is nothing to measure it on."""
    joints: dict[str, dict[str, float | None]]
    """Joint -> labelled, pck, error_px."""
    reliability: list[dict[str, float]]
    """Bins of scores: low, high, count, score (mean), right (share)."""
    sums: NDArray[np.float64]
    """(pictures, SUMS) first the truth's, then the empty ones."""
    ranking: Ranking
    ms_of: NDArray[np.float64]
    """(pictures,) milliseconds; NaN where nothing was inferred."""
    counts: dict[str, int]
    people: list[Case]
    """Everybody, in the order of the truth, with the pose told of that fits best; xy is None where none does."""
    false: list[Case]
    """Poses told of where nobody is, the surest first."""


class _Counts:
    """What grows picture by picture."""

    def __init__(self, truth: Truth) -> None:
        joints = len(truth.skeleton.joints)
        self.truth = truth
        self.sigmas = np.array(truth.skeleton.sigmas)
        self.torso = [
            (truth.skeleton.joints.index(a), truth.skeleton.joints.index(b))
            for a, b in TORSO
            if a in truth.skeleton.joints and b in truth.skeleton.joints
        ]
        self.labelled, self.near, self.near_of = np.zeros(joints, int), np.zeros(joints, int), np.zeros(joints, int)
        self.errors: list[NDArray[np.float64]] = []
        """(K,) pixels and torsos of each person found."""
        self.scores: list[tuple[float, bool]] = []
        self.people: list[Case] = []
        self.false: list[Case] = []

    def add(self, picture: Picture, seen: Seen) -> dict[str, float]:
        """The sums of one picture."""
        joints = len(self.truth.skeleton.joints)
        candidates, reported = unpacked(seen.candidates, joints), unpacked(seen.reported, joints)
        alike = similarity(candidates.xy, picture.people, self.sigmas)
        alike_told = similarity(reported.xy, picture.people, self.sigmas)
        real = [index for index, person in enumerate(picture.people) if person.counts]
        if seen.boxes:  # each box has its own candidate and no other
            own = np.array(seen.boxes)[:, None] == np.arange(len(picture.people))
            alike = np.where(own, alike, 0)
            alike_told = alike
        given = matches(similarity(candidates.xy, picture.people, self.sigmas), picture.people, RIGHT)
        self.scores += [
            (float(score), bool(who >= 0))
            for score, who in zip(candidates.person_score, given, strict=True)
            if who != IGNORED and score >= TOLD_FROM
        ]
        given_told = matches(similarity(reported.xy, picture.people, self.sigmas), picture.people, RIGHT)
        self._cases(picture, reported, alike_told, given_told)
        false = int((given_told == WRONG).sum())
        judged = [index for index in real if picture.people[index].labelled.sum() >= LEAST_JOINTS]
        near = self._joints(picture, candidates, alike, real)
        return near | {
            "oks": sum(float(alike[:, index].max(initial=0)) for index in judged),
            "oks_told": sum(float(alike_told[:, index].max(initial=0)) for index in judged),
            "judged": len(judged),
            "right": int((given_told >= 0).sum()),
            "told": int((given_told >= 0).sum()) + false,
            "on_people": sum(_lies_on(xy, picture.people) for xy in reported.xy),
            "everything": len(reported),
            "found": int((given >= 0).sum()),
            "people": len(real),
            "false": false,
            "one": 1,
            "false_in_empty": len(reported) if picture.empty else 0,
            "empty": int(picture.empty),
            "invokes": seen.invokes,
            "crops": seen.crops,
            "candidate_invokes": seen.candidate_invokes,
        }

    def _joints(
        self, picture: Picture, candidates: People, alike: NDArray[np.float64], real: list[int]
    ) -> dict[str, float]:
        """PCK sums, and what each joint adds; every person has at most one candidate, and the other way round."""
        pose_of = {real[person]: pose for pose, person in pairs(alike[:, real])}
        sums = {"near": 0.0, "near_of": 0.0, "near_box": 0.0, "near_box_of": 0.0}
        for index in real:
            person = picture.people[index]
            labelled = person.labelled
            self.labelled += labelled
            apart = np.full(len(labelled), np.inf)
            if index in pose_of:
                apart = np.linalg.norm(candidates.xy[pose_of[index]] - person.xy, axis=1)
            within = np.nan_to_num(apart, nan=np.inf) <= NEAR * max(person.box_xywh[2:])
            sums["near_box"] += int((within & labelled).sum())
            sums["near_box_of"] += int(labelled.sum())
            torso = self._torso(person)
            if torso:
                within = labelled & (np.nan_to_num(apart, nan=np.inf) <= NEAR * torso)
                self.near += within
                self.near_of += labelled
                sums["near"] += int(within.sum())
                sums["near_of"] += int(labelled.sum())
            if index in pose_of and alike[pose_of[index], index] >= RIGHT:
                apart = np.where(labelled, apart, np.nan)
                self.errors.append(np.stack((apart, apart / torso if torso else np.full_like(apart, np.nan))))
        return sums

    def _torso(self, person: Person) -> float:
        """Pixels from a shoulder to the opposite hip, the longer way; 0 where neither is labelled."""
        spans = [float(np.linalg.norm(person.xy[a] - person.xy[b])) for a, b in self.torso]
        return max((span for span in spans if span > 0), default=0.0)

    def _cases(self, picture: Picture, reported: People, alike: NDArray[np.float64], given: NDArray[np.int64]) -> None:
        for index, person in enumerate(picture.people):
            if not person.counts:
                continue
            best = int(alike[:, index].argmax()) if len(reported) else -1
            taken = [pose for pose in range(len(reported)) if given[pose] == index]
            pose = taken[0] if taken else best
            if pose >= 0 and alike[pose, index] >= NOBODYS:
                case = Case(
                    picture, person, reported.xy[pose], float(alike[pose, index]), float(reported.person_score[pose])
                )
            else:
                case = Case(picture, person, None, 0.0, 0.0)
            self.people.append(case)
        for pose in range(len(reported)):
            if given[pose] == WRONG and alike[pose].max(initial=0) < NOBODYS:
                self.false.append(Case(picture, None, reported.xy[pose], 0.0, float(reported.person_score[pose])))


def measure(truth: Truth, seen: Sequence[Seen], everybody: bool = True) -> Measured:
    """All numbers of one model.

    seen       of truth.pictures, then of truth.empties, in their order
    everybody  False: people may be in the pictures whom nobody annotated, so a pose too many is not false, and AP
               leaves out those that are unlike everybody annotated (OKS below NOBODYS)
    """
    counts = _Counts(truth)
    pictures = (*truth.pictures, *truth.empties)
    rows = [counts.add(picture, one) for picture, one in zip(pictures, seen, strict=True)]
    sums = np.array([[row[name] for name in SUMS] for row in rows], np.float64)
    for name in ("one", "false", "told", "everything", "invokes", "crops", "candidate_invokes"):
        sums[len(truth.pictures) :, SUMS.index(name)] = 0  # the extra empty ones count by themselves
    joints = len(truth.skeleton.joints)
    found = [unpacked(one.candidates, joints) for one in seen[: len(truth.pictures)]]
    if not everybody:
        found = [_near(people, one, counts.sigmas) for people, one in zip(found, truth.pictures, strict=True)]
    ap, ranking = coco(truth, found)
    numbers: dict[str, float | None] = {key: ap[key] for key in MEANINGS if key in ap}
    numbers |= ratios(sums)
    if numbers["recall"] is not None and numbers["recall_candidates"]:
        numbers["kept"] = numbers["recall"] / numbers["recall_candidates"]
    errors = np.array(counts.errors) if counts.errors else np.zeros((0, 2, joints))
    numbers["joint_error_px"] = _median(errors[:, 0])
    numbers["joint_error_torso"] = _median(errors[:, 1])
    bins = reliability(counts.scores)
    total = sum(row["count"] for row in bins)
    numbers["ece"] = sum(row["count"] * abs(row["score"] - row["right"]) for row in bins) / total if total else None
    ms_of = np.array([one.ms if one.invokes else np.nan for one in seen], np.float64)
    ms = ms_of[np.isfinite(ms_of)]
    numbers["ms_per_picture"] = _median(ms)
    numbers["pictures_per_s"] = 1000 / float(ms.mean()) if ms.size and ms.mean() > 0 else None
    if not everybody:
        for key in ("precision", "precision_people", "false_people_per_picture", "false_people_per_empty", "ece"):
            numbers[key] = None
    return Measured(
        numbers={key: numbers.get(key) for key in MEANINGS},
        joints=_per_joint(truth, counts, errors),
        reliability=bins if everybody else [],
        sums=sums,
        ranking=ranking,
        ms_of=ms_of,
        counts=_totals(truth, seen, sums),
        people=counts.people,
        false=sorted(counts.false, key=lambda case: -case.score) if everybody else [],
    )


def _near(people: People, picture: Picture, sigmas: NDArray[np.float64]) -> People:
    """Those who may be somebody annotated."""
    near = similarity(people.xy, picture.people, sigmas).max(axis=1, initial=0) >= NOBODYS
    return People(people.xy[near], people.score[near], people.person_score[near])


def ratios(sums: NDArray[np.float64]) -> dict[str, float | None]:
    """RATIOS of (pictures, SUMS)."""
    return {key: _ratio(sums, above, below) for key, (above, below) in RATIOS.items()}


def _lies_on(xy: NDArray[np.float64], people: Sequence[Person]) -> bool:
    """Whether half of the joints found (K, 2) are in somebody's box."""
    found = xy[np.isfinite(xy).all(axis=1)]
    if not len(found):
        return False
    for person in people:
        corner = np.array(person.box_xywh[:2])
        inside = ((found >= corner) & (found <= corner + person.box_xywh[2:])).all(axis=1)
        if inside.mean() >= 0.5:
            return True
    return False


def _ratio(sums: NDArray[np.float64], above: str, below: str) -> float | None:
    total = float(sums[:, SUMS.index(below)].sum())
    return float(sums[:, SUMS.index(above)].sum()) / total if total else None


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None


def reliability(scores: Sequence[tuple[float, bool]]) -> list[dict[str, float]]:
    """Of (score, right) pairs: per bin of scores how many, their mean score, and the share that is right."""
    bins = []
    for index in range(BINS):
        low, high = index / BINS, (index + 1) / BINS
        inside = [pair for pair in scores if min(int(pair[0] * BINS), BINS - 1) == index]
        if inside:
            mean = sum(score for score, _ in inside) / len(inside)
            right = sum(right for _, right in inside) / len(inside)
            bins.append({"low": low, "high": high, "count": len(inside), "score": mean, "right": right})
    return bins


def _per_joint(truth: Truth, counts: _Counts, errors: NDArray[np.float64]) -> dict[str, dict[str, float | None]]:
    table: dict[str, dict[str, float | None]] = {}
    for index, joint in enumerate(truth.skeleton.joints):
        if joint in truth.absent:
            continue
        asked = int(counts.near_of[index])
        table[joint] = {
            "labelled": int(counts.labelled[index]),
            "pck": int(counts.near[index]) / asked if asked else None,
            "error_px": _median(errors[:, 0, index]),
            "error_torso": _median(errors[:, 1, index]),
        }
    return table


def _totals(truth: Truth, seen: Sequence[Seen], sums: NDArray[np.float64]) -> dict[str, int]:
    def total(name: str) -> int:
        return int(sums[:, SUMS.index(name)].sum())

    return {
        "pictures": len(truth.pictures),
        "pictures_missing": len(truth.missing),
        "pictures_failed": sum(bool(one.failed) for one in seen),
        "pictures_empty": total("empty"),
        "people": total("people"),
        "people_judged": total("judged"),
        "candidates": sum(len(one.candidates) for one in seen),
        "told": sum(len(one.reported) for one in seen),
        "right": total("right"),
        "false": total("false"),
        "false_in_empty": total("false_in_empty"),
    }

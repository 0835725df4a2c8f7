"""Fits what a pair goes by: how sure its looks are, what is worth a crop, how wide that is, and who is reported.

Every candidate in annotated pictures and in pictures without people is looked at twice. It is right where its pose is
somebody's (OKS 0.5); a second one of the same person counts neither way. Chances are logistic (Platt 1999), fitted by
Newton's steps with a small ridge; what is said of how good they are is said of pictures that they were not fitted to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config, oks
from edgepose.core.errors import ConfigError, FrameLostError, SourceError
from edgepose.core.poses import Frame, Poses
from edgepose.estimate.boxes import around
from edgepose.estimate.candidates import Candidate
from edgepose.estimate.derive import BELIEVE, ENTER, STAY
from edgepose.estimate.finder_refiner import Detection, FinderRefiner
from edgepose.estimate.opening import LEAST_RAW, open_pair
from edgepose.estimate.pairs import CHANCES, Pair, PairFile
from edgepose.estimate.score import Logistic, log
from edgepose.lab.eval.find import places, read_image
from edgepose.lab.eval.match import similarity
from edgepose.lab.eval.measure import RIGHT, reliability
from edgepose.lab.eval.run import Progress
from edgepose.lab.eval.truth import Picture, Truth

FOLDS = 5
RIDGE = 0.3
STEPS = 60
LEAST_OF_EACH, LEAST_EMPTY = 15, 20
"""Candidates that are right, and that are not; pictures without people: with fewer nothing is fitted."""
MARGINS = (0.9, 1.0, 1.12)
"""Times the margin a pair has, tried."""
SURE_MARGIN = 0.003
"""Mean OKS by which another margin must be better."""
FALSE = 0.01
"""Share of pictures without people that may show somebody."""
LOST = 0.01
"""Share of right candidates that may be worth no crop."""
LEAST_GATE, ABOVE = 0.3, 0.005
"""Of a gate; and how far it lies above the surest nobody that it is to hold back."""
WIDER = 1.1
"""Times the first crop's side, around the pose it showed: the look again."""
APART_S = 60.0
"""Between two pictures, so that nothing is remembered from one to the next."""
FEATURES = {"found": (0,), "crop": (1,), "both": (0, 1, 2), "again": (3, 4)}
"""Chance -> columns of Candidates.features it goes by: log of the finder's score, of the refiner's, how alike the two
poses are, log of the refiner's score when it looks again, how alike that is to its first."""


class Watched(FinderRefiner):
    """A pair whose every candidate is noted, and looked at once more."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self.noted: list[tuple[list[float], NDArray[np.float32]]] = []
        """Features and pose of each candidate since the list was last emptied."""
        self._scores = (0.0, 0.0)
        self._again_too = True

    def watch(self, times: float, again: bool) -> None:
        """Take crops so many times as wide; look once more, or not."""
        self.margin *= times
        self._again_too = again

    def _refined(self, poses: Poses, who: Candidate) -> Detection | None:
        seen = super()._refined(poses, who)
        if seen is not None and who.xy is not None:
            alike = float(oks.oks(poses.xy[0], who.xy[None], self.sigmas)[0])
            self._scores = log(float(poses.person_score[0])), alike
        return seen

    def _detect(self, frame: Frame, who: Candidate) -> Detection | None:
        seen = super()._detect(frame, who)
        if seen is None or not seen.refined:
            return seen
        once_more = self._once_more(frame, seen) if self._again_too else (0.0, 0.0)
        row = [log(who.raw), *self._scores, *once_more]
        self.noted.append((row, seen.xy))
        return seen

    def _once_more(self, frame: Frame, seen: Detection) -> tuple[float, float]:
        """Log of the score, and likeness to the first look, of a look through another crop."""
        where = seen.xy if np.isnan(seen.coarse).all() else seen.coarse
        box = around(where, self.margin * WIDER)
        other = None if box is None else self._look(self.refine, frame, box)
        if other is None or not len(other):
            return log(0.0), 0.0
        return log(float(other.person_score[0])), float(oks.oks(other.xy[0], seen.xy[None], self.sigmas)[0])


@dataclass
class Candidates:
    """What a pair said of all pictures."""

    rows: list[list[float]] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    of: list[int] = field(default_factory=list)
    """Number of the picture of each."""
    best: list[float] = field(default_factory=list)
    """OKS of the best candidate of each person."""
    empty: list[int] = field(default_factory=list)
    """Numbers of the pictures without people."""
    pictures: int = 0
    people: int = 0

    @property
    def features(self) -> NDArray[np.float64]:
        """(N, 5) as FEATURES counts them."""
        return np.array(self.rows, np.float64).reshape(-1, 5)


@dataclass(frozen=True)
class Calibrated:
    """A pair, and how good its chances are on pictures they were not fitted to."""

    pair: Pair
    reliability: list[dict[str, float]]
    measured: dict[str, Any]


def calibrate(cfg: config.Config, pair: Pair, truth: Truth, progress: Progress) -> Calibrated:
    """Fit a pair.

    Raises:
        ConfigError: too little to fit it to, or a model is wrong.
    """
    peopled = replace(truth, pictures=tuple(each for each in truth.pictures if not each.empty), empties=())
    tried: list[tuple[float, float]] = []
    for times in MARGINS:
        margin, seen = collect(cfg, pair, times, peopled, progress, again=False)
        tried.append((_mean(seen.best) + SURE_MARGIN * (times == 1), margin))
    _, margin = max(tried)
    pair = pair._replace(margin=round(margin, 3))
    _, seen = collect(cfg, pair, 1.0, truth, progress)
    progress.clear()
    return fitted(pair, seen)


def collect(
    cfg: config.Config, pair: Pair, times: float, truth: Truth, progress: Progress, again: bool = True
) -> tuple[float, Candidates]:
    """Every candidate in every picture, and the margin it was looked at with: `times` that of the pair."""
    loose = msgspec.structs.replace(cfg, estimate=msgspec.structs.replace(cfg.estimate, gate=False))
    plain = Pair(pair.finder, pair.refiner, margin=pair.margin, worth=LEAST_RAW)
    seen = Candidates()
    with ExitStack() as opened:
        watched = open_pair(loose, plain, opened, Watched)
        watched.watch(times, again)
        for number, picture in enumerate((*truth.pictures, *truth.empties)):
            _look(watched, picture, truth, number, seen)
            progress.step()
        return watched.margin, seen


def _look(watched: Watched, picture: Picture, truth: Truth, number: int, seen: Candidates) -> None:
    try:
        image, _ = read_image(picture)
        watched.noted.clear()
        watched(Frame(image, "bgr", APART_S * number, time.monotonic(), number, picture.name), None)
    except (SourceError, FrameLostError):
        return
    seen.pictures += 1
    if picture.empty:
        seen.empty.append(number)
    where = places(watched.skeleton, truth.skeleton)
    xy = np.full((len(watched.noted), len(where), 2), np.nan)
    for row, (_, pose) in enumerate(watched.noted):
        for joint, place in enumerate(where):
            xy[row, joint] = pose[place] if place >= 0 else np.nan
    alike = similarity(xy, picture.people, np.array(truth.skeleton.sigmas))
    real = [index for index, person in enumerate(picture.people) if person.counts]
    first = {int(alike[:, index].argmax()) for index in real if len(alike) and alike[:, index].max() >= RIGHT}
    seen.people += len(real)
    seen.best += [float(alike[:, index].max(initial=0)) for index in real]
    for row, (features, _) in enumerate(watched.noted):
        if row in first or not len(picture.people) or alike[row].max() < RIGHT:
            seen.rows.append(features)
            seen.right.append(row in first)
            seen.of.append(number)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


# ------------------------------------------------------------------------------------------------ fitting


def fitted(pair: Pair, seen: Candidates) -> Calibrated:
    """Chances and gates by what was seen.

    Raises:
        ConfigError: too little was.
    """
    right = np.array(seen.right, bool)
    counts = {"right": int(right.sum()), "wrong": int((~right).sum()), "without people": len(seen.empty)}
    if min(counts["right"], counts["wrong"]) < LEAST_OF_EACH or len(seen.empty) < LEAST_EMPTY:
        raise ConfigError(
            f"--calibrate: {counts['right']} candidates are right and {counts['wrong']} are not, in "
            f"{seen.pictures} pictures, {len(seen.empty)} of them without people; expected at least {LEAST_OF_EACH}, "
            f"{LEAST_OF_EACH} and {LEAST_EMPTY}: give more pictures, and --empty"
        )
    chances: dict[str, Any] = {name: fit(seen.features[:, columns], right) for name, columns in FEATURES.items()}
    held_out = _held_out(seen, right)
    bins = reliability(list(zip(held_out.tolist(), right.tolist(), strict=True)))
    gate, shown = _gate(held_out, seen)
    worth = max(LEAST_RAW, math.exp(float(np.quantile(seen.features[right, 0], LOST))))
    off = sum(row["count"] * abs(row["score"] - row["right"]) for row in bins) / max(len(right), 1)
    kept = float((held_out[right] >= gate).mean())
    return Calibrated(
        pair._replace(
            worth=round(worth, 4), gate=gate, enter=ENTER, believe=BELIEVE, stay=STAY, **chances
        ),
        bins,
        {
            "pictures": seen.pictures, "people": seen.people, "candidates": len(right), "right": counts["right"],
            "without_people": len(seen.empty), "shown_without_people": shown, "kept": round(kept, 3),
            "ece": round(off, 4), "folds": FOLDS, "mean_oks": round(_mean(seen.best), 4),
        },
    )  # fmt: skip


def fit(features: NDArray[np.float64], right: NDArray[np.bool_]) -> Logistic:
    """The chance of `right` (N,) by features (N, D); no feature counts against: one that would is left out."""
    used = list(range(features.shape[1]))
    while True:
        bias, weights = _newton(features[:, used], right)
        against = [index for index, weight in enumerate(weights) if weight < 0]
        if not against:
            break
        used.pop(min(against, key=lambda index: weights[index]))
    of = dict(zip(used, weights, strict=True))
    return Logistic(round(bias, 3), tuple(round(of.get(index, 0.0), 3) for index in range(features.shape[1])))


def _newton(features: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, list[float]]:
    """Bias and weights that the candidates are most likely by, with a ridge on standardised weights."""
    middle, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    inputs = np.column_stack([np.ones(len(features)), (features - middle) / spread])
    ridge = np.diag([0.0, *[RIDGE] * features.shape[1]])
    weights = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (chance - right) + ridge @ weights
        bend = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + ridge + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        weights -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-7:
            break
    real = weights[1:] / spread
    return float(weights[0] - (real * middle).sum()), real.tolist()


def _held_out(seen: Candidates, right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) the chance of each by both looks, from a fit to the other folds' pictures."""
    features, fold = seen.features[:, FEATURES["both"]], np.array(seen.of) % FOLDS
    chances = np.zeros(len(right))
    for number in range(FOLDS):
        mine, others = fold == number, fold != number
        if not mine.any() or right[others].all() or not right[others].any():
            continue
        chance = fit(features[others], right[others])
        chances[mine] = [chance(*row) for row in features[mine].tolist()]
    return chances


def _gate(held_out: NDArray[np.float64], seen: Candidates) -> tuple[float, int]:
    """Least chance at which so few pictures without people show somebody, and how many do."""
    of = np.array(seen.of)
    surest = sorted((float(held_out[of == number].max(initial=0)) for number in seen.empty), reverse=True)
    last = surest[int(FALSE * len(surest))]
    gate = max(LEAST_GATE, math.ceil(1e4 * (last + min(ABOVE, (1 - last) / 2))) / 1e4)
    return gate, sum(chance >= gate for chance in surest)


# ------------------------------------------------------------------------------------------------ keeping


def kept(calibrated: Calibrated) -> PairFile:
    """The pair as it is written."""
    pair = calibrated.pair
    chances = {name: _numbers(getattr(pair, name)) for name in CHANCES}
    rest = {name: getattr(pair, name) for name in Pair._fields if name not in CHANCES}
    raw = {"schema": 1, **rest, **chances, "measured": calibrated.measured}
    return config.convert(raw, PairFile, "the pair")


def _numbers(chance: Logistic) -> list[float]:
    return [chance.bias, *chance.weights]

"""Gestures taught by example: the nearest of normalised poses decide, as ML Kit's classifier does, mirrored too."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import places
from edgepose.core.errors import ConfigError
from edgepose.core.poses import Poses
from edgepose.meaning import joints as j
from edgepose.meaning.body import Body

Floats = NDArray[np.float64]
SCHEMA = "edgepose.taught/1"
NEAREST_MAX, NEAREST = 30, 10
"""First so many by their worst joint, of these so many by the mean: ML Kit's PoseClassifier."""
FAR = 0.35
"""Torso lengths, mean over joints, beyond which nothing is like an example."""
MOST_EXAMPLES = 4000
SWAP = np.array([0, *(joint + (1 if joint % 2 else -1) for joint in range(1, 17))])
"""Each joint's mirror image."""
UPPER = (*range(5, 13),)
"""Joints that must be there: shoulders, elbows, wrists, hips."""
OTHER = "-"
"""Name of the examples that show nothing."""


def normalised(xy: Floats, size: Floats) -> Floats:
    """(N, 12, 2) limb joints from the middle of the hips, in torso lengths; legs that are missing are 0."""
    hips = (xy[:, j.LEFT_HIP] + xy[:, j.RIGHT_HIP]) / 2
    return np.asarray((xy[:, j.LIMBS] - hips[:, None]) / size[:, None, None], np.float64)


class Taught:
    """Examples and their names."""

    def __init__(self, examples: Floats, labels: Sequence[str]) -> None:
        """Examples (M, 12, 2) as `normalised` makes them."""
        self._examples, self._labels = np.nan_to_num(examples), np.array(labels)
        self._has = np.isfinite(examples[:, :, 0])
        self.names = tuple(dict.fromkeys(label for label in labels if label != OTHER))

    def votes(self, body: Body, names: Sequence[str]) -> Floats:
        """(N, names) share of the nearest examples that show each; NaN where the arms are hidden."""
        shares = np.full((len(body), len(names)), np.nan)
        poses = normalised(body.xy, body.size)
        mirrored = normalised(body.xy[:, SWAP] * np.array((-1.0, 1.0)), body.size)
        for person, (pose, mirror) in enumerate(zip(poses, mirrored, strict=True)):
            if np.isnan(pose[:8]).any():
                continue
            near, weight = self._nearest(pose, mirror)
            whole = weight.sum()
            shares[person] = [weight[near == name].sum() / whole if whole else 0.0 for name in names]
        return shares

    def _nearest(self, pose: Floats, mirror: Floats) -> tuple[NDArray[Any], Floats]:
        """Labels of the nearest examples, and how much each counts: nothing from FAR on, the more the nearer."""
        worst, mean = (np.minimum(a, b) for a, b in zip(self._apart(pose), self._apart(mirror), strict=True))
        first = np.argsort(worst, kind="stable")[:NEAREST_MAX]
        best = first[np.argsort(mean[first], kind="stable")[:NEAREST]]
        weight = np.where(mean[best] <= FAR, 1 / (mean[best] + 0.01) ** 2, 0.0)
        return self._labels[best], weight

    def _apart(self, pose: Floats) -> tuple[Floats, Floats]:
        both = self._has & np.isfinite(pose[:, 0])
        span = np.where(both[:, :, None], np.abs(self._examples - np.nan_to_num(pose)), 0.0)
        return span.max((1, 2)), span.sum((1, 2)) / np.maximum(both.sum(1), 1)


LEAST_APART = 0.06
"""Torso lengths, mean over joints, between two examples that are kept: what is the same is told once."""
MOST_OF_ONE = 200


def examples(stream: Iterable[Poses]) -> Floats:
    """(M, 12, 2) normalised poses of everybody whose arms are seen, without those like one before."""
    kept: list[Floats] = []
    for poses in stream:
        body = Body(j.taken(poses.xy, j.places(poses.skeleton)), poses.size_wh, poses.t)
        for pose in normalised(body.xy, body.looks):
            if np.isnan(pose[:8]).any() or len(kept) >= MOST_OF_ONE:
                continue
            if all(np.nanmean(np.abs(pose - other)) > LEAST_APART for other in kept):
                kept.append(pose)
    return np.array(kept, np.float64).reshape(-1, 12, 2)


def written(examples: Mapping[str, Floats]) -> str:
    """A file of examples: name -> (M, 12, 2)."""
    rows = {
        name: [[[_number(x), _number(y)] for x, y in pose] for pose in poses.tolist()]
        for name, poses in examples.items()
    }
    return json.dumps({"schema": SCHEMA, "joints": list(j.NAMES[5:]), "examples": rows})


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


def read(text: str, where: str) -> dict[str, Floats]:
    """The same back; raises ConfigError where it is damaged."""
    try:
        raw = json.loads(text)
        if raw["schema"] != SCHEMA:
            raise ValueError(f"schema is {str(raw['schema'])[:40]!r}, expected {SCHEMA!r}")
        found = {str(name): np.array(poses, np.float64).reshape(-1, 12, 2) for name, poses in raw["examples"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{where}: is damaged, or no file of `edgepose meaning teach`: {error!s:.80}") from None
    if sum(map(len, found.values())) > MOST_EXAMPLES:
        raise ConfigError(f"{where}: has more than {MOST_EXAMPLES} examples; teach with fewer")
    return found


def file_of(path: Path, where: str) -> dict[str, Floats]:
    """Those of a file; raises ConfigError where it cannot be read."""
    try:
        text = places.text(path.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text"
        raise ConfigError(f"{where}: {path}: {why}; `edgepose meaning teach` makes one") from None
    return read(text, str(path))


def taught_of(path: str, where: str) -> Taught:
    """The examples of a file."""
    found = file_of(Path(path), where)
    examples = np.concatenate([*found.values(), np.zeros((0, 12, 2))])
    return Taught(examples, [name for name, poses in found.items() for _ in range(len(poses))])

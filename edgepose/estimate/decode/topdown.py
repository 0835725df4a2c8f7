"""What the top-down families share: one person per crop made Poses, and the same person from several crops made one.

Source of the second: pose-level non-maximum suppression of AlphaPose (Fang et al., RMPE, ICCV 2017), here by OKS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config, oks
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode.common import Scored, least_scores, poses_from

F = np.float32
FAR = 1.5
"""Input sizes from the input's middle beyond which no joint is: a network that says so is wrong about it."""
SAME_PERSON = 0.5
"""Two poses of OKS above this are one person, unless the manifest says otherwise."""


class Keep(NamedTuple):
    """What a decoder lets pass."""

    person: float
    """Least person score."""
    joint: float
    """Least joint score."""
    people: int
    """Most people."""
    alike: float
    """Most OKS between two people."""


def keep(options: Scored, cfg: config.Decode, alike: float = SAME_PERSON) -> Keep:
    """The limits of a decoder: as set, else the model's own."""
    person, joint = least_scores(options, cfg)
    return Keep(person, joint, cfg.max_people, alike)


def head_of(heads: dict[str, HeadSpec], role: str) -> HeadSpec:
    """The head of that role.

    Raises:
        ModelError: there is none.
    """
    if role not in heads:
        raise ModelError(f"the decoder needs a head with role {role!r}; the manifest names {', '.join(heads)}")
    return heads[role]


def to_score(value: NDArray[Any], logits: bool) -> NDArray[np.float32]:
    """What a head says of a joint as 0..1: through a sigmoid, or cut off."""
    if logits:
        with np.errstate(over="ignore"):
            value = 1 / (1 + np.exp(-value.astype(F)))
    score: NDArray[np.float32] = np.clip(value, 0, 1).astype(F)
    return score


def within_reach(
    xy: NDArray[np.floating[Any]], score: NDArray[np.float32], size: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Scores (..., K) of joints (..., K, 2) in model pixels: 0 where they lie far outside an input of `size` (2,)."""
    near: NDArray[np.float32] = np.where((abs(xy - size / 2) > FAR * size).any(axis=-1), F(0), score)
    return near


def mean_score(score: NDArray[np.float32], least: float) -> NDArray[np.float32]:
    """(N,) mean score of each person's found joints (N, K), 0 for who has none; hiding halves nobody."""
    found = score >= max(least, 1e-9)
    mean: NDArray[np.float32] = np.where(found, score, 0).sum(axis=1) / np.maximum(found.sum(axis=1), 1)
    return mean.astype(F)


def people(
    frame: Frame,
    skeleton: Skeleton,
    xy: NDArray[np.float32],
    score: NDArray[np.float32],
    person_score: NDArray[np.float32],
    limits: Keep,
    xyz: NDArray[np.float32] | None = None,
) -> Poses:
    """Poses of the likely people, best first, each once.

    xy (N, K, 2) source pixels, score (N, K), person_score (N,) in any order, xyz (N, K, 3) in the model's own unit.
    """
    order = _chosen(skeleton, xy, score, person_score, limits)
    xyz = None if xyz is None else xyz[order]
    return poses_from(frame, skeleton, xy[order], score[order], person_score[order], limits.joint, xyz)


def _chosen(
    skeleton: Skeleton,
    xy: NDArray[np.float32],
    score: NDArray[np.float32],
    person_score: NDArray[np.float32],
    limits: Keep,
) -> NDArray[np.int64]:
    order = np.argsort(-person_score, kind="stable")
    order = order[person_score[order] >= max(limits.person, 1e-9)]
    if len(order) > 1:
        known = np.where((score >= limits.joint)[..., None], xy, np.nan)
        order = order[oks.distinct(known[order], np.array(skeleton.sigmas, F), limits.alike)]
    return order[: limits.people]


def one_person(
    frame: Frame,
    skeleton: Skeleton,
    crop: Crop,
    model_xy: NDArray[np.float32],
    score: NDArray[np.float32],
    limits: Keep,
    xyz: NDArray[np.float32] | None = None,
) -> Poses:
    """Poses of the one person a crop shows, or of nobody; model_xy (K, 2) model pixels, score (K,), xyz (K, 3)."""
    deep = None if xyz is None else xyz[None]
    mean = mean_score(score[None], limits.joint)
    return people(frame, skeleton, crop.to_source(model_xy)[None], score[None], mean, limits, deep)


def merged(crops: Sequence[Poses], limits: Keep) -> Poses:
    """The people of several crops of one frame; who was seen in two crops is there once, as the better one saw them.

    Raises:
        ValueError: no crops.
    """
    if not crops:
        raise ValueError("merged needs at least one crop's poses")
    xy = np.concatenate([poses.xy for poses in crops])
    score = np.concatenate([poses.score for poses in crops])
    person_score = np.concatenate([poses.person_score for poses in crops])
    order = _chosen(crops[0].skeleton, xy, score, person_score, limits)
    deep = [poses.xyz for poses in crops if poses.xyz is not None]
    return replace(
        crops[0],
        xy=xy[order],
        score=score[order],
        person_score=person_score[order],
        track_id=np.full(len(order), -1, np.int32),
        xyz=np.concatenate(deep)[order] if len(deep) == len(crops) else None,
    )

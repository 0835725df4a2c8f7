"""Coordinates straight from the network, and what MoveNet's own graphs put out.

Serves DeepPose, 3D joints from monocular images (Li and Chan) and the small regressor of geometry-aware
representations (Rhodin et al.). Head `pose`, by `kind`:
  joints         (2K,), (K, 2), (K, 3), (3K,) ... : `values` of each joint, `units` says what they count
  movenet        (1, 17, 3): y, x, score of one person, 0..1 of the input from its outer edge
  movenet_multi  (6, 56): six people, each 17 x (y, x, score), then box top, left, bottom, right, then the score
`metric` heads say where joints are around the root, not where in the picture: xyz is filled and xy is NaN.
Source: mmpose's regression_label codec (x / width, (0, 0) the centre of the first pixel); the model cards of MoveNet.

Not done: a second pass on a refined crop (DeepPose's cascade); RLE's spread as a score.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.config import Section, Size
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import topdown
from edgepose.estimate.decode.common import quant_of, real

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]
Floats = tuple[float, ...]

VALUES = {"xy": 2, "yx": 2, "xy_score": 3, "yx_score": 3, "xyz": 3, "xyz_score": 4}
"""What a head gives of each joint -> how many numbers that is."""


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a regression model."""

    min_person_score: Score
    min_joint_score: Score
    kind: Literal["joints", "movenet", "movenet_multi"] = "joints"
    values: Literal["xy", "yx", "xy_score", "yx_score", "xyz", "xyz_score"] = "xy"
    """joints: what the head gives of each joint, in this order."""
    units: Literal["pixels", "normalised", "centred", "metric"] = "normalised"
    """joints: model pixels, 0..1 of the input, -1..1 of the input, or a length from the root."""
    input_wh: Size | None = None
    """Model input width and height; needed unless units are pixels or metric."""
    origin: Literal["centre", "edge"] = "centre"
    """Whether 0 (or -1) is the centre of the first pixel or its outer edge."""
    root: Annotated[int, Meta(ge=0, le=255)] | None = None
    """metric: the joint that others are relative to; a head of K - 1 joints leaves it out."""
    mean: Floats = ()
    std: Floats = ()
    """metric: each number of the head is mean + std * value; empty: as it is."""
    length: Annotated[float, Meta(gt=0)] = 1.0
    """metric: metres of one unit, 0.001 for a head in millimetres."""
    duplicate_oks: Score = topdown.SAME_PERSON
    """movenet_multi: two people more alike than this are one."""


class Regression:
    """Turn regressed coordinates into Poses."""

    def __init__(self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode) -> None:
        """Check the head.

        Raises:
            ModelError: it is missing, or its size is not what the options say.
        """
        spec = topdown.head_of(heads, "pose")
        joints = len(skeleton.joints)
        metric = options.kind == "joints" and options.units == "metric"
        per_joint = VALUES[options.values] if options.kind == "joints" else 3
        count = math.prod(spec.shape)
        self.without_root = metric and options.root is not None and count == per_joint * (joints - 1)
        expected = per_joint * (joints - self.without_root)
        if options.kind == "movenet_multi":
            self.people = spec.shape[0]
            expected = self.people * (3 * joints + 5)
        if count != expected:
            raise ModelError(f"head 'pose' is {spec.shape}, expected {expected} numbers for {joints} joints")
        if metric and not options.values.startswith("xyz"):
            raise ModelError(f"[decoder.options]: units are metric but values are {options.values}, expected xyz")
        if options.root is not None and options.root >= joints:
            raise ModelError(f"[decoder.options]: root is {options.root}, expected less than {joints}")
        for name, given in (("mean", options.mean), ("std", options.std)):
            if len(given) not in (0, count):
                raise ModelError(f"[decoder.options]: {name} has {len(given)} numbers, the head has {count}")
        self.options, self.skeleton, self.joints, self.metric = options, skeleton, joints, metric
        self.quant = quant_of(spec)
        self.limits = topdown.keep(options, cfg, options.duplicate_oks)
        self.scale, self.shift = self._pixels()

    def _pixels(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What turns x, y of the head into model pixels: multiply, then add."""
        options = self.options
        own = options.kind == "joints"
        if own and options.units in ("pixels", "metric"):
            size, start = np.ones(2), np.zeros(2)
        elif options.input_wh is None:
            raise ModelError("[decoder.options]: input_wh is missing; coordinates are shares of it")
        else:
            size, start = np.array(options.input_wh, float), np.zeros(2)
            if own and options.units == "centred":
                size, start = size / 2, size / 2
        edge = not own or options.origin == "edge"
        return size.astype(F), (start - 0.5 * edge).astype(F)

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's head; `crop` maps model pixels to the frame's."""
        number = real(heads["pose"], self.quant)
        if self.options.kind == "movenet_multi":
            return self._multi(number, crop, frame)
        if self.metric:
            return self._metric(number.reshape(-1), crop, frame)
        joint = number.reshape(self.joints, -1)
        swapped = self.options.kind == "movenet" or self.options.values.startswith("yx")
        xy = (joint[:, 1::-1] if swapped else joint[:, :2]) * self.scale + self.shift
        xyz = None
        if self.options.kind == "joints" and self.options.values.startswith("xyz"):
            xyz = np.concatenate((xy, joint[:, 2:3] * self.scale[0]), axis=1).astype(F)
        return topdown.one_person(frame, self.skeleton, crop, xy, self._score(joint), self.limits, xyz)

    def _score(self, joint: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K,) the head's own score, or 1 where it has none."""
        if self.options.kind == "joints" and not self.options.values.endswith("score"):
            return np.ones(len(joint), F)
        return topdown.to_score(joint[:, -1], logits=False)

    def _metric(self, number: NDArray[np.float32], crop: Crop, frame: Frame) -> Poses:
        options = self.options
        number = number * np.array(options.std, F) if options.std else number
        number = number + np.array(options.mean, F) if options.mean else number
        joint = number.reshape(-1, VALUES[options.values])
        score, xyz = self._score(joint), joint[:, :3] * F(options.length)
        if options.root is not None and self.without_root:
            xyz = np.insert(xyz, options.root, 0, axis=0)
            score = np.insert(score, options.root, score.max())
        elif options.root is not None:
            xyz = xyz - xyz[options.root]
        nowhere = np.full((self.joints, 2), np.nan, F)
        return topdown.one_person(frame, self.skeleton, crop, nowhere, score, self.limits, xyz.astype(F))

    def _multi(self, number: NDArray[np.float32], crop: Crop, frame: Frame) -> Poses:
        person = number.reshape(self.people, -1)
        joint = person[:, : 3 * self.joints].reshape(self.people, self.joints, 3)
        xy = crop.to_source(joint[..., 1::-1] * self.scale + self.shift)
        score = topdown.to_score(joint[..., 2], logits=False)
        total = topdown.to_score(person[:, -1], logits=False)
        return topdown.people(frame, self.skeleton, xy, score, total, self.limits)

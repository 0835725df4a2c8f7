"""YOLO-pose exports: a box, a score and joints at every anchor, many people in one frame.

Head `pose`: (C, N) or (N, C), C = 4 + classes + K * joint_values (56 for one class and 17 joints of 3), of each anchor
the box's centre x, y, width, height, the classes' scores, then x, y, score of each joint: boxes decoded, sigmoids done.
Or three heads with scales of their own, each (channels, N) or (N, channels): `boxes`, `scores`, `keypoints`.
TFLite exports count 0..1 of the input, ONNX ones and what is converted from them pixels, some the one for boxes and
the other for joints: `units`, `box_units`. One int8 head in pixels cannot hold scores (its step is some 2.5): such a
model is refused. Coordinates count from the outer edge. Exports with suppression inside, or that need none (`nms`,
`end2end`), give (300, 57): `suppressed`. Heads that nothing decoded yet, one a stride: see `yolo_grid`.
Source: Ultralytics' documentation of its formats and of its LiteRT export; nothing is taken from its code.

The threshold is applied to raw scores; only anchors that pass are read. Overlapping boxes, then alike poses, are one.

Not done: class names.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Protocol

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.config import Section, Size
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import topdown
from edgepose.estimate.decode.common import least_raw, real
from edgepose.estimate.decode.yolo_grid import Grids, Part, Split, strides_of

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]
COARSEST = 0.1
"""Score steps above this tell nobody from somebody."""


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a YOLO-pose model."""

    input_wh: Size
    """Model input width and height, pixels."""
    min_person_score: Score
    min_joint_score: Score
    units: Literal["normalised", "pixels"] = "normalised"
    """Of joints: 0..1 of the input, or its pixels."""
    box_units: Literal["", "normalised", "pixels"] = ""
    """Of boxes; empty: as joints."""
    suppressed: bool = False
    """True: head `pose` has each person once: left, top, right, bottom, score, class, joints."""
    joint_values: Literal[2, 3] = 3
    """Numbers per joint: x, y, or x, y, score."""
    overlap: Score = 0.7
    """Of two boxes with a larger intersection over union the weaker is dropped."""
    duplicate_oks: Score = topdown.SAME_PERSON
    """Two people more alike than this are one."""
    score_logits: bool = True
    """Heads a stride: whether people's scores still need a sigmoid."""
    cells: bool = False
    """Heads `boxes`, `scores` and `keypoints` hold cells of strides 8, 16, 32 that nothing decoded: see yolo_grid."""
    candidates: Annotated[int, Meta(ge=1, le=10000)] = 300
    """Most anchors looked at, strongest first."""


class Reader(Protocol):
    """Where the numbers of an anchor lie in some heads."""

    def likely(self, heads: Heads, most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Anchors that pass, strongest first, and their scores."""
        ...

    def box(self, heads: Heads, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, 4) centre, size, pixels of the input."""
        ...

    def joint(self, heads: Heads, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, K, joint_values) x, y in pixels of the input, and a score of 0..1."""
        ...


class Rows:
    """Reads anchors whose boxes, scores and joints are decoded already."""

    def __init__(self, options: Options, heads: dict[str, HeadSpec], joints: int, least: float) -> None:
        """Check the heads.

        Raises:
            ModelError: they do not fit the skeleton, or cannot hold a score.
        """
        build = _split if "boxes" in heads else _suppressed if options.suppressed else _joined
        self.values = options.joint_values
        self.boxes, self.scores, self.joints = build(heads, joints * self.values)
        self.count = joints
        spec = heads[self.scores.role]
        if spec.dtype.kind != "f" and spec.scale > COARSEST:
            raise ModelError(
                f"head {spec.role!r} counts scores in steps of {spec.scale:.3g}, so they are lost; "
                "export the model with coordinates of 0..1, or with boxes, scores and keypoints apart"
            )
        self.least = least_raw(spec, least)
        size = np.array(options.input_wh, F)
        self.scale = size if options.units == "normalised" else np.ones(2, F)
        self.box_scale = np.tile(size if (options.box_units or options.units) == "normalised" else np.ones(2, F), 2)

    def likely(self, heads: Heads, most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Anchors whose raw score passes, strongest first, at most so many, and their scores."""
        raw = self.scores.raw(heads)
        best = raw[:, 0] if raw.shape[1] == 1 else raw.max(axis=1)
        anchors = np.flatnonzero(best >= self.least)
        strongest = np.argsort(-best[anchors].astype(F), kind="stable")[:most]
        anchors = anchors[strongest]
        return anchors, topdown.to_score(real(best[anchors], self.scores.quant), logits=False)

    def box(self, heads: Heads, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, 4) centre, size, pixels of the input."""
        return self.boxes.read(heads, anchors) * self.box_scale

    def joint(self, heads: Heads, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, K, joint_values) x, y in pixels of the input, and a score of 0..1."""
        joint = self.joints.read(heads, anchors).reshape(len(anchors), self.count, self.values)
        joint[..., :2] *= self.scale
        return joint


class YoloPose:
    """Turn YOLO-pose heads into Poses."""

    def __init__(self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode) -> None:
        """Check the heads.

        Raises:
            ModelError: they are missing, do not fit the skeleton, or cannot hold a score.
        """
        self.options, self.skeleton = options, skeleton
        self.limits = topdown.keep(options, cfg, options.duplicate_oks)
        self.most = 4 * self.limits.people
        self.size = np.array(options.input_wh, F)
        joints, least = len(skeleton.joints), min(max(self.limits.person, 1e-6), 1 - 1e-6)
        self.reader: Reader
        width, height = options.input_wh
        self.split = Split(heads, (width, height)) if options.cells else None
        if self.split:
            heads = self.split.specs
        if strides_of(heads):
            self.reader = Grids(heads, (width, height), joints, options.joint_values, options.score_logits, least)
        else:
            self.reader = Rows(options, heads, joints, max(self.limits.person, 1e-6))

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        if self.split:
            heads = self.split(heads)
        anchors, score = self.reader.likely(heads, self.options.candidates)
        if not self.options.suppressed:
            box = self.reader.box(heads, anchors)
            kept = apart(box[:, :2], box[:, 2:], self.options.overlap, self.most)
            anchors, score = anchors[kept], score[kept]
        joint = self.reader.joint(heads, anchors)
        xy = crop.to_source(joint[..., :2] - F(0.5))
        if self.options.joint_values == 3:
            joint_score = topdown.to_score(joint[..., 2], logits=False)
        else:
            joint_score = np.ones(joint.shape[:2], F)
        joint_score = topdown.within_reach(joint[..., :2], joint_score, self.size)
        return topdown.people(frame, self.skeleton, xy, joint_score, score, self.limits)


def _joined(heads: dict[str, HeadSpec], numbers: int) -> tuple[Part, Part, Part]:
    """Boxes, scores and joints in one head `pose`; the shorter axis is the channels'."""
    spec = topdown.head_of(heads, "pose")
    if len(spec.shape) != 2 or min(spec.shape) < 5 + numbers:
        raise ModelError(f"head 'pose' is {spec.shape}, expected (C, N) or (N, C) with C at least {5 + numbers}")
    last = spec.shape[0] <= spec.shape[1]
    channels = min(spec.shape)
    return (
        Part(spec, last, 0, 4),
        Part(spec, last, 4, channels - numbers),
        Part(spec, last, channels - numbers, channels),
    )


def _suppressed(heads: dict[str, HeadSpec], numbers: int) -> tuple[Part, Part, Part]:
    """Boxes, scores and joints of people that the graph told apart already, a row each."""
    spec = topdown.head_of(heads, "pose")
    if len(spec.shape) != 2 or spec.shape[1] != 6 + numbers:
        raise ModelError(f"head 'pose' is {spec.shape}, expected (N, {6 + numbers}) where decoder.options.suppressed")
    return Part(spec, False, 0, 4), Part(spec, False, 4, 5), Part(spec, False, 6, 6 + numbers)


def _split(heads: dict[str, HeadSpec], numbers: int) -> tuple[Part, Part, Part]:
    """Boxes, scores and joints in three heads that agree on the number of anchors."""
    box, scores, joints = (topdown.head_of(heads, role) for role in ("boxes", "scores", "keypoints"))
    if len(box.shape) != 2 or 4 not in box.shape:
        raise ModelError(f"head 'boxes' is {box.shape}, expected (4, N) or (N, 4)")
    count = math.prod(box.shape) // 4
    parts = [Part(box, box.shape[0] == 4, 0, 4)]
    for spec, wanted in ((scores, None), (joints, numbers)):
        size = math.prod(spec.shape)
        last = spec.shape[-1] == count
        if (not last and spec.shape[0] != count) or size % count or wanted not in (None, size // count):
            raise ModelError(
                f"head {spec.role!r} is {spec.shape}, expected {wanted or 'classes'} numbers "
                f"for each of {count} anchors"
            )
        parts.append(Part(spec, last, 0, size // count))
    return parts[0], parts[1], parts[2]


def apart(center: NDArray[np.float32], size: NDArray[np.float32], overlap: float, most: int) -> NDArray[np.int64]:
    """Indices of boxes, best first, that overlap no better one by more than `overlap`; at most `most` of them."""
    low, high = center - size / 2, center + size / 2
    area = np.maximum(size, 0).prod(axis=1)
    left = np.arange(len(center))
    kept: list[int] = []
    while len(left) and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        shared = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
        both = np.maximum(shared, 0).prod(axis=1)
        left = left[both <= overlap * (area[best] + area[left] - both)]
    return np.array(kept, np.int64)

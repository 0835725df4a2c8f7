"""Associative embedding (HigherHRNet): heatmaps give the joints, a tag at each joint says whose it is.

Heads: `heatmap` (H, W, >= K) and `tag` (h, w, K), or (h, w, 1) where all joints share one map; the tag map may be
smaller by a whole factor, each of its cells then holds for all heatmap cells it covers. HigherHRNet as it is exported
gives heatmaps and tags in one head (h, w, 2K), as `tag` beside a finer `heatmap`, or as `heatmap` alone. Joints of one
person have like tags, of different people tags a step apart. Joint after joint, torso outwards, the peaks are assigned
to the people so far by tag distance, best in total. Cell to pixel: (cell + 0.5) * stride - 0.5.

Sources: Newell et al., "Associative Embedding"; joint order, peak radius, rounding of tag distances and the person's
score (mean over all K joints) as in HigherHRNet (lib/core/group.py).
Differences: fractions of a cell come from a parabola, not from a quarter step towards the higher neighbour.
Not done: searching the heatmap for joints without a peak by the person's mean tag; flipped or scaled second passes.
"""

from __future__ import annotations

from types import ModuleType
from typing import Annotated

import numpy as np
from msgspec import Meta

from edgepose.core import config
from edgepose.core.config import Section
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import common
from edgepose.estimate.decode.parts import Parts, People

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]

COCO_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
"""Face, shoulders and hips first: they are seen most and their tags are steadiest."""


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a model with associative embedding tags."""

    stride: Annotated[int, Meta(ge=1, le=64)]
    """Model pixels per heatmap cell."""
    min_person_score: Score
    min_joint_score: Score
    tag_limit: Annotated[float, Meta(gt=0, le=100)] = 1.0
    """A joint whose tag is this far from a person's mean tag is not that person's."""
    peak_radius: Annotated[int, Meta(ge=1, le=16)] = 2
    """Cells: a joint is the highest within this distance each way."""
    joint_order: tuple[Annotated[int, Meta(ge=0, le=255)], ...] = ()
    """Each joint once, in the order they are grouped; empty: the paper's for COCO's 17, else as they come."""


class AssociativeEmbedding:
    """Turn raw heatmaps and tags into Poses; buffers are made once."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the heads.

        Raises:
            ModelError: a head is missing or of another shape, or joint_order does not name each joint once.
        """
        self.options, self.skeleton, self.kernels = options, skeleton, kernels
        self.min_person, self.min_joint = common.least_scores(options, cfg)
        joints = len(skeleton.joints)
        common.check_channels(heads, {"heatmap": joints})
        self.shrink, self.tag_channel = _tag_layout(heads, joints)
        self.tag_role = "tag" if "tag" in heads else "heatmap"
        self.tag_quant = common.quant_of(heads[self.tag_role])
        order = options.joint_order or (COCO_ORDER if joints == len(COCO_ORDER) else tuple(range(joints)))
        if sorted(order) != list(range(joints)):
            raise ModelError(f"joint_order is {order}, expected each of 0 to {joints - 1} once")
        self.order = np.array(order, np.int32)
        self.parts = Parts(heads["heatmap"], joints, options.peak_radius, self.min_joint, cfg)
        self.people = People(self.parts, 0, cfg.max_people)
        self.tag_sum = np.zeros(len(self.people.total), F)
        self.tag_terms = np.zeros(len(self.people.total), np.int32)
        self._find(common.zero_heads(heads))  # every kernel is ready before the first frame

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        found = self._find(heads)
        return self.people.poses(found, frame, crop, self.skeleton, self.options.stride, self.min_joint)

    def _find(self, heads: Heads) -> int:
        """Fill xy (cells), score and person_score of `people`; returns how many there are."""
        parts, people = self.parts, self.people
        parts.find(heads["heatmap"])
        cell_yx = parts.cell_yx // self.shrink
        tag = common.real(heads[self.tag_role][cell_yx[..., 0], cell_yx[..., 1], self.tag_channel], self.tag_quant)
        made = self.kernels.tag_people(
            self.order, parts.count, parts.score, tag, F(self.options.tag_limit), people.gain, people.tree, people.way,
            people.member, people.total, people.terms, self.tag_sum, self.tag_terms,
        )  # fmt: skip
        return people.best(self.kernels, made, 1, self.min_person, parts)


def _tag_layout(heads: dict[str, HeadSpec], joints: int) -> tuple[int, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Heatmap cells per tag cell each way, and (K, 1) the tag channel of each joint."""
    height, width, channels = heads["heatmap"].shape
    if "tag" not in heads and channels != 2 * joints:
        raise ModelError(f"the decoder needs a head with role 'tag'; the manifest names {', '.join(heads)}")
    shape = heads["tag" if "tag" in heads else "heatmap"].shape
    shrink = max(1, height // shape[0])
    joined = (2 * joints,) if shrink > 1 or "tag" not in heads else ()  # else two tags a joint
    fits = len(shape) == 3 and (shape[0] * shrink, shape[1] * shrink) == (height, width)
    if not fits or shape[2] not in (1, joints, *joined):
        raise ModelError(
            f"head 'tag' is {shape}, expected {(height, width, joints)}, one channel, or a whole factor smaller"
        )
    behind = joints if shape[2] == 2 * joints else 0  # heatmaps, then tags
    return shrink, behind + np.arange(joints)[:, None] * (shape[2] > 1)

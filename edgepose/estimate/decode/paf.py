"""Part affinity fields (OpenPose): heatmaps give the parts, vector fields say which two belong to one limb.

Heads: `heatmap` (H, W, >= K) and `paf` (H, W, 2 per limb), or both in one head `heatmap_paf`, told apart by the
options. A channel beside the parts (the background) is left alone. Fields are read at their own resolution, between
cells; nothing is upsampled. Cell to pixel: (cell + 0.5) * stride - 0.5, as training targets are area-averaged.

Sources: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields"; parts, limbs and field
channels as in tf-pose-estimation (common.py, pafprocess.cpp) and lightweight-human-pose-estimation (keypoints.py),
which agree. Differences: a limb joins two half-built people only where they share no part, whatever their order.
Not done: several scales or a flipped image averaged before decoding.
"""

from __future__ import annotations

from types import ModuleType
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.config import Section
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import common
from edgepose.estimate.decode.parts import Parts, People

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]
Index = Annotated[int, Meta(ge=0, le=1023)]
Limb = tuple[Index, Index, Index, Index]
"""Part a, part b, channel of the field's x, channel of its y; the field points from a to b."""

OPENPOSE_LIMBS: tuple[Limb, ...] = (
    (1, 2, 12, 13), (1, 5, 20, 21), (2, 3, 14, 15), (3, 4, 16, 17), (5, 6, 22, 23), (6, 7, 24, 25),
    (1, 8, 0, 1), (8, 9, 2, 3), (9, 10, 4, 5), (1, 11, 6, 7), (11, 12, 8, 9), (12, 13, 10, 11),
    (1, 0, 28, 29), (0, 14, 30, 31), (14, 16, 34, 35), (0, 15, 32, 33), (15, 17, 36, 37),
    (2, 16, 18, 19), (5, 17, 26, 27),
)  # fmt: skip
"""The 19 limbs of OpenPose's COCO model; the last two, shoulder to ear, only fill in."""

PEAK_RADIUS = 1
"""Cells: a part is the highest within 3x3."""


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a model with part affinity fields."""

    stride: Annotated[int, Meta(ge=1, le=64)]
    """Model pixels per cell."""
    min_person_score: Score
    min_joint_score: Score
    heatmap_at: Index = 0
    """Channel of the first part in its head."""
    paf_at: Index = 0
    """Channel of the first field in its head: 19 where 18 parts and a background come before it."""
    limbs: Annotated[tuple[Limb, ...], Meta(min_length=1, max_length=256)] = OPENPOSE_LIMBS
    """In the order people are put together; one that closes a ring founds nobody, it only joins."""
    samples: Annotated[int, Meta(ge=2, le=64)] = 10
    """Places at which the field is read along a limb."""
    min_field: Score = 0.05
    """A place counts as aligned where field times direction reaches it."""
    min_aligned: Score = 0.8
    """Share of the places that must be aligned."""
    min_parts: Annotated[int, Meta(ge=1, le=256)] = 4
    """People with fewer parts are dropped."""


class Paf:
    """Turn raw heatmaps and part affinity fields into Poses; buffers are made once."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the heads and limbs against each other.

        Raises:
            ModelError: a head is missing or too small, or a limb names a part that is not there.
        """
        self.options, self.skeleton, self.kernels = options, skeleton, kernels
        self.min_person, self.min_joint = common.least_scores(options, cfg)
        parts = len(skeleton.joints)
        limbs = np.array(options.limbs, np.int32)
        if limbs[:, :2].max() >= parts:
            raise ModelError(f"a limb names part {limbs[:, :2].max()}, but skeleton {skeleton.name} has {parts}")
        self.heat_role, self.paf_role = ("heatmap_paf",) * 2 if "heatmap_paf" in heads else ("heatmap", "paf")
        least_channels = {self.heat_role: options.heatmap_at + parts}
        field_channels = options.paf_at + int(limbs[:, 2:].max()) + 1
        least_channels[self.paf_role] = max(field_channels, least_channels.get(self.paf_role, 0))
        common.check_channels(heads, least_channels)

        self.paf_quant = common.quant_of(heads[self.paf_role])
        self.limb = limbs + np.array([0, 0, options.paf_at, options.paf_at], np.int32)
        self.founds = founding(limbs[:, :2], parts)
        along = np.linspace(0, 1, options.samples, dtype=F)
        self.along = along[np.argsort(abs(along - 0.5), kind="stable")]  # wrong lines miss the field in the middle
        self.need = int(np.ceil(options.min_aligned * options.samples - 1e-9))

        spec = heads[self.heat_role]
        self.parts = Parts(spec, parts, PEAK_RADIUS, self.min_joint, cfg, first=options.heatmap_at)
        self.people = People(self.parts, len(limbs), cfg.max_people)
        self._find(common.zero_heads(heads))  # every kernel is ready before the first frame

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        found = self._find(heads)
        return self.people.poses(found, frame, crop, self.skeleton, self.options.stride, self.min_joint)

    def _find(self, heads: Heads) -> int:
        """Fill xy (cells), score and person_score of `people`; returns how many there are."""
        parts, people = self.parts, self.people
        parts.find(heads[self.heat_role])
        links = self.kernels.limb_links(
            heads[self.paf_role], self.paf_quant, self.limb, self.along, self.need, F(self.options.min_field),
            parts.count, parts.xy, *people.scratch,
        )  # fmt: skip
        made = people.join(self.kernels, self.limb, self.founds, links)
        return people.best(self.kernels, made, self.options.min_parts, self.min_person, parts)


def founding(pairs: NDArray[Any], parts: int) -> NDArray[np.int32]:
    """(L,) 1 for each pair that joins parts not yet joined by those before it, 0 for one that closes a ring."""
    group = np.arange(parts)
    founds = np.zeros(len(pairs), np.int32)
    for at, (a, b) in enumerate(pairs):
        founds[at] = group[a] != group[b]
        group[group == group[b]] = group[a]
    return founds

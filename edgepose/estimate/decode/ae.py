"""Associative embedding (HigherHRNet): heatmaps give the joints, a tag at each joint says whose it is.

Heads: `heatmap` (H, W, >= K) and `tag` (h, w, K), or (h, w, 1) where all joints share one map; the tag map may be
smaller by a whole factor, each of its cells then holds for all heatmap cells it covers. HigherHRNet as it is exported
gives heatmaps and tags in one head (h, w, 2K), as `tag` beside a finer `heatmap`, or as `heatmap` alone; `average`
takes the mean of both heatmaps, and tags between cells, as the paper does. Networks that find the joints themselves
give `tag`, `index`, `score` (M, K), the M best cells of each joint on a grid `grid_wh`. Joints of one
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
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.config import Section
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import common
from edgepose.estimate.decode.parts import Given, Parts, People

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
    average: bool = False
    """Joints are found in the mean of the coarse and the fine heatmap: head `tag` (h, w, 2K) holds the coarse one."""
    grid_wh: tuple[Annotated[int, Meta(ge=1, le=4096)], ...] = ()
    """Columns and rows that `index` counts on; empty: there is none."""


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
        order = options.joint_order or (COCO_ORDER if joints == len(COCO_ORDER) else tuple(range(joints)))
        if sorted(order) != list(range(joints)):
            raise ModelError(f"joint_order is {order}, expected each of 0 to {joints - 1} once")
        self.order = np.array(order, np.int32)
        self.finder: Found | Top = (
            Top(options, heads, joints, self.min_joint)
            if options.grid_wh
            else Found(options, heads, joints, self.min_joint, cfg)
        )
        self.parts = self.finder.parts
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
        tag = self.finder(heads)
        made = self.kernels.tag_people(
            self.order, parts.count, parts.score, tag, F(self.options.tag_limit), people.gain, people.tree, people.way,
            people.member, people.total, people.terms, self.tag_sum, self.tag_terms,
        )  # fmt: skip
        return people.best(self.kernels, made, 1, self.min_person, parts)


class Found:
    """Joints found in heatmaps, with their tags."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], joints: int, least: float, cfg: config.Decode
    ) -> None:
        common.check_channels(heads, {"heatmap": joints})
        self.shrink, self.tag_channel = _tag_layout(heads, joints)
        self.tag_role = "tag" if "tag" in heads else "heatmap"
        self.tag_quant = common.quant_of(heads[self.tag_role])
        self.mean = Mean(heads, joints) if options.average else None
        spec = self.mean.spec if self.mean else heads["heatmap"]
        self.parts = Parts(spec, joints, options.peak_radius, least, cfg)

    def __call__(self, heads: Heads) -> NDArray[np.float32]:
        """Fill `parts`; returns (K, M) tags of the peaks."""
        tags = heads[self.tag_role]
        if self.mean:
            self.parts.find(self.mean(heads))
            return _between(tags, self.parts.cell_yx, self.shrink, self.tag_channel, self.tag_quant)
        self.parts.find(heads["heatmap"])
        cell_yx = self.parts.cell_yx // self.shrink
        return common.real(tags[cell_yx[..., 0], cell_yx[..., 1], self.tag_channel], self.tag_quant)


class Mean:
    """The mean of a fine heatmap and a coarse one that is made as fine."""

    def __init__(self, heads: dict[str, HeadSpec], joints: int) -> None:
        fine = heads["heatmap"]
        if "tag" not in heads or heads["tag"].shape[2] != 2 * joints:
            raise ModelError(f"decoder.options.average needs a head 'tag' of {2 * joints} channels, heatmaps first")
        self.quants = common.quant_of(fine), common.quant_of(heads["tag"])
        self.spec = HeadSpec("heatmap", (*fine.shape[:2], joints), np.dtype(F), 0.5, 0)  # of their sum
        self.heat = np.zeros(self.spec.shape, F)

    def __call__(self, heads: Heads) -> NDArray[np.float32]:
        """(H, W, K) their sum, which `spec` halves; overwritten by the next."""
        joints = self.heat.shape[2]
        _enlarge(_real(heads["tag"][..., :joints], self.quants[1]), self.heat)
        self.heat += _real(heads["heatmap"][..., :joints], self.quants[0])
        return self.heat


def _real(raw: NDArray[np.generic], quant: NDArray[np.float32]) -> NDArray[np.float32]:
    """As common.real; a float head as it is."""
    return np.asarray(raw, F) if raw.dtype == F else common.real(raw, quant)


def _enlarge(small: NDArray[np.float32], into: NDArray[np.float32]) -> None:
    """Bilinear (h, w, K) -> (H, W, K), one axis after the other as rows of one channel: OpenCV is slow with many."""
    from edgepose.core.opencv import cv2

    (rows, columns, joints), (height, width) = small.shape, into.shape[:2]
    turned = np.ascontiguousarray(small.transpose(1, 0, 2)).reshape(columns, rows * joints)
    side = cv2.resize(turned, (rows * joints, width), interpolation=cv2.INTER_LINEAR)
    wide = np.ascontiguousarray(side.reshape(width, rows, joints).transpose(1, 0, 2)).reshape(rows, width * joints)
    cv2.resize(wide, (width * joints, height), dst=into.reshape(height, -1), interpolation=cv2.INTER_LINEAR)


class Top:
    """Joints that the network found itself: its best cells of each, with scores and tags."""

    def __init__(self, options: Options, heads: dict[str, HeadSpec], joints: int, least: float) -> None:
        if len(options.grid_wh) != 2:
            raise ModelError(f"decoder.options.grid_wh is {options.grid_wh}, expected columns and rows")
        most = heads["score"].shape[0] if "score" in heads else 0
        for role in ("score", "index", "tag"):
            if role not in heads or heads[role].shape != (most, joints):
                came = heads[role].shape if role in heads else "missing"
                raise ModelError(f"head {role!r} is {came}, expected (people, {joints}), as all of score, index, tag")
        self.quants = {role: common.quant_of(heads[role]) for role in ("score", "index", "tag")}
        self.columns, self.least = options.grid_wh[0], max(least, 1e-6)
        self.parts = Given(joints, most)

    def __call__(self, heads: Heads) -> NDArray[np.float32]:
        """Fill `parts`; returns (K, M) tags."""
        score, index, tag = (common.real(heads[role], self.quants[role]).T for role in ("score", "index", "tag"))
        strongest = np.argsort(-score, axis=1, kind="stable")
        score, index, tag = (np.take_along_axis(each, strongest, axis=1) for each in (score, index, tag))
        self.parts.put(score, np.rint(index).astype(np.int64), self.columns, self.least)
        return np.ascontiguousarray(tag, F)


def _between(
    tags: NDArray[np.generic],
    cell_yx: NDArray[np.int32],
    shrink: int,
    channel: NDArray[np.int64],
    quant: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(K, M) tags at cells of a grid `shrink` times finer, bilinear between the cells of their own."""
    at = np.maximum((cell_yx.astype(F) + F(0.5)) / F(shrink) - F(0.5), 0)
    low = np.minimum(at.astype(np.int64), np.array(tags.shape[:2]) - 1)
    high = np.minimum(low + 1, np.array(tags.shape[:2]) - 1)
    y, x = (at - low)[..., 0], (at - low)[..., 1]

    def of(row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float32]:
        return common.real(tags[row, column, channel], quant)

    upper = of(low[..., 0], low[..., 1]) * (1 - x) + of(low[..., 0], high[..., 1]) * x
    lower = of(high[..., 0], low[..., 1]) * (1 - x) + of(high[..., 0], high[..., 1]) * x
    return np.ascontiguousarray(upper * (1 - y) + lower * y, F)


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

"""MoveNet: a person-centre map, a coarse pose regressed at each centre, joint heatmaps and offsets.

SinglePose heads give the person nearest the middle as the original graph does, or many people from the same bytes.
MultiPose heads add a box per centre, and each joint is searched inside its person's box.
Source: the graphs of Google's MoveNet SinglePose and MultiPose, CenterNet ("Objects as Points") in spirit.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose.core import config, oks
from edgepose.core.config import Section
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode.common import check_heads, least_raw, least_scores, quant_of, real, zero_heads

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a MoveNet manifest."""

    people_head: Literal["single", "multi"]
    stride: Annotated[int, Meta(ge=1, le=64)]
    """Model pixels per cell."""
    min_person_score: Score
    min_joint_score: Score
    duplicate_oks: Score = 0.5
    """Two people more alike than this are one."""
    distance_bias: Annotated[float, Meta(gt=0, le=100)] = 1.8
    """single: cells added to the distance before a heatmap is divided by it."""
    center_weighted: bool = False
    """single: the centre head is already divided by the distance to the middle, as Edge TPU builds give it."""
    sigma: Annotated[float, Meta(gt=0, le=10)] = 0.3
    """multi: joints weigh exp(-distance^2 / (sigma * the map's shorter side)), in cells."""
    min_joint_mean: Score = 0.2
    """Joints below it do not count in a person's mean: half a person is not half as likely."""


ROLES = {
    "single": {"center": 1, "regress": 34, "heatmap": 17, "offset": 34},
    "multi": {"center": 1, "regress": 34, "heatmap": 17, "offset": 34, "box_scale": 2, "box_offset": 2},
}
"""Head roles and their channels."""

PEAK_RADIUS = 2
"""Cells: a person's centre is the highest within 5x5."""

CANDIDATES = 2
"""Centres decoded per person asked for: some turn out to be weak or the same person."""


RIVALS = 6
"""People the MultiPose graph knows of."""


class MoveNet:
    """Turn MoveNet's raw heads into Poses; buffers are made once."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the heads against the roles the options ask for.

        Raises:
            ModelError: a head is missing or has another shape.
        """
        check_heads(heads, ROLES[options.people_head])
        self.options, self.skeleton, self.kernels = options, skeleton, kernels
        self.max_people = cfg.max_people
        self.min_person, self.min_joint = least_scores(options, cfg)
        self.sigmas = np.array(skeleton.sigmas, F)
        self.quant = {role: quant_of(spec) for role, spec in heads.items()}

        height, width, joints = heads["heatmap"].shape
        if options.center_weighted:
            heads = heads | {"center": HeadSpec("center", (height, width, 1), np.dtype(F), 1.0, 0)}
        scale, self.center_zero = self.quant["center"]
        self.quant["center"] = quant_of(heads["center"])
        center = heads["center"]
        self.least_center = least_raw(center, max(self.min_person, 1e-6))
        self.weight = _middle_weight(height, width, options.distance_bias)
        self.unweight = scale / self.weight[..., None]
        self.limit = np.array([height, width, height, width], F)
        self.spread = F(options.sigma * min(height, width))
        self.level, self.first_level = _log_levels(heads["heatmap"])

        people = 1 if self._only_nearest else min(CANDIDATES * cfg.max_people, height * width)
        self.center_yx = np.zeros((people, 2), np.int32)
        self.row_max = np.zeros((height, joints), heads["heatmap"].dtype)
        self.coarse_yx = np.zeros((people, joints, 2), F)
        self.cell_yx = np.zeros((people, joints, 2), np.int32)
        self.yx = np.zeros((people, joints, 2), F)
        self.score = np.zeros((people, joints), F)
        self.person_score = np.zeros(people, F)
        self.least_mean, self.least_joint = F(options.min_joint_mean), F(max(self.min_joint, 1e-9))
        self.last_crop, self.pixels = Crop((0.0, 0.0), (0.0, 0.0)), np.zeros(4)
        # one person in empty heads: every kernel is compiled or read from its cache before the first frame
        self._find_centers(np.zeros(center.shape[:2], center.dtype))
        self._find_joints(zero_heads(heads), 1)
        self.kernels.to_pixels(
            self.yx, self.score, np.zeros(1, np.int32), self.pixels, self.least_joint, self.yx[:1], self.score[:1]
        )

    @property
    def _only_nearest(self) -> bool:
        return self.max_people == 1 and self.options.people_head == "single"

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        if self.options.center_weighted:
            heads = {**heads, "center": (heads["center"].astype(F) - self.center_zero) * self.unweight}
        found = self._find_centers(heads["center"][..., 0])
        if found:
            self._find_joints(heads, found)
        order = self._best_first(self.person_score[:found].tolist())

        people, joints = len(order), self.score.shape[1]
        xy, score = np.empty((people, joints, 2), F), np.empty((people, joints), F)
        chosen = np.array(order, np.int32)
        self.kernels.to_pixels(self.yx, self.score, chosen, self._pixels(crop), self.least_joint, xy, score)
        coarse_xy = self.coarse_yx[chosen][..., ::-1] * self.pixels[::2] + self.pixels[1::2]
        poses = Poses.of(frame, self.skeleton, xy, score, self.person_score[chosen])
        return replace(poses, coarse_xy=coarse_xy.astype(F))

    def _best_first(self, person_score: list[float]) -> list[int]:
        """Who is told of, highest score first: likely enough, no one twice, no more than asked for."""
        order = [person for person, score in enumerate(person_score) if score >= self.min_person]
        if len(order) > 1:
            order.sort(key=lambda person: -person_score[person])
            distinct_from = self.yx if self.options.people_head == "single" else self.coarse_yx
            alone = oks.distinct(distinct_from[order], self.sigmas, self.options.duplicate_oks)
            order = [order[index] for index in alone]
        return order[: self.max_people]

    def _pixels(self, crop: Crop) -> NDArray[np.float64]:
        """(4,) source pixels per cell in x, and x of cell 0; the same in y."""
        if crop != self.last_crop:
            # a cell's coordinate counts from the map's edge, a pixel's from its centre: half a model pixel apart
            (scale_x, scale_y), (offset_x, offset_y) = crop.scale_xy, crop.offset_xy
            stride = self.options.stride
            edges = (scale_x * stride, offset_x - 0.5 * scale_x, scale_y * stride, offset_y - 0.5 * scale_y)
            self.last_crop, self.pixels = crop, np.array(edges)
        return self.pixels

    def _find_centers(self, center: NDArray[Any]) -> int:
        if self._only_nearest:
            self.kernels.nearest_center(center, self.weight, self.quant["center"][1], self.center_yx)
            return 1
        found: int = self.kernels.center_peaks(center, self.least_center, PEAK_RADIUS, self.center_yx)
        return found

    def _find_joints(self, heads: Heads, found: int) -> None:
        """Fill yx, score and person_score of the first `found` people."""
        kernels, quant = self.kernels, self.quant
        center_yx, coarse_yx, cell_yx = self.center_yx[:found], self.coarse_yx[:found], self.cell_yx[:found]
        yx, score = self.yx[:found], self.score[:found]
        heat, offset = heads["heatmap"], heads["offset"]
        kernels.regressed(heads["regress"], quant["regress"], center_yx, coarse_yx)
        kernels.row_maxima(heat, self.row_max)
        if self.options.people_head == "single":
            bias = F(self.options.distance_bias)
            kernels.joints_by_distance(heat, self.row_max, quant["heatmap"][1], bias, coarse_yx, cell_yx)
            kernels.read_offsets(offset, quant["offset"], cell_yx, yx)
            kernels.read_scores(heat, quant["heatmap"], cell_yx, score)
        else:
            box_yx = self._boxes(heads, center_yx)
            kernels.joints_in_box(
                heat, self.row_max, self.level, self.first_level, self.spread, box_yx, coarse_yx, cell_yx
            )
            kernels.read_offsets(offset, quant["offset"], cell_yx, yx)
            kernels.read_scores(heat, quant["heatmap"], cell_yx, score)
            score *= self._nearness(cell_yx, coarse_yx, box_yx)

        kernels.person_scores(
            heads["center"][..., 0], quant["center"], center_yx, score, self.least_mean, self.person_score[:found]
        )

    def _nearness(
        self, cell_yx: NDArray[np.int32], start_yx: NDArray[np.float32], box_yx: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(P, K) exp(-distance^2 / spread) of each joint's cell, as the original graph scores it.

        The distance is to the person it suits best: the person itself, or one of the RIVALS strongest centres.
        """
        distance2 = ((cell_yx[:, None] - start_yx) ** 2).sum(axis=3)
        corner = box_yx[:, None, :]
        inside = ((cell_yx[:, None] >= corner[..., :2]) & (cell_yx[:, None] < corner[..., 2:])).all(axis=3)
        person = np.arange(len(cell_yx))
        counts = (person < RIVALS) | (person[:, None] == person)
        distance2[~(inside & counts[..., None])] = np.inf
        nearness: NDArray[np.float32] = np.exp(-distance2.min(axis=1) / self.spread).astype(F)
        return nearness

    def _boxes(self, heads: Heads, center_yx: NDArray[np.int32]) -> NDArray[np.float32]:
        """(P, 4) top, left, bottom, right in cells, clipped to the map."""
        rows, columns = center_yx[:, 0], center_yx[:, 1]
        half = np.maximum(real(heads["box_scale"][rows, columns], self.quant["box_scale"]), 0) / 2
        middle = center_yx + real(heads["box_offset"][rows, columns], self.quant["box_offset"])
        return np.clip(np.concatenate((middle - half, middle + half), axis=1), 0, self.limit).astype(F)


def _middle_weight(height: int, width: int, bias: float) -> NDArray[np.float32]:
    """(H, W) 1 / (cells to the middle + bias): what makes the graph choose the person nearest the middle."""
    y, x = np.mgrid[:height, :width]
    weight: NDArray[np.float32] = (1 / (np.hypot(y - height / 2, x - width / 2) + bias)).astype(F)
    return weight


def _log_levels(spec: HeadSpec) -> tuple[NDArray[np.float32], int]:
    """Logarithm of each raw value's real value, and the first raw value; none and 0 for a float head."""
    if spec.dtype.kind == "f":
        return np.zeros(0, F), 0
    limits = np.iinfo(spec.dtype)
    real = (np.arange(limits.min, limits.max + 1) - spec.zero_point) * spec.scale
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(real, 0)).astype(F), int(limits.min)

"""Heatmaps of people whose boxes are known: Mask R-CNN's own map per box, or MultiPoseNet's one map for all.

people = "per_box": `heatmap` (N, K, h, w) logits, or (N, h, w, K), `boxes` (N, 4) and, if there is one, `scores` (N,).
The first axis is people, not a batch. The hot cell of each map lands in its box at (cell + 0.5) / size of the box, and
its score is its share of a softmax over the map, as in Detectron2's heatmaps_to_keypoints. That one enlarges each map
to its box first (cubic) and takes a whole pixel; here a parabola through the logits gives the fraction, which agrees
within half a cell wherever a map has one peak.

people = "shared": `heatmap` (H, W, >= K), `boxes` and `scores`. The peaks of each joint are assigned to the boxes that
hold them, best in total: score / (1 + d^2), d the distance to the joint's usual place in half boxes. Where boxes
overlap this leaves a peak that only one box holds to that box. MultiPoseNet learns those places with a network of its
own (PRN), which is not done here; nor is detecting the boxes: both methods are decoded, no network for them is bundled.

Boxes are edges in model pixels, (0, 0) the corner of the picture; a pixel's centre is half a pixel from its edge.
Sources: He et al., "Mask R-CNN"; detectron2 (structures/keypoints.py), torchvision (roi_heads.py); Kocabas et al.,
"MultiPoseNet".
"""

from __future__ import annotations

from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose import kernels as all_kernels
from edgepose.core import config
from edgepose.core.config import Section
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import common
from edgepose.estimate.decode.parts import Parts

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]
Share = Annotated[float, Meta(ge=-1, le=2)]

FALLOFF = np.append(np.exp(-np.arange(16 * 64) / 64), 0).astype(F)
"""exp(-i / 64) down to e^-16."""

AXES = {"nchw": (0, 1, 2, 3), "nhwc": (0, 3, 1, 2)}
"""Layout -> where people, joints, rows and columns are."""


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a model that gives boxes and heatmaps."""

    people: Literal["per_box", "shared"]
    """Whether each box has maps of its own."""
    min_person_score: Score
    min_joint_score: Score
    layout: Literal["nchw", "nhwc"] = "nchw"
    """per_box: order of the heatmap's axes."""
    box_order: Literal["xyxy", "yxyx"] = "xyxy"
    """Left, top, right, bottom, or top, left, bottom, right."""
    box_unit_xy: tuple[Annotated[float, Meta(gt=0, le=65536)], Annotated[float, Meta(gt=0, le=65536)]] = (1.0, 1.0)
    """Model pixels per unit of boxes: the input's width and height where boxes are 0..1."""
    stride: Annotated[int, Meta(ge=1, le=64)] = 4
    """shared: model pixels per cell."""
    peak_radius: Annotated[int, Meta(ge=1, le=16)] = 1
    """shared: cells; a joint is the highest within this distance each way."""
    places_xy: tuple[tuple[Share, Share], ...] = ()
    """shared: usual place of each joint, share of the box from its left and top; empty: the middle."""


class BoxHeatmap:
    """Turn boxes and raw heatmaps into Poses; buffers are made once."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the heads.

        Raises:
            ModelError: a head is missing or of another shape.
        """
        self.options, self.skeleton, self.kernels = options, skeleton, kernels
        self.max_people = cfg.max_people
        self.min_person, self.min_joint = common.least_scores(options, cfg)
        joints = len(skeleton.joints)
        per_box = options.people == "per_box"
        boxes = _check(heads, joints, options)
        self.quant = {role: common.quant_of(spec) for role, spec in heads.items()}
        self.xy = np.zeros((boxes, joints, 2), F)
        self.score = np.zeros((boxes, joints), F)
        if per_box:
            shape = heads["heatmap"].shape
            steps = [int(np.prod(shape[axis + 1 :])) for axis in range(4)]
            people, joint, row, column = AXES[options.layout]
            self.map_wh = shape[column], shape[row]
            self.layout = np.array(
                [shape[row], shape[column], steps[people], steps[joint], steps[row], steps[column]], np.int64
            )
        else:
            self.parts = Parts(heads["heatmap"], joints, options.peak_radius, self.min_joint, cfg)
            self.places = np.array(options.places_xy or ((0.5, 0.5),) * joints)
            if len(self.places) != joints:
                raise ModelError(f"places_xy has {len(self.places)} places, expected {joints}, one per joint")
            most = max(self.parts.score.shape[1], boxes)
            self.tree, self.way = np.zeros((3, most + 1)), np.zeros((3, most + 1), np.int32)
            self.assign = all_kernels.family("grouping", cfg.kernels).assign
        self._find(common.zero_heads(heads))  # every kernel is ready before the first frame

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        person_score = self._find(heads)
        best = np.argsort(-person_score, kind="stable")
        best = best[person_score[best] >= max(self.min_person, 1e-9)][: self.max_people]
        xy = crop.to_source(self.xy[best])
        return common.poses_from(frame, self.skeleton, xy, self.score[best], person_score[best], self.min_joint)

    def _find(self, heads: Heads) -> NDArray[np.float32]:
        """Fill xy (model pixels) and score of every box; returns the person scores (N,)."""
        raw = common.real(heads["boxes"], self.quant["boxes"]).reshape(-1, 2, 2)
        raw = raw if self.options.box_order == "xyxy" else raw[..., ::-1]
        corner = raw * np.array(self.options.box_unit_xy, F)
        size = np.maximum(corner[:, 1] - corner[:, 0], 1)
        if self.options.people == "per_box":
            heat = np.ascontiguousarray(heads["heatmap"]).reshape(-1)
            self.kernels.hot_cells(heat, self.layout, self.quant["heatmap"], FALLOFF, self.xy, self.score)
            share = (self.xy + F(0.5)) / np.array(self.map_wh, F)
            self.xy[:] = corner[:, None, 0] + share * size[:, None] - F(0.5)
        else:
            self._assign(heads["heatmap"], corner, size)
        if "scores" in heads:
            return common.real(heads["scores"].reshape(-1), self.quant["scores"])
        mean: NDArray[np.float32] = self.score.mean(axis=1)
        return mean

    def _assign(self, heat: NDArray[Any], corner: NDArray[np.float32], size: NDArray[np.float32]) -> None:
        """Give each box the peaks that suit it and the other boxes best."""
        parts = self.parts
        parts.find(heat)
        edge = (parts.xy + F(0.5)) * F(self.options.stride)  # from the picture's corner, as boxes are
        self.xy[:], self.score[:] = np.nan, 0
        for k in np.flatnonzero(parts.count):
            peaks = edge[k, : parts.count[k], None].astype(np.float64)
            inside: NDArray[Any] = np.all((peaks >= corner[:, 0]) & (peaks <= corner[:, 0] + size), axis=2)
            away2 = (((peaks - corner[:, 0]) / size - self.places[k]) ** 2).sum(axis=2) * 4
            gain = np.where(inside, parts.score[k, : parts.count[k], None] / (1 + away2), 0.0)
            self.assign(gain, len(gain), len(corner), 0.0, self.tree, self.way)
            row = self.way[0, 1 : len(corner) + 1] - 1
            for box in np.flatnonzero(row >= 0):
                if inside[row[box], box]:
                    self.xy[box, k] = edge[k, row[box]] - F(0.5)
                    self.score[box, k] = parts.score[k, row[box]]


def _check(heads: dict[str, HeadSpec], joints: int, options: Options) -> int:
    """Raise ModelError unless the heads fit each other; returns how many boxes there are."""
    for role in ("heatmap", "boxes"):
        if role not in heads:
            raise ModelError(f"the decoder needs a head with role {role!r}; the manifest names {', '.join(heads)}")
    boxes = heads["boxes"].shape
    if len(boxes) != 2 or boxes[1] != 4:
        raise ModelError(f"head 'boxes' is {boxes}, expected (people, 4)")
    if "scores" in heads and int(np.prod(heads["scores"].shape)) != boxes[0]:
        raise ModelError(f"head 'scores' is {heads['scores'].shape}, expected {boxes[0]} numbers, one per box")
    if options.people == "shared":
        common.check_channels({"heatmap": heads["heatmap"]}, {"heatmap": joints})
        return boxes[0]
    shape = heads["heatmap"].shape
    people, joint, *_ = AXES[options.layout]
    if len(shape) != 4 or (shape[people], shape[joint]) != (boxes[0], joints):
        raise ModelError(f"head 'heatmap' is {shape}, expected {boxes[0]} people, {joints} joints as {options.layout}")
    return boxes[0]

"""Integral pose regression: a joint lies at the mean of its heatmap or volume, weighted by a softmax.

Serves Integral Human Pose Regression (Sun et al., ECCV 2018), 2D and 3D. Head `heatmap`: (H, W, K * D) with layout
"hwc", (K * D, H, W) with "chw"; the D depth cells of a joint lie side by side. 3DMPPE gives (K * 64, 64, 64) (checked
in its source, soft_argmax in main/model.py; z there is (cell / 64 * 2 - 1) metres for a depth of 2 m: depth_range 2).
How cells map to model pixels: as in the `heatmap` family, `cells` and `stride`.

The exponentials of an integer head come from a table of its 256 (or 65536) steps, so nothing overflows and no float
copy of the volume is made. With `debias` the weight of cells that say 0 is taken off before the mean, so that many of
them do not pull joints to the middle: with w0 = exp(sharpness * 0), mean = (sum w x - w0 sum x) / (sum w - w0 N), the
correction of Gu et al., "Removing the Bias of Integral Pose Regression", ICCV 2021, equation 8.

Softmax heads say where, not how surely: the score is 1 unless `score` reads it off the highest cell.

Not done: more than one person per crop; the absolute depth of a person.
"""

from __future__ import annotations

from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.config import Section
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import topdown
from edgepose.estimate.decode.common import quant_of, real
from edgepose.estimate.decode.heatmap import Cells

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of an integral regression model."""

    stride: Annotated[float, Meta(gt=0, le=64)]
    """Model pixels per cell."""
    min_person_score: Score
    min_joint_score: Score
    layout: Literal["hwc", "chw"] = "hwc"
    depth: Annotated[int, Meta(ge=1, le=512)] = 1
    """Depth cells D; 1 for 2D heatmaps."""
    depth_range: Annotated[float, Meta(gt=0, le=1e5)] = 2.0
    """Metres (or the model's own unit) from the first depth cell to one behind the last; the middle is z = 0."""
    cells: Literal["corner", "half_pixel", "align_corners"] = "corner"
    sharpness: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """What a value is multiplied by before the exponential: 1 / temperature."""
    debias: bool = False
    score: Literal["none", "value", "sigmoid"] = "none"
    """1 for every joint; the highest cell's value, cut to 0..1; or that through a sigmoid."""


class Integral:
    """Turn one person's heatmaps or volumes into Poses."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the head; buffers are made once.

        Raises:
            ModelError: it is missing or has another shape.
        """
        spec = topdown.head_of(heads, "heatmap")
        joints = len(skeleton.joints)
        channels = joints * options.depth
        first = options.layout == "chw"
        expected = f"({channels}, H, W)" if first else f"(H, W, {channels})"
        if len(spec.shape) != 3 or spec.shape[0 if first else 2] != channels:
            raise ModelError(f"head 'heatmap' is {spec.shape}, expected {expected}")
        self.size_yx = spec.shape[1:] if first else spec.shape[:2]
        self.options, self.skeleton, self.kernels, self.first = options, skeleton, kernels, first
        self.limits = topdown.keep(options, cfg)
        self.quant = quant_of(spec)
        self.cells = Cells(options.cells, options.stride, (self.size_yx[0], self.size_yx[1]))
        self.table = _exponentials(spec, options.sharpness)
        self.sharpness = F(options.sharpness)
        self.maxima = np.zeros(joints, spec.dtype)
        self.row, self.row_x = np.zeros(channels, F), np.zeros(channels, F)
        self.total = np.zeros((3, channels))
        self._sums(np.zeros(spec.shape, spec.dtype))  # compile or read from the cache before the first frame

    def _sums(self, head: NDArray[Any]) -> None:
        """Fill maxima and total."""
        joints = len(self.maxima)
        if self.first:
            head.reshape(joints, -1).max(axis=1, out=self.maxima)
            self.kernels.sums_first(head, self.maxima, self.table, self.sharpness, self.total)
        else:
            head.reshape(-1, head.shape[2]).max(axis=0).reshape(joints, -1).max(axis=1, out=self.maxima)
            self.kernels.sums_last(head, self.maxima, self.table, self.sharpness, self.row, self.row_x, self.total)

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one crop's head; `crop` maps model pixels to the frame's."""
        self._sums(heads["heatmap"])
        joints, depth = len(self.maxima), self.options.depth
        best = real(self.maxima, self.quant)
        weight, weight_y, weight_x = self.total.reshape(3, joints, depth)
        layers = np.arange(depth)
        moments = np.stack((weight.sum(1), weight_y.sum(1), weight_x.sum(1), (weight * layers).sum(1)))
        if self.options.debias:
            height, width = self.size_yx
            cells = height * width * depth
            middle = np.array([1, (height - 1) / 2, (width - 1) / 2, (depth - 1) / 2])
            # weights are relative to each joint's highest cell, and so is that of a cell that says 0
            moments -= np.exp(-self.options.sharpness * best.astype(np.float64)) * (middle * cells)[:, None]
        known = moments[0] > 1e-12
        yxz = (moments[1:] / np.where(known, moments[0], 1)).T
        score = np.where(known, self._score(best), 0).astype(F)
        xy = self.cells.to_model_xy(yxz[:, :2].astype(F))
        xyz = None
        if depth > 1:
            z = (yxz[:, 2:] / depth - 0.5) * self.options.depth_range
            xyz = np.concatenate((self._metres(xy), z), axis=1).astype(F)
        return topdown.one_person(frame, self.skeleton, crop, xy, score, self.limits, xyz)

    def _score(self, best: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.options.score == "none":
            return np.ones(len(best), F)
        return topdown.to_score(best, logits=self.options.score == "sigmoid")

    def _metres(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K, 2) the volume is a cube: x and y count from its middle as z does."""
        size = np.array(self.size_yx[::-1], F) * F(self.options.stride)
        metres: NDArray[np.float32] = (xy / size - F(0.5)) * F(self.options.depth_range)
        return metres


def _exponentials(spec: HeadSpec, sharpness: float) -> NDArray[np.float32]:
    """exp(sharpness * real) by raw steps below the maximum; empty for a float head."""
    if spec.dtype.kind == "f":
        return np.zeros(0, F)
    limits = np.iinfo(spec.dtype)
    steps = np.arange(int(limits.max) - int(limits.min) + 1)
    table: NDArray[np.float32] = np.exp(-sharpness * spec.scale * steps).astype(F)
    return table

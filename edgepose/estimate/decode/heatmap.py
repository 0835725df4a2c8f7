"""One heatmap per joint of one person: the highest cell, refined.

Serves Convolutional Pose Machines, stacked hourglasses, AlphaPose's, SimpleBaseline, HRNet and other top-down networks.
Head `heatmap`: (H, W, C) with layout "hwc", (C, H, W) with "chw"; with one axis more in front it holds the stages of
the network, of which the last counts. C may exceed the joints (a background channel): `channels` names the joints'
channels, else the first K are taken. The shapes of mmpose's msra_heatmap and udp_heatmap codecs and of
PoseEstimationForMobile's CPM and hourglass were checked.

How cells map to model pixels is a matter of how the network was trained, so `cells` says:
  corner         pixel = cell * stride                       mmpose's msra_heatmap, hourglass, SimpleBaseline, HRNet
  half_pixel     pixel = (cell + 0.5) * stride - 0.5         labels drawn at the cell that covers the joint
  align_corners  pixel = cell * (size - 1) / (cells - 1)     UDP, whose input size is cells * stride

`dark` and `udp` find the centre of a Gaussian within 0.0025 cells in float heads and 0.0075 in int8 ones, two cells
from the border too; `quarter` within 0.35.

Not done: more than one person per crop; UDP's "combined" heads; flip averaging.
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
from edgepose.estimate.decode import refine, topdown
from edgepose.estimate.decode.common import quant_of, real

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]
Odd = Annotated[int, Meta(ge=1, le=31)]


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a top-down heatmap model."""

    stride: Annotated[float, Meta(gt=0, le=64)]
    """Model pixels per cell."""
    min_person_score: Score
    min_joint_score: Score
    layout: Literal["hwc", "chw"] = "hwc"
    channels: tuple[Annotated[int, Meta(ge=0, le=4095)], ...] = ()
    """Channel of each joint in the skeleton's order; empty: the first K."""
    cells: Literal["corner", "half_pixel", "align_corners"] = "corner"
    refine: refine.Method = "quarter"
    smooth: Odd = 11
    """dark, udp: cells of the Gaussian that smooths first, odd; 11 for networks trained with a spread of 2 cells."""
    radius: Annotated[int, Meta(ge=1, le=8)] = 5
    """centroid, softargmax: cells of the window each side of the peak."""
    sharpness: Annotated[float, Meta(gt=0, le=1000)] = 10.0
    """softargmax: what a value is multiplied by before the exponential."""
    logits: bool = False
    """True: the head has no sigmoid in it; the score goes through one."""


class Cells:
    """Where a head's cells lie in the model's input."""

    def __init__(self, convention: str, stride: float, size_yx: tuple[int, int]) -> None:
        self.scale = np.full(2, stride, F)
        self.shift = F(0)
        if convention == "half_pixel":
            self.shift = F(stride / 2 - 0.5)
        elif convention == "align_corners":
            cells = np.array(size_yx)
            self.scale = ((cells * stride - 1) / np.maximum(cells - 1, 1)).astype(F)

    def to_model_xy(self, yx: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., 2) y, x in cells to x, y in model pixels."""
        xy: NDArray[np.float32] = (yx * self.scale + self.shift)[..., ::-1]
        return xy


class Peaks:
    """Finds and refines the peak of each joint in one head; also for heads that carry more, such as a depth."""

    def __init__(self, options: Options, spec: HeadSpec, joints: int, kernels: ModuleType) -> None:
        """Check the head; buffers are made once.

        Raises:
            ModelError: the head has another rank or too few channels.
        """
        if len(spec.shape) not in (3, 4):
            raise ModelError(f"head {spec.role!r} is {spec.shape}, expected (H, W, C) or (stages, H, W, C)")
        if options.smooth % 2 == 0:
            raise ModelError(f"[decoder.options]: smooth is {options.smooth}, expected an odd number")
        self.stages = len(spec.shape) == 4
        shape = spec.shape[-3:]
        self.deep = options.layout == "chw"
        count, height, width = shape if self.deep else (shape[2], *shape[:2])
        channels = options.channels or tuple(range(joints))
        if len(channels) != joints:
            raise ModelError(f"[decoder.options]: channels names {len(channels)} of the skeleton's {joints} joints")
        if max(channels) >= count:
            raise ModelError(
                f"head {spec.role!r} is {spec.shape}, expected at least {max(channels) + 1} channels"
                + ("" if self.deep else "; a head (C, H, W) needs layout = 'chw'")
            )
        self.kernels, self.quant = kernels, quant_of(spec)
        self.cells = Cells(options.cells, options.stride, (height, width))
        self.channel = np.array(channels, np.int32)
        self.chosen = self.channel if options.channels else slice(joints)
        strides = (width, 1, height * width) if self.deep else (width * count, count, 1)
        self.step = np.array([height, width, *strides], np.int64)
        self.method = refine.refinement(options.refine, options.sharpness)
        half = 0
        if self.method:
            half = options.radius if self.method.half is None else self.method.half
        self.taps = refine.gaussian_taps(options.smooth if self.method and self.method.smooth else 1)
        self.row_max = np.zeros((height, count), spec.dtype)
        self.cell_yx = np.zeros((joints, 2), np.int32)
        self.column = np.zeros((2 * half + 1, 2 * half + self.taps.shape[1]), F)
        self.window = np.zeros((joints, 2 * half + 1, 2 * half + 1), F)
        self(np.zeros(spec.shape, spec.dtype))  # compile or read from the cache before the first frame

    def __call__(self, head: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(K, 2) y, x in cells and (K,) real value of each joint's peak; fresh arrays."""
        heat = head[-1] if self.stages else head
        flat = heat.reshape(-1)
        if self.deep:
            best = heat.reshape(len(heat), -1)[self.chosen].argmax(axis=1)
            self.cell_yx[:] = np.stack(np.divmod(best, heat.shape[2]), axis=1)
        else:
            self.kernels.peaks(heat, self.channel, self.row_max, self.cell_yx)
        at = self.cell_yx[:, 0] * self.step[2] + self.cell_yx[:, 1] * self.step[3] + self.channel * self.step[4]
        value = real(flat[at], self.quant)
        yx = self.cell_yx.astype(F)
        if self.method:
            self.kernels.windows(
                flat, self.step, self.quant, self.taps, self.channel, self.cell_yx, self.column, self.window
            )
            yx += self.method.offset(self.window)
        return yx, value


class Heatmap:
    """Turn one person's joint heatmaps into Poses."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the head.

        Raises:
            ModelError: it is missing or does not fit the options.
        """
        self.peaks = Peaks(options, topdown.head_of(heads, "heatmap"), len(skeleton.joints), kernels)
        self.skeleton, self.logits = skeleton, options.logits
        self.limits = topdown.keep(options, cfg)

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one crop's head; `crop` maps model pixels to the frame's."""
        yx, value = self.peaks(heads["heatmap"])
        score = topdown.to_score(value, self.logits)
        return topdown.one_person(frame, self.skeleton, crop, self.peaks.cells.to_model_xy(yx), score, self.limits)

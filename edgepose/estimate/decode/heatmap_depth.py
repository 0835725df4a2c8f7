"""Heatmaps and one depth per joint: 2D as in the `heatmap` family, and a third coordinate.

Serves 3D pose in the wild, weakly supervised (Zhou et al., ICCV 2017). Head `heatmap` as in the `heatmap` family, head
`depth` either (K,), one number per joint, or maps as large as the heatmaps, read at each joint's cell and without
interpolation. The network's depth is -1..1 over as much depth as the crop is wide: z = depth * depth_scale, by default
half the crop's width, so xyz is in model pixels with one scale on all axes. Checked in pytorch-pose-hg-3d, where
(depth + 1) / 2 * output size is the third coordinate beside heatmap cells. With `root`, xyz counts from that joint.

Not done: the bone-length scale to millimetres that its evaluation uses; it needs the person's size.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import heatmap, topdown
from edgepose.estimate.decode.common import quant_of, real

F = np.float32


class Options(heatmap.Options, frozen=True, kw_only=True):
    """[decoder.options] of a heatmap model with depth: all of the heatmap family, and these."""

    depth_scale: Annotated[float, Meta(gt=0, le=1e5)] | None = None
    """Model pixels of one unit of depth; unset: half the input's width."""
    root: Annotated[int, Meta(ge=0, le=255)] | None = None
    """Joint that xyz counts from; unset: x, y from the input's corner, z from the network's zero."""


class HeatmapDepth:
    """Turn one person's heatmaps and depths into Poses with xyz."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the heads.

        Raises:
            ModelError: one is missing or does not fit.
        """
        joints = len(skeleton.joints)
        self.peaks = heatmap.Peaks(options, topdown.head_of(heads, "heatmap"), joints, kernels)
        spec = topdown.head_of(heads, "depth")
        height, width = (int(size) for size in self.peaks.step[:2])
        mapped = (joints, height, width) if options.layout == "chw" else (height, width, joints)
        self.mapped = spec.shape == mapped
        if not self.mapped and math.prod(spec.shape) != joints:
            raise ModelError(f"head 'depth' is {spec.shape}, expected ({joints},) or {mapped}")
        if options.root is not None and options.root >= joints:
            raise ModelError(f"[decoder.options]: root is {options.root}, expected less than {joints}")
        self.first = options.layout == "chw"
        self.options, self.skeleton, self.joint = options, skeleton, np.arange(joints)
        self.quant = quant_of(spec)
        self.scale = F(options.depth_scale or width * options.stride / 2)
        self.limits = topdown.keep(options, cfg)

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one crop's heads; `crop` maps model pixels to the frame's."""
        yx, value = self.peaks(heads["heatmap"])
        xy = self.peaks.cells.to_model_xy(yx)
        z = self._depth(heads) * self.scale
        xyz = np.concatenate((xy, z[:, None]), axis=1).astype(F)
        if self.options.root is not None:
            xyz -= xyz[self.options.root].copy()
        score = topdown.to_score(value, self.options.logits)
        return topdown.one_person(frame, self.skeleton, crop, xy, score, self.limits, xyz)

    def _depth(self, heads: Heads) -> NDArray[np.float32]:
        """(K,) real depth of each joint."""
        head = heads["depth"]
        if not self.mapped:
            return real(head.reshape(-1), self.quant)
        y, x = self.peaks.cell_yx.T
        return real(head[self.joint, y, x] if self.first else head[y, x, self.joint], self.quant)

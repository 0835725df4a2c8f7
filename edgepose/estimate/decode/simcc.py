"""SimCC: each joint's x and y as a classification over fine bins, one person per crop.

Serves RTMPose. Heads `simcc_x` (K, Wx) and `simcc_y` (K, Wy), Wx = input width * split. They may have scales of their
own: bins are compared raw, and only the two best are dequantised. RTMPose for 192x256 has (17, 384) and (17, 512).
Bin b lies at pixel b / split, (0, 0) the centre of the first pixel; the score is the lower of the two best values.
Source: mmpose's simcc_label codec and get_simcc_maximum; rtmlib takes their mean instead, see `score`.

Not done: more than one person per crop; 3D SimCC.
"""

from __future__ import annotations

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


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a SimCC model."""

    min_person_score: Score
    min_joint_score: Score
    split: Annotated[float, Meta(gt=0, le=16)] = 2.0
    """Bins per model pixel."""
    score: Literal["min", "mean"] = "min"
    """Of the best value in x and the best in y."""
    refine: Literal["none", "dark"] = "none"
    """dark: the top of the parabola through the logarithm of the smoothed bins, for int8 heads with flat tops."""
    smooth: Annotated[int, Meta(ge=1, le=63)] = 11
    """dark: bins of the Gaussian that smooths first, odd."""


class Axis:
    """The bins of one axis."""

    def __init__(self, spec: HeadSpec, joints: int, options: Options) -> None:
        """Check the head.

        Raises:
            ModelError: it is not (K, bins).
        """
        if len(spec.shape) != 2 or spec.shape[0] != joints:
            raise ModelError(f"head {spec.role!r} is {spec.shape}, expected ({joints}, bins)")
        if options.smooth % 2 == 0:
            raise ModelError(f"[decoder.options]: smooth is {options.smooth}, expected an odd number")
        self.quant, self.bins = quant_of(spec), spec.shape[1]
        self.joint = np.arange(joints)
        self.refined = options.refine == "dark"
        self.taps = refine.gaussian_taps(options.smooth)[-1]

    def __call__(self, head: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(K,) bin, with a fraction if refined, and (K,) real value of the best bin."""
        best = head.argmax(axis=1)
        value = real(head[self.joint, best], self.quant)
        return best.astype(F) + (self._fraction(head, best) if self.refined else F(0)), value

    def _fraction(self, head: NDArray[Any], best: NDArray[np.int64]) -> NDArray[np.float32]:
        """(K,) bins from the best one to the top; 0 within two bins of an end, and where there is no top nearby."""
        reach = len(self.taps) // 2
        near = best[:, None] + np.arange(-reach - 2, reach + 3)
        bins = real(head[self.joint[:, None], np.clip(near, 0, self.bins - 1)], self.quant)
        windows = np.lib.stride_tricks.sliding_window_view(np.maximum(bins, 0), len(self.taps), axis=1)
        log = np.log(np.maximum(windows @ self.taps, F(1e-10)))
        slope = (log[:, 3] - log[:, 1]) / 2
        bend = (log[:, 4] - 2 * log[:, 2] + log[:, 0]) / 4
        top = (bend < 0) & (best >= 2) & (best < self.bins - 2)
        step = np.where(top, -slope / np.where(top, bend, 1), 0)
        # a plateau of equal bytes is a few bins wide, and the first of them is the best
        return np.where(np.abs(step) <= reach + 1, step, 0).astype(F)


class SimCC:
    """Turn the two classifications into Poses."""

    def __init__(self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode) -> None:
        """Check the heads.

        Raises:
            ModelError: one is missing or has another shape.
        """
        joints = len(skeleton.joints)
        self.x = Axis(topdown.head_of(heads, "simcc_x"), joints, options)
        self.y = Axis(topdown.head_of(heads, "simcc_y"), joints, options)
        self.skeleton, self.options = skeleton, options
        self.limits = topdown.keep(options, cfg)

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one crop's heads; `crop` maps model pixels to the frame's."""
        x, value_x = self.x(heads["simcc_x"])
        y, value_y = self.y(heads["simcc_y"])
        value = np.minimum(value_x, value_y) if self.options.score == "min" else (value_x + value_y) / 2
        xy = np.stack((x, y), axis=1) / F(self.options.split)
        return topdown.one_person(frame, self.skeleton, crop, xy, topdown.to_score(value, logits=False), self.limits)

"""MediaPipe's BlazePose: its person detector, or its 33 landmarks on a crop.

`part` says which model the heads are of:
  detector   `boxes` (2254, 12), in older models (896, 12): per anchor the centre x, y, width, height of the face box
             and four points; `scores` (2254, 1) or (896, 1): logits. Many people; skeleton blazepose4, the points that
             frame a person: middle of the hips, the full body's size and tilt from there, middle of the shoulders,
             the upper body's.
  landmarks  `landmarks` (195,): 39 x (x, y, z, visibility, presence) in model pixels, the last two logits;
             `flag` (1,): how surely somebody is there; if there, `heatmap` (64, 64, 39): logits that sharpen x and y;
             `world` (117,): 39 x (x, y, z) metres from the middle of the hips, which become xyz.
             One person; skeleton blazepose33, the six auxiliary points are left out.
Coordinates count from the input's outer edge, as MediaPipe's normalised ones do. A joint's score is its visibility.
Source: the graphs and calculators of MediaPipe's pose_detection and pose_landmark modules (Apache-2.0): anchors of
SsdAnchorsCalculator with fixed size, weighted non-maximum suppression, RefineLandmarksFromHeatmap with kernel 7.

The turned crop between both is made in estimate/framing.py, of the joints, not of the auxiliary points. Not done: the
segmentation mask.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.config import Section
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import topdown
from edgepose.estimate.decode.common import least_raw, quant_of, real

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]

ALL = 39
"""Landmarks of the model; those after the skeleton's are auxiliary."""
LANDMARK_SIZE = 256
"""Input pixels, both ways."""
DETECTORS: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {
    2254: (224, ((8, 2), (16, 2), (32, 6))),
    896: (128, ((8, 2), (16, 6))),
}
"""Anchors -> input pixels, both ways; stride of each grid and anchors at each of its cells: layers of one stride share
a grid. Of today's models, and of those before 2021."""
POINTS = 4
KERNEL_REACH = 3
"""Cells around a landmark that its heatmap is averaged over, each way."""
LEAST_CONFIDENCE = 0.5
"""Of the best of these cells, or the heatmap is not used."""


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a BlazePose model."""

    part: Literal["detector", "landmarks"]
    min_person_score: Score = 0.5
    min_joint_score: Score = 0.5
    overlap: Score = 0.3
    """detector: boxes with a larger intersection over union are averaged into the strongest."""
    candidates: Annotated[int, Meta(ge=1, le=2254)] = 200
    """detector: most anchors looked at, strongest first."""


def anchors(count: int = 2254) -> NDArray[np.float32]:
    """(count, 2) x, y of the anchors' centres, 0..1: cell centres of the grids, row by row."""
    size, layers = DETECTORS[count]
    grids = []
    for stride, each in layers:
        cells = (np.arange(size // stride) + 0.5) / (size // stride)
        y, x = np.meshgrid(cells, cells, indexing="ij")
        grids.append(np.repeat(np.stack((x.ravel(), y.ravel()), axis=1), each, axis=0))
    return np.concatenate(grids).astype(F)


class BlazePose:
    """Turn BlazePose's heads into Poses."""

    def __init__(self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode) -> None:
        """Check the heads of the part that the options name.

        Raises:
            ModelError: one is missing or has another shape, or the skeleton is not the part's.
        """
        detector = options.part == "detector"
        points = POINTS if detector else 33
        if len(skeleton.joints) != points:
            raise ModelError(f"skeleton {skeleton.name} has {len(skeleton.joints)} joints, the {options.part} {points}")
        count = int(np.prod(heads["scores"].shape)) if "scores" in heads else 0
        count = count if count in DETECTORS else max(DETECTORS)
        expected = {"boxes": count * 12, "scores": count} if detector else {"landmarks": ALL * 5, "flag": 1}
        optional = {} if detector else {"heatmap": 64 * 64 * ALL, "world": ALL * 3}
        for role, size in (expected | {role: size for role, size in optional.items() if role in heads}).items():
            spec = topdown.head_of(heads, role)
            if int(np.prod(spec.shape)) != size:
                raise ModelError(f"head {role!r} is {spec.shape}, expected {size} numbers")
        self.options, self.skeleton = options, skeleton
        self.quant = {role: quant_of(spec) for role, spec in heads.items()}
        self.refined, self.deep = "heatmap" in heads, "world" in heads
        self.limits = topdown.keep(options, cfg)
        if detector:
            self.anchors, self.size = anchors(count), F(DETECTORS[count][0])
            likely = min(max(self.limits.person, 1e-6), 1 - 1e-6)
            self.least = least_raw(heads["scores"], float(np.log(likely / (1 - likely))))
            # two people may hold each other: framing points alike do not make them one, boxes do
            self.limits = self.limits._replace(alike=1.0, joint=0.0)

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's or crop's heads; `crop` maps model pixels to the frame's."""
        return (self._detected if self.options.part == "detector" else self._landmarks)(heads, crop, frame)

    def _detected(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        raw = heads["scores"].reshape(-1)
        found = np.flatnonzero(raw >= self.least)
        found = found[np.argsort(-raw[found].astype(F), kind="stable")][: self.options.candidates]
        score = topdown.to_score(real(raw[found], self.quant["scores"]), logits=True)
        rows = real(heads["boxes"].reshape(-1, 12)[found], self.quant["boxes"]) / self.size
        pairs = rows.reshape(len(found), 6, 2)
        pairs[:, [0, 2, 3, 4, 5]] += self.anchors[found, None]
        merged, strongest = averaged(pairs, score, self.options.overlap)
        xy = crop.to_source(merged[:, 2:] * self.size - F(0.5))
        joints = np.repeat(strongest[:, None], POINTS, axis=1)
        return topdown.people(frame, self.skeleton, xy, joints, strongest, self.limits)

    def _landmarks(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        count = len(self.skeleton.joints)
        point = real(heads["landmarks"].reshape(ALL, 5)[:count], self.quant["landmarks"])
        xy = point[:, :2].copy()
        if self.refined:
            self._refine(heads, xy)
        xyz = None
        if self.deep:
            xyz = real(heads["world"].reshape(ALL, 3)[:count], self.quant["world"])[None]
        score = topdown.to_score(point[:, 3], logits=True)[None]
        flag = topdown.to_score(real(heads["flag"].reshape(-1), self.quant["flag"]), logits=False)
        return topdown.people(frame, self.skeleton, crop.to_source(xy - F(0.5))[None], score, flag, self.limits, xyz)

    def _refine(self, heads: Heads, xy: NDArray[np.float32]) -> None:
        """Move each landmark to the mean of the heatmap around it, where the heatmap is sure of something."""
        heat = heads["heatmap"].reshape(64, 64, ALL)
        cell = xy / F(LANDMARK_SIZE // 64)
        middle = cell.astype(np.int64)  # towards zero, as the original
        reach = np.arange(-KERNEL_REACH, KERNEL_REACH + 1)
        rows, columns = middle[:, 1:] + reach, middle[:, :1] + reach
        inside = ((rows >= 0) & (rows < 64))[:, :, None] & ((columns >= 0) & (columns < 64))[:, None, :]
        at = np.clip(rows, 0, 63)[:, :, None], np.clip(columns, 0, 63)[:, None, :], np.arange(len(xy))[:, None, None]
        sure = topdown.to_score(real(heat[at], self.quant["heatmap"]), logits=True) * inside
        total = np.maximum(sure.sum(axis=(1, 2)), F(1e-12))
        mean = np.stack(
            ((sure.sum(axis=1) * columns).sum(axis=1) / total, (sure.sum(axis=2) * rows).sum(axis=1) / total), axis=1
        )
        use = (sure.max(axis=(1, 2)) >= LEAST_CONFIDENCE) & (middle >= 0).all(axis=1) & (middle < 64).all(axis=1)
        xy[use] = mean[use] * F(LANDMARK_SIZE // 64)


def averaged(
    pairs: NDArray[np.float32], score: NDArray[np.float32], overlap: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Groups of overlapping detections, each the mean weighted by score, and the best score of each.

    pairs (N, 6, 2) box centre, box size, points; score (N,), best first. Source: MediaPipe's WEIGHTED algorithm.
    """
    low, high = pairs[:, 0] - pairs[:, 1] / 2, pairs[:, 0] + pairs[:, 1] / 2
    area = np.maximum(pairs[:, 1], 0).prod(axis=1)
    left = np.arange(len(pairs))
    means, best = [], []
    while len(left):
        first = left[0]
        both = np.maximum(np.minimum(high[first], high[left]) - np.maximum(low[first], low[left]), 0).prod(axis=1)
        alike = both > overlap * (area[first] + area[left] - both)
        alike[0] = True
        weight = score[left[alike]]
        means.append((pairs[left[alike]] * weight[:, None, None]).sum(axis=0) / weight.sum())
        best.append(score[first])
        left = left[~alike]
    return np.array(means, F).reshape(-1, 6, 2), np.array(best, F)

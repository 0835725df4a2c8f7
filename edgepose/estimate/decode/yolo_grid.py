"""YOLO-pose heads as the last convolutions leave them: grids of several strides, nothing decoded.

Vela's and Himax's exports, Hailo's, and all that are cut before Ultralytics' own arithmetic. Heads per stride S:
`boxes_S` (64 channels: for left, top, right, bottom a distribution over 0..15 cells; or 4: the distances themselves),
`scores_S` (classes), `keypoints_S` (K * joint_values); each (h, w, C), (N, C) or (C, N), cells in row order. In place
of `keypoints_S` there may be one `keypoints` of all strides, small first. Boxes with more channels hold the scores too.
  box     centre cell + 0.5, each side's distance its distribution's mean, times S
  joint   (raw * 2 + cell) * S from the input's outer edge; its score and a person's through a sigmoid
Source: Ultralytics' description of its heads; Hailo's and Himax's post-processing say the same.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.core.poses import Heads, HeadSpec
from edgepose.estimate.decode.common import least_raw, quant_of, real

F = np.float32
BINS = 16
"""Cells that a side's distribution is over."""
STRIDES, ROLES = (8, 16, 32), ("boxes", "scores", "keypoints")
PER_STRIDE = re.compile(r"boxes_([0-9]+)")


def strides_of(heads: dict[str, HeadSpec]) -> list[int]:
    """The strides that heads are named for, ascending; none: they are no grids."""
    return sorted(int(found[1]) for role in heads if (found := PER_STRIDE.fullmatch(role)))


class Part:
    """The channels of a head that mean one thing, whichever way it lies."""

    def __init__(self, spec: HeadSpec, channels_first: bool, start: int, stop: int) -> None:
        self.role, self.last, self.span = spec.role, channels_first, slice(start, stop)
        self.width = math.prod(spec.shape) // (spec.shape[-1] if channels_first else spec.shape[0])
        self.quant = quant_of(spec)

    def raw(self, heads: Heads) -> NDArray[Any]:
        """(N, channels) a view."""
        head = heads[self.role]
        flat = head.reshape(self.width, -1).T if self.last else head.reshape(-1, self.width)
        return flat[:, self.span]

    def read(self, heads: Heads, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, channels) real values of some anchors."""
        return real(self.raw(heads)[anchors], self.quant)


class Cells(Part):
    """A part of a grid's head whose channels are known: its cells in row order."""

    def __init__(self, heads: dict[str, HeadSpec], role: str, cells: int, channels: int, span: tuple[int, int]) -> None:
        """Check the head; where it could lie either way its siblings of other strides decide.

        Raises:
            ModelError: it holds other numbers.
        """
        spec = heads[role]
        shape, kind = spec.shape, role.split("_")[0]
        siblings = [other.shape for name, other in heads.items() if name.startswith(kind)]
        first = any(other[0] == channels != other[-1] for other in siblings)
        lies = {shape[-1] == channels: False, shape[0] == channels: True}.get(True)
        if math.prod(shape) != cells * channels or lies is None:
            raise ModelError(f"head {spec.role!r} is {shape}, expected {channels} numbers at each of {cells} cells")
        super().__init__(spec, first if shape[0] == shape[-1] else lies, *span)
        self.width = channels


class Split:
    """Heads of all strides in one, (C, N) small strides first, as heads a stride: views, no copies."""

    def __init__(self, heads: dict[str, HeadSpec], input_wh: tuple[int, int]) -> None:
        """Check the heads.

        Raises:
            ModelError: one is missing, or has another number of cells.
        """
        cells = [-(-input_wh[0] // stride) * -(-input_wh[1] // stride) for stride in STRIDES]
        ends = [sum(cells[: index + 1]) for index in range(len(cells))]
        self.spans = {stride: slice(end - count, end) for stride, count, end in zip(STRIDES, cells, ends, strict=True)}
        self.specs: dict[str, HeadSpec] = {}
        for role in ROLES:
            spec = heads.get(role)
            if spec is None or len(spec.shape) != 2 or spec.shape[1] != ends[-1]:
                came = "missing" if spec is None else spec.shape
                raise ModelError(
                    f"head {role!r} is {came}, expected (channels, {ends[-1]}), cells of strides {STRIDES}"
                )
            for stride, span in self.spans.items():
                shape = (spec.shape[0], span.stop - span.start)
                self.specs[f"{role}_{stride}"] = replace(spec, role=f"{role}_{stride}", shape=shape)

    def __call__(self, heads: Heads) -> Heads:
        """The heads of one frame."""
        return {f"{role}_{stride}": heads[role][:, span] for role in ROLES for stride, span in self.spans.items()}


class Grid(NamedTuple):
    """One stride's heads."""

    stride: int
    columns: int
    first: int
    """Anchors of smaller strides."""
    boxes: Part
    scores: Part
    joints: Part
    joint_shift: int
    """Row of the joints' head that is this grid's first cell."""
    least: Any
    """Smallest raw score that passes."""

    def cell_xy(self, own: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, 2) column and row of some cells."""
        return np.stack((own % self.columns, own // self.columns), axis=1).astype(F)


class Grids:
    """Reads anchors of raw heads; they are numbered through all grids, small strides first."""

    def __init__(
        self,
        heads: dict[str, HeadSpec],
        input_wh: tuple[int, int],
        joints: int,
        values: int,
        logits: bool,
        least: float,
    ) -> None:
        """Check the heads.

        joints, values  of the skeleton, numbers each
        logits          whether scores still need a sigmoid
        least           person score, 0..1

        Raises:
            ModelError: one is missing or does not fit the input.
        """
        self.logits, self.count, self.values = logits, joints, values
        wanted = math.log(least / (1 - least)) if logits else least
        strides = strides_of(heads)
        sizes = [(-(-input_wh[0] // stride), -(-input_wh[1] // stride)) for stride in strides]
        total = sum(width * height for width, height in sizes)
        self.grids: list[Grid] = []
        done = 0
        for stride, (columns, rows) in zip(strides, sizes, strict=True):
            cells = columns * rows
            box, score = _box_parts(heads, stride, cells)
            joint = _joint_part(heads, stride, cells, total, joints * values)
            shift = done if joint.role == "keypoints" else 0
            raw = least_raw(heads[score.role], wanted)
            self.grids.append(Grid(stride, columns, done, box, score, joint, shift, raw))
            done += cells

    def likely(self, heads: Heads, most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Anchors whose raw score passes, strongest first, at most so many, and their scores."""
        found, scores = [np.zeros(0, np.int64)], [np.zeros(0, F)]
        for grid in self.grids:
            raw = grid.scores.raw(heads)
            best = raw[:, 0] if raw.shape[1] == 1 else raw.max(axis=1)
            own = np.flatnonzero(best >= grid.least)
            found.append(own + grid.first)
            scores.append(real(best[own], grid.scores.quant))
        anchors, score = np.concatenate(found), np.concatenate(scores)
        strongest = np.argsort(-score, kind="stable")[:most]
        return anchors[strongest], _likelihood(score[strongest], self.logits)

    def box(self, heads: Heads, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, 4) centre x, y, width, height, pixels of the input."""
        made = np.zeros((len(anchors), 4), F)
        for grid, at, own in self._split(anchors):
            sides = _distances(grid.boxes.read(heads, own))
            low, high = -sides[:, :2], sides[:, 2:]
            made[at, :2] = (grid.cell_xy(own) + F(0.5) + (low + high) / 2) * grid.stride
            made[at, 2:] = (high - low) * grid.stride
        return made

    def joint(self, heads: Heads, anchors: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, K, values) x, y in pixels of the input, and a score of 0..1."""
        made = np.zeros((len(anchors), self.count, self.values), F)
        for grid, at, own in self._split(anchors):
            raw = grid.joints.read(heads, own + grid.joint_shift).reshape(len(own), self.count, self.values)
            made[at, :, :2] = (raw[..., :2] * 2 + grid.cell_xy(own)[:, None]) * grid.stride
            made[at, :, 2:] = _likelihood(raw[..., 2:], True)
        return made

    def _split(self, anchors: NDArray[np.int64]) -> list[tuple[Grid, NDArray[np.int64], NDArray[np.int64]]]:
        """Grid, places among `anchors`, and its own cells."""
        ends = [*(grid.first for grid in self.grids[1:]), np.iinfo(np.int64).max]
        rows = []
        for grid, end in zip(self.grids, ends, strict=True):
            at = np.flatnonzero((anchors >= grid.first) & (anchors < end))
            rows.append((grid, at, anchors[at] - grid.first))
        return rows


def _box_parts(heads: dict[str, HeadSpec], stride: int, cells: int) -> tuple[Part, Part]:
    """Boxes and scores of one stride; a head of boxes without one of scores beside it holds both."""
    box, score = f"boxes_{stride}", f"scores_{stride}"
    channels = math.prod(heads[box].shape) // cells
    apart = score in heads
    width = channels if apart else 4 * BINS
    if width not in (4, 4 * BINS) or (not apart and channels <= width):
        raise ModelError(
            f"head {box!r} is {heads[box].shape}, expected 4 or {4 * BINS} numbers at each of {cells} cells, "
            f"and a head {score!r}"
        )
    boxes = Cells(heads, box, cells, channels, (0, width))
    if not apart:
        return boxes, Cells(heads, box, cells, channels, (width, channels))
    classes = math.prod(heads[score].shape) // cells
    return boxes, Cells(heads, score, cells, classes, (0, classes))


def _joint_part(heads: dict[str, HeadSpec], stride: int, cells: int, total: int, channels: int) -> Part:
    """Joints of one stride, or of all strides in one head."""
    for role, count in ((f"keypoints_{stride}", cells), ("keypoints", total)):
        if role in heads:
            return Cells(heads, role, count, channels, (0, channels))
    raise ModelError(f"the decoder needs a head with role 'keypoints_{stride}' or 'keypoints'")


def _distances(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 4) cells to each side: the mean of its distribution, or as they are."""
    if raw.shape[1] == 4:
        return raw
    bins = raw.reshape(len(raw), 4, BINS)
    weight = np.exp(bins - bins.max(axis=2, keepdims=True))
    mean: NDArray[np.float32] = (weight * np.arange(BINS, dtype=F)).sum(axis=2) / weight.sum(axis=2)
    return mean


def _likelihood(value: NDArray[np.float32], logits: bool) -> NDArray[np.float32]:
    if logits:
        with np.errstate(over="ignore"):
            value = (1 / (1 + np.exp(-value))).astype(F)
    score: NDArray[np.float32] = np.clip(value, 0, 1).astype(F)
    return score

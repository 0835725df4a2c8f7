"""What decoders of many people share: the peaks of every part, and the buffers in which peaks become people."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose import kernels
from edgepose.core import config
from edgepose.core.poses import Crop, Frame, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode import common

F = np.float32

LEAST_PEAKS = 32
"""Room for this many peaks of a part, or for twice the people asked for."""


class Parts:
    """The peaks of every part in a heatmap head; overwritten by the next frame's."""

    def __init__(
        self, spec: HeadSpec, parts: int, radius: int, least: float, cfg: config.Decode, first: int = 0, most: int = 0
    ) -> None:
        """Part k is channel first + k; a peak is the highest within `radius` cells and at least `least`, 0..1."""
        self.first, self.radius = first, radius
        self.least, self.quant = common.least_raw(spec, max(least, 1e-6)), common.quant_of(spec)
        self.kernels = kernels.family("peaks", cfg.kernels)
        most = most or max(LEAST_PEAKS, 2 * cfg.max_people)
        self.some_yx = np.zeros((spec.shape[0] * spec.shape[1], 2), np.int32)
        self.count = np.zeros(parts, np.int32)
        """(K,) peaks of each part."""
        self.cell_yx = np.zeros((parts, most, 2), np.int32)
        """(K, M, 2) row and column of each."""
        self.xy = np.zeros((parts, most, 2), F)
        """(K, M, 2) column and row with fractions."""
        self.score = np.zeros((parts, most), F)
        """(K, M) real value."""

    def find(self, heat: NDArray[Any]) -> None:
        """Find the peaks of one frame's head."""
        self.kernels.part_peaks(
            heat, self.first, self.least, self.radius, self.quant,
            self.some_yx, self.count, self.cell_yx, self.xy, self.score,
        )  # fmt: skip

    def at_peaks(self, head: NDArray[Any], quant: NDArray[np.float32], channels: NDArray[Any]) -> NDArray[np.float32]:
        """(K, M, ...) real values of another head of this size at the peaks, of each part's channels (K, ...)."""
        y, x = self.cell_yx[..., 0], self.cell_yx[..., 1]
        extra = (1,) * (channels.ndim - 1)
        return common.real(head[y.reshape(*y.shape, *extra), x.reshape(*x.shape, *extra), channels[:, None]], quant)


class Given:
    """Peaks of every part that something else found; as Parts."""

    def __init__(self, parts: int, most: int) -> None:
        self.count = np.zeros(parts, np.int32)
        self.cell_yx = np.zeros((parts, most, 2), np.int32)
        self.xy = np.zeros((parts, most, 2), F)
        self.score = np.zeros((parts, most), F)

    def put(self, score: NDArray[np.float32], index: NDArray[np.int64], columns: int, least: float) -> None:
        """Take (K, M) scores, best first, and cells counted in rows of `columns`; those above `least` count."""
        self.score[:] = score
        self.count[:] = (score > least).sum(axis=1)
        self.cell_yx[..., 0], self.cell_yx[..., 1] = index // columns, index % columns
        self.xy[:] = self.cell_yx[..., ::-1]


class People:
    """Room for peaks that become people."""

    def __init__(self, parts: Parts | Given, limbs: int, max_people: int) -> None:
        count, most = parts.score.shape
        people = 4 * most
        self.gain = np.zeros((most, people))
        self.tree = np.zeros((3, people + 1))
        self.way = np.zeros((3, people + 1), np.int32)
        self.pair_score = np.zeros((most, most), F)
        self.link = np.zeros((limbs * most, 3), np.int32)
        self.link_score = np.zeros(limbs * most, F)
        self.owner = np.zeros((count, most), np.int32)
        self.member = np.zeros((people, count), np.int32)
        self.total = np.zeros(people, F)
        self.terms = np.zeros(people, np.int32)
        self.xy = np.zeros((max_people, count, 2), F)
        """(N, K, 2) as the peaks' own xy, NaN where none."""
        self.score = np.zeros((max_people, count), F)
        """(N, K) 0 where none."""
        self.person_score = np.zeros(max_people, F)
        """(N,) best first."""

    @property
    def scratch(self) -> tuple[NDArray[Any], ...]:
        """What kernels that make links write to: scratch, then the links."""
        return self.pair_score, self.gain, self.tree, self.way, self.link, self.link_score

    def join(self, kernels: ModuleType, limb: NDArray[Any], founds: NDArray[Any], links: int) -> int:
        """Make people of the first `links` links; returns how many."""
        people: int = kernels.link_people(
            limb, founds, self.link, self.link_score, links, self.owner, self.member, self.total, self.terms
        )
        return people

    def best(self, kernels: ModuleType, people: int, min_parts: int, least: float, parts: Parts | Given) -> int:
        """Fill xy, score and person_score with the best of the people made; returns how many."""
        found: int = kernels.best_people(
            self.member, self.total, self.terms, people, min_parts, F(least),
            parts.xy, parts.score, self.xy, self.score, self.person_score,
        )  # fmt: skip
        return found

    def poses(self, found: int, frame: Frame, crop: Crop, skeleton: Skeleton, stride: int, min_joint: float) -> Poses:
        """The `found` people that `best` filled in; a cell is the mean of `stride` pixels each way."""
        xy = crop.to_source((self.xy[:found] + F(0.5)) * F(stride) - F(0.5))
        score, person_score = self.score[:found].copy(), self.person_score[:found].copy()
        return common.poses_from(frame, skeleton, xy, score, person_score, min_joint)

"""Part score maps with location refinement (DeeperCut, DeepLabCut), one animal or many by pairwise offsets.

Heads: `heatmap` (H, W, K) probabilities, `locref` (H, W, 2K) and, for many, `pairwise` (H, W, 2 K (K - 1)); all hold
(x, y) pairs. Cell to pixel: (cell + 0.5) * stride + locref * locref_stdev, a pixel's centre having whole numbers.
pairwise holds for each ordered pair of parts a, b, at (K - 1) a + b - (a < b), where b lies as seen from the middle of
a's cell: raw * std + mean, in model pixels.

One: the highest cell of each part. Many: peaks of all parts; for each pair of parts those that point at each other
are linked, and links make animals, best first. That is greedy: the integer program of DeepCut and DeeperCut, which
labels and clusters all parts at once, is out of scope. DeepLabCut's own networks for many animals group by part
affinity fields instead: use the decoder `paf`.

Sources: Insafutdinov et al., "DeeperCut", and the public description of its heads (pose-tensorflow, DeepLabCut-live):
the order of pairs, the half cell and locref_stdev = 7.2801. Formulas only; no code of theirs.
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
from edgepose.estimate.decode.parts import Parts, People

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]
Numbers = tuple[Annotated[float, Meta(ge=-1e5, le=1e5)], ...]


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a model with part score maps."""

    min_person_score: Score
    min_joint_score: Score
    stride: Annotated[int, Meta(ge=1, le=64)] = 8
    """Model pixels per cell."""
    locref_stdev: Annotated[float, Meta(gt=0, le=1000)] = 7.2801
    """Model pixels per unit of locref."""
    peak_radius: Annotated[int, Meta(ge=1, le=16)] = 1
    """Many: cells; a part is the highest within this distance each way."""
    pairwise_std: Numbers = ()
    """Many: model pixels per unit of each pairwise channel; empty: 1."""
    pairwise_mean: Numbers = ()
    """Many: model pixels added to each pairwise channel; empty: 0."""
    arrow_px: Annotated[float, Meta(gt=0, le=1000)] = 8.0
    """Many: how far an arrow's end may be off for half the score; three times that is no link."""
    min_parts: Annotated[int, Meta(ge=1, le=256)] = 3
    """Many: animals with fewer parts are dropped."""


class ScoreMaps:
    """Turn raw part score maps into Poses; buffers are made once."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the heads.

        Raises:
            ModelError: a head is missing or of another shape, or the pairwise numbers are not one per channel.
        """
        self.options, self.skeleton, self.kernels = options, skeleton, kernels
        self.min_person, self.min_joint = common.least_scores(options, cfg)
        joints = len(skeleton.joints)
        self.many = "pairwise" in heads and cfg.max_people > 1
        channels = {"heatmap": joints, "locref": 2 * joints}
        common.check_heads(heads, channels | ({"pairwise": 2 * joints * (joints - 1)} if self.many else {}))
        self.locref_quant = common.quant_of(heads["locref"])
        self.locref_at = np.arange(2 * joints).reshape(joints, 2)
        radius = options.peak_radius if self.many else 1
        self.parts = Parts(heads["heatmap"], joints, radius, self.min_joint, cfg, most=0 if self.many else 1)
        if self.many:
            self.limb = _arrows(joints)
            self.founds = np.ones(len(self.limb), np.int32)
            self.pairwise_quant = _pairwise_quant(options, heads["pairwise"])
            self.people = People(self.parts, len(self.limb), cfg.max_people)
        self._find(common.zero_heads(heads))  # every kernel is ready before the first frame

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        xy, score, person_score = self._find(heads)
        return common.poses_from(frame, self.skeleton, crop.to_source(xy), score, person_score, self.min_joint)

    def _find(self, heads: Heads) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Model pixels (N, K, 2), scores (N, K) and (N,)."""
        parts, options = self.parts, self.options
        parts.find(heads["heatmap"])
        moved = parts.at_peaks(heads["locref"], self.locref_quant, self.locref_at) * F(options.locref_stdev)
        parts.xy[:] = (parts.cell_yx[..., ::-1] + F(0.5)) * F(options.stride) + moved
        if not self.many:
            score = np.where(parts.count > 0, parts.score[:, 0], F(0))[None]
            mean = score.mean(axis=1)
            there = mean >= max(self.min_person, 1e-9)
            return parts.xy[None, :, 0][there], score[there], mean[there]
        people = self.people
        links = self.kernels.offset_links(
            heads["pairwise"], self.pairwise_quant, self.limb, F(options.stride), F(options.arrow_px),
            parts.count, parts.cell_yx, parts.xy, *people.scratch,
        )  # fmt: skip
        best_first = np.argsort(-people.link_score[:links], kind="stable")
        people.link[:links] = people.link[best_first]
        people.link_score[:links] = people.link_score[best_first]
        made = people.join(self.kernels, self.limb, self.founds, links)
        found = people.best(self.kernels, made, options.min_parts, self.min_person, parts)
        return people.xy[:found].copy(), people.score[:found].copy(), people.person_score[:found].copy()


def _arrows(joints: int) -> NDArray[np.int32]:
    """(K (K - 1) / 2, 4) for each two parts: a, b, channel of a's arrow to b, channel of b's to a."""

    def channel(a: int, b: int) -> int:
        return 2 * ((joints - 1) * a + b - (a < b))

    pairs = [(a, b, channel(a, b), channel(b, a)) for a in range(joints) for b in range(a + 1, joints)]
    return np.array(pairs, np.int32).reshape(-1, 4)


def _pairwise_quant(options: Options, spec: HeadSpec) -> NDArray[np.float32]:
    """(C, 2) factor and addend that turn each raw channel into model pixels."""
    channels = spec.shape[2]
    given = {
        "pairwise_std": options.pairwise_std or (1.0,) * channels,
        "pairwise_mean": options.pairwise_mean or (0.0,) * channels,
    }
    for name, numbers in given.items():
        if len(numbers) != channels:
            raise ModelError(f"{name} has {len(numbers)} numbers, expected {channels}, one per pairwise channel")
    std, mean = np.array(given["pairwise_std"]), np.array(given["pairwise_mean"])
    return np.stack((spec.scale * std, mean - spec.zero_point * spec.scale * std), axis=1).astype(F)

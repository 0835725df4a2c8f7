"""PersonLab: joints are local maxima of heatmaps, and offsets along the bones lead from each to the rest of a person.

Serves PoseNet (the many-person decoder of Google's PoseNet models, Coral's builds among them). Heads, H x W cells:

    heatmap       (H, W, 17)  logits of the joints
    short_offset  (H, W, 34)  model pixels from a cell to its joint nearby: y of 17 joints, x of 17
    mid_offset    (H, W, 64)  model pixels along the 16 bones: y, then x, outwards from the nose; y, then x, inwards

or, as Google's own files have them, `mid_forward` and `mid_backward` (H, W, 32), the two halves of mid_offset.

Cell i lies at model pixel i * stride, centre on centre: these graphs are convolved "same" over 16 n + 1 pixels.
The answer is that of google-coral/libcoral `DecodeAllPoses` (bilinear sampling, five refinements, people rescored by
the joints that no better person holds) but for two things. Roots of equal score come in the order row, column, joint,
where libcoral's depends on its heap. And the bone from the left eye to the nose is read from its own channels
(32, 48), where libcoral is off by one block (16, 32).
Source: Papandreou et al., "PersonLab", ECCV 2018, and libcoral's coral/posenet/posenet_decoder.cc.
Not done: long offsets and instance masks (BodyPix).
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.config import Section
from edgepose.core.errors import ModelError
from edgepose.core.poses import COCO17, Crop, Frame, Heads, HeadSpec, Poses, Skeleton
from edgepose.estimate.decode.common import check_heads, least_raw, least_scores, poses_from, quant_of, real, zero_heads

F = np.float32
Score = Annotated[float, Meta(ge=0, le=1)]


class Options(Section, frozen=True, kw_only=True):
    """[decoder.options] of a PoseNet manifest; the defaults are libcoral's."""

    stride: Annotated[int, Meta(ge=1, le=64)] = 16
    """Model pixels per cell."""
    score_threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.2
    """Least score of a joint that a person may start from."""
    nms_radius: Annotated[float, Meta(ge=0, le=1000)] = 10.0
    """Model pixels within which the same joint of two people is one."""
    refinements: Annotated[int, Meta(ge=0, le=20)] = 5
    """Times a joint follows the short offsets after its bone."""
    min_person_score: Score = 0.2
    """Least mean score of a person's joints."""
    min_joint_score: Score = 0.2


CHANNELS = {"heatmap": 17, "short_offset": 34, "mid_offset": 64}
"""Head roles and their channels."""
HALVES = {"heatmap": 17, "short_offset": 34, "mid_forward": 32, "mid_backward": 32}
"""The same where the bones outwards and inwards are two heads."""

BONES = (
    (0, 1), (1, 3), (0, 2), (2, 4), (0, 5), (5, 7), (7, 9), (5, 11),
    (11, 13), (13, 15), (0, 6), (6, 8), (8, 10), (6, 12), (12, 14), (14, 16),
)  # fmt: skip
"""The tree that mid_offset knows, outwards from the nose: its channel order."""


class PersonLab:
    """Turn PoseNet's raw heads into Poses; buffers are made once."""

    def __init__(
        self, options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode, kernels: ModuleType
    ) -> None:
        """Check the heads and lay out the tables.

        Raises:
            ModelError: a head is missing, has another shape or type, or cannot reach the threshold.
        """
        self.heads = Joined(heads) if "mid_forward" in heads else None
        if self.heads:
            heads = self.heads.specs
        check_heads(heads, CHANNELS)
        if skeleton != COCO17:
            raise ModelError(f"personlab's heads are those of skeleton coco17, the manifest says {skeleton.name}")
        dtypes = {role: heads[role].dtype for role in CHANNELS}
        if len(set(dtypes.values())) > 1:
            kinds = ", ".join(f"{role} {dtype}" for role, dtype in dtypes.items())
            raise ModelError(f"personlab's heads must be of one type, they are {kinds}")
        self.skeleton = skeleton
        least_person, self.min_joint = least_scores(options, cfg)
        heat = heads["heatmap"]
        least = _least_root(heat, options.score_threshold)
        height, width, joints = heat.shape
        row = np.zeros((width + 2) * joints, heat.dtype)
        mask = np.zeros(-(-width * joints // 32) * 32, np.uint8)
        root = np.zeros((2, height * width * joints + 257), np.int32)
        self.pose = np.zeros((2, cfg.max_people + 1, joints + 1, 3), F)
        table = table_of(heads, options, least, least_person)
        walk = walk_of(BONES)
        self.kernels = kernels
        # laid out once: right after an inference every object looked up comes from cold memory
        self.rest = (
            *(height, width, least, options.refinements, table, walk),
            *(row, mask, mask.view(np.int64), root, self.pose),
        )
        """What `kernels.decode` takes after the heads."""
        # empty heads: the kernel is compiled or read from its cache before the first frame
        self.find(zero_heads(heads))

    def find(self, heads: Heads) -> int:
        """Fill pose[1] with the people in the heads, in model pixels; returns how many."""
        flat = heads["heatmap"].reshape(-1), heads["short_offset"].reshape(-1), heads["mid_offset"].reshape(-1)
        found: int = self.kernels.decode(*flat, *self.rest)
        return found

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        people = self.pose[1, : self.find(self.heads(heads) if self.heads else heads)]
        joints = people[:, :-1]
        xy = crop.to_source(joints[..., 1::-1])
        return poses_from(frame, self.skeleton, xy, joints[..., 2].copy(), people[:, -1, 1].copy(), self.min_joint)


class Joined:
    """Four heads as three: the halves of mid_offset in one array; all real values where their steps differ."""

    def __init__(self, heads: dict[str, HeadSpec]) -> None:
        """Check the halves and make the arrays.

        Raises:
            ModelError: a head is missing or does not fit the heatmap.
        """
        check_heads(heads, HALVES)
        spec = [heads[role] for role in HALVES]
        forward, backward = spec[2:]
        self.same = (forward.dtype, forward.scale, forward.zero_point) == (
            backward.dtype, backward.scale, backward.zero_point)  # fmt: skip
        self.quants = [quant_of(each) for each in spec]
        size = forward.shape[:2]
        kind = forward.dtype if self.same else np.dtype(F)
        joined = HeadSpec("mid_offset", (*size, 64), kind, forward.scale, forward.zero_point)
        self.specs = {"heatmap": spec[0], "short_offset": spec[1], "mid_offset": joined}
        if not self.same:
            self.specs = {role: HeadSpec(role, each.shape, kind, 1.0, 0) for role, each in self.specs.items()}
        self.mid = np.zeros((*size, 64), kind)

    def __call__(self, heads: Heads) -> Heads:
        """The heads as the kernel takes them; `mid_offset` is overwritten by the next call."""
        heat, short, forward, backward = (heads[role] for role in HALVES)
        if not self.same:
            heat, short, forward, backward = (
                real(head, quant) for head, quant in zip((heat, short, forward, backward), self.quants, strict=True)
            )
        self.mid[..., :32], self.mid[..., 32:] = forward, backward
        return {"heatmap": heat, "short_offset": short, "mid_offset": self.mid}


def _least_root(heat: HeadSpec, threshold: float) -> Any:
    """Raw logit of the threshold, as libcoral takes the logarithm of its odds."""
    logit = -math.log(1 / (threshold + 1e-6) - 1)
    least = least_raw(heat, logit)
    highest = (int(least) - heat.zero_point) * heat.scale if heat.dtype.kind != "f" else logit
    if highest < logit - 1e-5 * heat.scale:
        reach = 1 / (1 + math.exp(-highest))
        raise ModelError(f"score_threshold is {threshold:g}, but head 'heatmap' holds at most {reach:.3f}")
    return least


def table_of(heads: dict[str, HeadSpec], options: Options, least: Any, least_person: float) -> NDArray[np.float32]:
    """All constants of the kernel in one array.

    0, 1  scale, zero point of heatmap       6  stride, model pixels      8  least person score
    2, 3  of short_offset, scale in cells    7  radius of suppression,    9  buckets per raw step of the heatmap
    4, 5  of mid_offset, scale in cells         cells squared            16  2 ** -64, 2 ** -63 ... 2 ** 64
    """
    table = np.zeros(16 + 129, F)
    stride = options.stride
    for place, (role, unit) in enumerate((("heatmap", 1), ("short_offset", stride), ("mid_offset", stride))):
        table[2 * place : 2 * place + 2] = heads[role].scale / unit, heads[role].zero_point
    table[6:9] = stride, (options.nms_radius / stride) ** 2, least_person
    dtype = heads["heatmap"].dtype
    # a float head's logits have no highest value: 16 above the threshold is as good as certain
    table[9] = 16 if dtype.kind == "f" else 255 / max(255, np.iinfo(dtype).max - int(least))
    table[16:] = 2.0 ** np.arange(-64, 65)
    return table


def walk_of(bones: tuple[tuple[int, int], ...]) -> NDArray[np.int32]:
    """(17, 16, 4) for each root joint its bones by depth: from, to, channel of mid's y, end of this depth."""
    count = len(bones)
    outwards = [(near, far, bone) for bone, (near, far) in enumerate(bones)]
    inwards = [(far, near, 2 * count + bone) for near, far, bone in outwards]
    walk = np.zeros((count + 1, count, 4), np.int32)
    for root in range(count + 1):
        level, known, done = [root], {root}, 0
        while done < count:
            taken = [step for step in outwards + inwards if step[0] in level and step[1] not in known]
            walk[root, done : done + len(taken), :3] = taken
            walk[root, done : done + len(taken), 3] = done + len(taken)
            level = [to for _, to, _ in taken]
            known.update(level)
            done += len(taken)
    return walk

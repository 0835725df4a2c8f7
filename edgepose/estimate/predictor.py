"""One model looking at a frame, or at a part of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import Crop, Frame, Heads, Poses
from edgepose.engine import Engine
from edgepose.estimate.base import Found, Raw
from edgepose.estimate.decode import open_decoder, stands_upright
from edgepose.estimate.turned import Turn, back, partners, placed

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in source pixels."""

AS_IT_IS = Crop((0.0, 0.0), (1.0, 1.0))
"""Model pixels stay model pixels."""


def new_counts() -> dict[str, int]:
    """What an estimate did so far, as Estimate.counts."""
    return {"invokes": 0, "crops": 0}


class Predictor:
    """preprocess -> engine -> decode; two predictors may share an engine."""

    upright = False
    """Whether the model wants people turned upright, the hips in the middle."""

    def __init__(
        self, engine: Engine, cfg: config.Decode, counts: dict[str, int], options: Mapping[str, Any] | None = None
    ) -> None:
        """Open the decoder of the engine's model.

        counts   of the estimate it belongs to
        options  what replaces some of its own

        Raises:
            ModelError: the decoder cannot read the model's heads.
        """
        from edgepose.estimate.preprocess import Preprocess

        model, decoder = engine.manifest, engine.manifest.decoder
        self.engine, self.counts = engine, counts
        self.skeleton = model.joints
        self.upright = stands_upright(decoder.name, decoder.options)
        self.preprocess = Preprocess(engine.input)
        self.decode = open_decoder(
            model.name, decoder.name, {**decoder.options, **(options or {})}, model.joints, engine.heads, cfg
        )
        self.size_wh: tuple[int, int] = self.preprocess.size_wh
        self.other_side = partners(self.skeleton)

    def __call__(self, frame: Frame, box: Box | None = None) -> Found:
        """The people in a frame, or in a box of it.

        Raises:
            FrameLostError: the engine gave no result for it.
            EngineError: the engine failed for good.
        """
        began_t = time.monotonic()
        tensor, crop = self.preprocess(frame, box)
        return self._found(tensor, crop, frame, box is not None, began_t)

    def turned(self, frame: Frame, box: Box, turn: Turn) -> Found:
        """The people in a box of a frame that is turned for the model; as a call, and in the frame's own pixels."""
        began_t, affine = time.monotonic(), placed(box, self.size_wh, turn)
        found = self._found(self.preprocess.turned(frame, affine), AS_IT_IS, frame, True, began_t)
        poses = back(found.poses, affine, self.other_side if turn.mirror else None)
        return replace(found, poses=poses, decoded_t=time.monotonic(), raw=None)  # whose crop has no turn

    def _found(self, tensor: NDArray[Any], crop: Crop, frame: Frame, part: bool, began_t: float) -> Found:
        heads = self.engine.run(tensor)
        inferred_t = time.monotonic()
        self.counts["invokes"] += 1
        self.counts["crops"] += part
        poses = self.poses(heads, crop, frame)
        return Found(poses, began_t, inferred_t, time.monotonic(), Raw(heads, crop, part))

    def poses(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """What raw heads say; `crop` is where they lie in the frame."""
        poses: Poses = self.decode(heads, crop, frame)
        ran_on: str = self.engine.ran_on
        return replace(poses, ran_on=ran_on) if ran_on else poses

    def min_joint(self, cfg: config.Decode) -> float:
        """Joints below it are not found: as set, else the model's own."""
        own = self.engine.manifest.decoder.options.get("min_joint_score", 0.0)
        return float(own if cfg.min_joint_score is None else cfg.min_joint_score)

    def pixels(self, size_wh: tuple[float, float]) -> float:
        """Source pixels per model pixel when it looks at something of that size."""
        width, height = self.size_wh
        return max(size_wh[0] / width, size_wh[1] / height)

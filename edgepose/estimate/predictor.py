"""One model looking at a frame, or at a part of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import Crop, Frame, Heads, Poses
from edgepose.engine import Engine
from edgepose.estimate.base import InFlight
from edgepose.estimate.decode import open_decoder
from edgepose.estimate.turned import Turn, back, partners, placed

if TYPE_CHECKING:
    from edgepose.estimate.preprocess import Preprocess

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in source pixels."""

AS_IT_IS = Crop((0.0, 0.0), (1.0, 1.0))
"""Model pixels stay model pixels."""


class Counts:
    """What an estimate did so far."""

    def __init__(self) -> None:
        self.done = {"invokes": 0, "crops": 0}
        self.inferred_t = 0.0
        """When the last inference ended, monotonic seconds."""


class _Slot(NamedTuple):
    """Memory of one frame on its way, beside the engine's."""

    preprocess: Preprocess
    heads: dict[str, NDArray[Any]]


class Predictor:
    """preprocess -> engine -> decode; two looks may share an engine."""

    def __init__(
        self, engine: Engine, cfg: config.Decode, counts: Counts, options: Mapping[str, Any] | None = None
    ) -> None:
        """Open the decoder of the engine's model.

        options  what replaces some of its own

        Raises:
            ModelError: the decoder cannot read the model's heads.
        """
        from edgepose.estimate.preprocess import Preprocess

        model, decoder = engine.manifest, engine.manifest.decoder
        self.engine, self.counts = engine, counts
        self.skeleton = model.joints
        self.preprocess = Preprocess(engine.input)
        self._slots: list[_Slot] = []
        self._next_slot = 0
        self.latest: tuple[Heads, Crop, bool] = {}, Crop((0.0, 0.0), (1.0, 1.0)), False
        """Of the last frame with people or without: raw heads, where they lie in it, whether that is a part of it.
        Good until the engine's next run."""
        self.decode = open_decoder(
            model.name, decoder.name, {**decoder.options, **(options or {})}, model.joints, engine.heads, cfg
        )
        self.size_wh: tuple[int, int] = self.preprocess.size_wh
        self.other_side = partners(self.skeleton)

    def __call__(self, frame: Frame, box: Box | None = None) -> Poses:
        """The people in a frame, or in a box of it.

        Raises:
            FrameLostError: the engine gave no result for it.
            EngineError: the engine failed for good.
        """
        tensor, crop = self.preprocess(frame, box)
        heads = self.engine.run(tensor)
        return self._seen(heads, crop, frame, box is not None, time.monotonic())

    def turned(self, frame: Frame, box: Box, turn: Turn) -> Poses:
        """The people in a box of a frame that is turned for the model; as a call, and in the frame's own pixels."""
        affine = placed(box, self.size_wh, turn)
        heads = self.engine.run(self.preprocess.turned(frame, affine))
        poses = self._seen(heads, AS_IT_IS, frame, True, time.monotonic())
        return back(poses, affine, self.other_side if turn.mirror else None)

    def prepare(self, frame: Frame, box: Box | None, nothing_expected: bool) -> InFlight:
        """Beside the engine's own memory, which an inference may be reading."""
        slot = self._next_slot = 1 - self._next_slot
        if not self._slots:
            self._slots = [self._slot(), self._slot()]
        _, crop = self._slots[slot].preprocess(frame, box)
        return InFlight(frame, crop, box is not None, nothing_expected, slot)

    def infer(self, step: InFlight) -> None:
        """Run the engine on what was prepared, and keep its heads: its next run overwrites its own.

        Raises:
            FrameLostError: the engine gave no result for it.
            EngineError: the engine failed for good.
        """
        slot = self._slots[step.slot]
        step.began_t = time.monotonic()
        heads = self.engine.run(slot.preprocess.spec.tensor)
        step.ended_t = time.monotonic()
        for role, head in heads.items():
            if role in slot.heads:
                np.copyto(slot.heads[role], head)
            else:
                slot.heads[role] = head.copy()

    def finish(self, step: InFlight) -> Poses:
        """The people in what was inferred."""
        return self._seen(self._slots[step.slot].heads, step.crop, step.frame, step.part, step.ended_t)

    def _slot(self) -> _Slot:
        from edgepose.estimate.preprocess import Preprocess

        own = self.engine.input
        return _Slot(Preprocess(replace(own, tensor=np.empty_like(own.tensor))), {})

    def _seen(self, heads: Heads, crop: Crop, frame: Frame, part: bool, inferred_t: float) -> Poses:
        self.latest = heads, crop, part
        self.counts.inferred_t = inferred_t
        self.counts.done["invokes"] += 1
        self.counts.done["crops"] += part
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

"""A network in the camera: no preprocessing and no inference, its heads come with the frame and are decoded here."""

from __future__ import annotations

import time

from edgepose.core.errors import EngineError, FrameLostError
from edgepose.core.poses import Crop, Frame, Heads, Sensed
from edgepose.estimate.base import Found, Raw
from edgepose.estimate.predictor import Box, Predictor


class SensedPredictor(Predictor):
    """As Predictor, of heads that a frame brings along."""

    def __call__(self, frame: Frame, box: Box | None = None) -> Found:  # noqa: ARG002 (the sensor saw all of it)
        """The people in a frame; `box` is not used, the sensor looked already.

        Raises:
            FrameLostError: the sensor had no answer to it, which says nothing of who is there.
            EngineError: another network answered.
        """
        began_t = time.monotonic()
        if frame.sensed is None:
            raise FrameLostError(f"engine: no answer of {self.engine.manifest.name} came with the frame")
        heads, crop = self._heads(frame.sensed), self._crop(frame.sensed)
        self.counts["invokes"] += 1
        poses = self.poses(heads, crop, frame)
        return Found(poses, began_t, began_t, time.monotonic(), Raw(heads, crop, False))

    def _heads(self, sensed: Sensed) -> Heads:
        """Role -> the tensor that is this head."""
        model = self.engine.manifest
        wanted = [head.shape for head in sorted(model.heads, key=lambda head: head.output)]
        came = [tensor.shape for tensor in sensed.tensors]
        if came != wanted:
            raise EngineError(
                f"engine: the sensor gives {_told(came)}, but {model.name} gives {_told(wanted)}: another network is "
                "in it; end the program that loaded it, and see source.network"
            )
        return {head.role: sensed.tensors[head.output] for head in model.heads}

    def _crop(self, sensed: Sensed) -> Crop:
        """Where the network's input lies in the frame."""
        left, top, width, height = sensed.seen_xywh
        scale = width / self.size_wh[0], height / self.size_wh[1]
        return Crop((left - 0.5 + scale[0] / 2, top - 0.5 + scale[1] / 2), scale)


def _told(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes) or "nothing"

"""One model, whole frames."""

from __future__ import annotations

import time
from contextlib import ExitStack

from edgepose import config
from edgepose.decode import open_decoder
from edgepose.engine import Engine, open_engine
from edgepose.poses import Frame, Poses


class OneStep:
    """preprocess -> engine -> decode on the whole frame."""

    def __init__(self, cfg: config.Config) -> None:
        from edgepose.preprocess import Preprocess

        with ExitStack() as opened:
            self.engine = opened.enter_context(open_engine(cfg.engine))
            model, decoder = self.engine.manifest, self.engine.manifest.decoder
            self.decode = open_decoder(
                model.name, decoder.name, decoder.options, model.joints, self.engine.heads, cfg.decode
            )
            opened.pop_all()
        self.preprocess = Preprocess(self.engine.input)
        self.skeleton = model.joints
        self.engines: tuple[Engine, ...] = (self.engine,)
        self.counts = {"invokes": 0, "crops": 0}
        self.inferred_t = 0.0

    def __call__(self, frame: Frame, expected: Poses | None) -> Poses:  # noqa: ARG002
        """As Estimate; what is expected plays no part."""
        tensor, crop = self.preprocess(frame)
        heads = self.engine.run(tensor)
        self.inferred_t = time.monotonic()
        self.counts["invokes"] += 1
        return self.decode(heads, crop, frame)

    def close(self) -> None:
        """As Estimate."""
        self.engine.close()


def open_estimate(cfg: config.Config) -> OneStep:
    """What `engine.model` names, opened.

    Raises:
        ConfigError: a setting or a model is wrong.
    """
    return OneStep(cfg)

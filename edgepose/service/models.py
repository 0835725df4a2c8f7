"""Another model for a running service: opened and tried beside the old one, so that nothing changes if it fails."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgepose.core.errors import ConfigError, FrameLostError
from edgepose.core.poses import Frame
from edgepose.engine.manifest import SUFFIX
from edgepose.engine.zoo import list_models
from edgepose.estimate import open_estimate
from edgepose.estimate.pairs import PAIRS, own_pair

if TYPE_CHECKING:
    from edgepose.core import config
    from edgepose.estimate import Estimate


def check_name(name: str, models_dir: str) -> None:
    """See that a model, or both of FINDER+REFINER, lie in the model folders.

    Raises:
        ConfigError: anything else, a path above all.
    """
    if name in PAIRS or own_pair(name):
        return
    known = {path.stem for path in list_models(models_dir)}
    for part in name.split("+"):
        if part not in known or part.endswith((".tflite", SUFFIX)):
            raise ConfigError(f"no model {part!r} in the model folders; `edgepose models` lists them")


def try_estimate(cfg: config.Config, frame: Frame | None) -> Estimate:
    """What `cfg.engine.model` names: checked by hash, opened, and run once on a frame (a grey one where there is none).

    Raises:
        EdgeposeError: it cannot be used; nothing of it is left.
    """
    with ExitStack() as opened:
        estimate = open_estimate(cfg)
        opened.callback(estimate.close)
        for engine in estimate.engines:
            engine.run(engine.input.tensor)
        try:
            estimate(frame or _grey(), None)
        except FrameLostError as error:
            raise ConfigError(f"it gave nothing for a frame: {error}") from None
        opened.pop_all()
        return estimate


def with_model(cfg: config.Config, name: str) -> config.Config:
    """The settings with another model."""
    return msgspec.structs.replace(cfg, engine=msgspec.structs.replace(cfg.engine, model=name))


def _grey() -> Frame:
    return Frame(np.full((480, 640, 3), 128, np.uint8), "bgr", 0.0, 0.0, 0)

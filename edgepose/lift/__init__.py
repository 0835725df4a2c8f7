"""Poses -> Poses with metres: from one camera, by what people look like. Each row of LIFTERS is one way to do it."""

from __future__ import annotations

from collections.abc import Callable

from edgepose.core.config import Lift
from edgepose.core.poses import BLAZEPOSE33, Skeleton
from edgepose.lift.stage import Lifter, Lifts
from edgepose.lift.world import World

__all__ = ["LIFTERS", "Lifter", "open_lifter"]


def _mlp() -> Lifts:
    from edgepose.lift.mlp import Mlp

    return Mlp()


def _exemplar() -> Lifts:
    from edgepose.lift.exemplar import Exemplar

    return Exemplar()


LIFTERS: dict[str, Callable[[], Lifts]] = {"mlp": _mlp, "exemplar": _exemplar}
"""Name -> opens it: ways that know the 2D pose alone."""
BEST = "mlp"
"""What auto takes: docs/three-d.md compares them."""


def open_lifter(cfg: Lift, skeleton: Skeleton) -> Lifter | World | None:
    """The stage that `cfg` asks for; None for none.

    Raises:
        ConfigError: it cannot lift poses of that skeleton, or its network is missing.
    """
    if cfg.kind == "none":
        return None
    if cfg.kind == "blazepose" or (cfg.kind == "auto" and skeleton == BLAZEPOSE33):
        return World(cfg, skeleton)
    return Lifter(cfg, skeleton, LIFTERS[BEST if cfg.kind == "auto" else cfg.kind]())

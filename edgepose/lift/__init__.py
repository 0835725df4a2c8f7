"""Poses -> Poses with metres: from one camera, by what people look like. Each row of LIFTERS is one way to do it."""

from __future__ import annotations

from collections.abc import Callable

from edgepose.core.config import Lift
from edgepose.core.poses import Skeleton
from edgepose.lift.stage import Lifter, Lifts

__all__ = ["LIFTERS", "Lifter", "open_lifter"]


def _mlp() -> Lifts:
    from edgepose.lift.mlp import Mlp

    return Mlp()


def _exemplar() -> Lifts:
    from edgepose.lift.exemplar import Exemplar

    return Exemplar()


LIFTERS: dict[str, Callable[[], Lifts]] = {"mlp": _mlp, "exemplar": _exemplar}
"""Name -> opens it."""
BEST = "mlp"
"""What auto takes: docs/three-d.md compares them."""


def open_lifter(cfg: Lift, skeleton: Skeleton) -> Lifter | None:
    """The stage that `cfg` asks for; None for none.

    Raises:
        ConfigError: it cannot lift poses of that skeleton, or its network is missing.
    """
    if cfg.kind == "none":
        return None
    return Lifter(cfg, skeleton, LIFTERS[BEST if cfg.kind == "auto" else cfg.kind]())

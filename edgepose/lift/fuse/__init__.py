"""Several cameras, one room: poses in pixels of each become people in metres of the world."""

from __future__ import annotations

from edgepose.core.config import Lift
from edgepose.lift import BEST, LIFTERS
from edgepose.lift.fuse.alone import Alone
from edgepose.lift.fuse.calibration import PlacedCamera, read_calibration
from edgepose.lift.fuse.room import Room

__all__ = ["Alone", "PlacedCamera", "Room", "alone_of", "read_calibration"]


def alone_of(cfg: Lift) -> Alone | None:
    """What lifts people whom one camera of a room alone sees; None: they are left out.

    Raises:
        ConfigError: what it needs is missing.
    """
    if cfg.kind == "none":
        return None
    return Alone(LIFTERS[BEST if cfg.kind == "auto" else cfg.kind](), cfg.height_m)

"""Several cameras, one room: poses in pixels of each become people in metres of the world."""

from __future__ import annotations

from edgepose.lift.fuse.calibration import PlacedCamera, read_calibration
from edgepose.lift.fuse.room import Room

__all__ = ["PlacedCamera", "Room", "read_calibration"]

"""From pictures of a board to a lens, and from somebody who walks through a room to where its cameras stand."""

from __future__ import annotations

from edgepose.lift.calibrate.marks import Marks, read_marks
from edgepose.lift.calibrate.report import Report
from edgepose.lift.calibrate.room import place_cameras
from edgepose.lift.calibrate.write import lens_json, pose2sim

__all__ = ["Marks", "Report", "lens_json", "place_cameras", "pose2sim", "read_marks"]

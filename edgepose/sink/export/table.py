"""CSV, tidy: a row for each joint of each person of each frame; a frame without people has none."""

from __future__ import annotations

import csv
import io
import math
from datetime import datetime, timezone

from edgepose.core.poses import Poses
from edgepose.sink.export.output import FileSink

COLUMNS = (
    "frame", "seq", "t_s", "captured", "source", "id", "person_score", "joint", "x_px", "y_px", "score", "x", "y", "z",
)  # fmt: skip
"""frame counts from 0; t_s is the time in the file, or on the clock of the board; captured is UTC, of cameras only; an
empty cell is something that is not known: a joint that was not found, an id before tracking, x, y, z of a 2D model."""


class CsvFile(FileSink):
    """Comma-separated, with a header."""

    def begin(self) -> str:
        """As FileSink."""
        return ",".join(COLUMNS) + "\n"

    def text(self, poses: Poses) -> str:
        """As FileSink."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        captured = ""
        if poses.taken_wall is not None:
            captured = datetime.fromtimestamp(poses.taken_wall, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        name = poses.name.encode(errors="replace").decode().replace("\0", "?")
        for person in range(len(poses)):
            track_id = int(poses.track_id[person])
            head = (
                self._sent, poses.seq, f"{poses.t:.6f}", captured, name, track_id if track_id >= 0 else "",
                _cell(float(poses.person_score[person]), 4),
            )  # fmt: skip
            for index, joint in enumerate(poses.skeleton.joints):
                x, y = poses.xy[person, index].tolist()
                flat = (_cell(x), _cell(y)) if math.isfinite(x) and math.isfinite(y) else ("", "")
                solid = ("", "", "") if poses.xyz is None else map(_cell, poses.xyz[person, index].tolist())
                rows.writerow((*head, joint, *flat, _cell(float(poses.score[person, index]), 4), *solid))
        return out.getvalue()


def _cell(number: float, digits: int = 3) -> str:
    return f"{number:.{digits}f}" if math.isfinite(number) else ""

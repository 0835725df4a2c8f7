"""TRC: markers in metres for OpenSim and its kind; each person's joints are markers of their own."""

from __future__ import annotations

import math

import numpy as np

from edgepose.core.errors import SinkError
from edgepose.core.poses import Poses
from edgepose.sink.export.motion import Gathered
from edgepose.sink.export.output import FileSink

UNITS = {"m": "m", "kpx": "m"}
"""A 2D recording has no metres: its markers lie in a plane, a thousand pixels a unit, and the file's title says so."""


class TrcFile(FileSink):
    """Written when the recording ends: the header counts frames and markers."""

    def begin(self) -> str:
        """As FileSink."""
        self._gathered = Gathered()
        return ""

    def text(self, poses: Poses) -> str:
        """As FileSink."""
        try:
            self._gathered.add(poses)
        except ValueError as error:
            raise SinkError(f"{self.path}: {error}") from None
        return ""

    def end(self) -> None:
        """As FileSink."""
        self.put(trc(self._gathered, self.path.name))


def trc(gathered: Gathered, name: str) -> str:
    """The file's text."""
    motions, frames, fps = gathered.motions(), gathered.frames, gathered.fps
    joints = gathered.skeleton.joints if gathered.skeleton else ()
    alone = len(motions) == 1
    markers = [joint if alone else f"p{motion.identity}_{joint}" for motion in motions for joint in joints]
    title = name if gathered.unit == "m" else f"{name} (planar: pixels / 1000, z = 0)"
    places = np.full((frames, len(markers), 3), np.nan)
    for number, motion in enumerate(motions):
        stop = min(motion.first + len(motion.xyz), frames)
        columns = slice(number * len(joints), (number + 1) * len(joints))
        places[motion.first : stop, columns] = motion.xyz[: stop - motion.first]
    rate = f"{fps:g}"
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{title}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{len(markers)}\t{UNITS[gathered.unit]}\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t",
        "\t\t" + "\t".join(f"X{number}\tY{number}\tZ{number}" for number in range(1, len(markers) + 1)),
        "",
    ]
    for frame, row in enumerate(places):
        numbers = "\t".join(f"{value:.5f}" if math.isfinite(value) else "" for value in row.ravel().tolist())
        lines.append(f"{frame + 1}\t{frame / fps:.6f}\t{numbers}")
    return "\n".join(lines) + "\n"

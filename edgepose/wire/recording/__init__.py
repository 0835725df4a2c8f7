"""Recordings (.epr): the poses of a run as the model gave them, never its pictures. A leaf: no clocks, no stages.

`read(path or bytes)` gives what a file holds, in order; a Writer appends to one. docs/recordings.md has every byte.
"""

from __future__ import annotations

from edgepose.wire.recording.frames import Kept, KeptFrame, RawHeads, frame_of
from edgepose.wire.recording.reader import Recording, read
from edgepose.wire.recording.session import HeadShape, Session, skeleton_of, text_of
from edgepose.wire.recording.writer import Writer

__all__ = [
    "HeadShape",
    "Kept",
    "KeptFrame",
    "RawHeads",
    "Recording",
    "Session",
    "Writer",
    "frame_of",
    "read",
    "skeleton_of",
    "text_of",
]

"""C3D, what motion laboratories exchange: points in millimetres, 512-byte blocks, floats, little-endian."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from edgepose.sink.export.motion import Gathered
from edgepose.sink.export.motionfile import MotionFile

BLOCK, KEY, INTEL = 512, 0x50, 84
INVALID = -1.0
"""Residual of a point that is not known."""
MM = 1000.0
MOST_LABELS = 255
MOST_FRAMES = 65535
CHAR, FLOAT, INT16 = -1, 4, 2


class C3dFile(MotionFile):
    """Written when the recording ends."""

    def content(self, gathered: Gathered) -> bytes:
        """As MotionFile."""
        return c3d(gathered)


def c3d(gathered: Gathered) -> bytes:
    """The file.

    Raises:
        ValueError: more frames than the format counts.
    """
    motions, frames, fps = gathered.motions(), gathered.frames, gathered.fps
    joints = gathered.skeleton.joints if gathered.skeleton else ()
    if frames > MOST_FRAMES:
        raise ValueError(f"{frames} frames, C3D counts {MOST_FRAMES}; export it in parts with --from and --to")
    alone = len(motions) == 1
    labels = [joint if alone else f"p{motion.identity}_{joint}" for motion in motions for joint in joints]
    points = np.zeros((frames, len(labels), 4), "<f4")
    points[..., 3] = INVALID
    for number, motion in enumerate(motions):
        stop = min(motion.first + len(motion.xyz), frames)
        rows, columns = slice(motion.first, stop), slice(number * len(joints), (number + 1) * len(joints))
        xyz = motion.xyz[: stop - motion.first] * MM
        known = ~np.isnan(xyz[..., 0])
        points[rows, columns, :3] = np.where(known[..., None], xyz, 0)
        points[rows, columns, 3] = np.where(known, 0.0, INVALID)
    parameters = _parameters(labels, frames, fps, gathered.unit)
    start = 2 + len(parameters) // BLOCK
    return _header(len(labels), frames, fps, start) + parameters + _padded(points.tobytes())


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def _header(points: int, frames: int, fps: float, start: int) -> bytes:
    head = struct.pack("<BBHHHHHfHHf", 2, KEY, points, 0, 1, max(frames, 1), 0, -1.0, start, 0, fps)
    return _padded(head)


def _parameters(labels: list[str], frames: int, fps: float, unit: str) -> bytes:
    """Group POINT: what the data is."""
    described = "" if unit == "m" else "planar: pixels, z = 0"
    rows: list[tuple[str, bytes]] = [
        ("USED", _number("<h", len(labels))),
        ("SCALE", _number("<f", -1.0)),
        ("DATA_START", _number("<h", 0)),
        ("RATE", _number("<f", fps)),
        ("FRAMES", _number("<H", frames)),
        ("UNITS", _texts(["mm"])),
        ("X_SCREEN", _texts(["+X"])),
        ("Y_SCREEN", _texts(["+Y"])),
    ]
    for part in range(0, max(len(labels), 1), MOST_LABELS):
        more = str(part // MOST_LABELS + 1) if part else ""
        chosen = labels[part : part + MOST_LABELS]
        rows.append((f"LABELS{more}", _texts(chosen)))
        rows.append((f"DESCRIPTIONS{more}", _texts([described] * len(chosen))))
    body = _group("POINT", 1) + b"".join(_parameter(name, 1, data) for name, data in rows) + bytes(2)
    blocks = -(-(4 + len(body)) // BLOCK)
    whole = _padded(struct.pack("<BBBB", 1, KEY, blocks, INTEL) + body)
    start = 2 + len(whole) // BLOCK
    at = whole.index(b"DATA_START") + len(b"DATA_START") + 2 + 2  # offset, type, dimensions
    return whole[:at] + struct.pack("<h", start) + whole[at + 2 :]


def _group(name: str, number: int) -> bytes:
    text = name.encode("ascii")
    return struct.pack("<bb", len(text), -number) + text + struct.pack("<hB", 3, 0)


def _parameter(name: str, group: int, data: bytes) -> bytes:
    text = name.encode("ascii")
    return struct.pack("<bb", len(text), group) + text + struct.pack("<h", 2 + len(data) + 1) + data + bytes(1)


def _number(form: str, value: float) -> bytes:
    kind = FLOAT if form[-1] == "f" else INT16
    return struct.pack("<bB", kind, 0) + struct.pack(form, value)


def _texts(texts: list[str]) -> bytes:
    width = max([len(text) for text in texts] + [1])
    data: NDArray[np.bytes_] = np.array([text.ljust(width).encode("ascii", "replace") for text in texts], f"S{width}")
    return struct.pack("<bBBB", CHAR, 2, width, len(texts)) + b"".join(bytes(item).ljust(width) for item in data)

"""glTF 2.0, binary: each person's rig as nodes that an animation turns; metres, y up, as BVH's."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.poses import COCO17
from edgepose.sink.export.motion import Gathered, Motion
from edgepose.sink.export.motionfile import MotionFile
from edgepose.sink.export.rig import BONES, rigged

Array = NDArray[np.float64]
FLOAT = 5126
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
PLANAR = "planar: pixels / 1000, z = 0"


class GltfFile(MotionFile):
    """Written when the recording ends."""

    def content(self, gathered: Gathered) -> bytes:
        """As MotionFile."""
        return glb(gathered)


class _Buffer:
    """Arrays behind each other, and where each lies."""

    def __init__(self) -> None:
        self.bytes, self.views, self.accessors = bytearray(), list[Any](), list[Any]()

    def add(self, values: Array) -> int:
        """Number of the accessor of (N,) or (N, columns) floats."""
        rows = values.astype("<f4").reshape(len(values), -1)
        self.views.append({"buffer": 0, "byteOffset": len(self.bytes), "byteLength": rows.nbytes})
        self.bytes += rows.tobytes()
        accessor = {"bufferView": len(self.views) - 1, "componentType": FLOAT, "count": len(rows)}
        bounds = {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        self.accessors.append({**accessor, "type": TYPES[rows.shape[1]], **bounds})
        return len(self.accessors) - 1


def glb(gathered: Gathered) -> bytes:
    """The file.

    Raises:
        ValueError: its skeleton makes no rig.
    """
    if gathered.skeleton not in (None, COCO17):
        raise ValueError(f"a rig is made of skeleton {COCO17.name}, this is {gathered.skeleton.name}")
    buffer, nodes, roots = _Buffer(), list[Any](), list[int]()
    samplers, channels = list[Any](), list[Any]()
    for motion in gathered.motions():
        roots.append(len(nodes))
        _person(motion, gathered.fps, buffer, nodes, samplers, channels)
    table: dict[str, Any] = {"asset": {"version": "2.0", "generator": "edgepose"}, "scene": 0}
    table["scenes"] = [{"nodes": roots}] if roots else [{}]
    if gathered.unit != "m":
        table["asset"]["extras"] = {"space": PLANAR}
    if roots:
        table |= {"nodes": nodes, "accessors": buffer.accessors, "bufferViews": buffer.views}
        table["buffers"] = [{"byteLength": len(buffer.bytes)}]
        table["animations"] = [{"name": "poses", "samplers": samplers, "channels": channels}]
    return _packed(table, bytes(buffer.bytes))


def _person(
    motion: Motion, fps: float, buffer: _Buffer, nodes: list[Any], samplers: list[Any], channels: list[Any]
) -> None:
    """Add one: a node a bone, the hips' place and every bone's turn over time."""
    rig, first = rigged(motion.xyz, COCO17.joints), len(nodes)
    times = buffer.add((motion.first + np.arange(len(rig.root))) / fps)

    def animate(node: int, path: str, values: Array) -> None:
        samplers.append({"input": times, "output": buffer.add(values), "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})

    for number, bone in enumerate(BONES):
        children = [first + child for child, other in enumerate(BONES) if other.parent == number]
        place = np.array(bone.rest, float) * rig.length[number]
        node: dict[str, Any] = {"name": f"person_{motion.identity}_{bone.name}", "translation": place.tolist()}
        nodes.append({**node, "children": children} if children else node)
        if children:
            animate(first + number, "rotation", quaternions(rig.turn[:, number]))
    nodes[first]["translation"] = rig.root[0].tolist()
    animate(first, "translation", rig.root)


def quaternions(turn: Array) -> Array:
    """(F, 4) x, y, z, w of matrices (F, 3, 3); each on the side of the one before: players turn the short way."""
    trace = np.trace(turn, axis1=1, axis2=2)
    diagonal = np.einsum("fii->fi", turn)
    squares = np.concatenate([1 + 2 * diagonal - trace[:, None], 1 + trace[:, None]], axis=1).clip(0)
    size = np.sqrt(squares) / 2
    largest = size.argmax(axis=1)
    off = np.stack([turn[:, (i + 2) % 3, (i + 1) % 3] - turn[:, (i + 1) % 3, (i + 2) % 3] for i in range(3)], axis=1)
    both = turn + np.swapaxes(turn, 1, 2)
    table = np.zeros((len(turn), 4, 4))  # four times q_i q_j
    table[:, :3, :3] = both
    table[:, :3, 3] = table[:, 3, :3] = off
    for axis in range(4):
        table[:, axis, axis] = squares[:, axis]
    rows = np.arange(len(turn))
    q: Array = table[rows, largest] / (4 * size[rows, largest])[:, None]
    flips = np.cumprod(np.where((q[1:] * q[:-1]).sum(axis=1) < 0, -1.0, 1.0))
    q[1:] *= flips[:, None]
    return q


def _packed(table: dict[str, Any], content: bytes) -> bytes:
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    content += b"\0" * (-len(content) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if content:
        chunks += struct.pack("<I4s", len(content), b"BIN\0") + content
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

"""Where an avatar's bones are at rest, read from its .vrm: receivers of VMC set bones to the places they are sent."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgepose.core.errors import ConfigError

MOST_JSON = 64_000_000
Place = tuple[float, float, float]


def rest_places(path: Path) -> Mapping[str, Place]:
    """Bone, as Unity names it -> its place from its parent, metres in Unity's axes.

    Raises:
        ConfigError: no .vrm, or one without a humanoid.
    """
    table = _json(path)
    extensions = table.get("extensions", {})
    try:
        if "VRMC_vrm" in extensions:  # VRM 1 looks along z
            human = extensions["VRMC_vrm"]["humanoid"]["humanBones"]
            bones = {name: bone["node"] for name, bone in human.items()}
            turn = (-1.0, 1.0, 1.0)
        else:  # VRM 0 looks against z
            bones = {bone["bone"]: bone["node"] for bone in extensions["VRM"]["humanoid"]["humanBones"]}
            turn = (1.0, 1.0, -1.0)
        nodes = table["nodes"]
        places = {name: nodes[node].get("translation", (0.0, 0.0, 0.0)) for name, node in bones.items()}
        found = {name[:1].upper() + name[1:]: _place(place, turn) for name, place in places.items()}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise ConfigError(f"{path}: has no humanoid; give an avatar, as VRoid and UniVRM write it") from None
    if "Hips" not in found:
        raise ConfigError(f"{path}: its humanoid has no hips")
    return found


def _place(place: Any, turn: Place) -> Place:
    x, y, z = (float(part) * way for part, way in zip(place, turn, strict=True))
    return x, y, z


def _json(path: Path) -> dict[str, Any]:
    """The first chunk of a glTF in one file."""
    try:
        with path.open("rb") as file:
            magic, _, _, size, kind = struct.unpack("<4sIII4s", file.read(20))
            if magic != b"glTF" or kind != b"JSON" or size > MOST_JSON:
                raise ValueError
            table = json.loads(file.read(size))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give the avatar's .vrm") from None
    except (ValueError, struct.error, RecursionError):
        raise ConfigError(f"{path}: is no .vrm (glTF in one file)") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: is no .vrm (glTF in one file)")
    return table

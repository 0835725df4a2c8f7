"""Reads a TensorFlow.js graph model: nodes with their attributes, and weights."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Node:
    """One operation of the graph."""

    name: str
    op: str
    inputs: tuple[str, ...]
    """Names of the nodes it reads, output index removed."""
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """Nodes by name, and the values of the constant ones."""

    nodes: dict[str, Node]
    weights: dict[str, NDArray[Any]]


def read_graph(topology: Path) -> Graph:
    """Read NAME.json and the NAME.bin beside it.

    Raises:
        ValueError: the weights file is not exactly as long as the topology says.
    """
    model = json.loads(topology.read_bytes())
    nodes = {
        raw["name"]: Node(
            name=raw["name"],
            op=raw["op"],
            inputs=tuple(name.removeprefix("^").split(":")[0] for name in raw.get("input", ())),
            attributes={key: _attribute(value) for key, value in raw.get("attr", {}).items()},
        )
        for raw in model["modelTopology"]["node"]
    }
    weights: dict[str, NDArray[Any]] = {}
    for group in model["weightsManifest"]:
        content = b"".join((topology.parent / path).read_bytes() for path in group["paths"])
        used = 0
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            count = int(np.prod(entry["shape"], dtype=np.int64))
            values = np.frombuffer(content, stored, count, used).reshape(entry["shape"])
            weights[entry["name"]] = values.astype(entry["dtype"])
            used += values.nbytes
        if used != len(content):
            raise ValueError(f"{topology}: weights take {used} bytes, {group['paths']} has {len(content)}")
    return Graph(nodes, weights)


def _attribute(raw: dict[str, Any]) -> Any:
    """The Python value of one attribute; bytes come base64, 64-bit integers as text."""
    (kind, value), *_ = raw.items() if raw else (("none", None),)
    if kind == "s":
        return base64.b64decode(value).decode("latin-1")
    if kind == "i":
        return int(value)
    if kind == "list":
        if "s" in value:
            return [base64.b64decode(text).decode("latin-1") for text in value["s"]]
        return [int(number) for number in value.get("i", ())]
    return value

"""A model that was checked, ready to be run."""

from __future__ import annotations

from dataclasses import dataclass

from edgepose.engine.flatfile import Graph
from edgepose.engine.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was checked, as both kinds of processor want it."""

    manifest: Manifest
    graph: Graph
    """Of the CPU's file; its inputs and outputs are those of the build too."""
    content: bytes
    """What the CPU runs; empty: the model has no such file."""
    build: bytes
    """What the delegate runs."""
    where: str
    """Path of that, for messages."""

    @property
    def specs(self) -> list[tuple[str, tuple[int, ...]]]:
        """Input, then heads in the order of the graph's outputs."""
        return [(tensor.dtype, tensor.shape) for tensor in (*self.graph.inputs, *self.graph.outputs)]

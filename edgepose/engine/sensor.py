"""A network that runs in the camera: an engine that computes nothing, its heads come with the frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import places
from edgepose.core.errors import ConfigError
from edgepose.engine.chips import graph_of, manifest_of
from edgepose.engine.runtime import Runtime
from edgepose.engine.tflite import Engine


class Blank:
    """A Memory that nothing writes to."""

    def __init__(self, input_shape: tuple[int, ...], heads: list[tuple[int, ...]]) -> None:
        self.tensor: NDArray[Any] = np.zeros(input_shape, np.uint8)
        self.heads: list[NDArray[Any]] = [np.zeros(shape, np.float32) for shape in heads]

    def invoke(self) -> None:
        """As Memory."""


def _nothing(*_: Any, **__: Any) -> Any:
    raise ConfigError("the network runs in the camera, not here")


def open_sensor(network: str) -> Engine:
    """The engine that stands for a network file in the camera.

    Raises:
        ModelError: no such file, or nothing says what its heads are.
    """
    manifest, _ = manifest_of(places.at_home(network))
    graph = graph_of(manifest)
    memory = Blank(graph.inputs[0].shape, [head.shape for head in graph.outputs])
    runtime = Runtime("the AI Camera's sensor", "", _nothing, _nothing)
    return Engine(manifest, graph, runtime, 0, memory, where="imx500")

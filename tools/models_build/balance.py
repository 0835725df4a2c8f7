"""Bias correction: moves each int8 convolution's bias so that its channels mean what the float graph's channels mean.

Quantised weights are a little off, and what is off the same way everywhere adds up from layer to layer; correcting the
mean of each channel, first layer to last, takes that part out again (Nagel et al. 2019, arXiv 1906.04721, section 4.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from models_build.simulate import Grid, Values, run_operator
from models_build.tflite import code_of, constant_of, pack, set_constant, unpack

CONVOLUTIONS = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}

ROUNDS = 2
"""Corrections of each layer: a ReLU takes part of the first one away."""


def balance(float_model: bytes, int8_model: bytes, views: Sequence[NDArray[np.uint8]]) -> bytes:
    """The int8 model with corrected biases; nothing else changes."""
    exact, coarse = unpack(float_model), unpack(int8_model)
    pictures = np.stack(views).astype(np.float64)
    grid = Grid(coarse.subgraphs[0].tensors[coarse.subgraphs[0].inputs[0]])
    before = _Tape(exact, pictures / 127.5 - 1)
    after = _Tape(coarse, (pictures - 128 - grid.zero) * grid.scale)  # a byte goes in as byte - 128, half a step off
    for operator, twin in zip(exact.subgraphs[0].operators, coarse.subgraphs[0].operators, strict=True):
        if code_of(exact, operator) != code_of(coarse, twin):
            raise ValueError("the float and the int8 model are not the same graph")
        grid = Grid(coarse.subgraphs[0].tensors[twin.outputs[0]])
        wanted = before.run(operator)
        found = grid.snap(after.run(twin))
        if code_of(coarse, twin) in CONVOLUTIONS:
            target = np.clip(wanted, *grid.ends).mean((0, 1, 2), dtype=np.float64)
            for _ in range(ROUNDS):
                _move_bias(coarse, twin, target - found.mean((0, 1, 2), dtype=np.float64))
                found = grid.snap(after.run(twin))
        before.keep(operator, wanted)
        after.keep(twin, found)
    return pack(coarse)


class _Tape:
    """Values of the tensors that are still to be read."""

    def __init__(self, model: Any, source: NDArray[np.float64]) -> None:
        graph = model.subgraphs[0]
        self.model = model
        self.values: dict[int, Values] = {}
        self.readers = Counter(int(index) for operator in graph.operators for index in operator.inputs)
        self.values[int(graph.inputs[0])] = source.astype(np.float32)

    def run(self, operator: Any) -> Values:
        inputs = [self.values[int(index)] for index in operator.inputs if int(index) in self.values]
        return run_operator(self.model, operator, inputs)

    def keep(self, operator: Any, result: Values) -> None:
        """Hold the result, let go of what nobody reads any more."""
        for index in map(int, operator.inputs):
            self.readers[index] -= 1
            if not self.readers[index]:
                self.values.pop(index, None)
        self.values[int(operator.outputs[0])] = result


def _move_bias(model: Any, operator: Any, change: NDArray[np.float64]) -> None:
    """Add (channels,) to a convolution's bias, in real units."""
    source, weights, bias = (model.subgraphs[0].tensors[index] for index in operator.inputs)
    scale = float(source.quantization.scale[0]) * np.asarray(weights.quantization.scale, np.float64)
    moved = constant_of(model, bias).astype(np.int64) + np.round(change / scale).astype(np.int64)
    limits = np.iinfo(np.int32)
    set_constant(model, bias, np.clip(moved, limits.min, limits.max).astype(np.int32))

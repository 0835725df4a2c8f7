"""The trained network as a .tflite file: batch norms folded, weights in int8, all else float."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from lifter.network import BLOCKS, INPUTS, JOINTS, WIDTH, Lifter

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


def _folded(state: dict[str, Any], linear: str, norm: str) -> Layer:
    """A linear layer and the batch norm behind it as one: weights (out, in), bias (out,)."""
    weight, bias = (state[f"{linear}.{name}"].numpy() for name in ("weight", "bias"))
    gain = state[f"{norm}.weight"].numpy() / np.sqrt(state[f"{norm}.running_var"].numpy() + 1e-5)
    shifted = (bias - state[f"{norm}.running_mean"].numpy()) * gain + state[f"{norm}.bias"].numpy()
    return (weight * gain[:, None]).astype(np.float32), shifted.astype(np.float32)


class _Graph:
    def __init__(self) -> None:
        self.graph, self.model = schema.SubGraphT(), schema.ModelT()
        self.graph.tensors, self.graph.operators, self.graph.name = [], [], "main"
        self.model.buffers, self.model.version, self.model.description = [schema.BufferT()], 3, "edgepose lifter"
        self.codes: list[int] = []

    def tensor(self, name: str, shape: tuple[int, ...], data: NDArray[Any] | None = None, scale: Any = None) -> int:
        row = schema.TensorT()
        row.name, row.shape, row.buffer = name, list(shape), 0
        row.type = schema.TensorType.INT8 if scale is not None else schema.TensorType.FLOAT32
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            row.buffer = len(self.model.buffers) - 1
        if scale is not None:
            row.quantization = schema.QuantizationParametersT()
            row.quantization.scale = scale.astype(np.float32)
            row.quantization.zeroPoint = np.zeros(len(scale), np.int64)
        self.graph.tensors.append(row)
        return len(self.graph.tensors) - 1

    def op(self, code: int, inputs: list[int], output: int, kind: int, options: Any) -> int:
        if code not in self.codes:
            self.codes.append(code)
        row = schema.OperatorT()
        row.opcodeIndex, row.inputs, row.outputs = self.codes.index(code), inputs, [output]
        row.builtinOptionsType, row.builtinOptions = kind, options
        self.graph.operators.append(row)
        return output

    def linear(self, name: str, source: int, layer: Layer, relu: bool, quantised: bool) -> int:
        """A layer; quantised, each row is brought to one size first and multiplied back behind it.

        That is a scale a row in operators that every runtime has: tflite-runtime 2.14 knows one scale a tensor here.
        """
        weight, bias = layer
        if not quantised:
            return self._connected(name, source, weight, bias, relu, None)
        row = np.abs(weight).max(axis=1) / 127
        step = float(row.mean())
        data = np.round(weight / row[:, None]).astype(np.int8)
        level = self._connected(f"{name}/level", source, data, (bias * step / row).astype(np.float32), relu, step)
        back = self.tensor(f"{name}/row", (1, len(row)), (row / step).astype(np.float32))
        output = self.tensor(name, (1, len(row)))
        kind = schema.BuiltinOptions.MulOptions
        return self.op(schema.BuiltinOperator.MUL, [level, back], output, kind, schema.MulOptionsT())

    def _connected(
        self, name: str, source: int, weight: NDArray[Any], bias: NDArray[Any], relu: bool, step: float | None
    ) -> int:
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = int(relu)
        scale = None if step is None else np.array([step])
        weights = self.tensor(f"{name}/weight", weight.shape, weight, scale)
        inputs = [source, weights, self.tensor(f"{name}/bias", bias.shape, bias)]
        output = self.tensor(name, (1, len(bias)))
        return self.op(
            schema.BuiltinOperator.FULLY_CONNECTED, inputs, output, schema.BuiltinOptions.FullyConnectedOptions, options
        )

    def add(self, name: str, one: int, other: int) -> int:
        output = self.tensor(name, (1, WIDTH))
        return self.op(
            schema.BuiltinOperator.ADD, [one, other], output, schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
        )

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        self.graph.inputs, self.graph.outputs, self.model.subgraphs = inputs, outputs, [self.graph]
        self.model.operatorCodes = []
        for code in self.codes:
            row = schema.OperatorCodeT()
            fully = code == schema.BuiltinOperator.FULLY_CONNECTED
            row.builtinCode, row.deprecatedBuiltinCode, row.version = code, min(code, 127), 3 if fully else 1
            self.model.operatorCodes.append(row)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def tflite(network: Lifter, quantised: bool = True) -> bytes:
    """Input (1, 55); outputs (1, 51) metres, (1, 34) log sigma."""
    state = network.state_dict()
    graph = _Graph()
    source = graph.tensor("pose", (1, INPUTS))
    hidden = graph.linear("into", source, _folded(state, "into", "into_norm"), True, quantised)
    for block in range(BLOCKS):
        inner = graph.linear(
            f"block{block}a", hidden, _folded(state, f"blocks.{block}.0", f"blocks.{block}.1"), True, quantised
        )
        inner = graph.linear(
            f"block{block}b", inner, _folded(state, f"blocks.{block}.2", f"blocks.{block}.3"), True, quantised
        )
        hidden = graph.add(f"block{block}", hidden, inner)
    weight, bias = state["out.weight"].numpy(), state["out.bias"].numpy()
    places, sigma = slice(0, JOINTS * 3), slice(JOINTS * 3, None)
    outputs = [
        graph.linear("places", hidden, (weight[places], bias[places]), False, quantised),
        graph.linear("log_sigma", hidden, (weight[sigma], bias[sigma]), False, quantised),
    ]
    return graph.file([source], outputs)

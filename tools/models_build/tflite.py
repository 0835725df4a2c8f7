"""Writes a .tflite file tensor by tensor and operator by operator, without TensorFlow."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

SIGNATURE = "serving_default"
INPUT = "input"
ALIGNMENT = 16
"""Bytes; what the schema asks of constant buffers, so that kernels may map them in place."""

TYPES = {np.dtype(np.float32): schema.TensorType.FLOAT32, np.dtype(np.int32): schema.TensorType.INT32}

STORED = {kind: dtype for dtype, kind in TYPES.items()} | {schema.TensorType.INT8: np.dtype(np.int8)}


class Writer:
    """One subgraph in the making; `add` returns the index of the tensor an operator writes."""

    def __init__(self) -> None:
        self.subgraph = schema.SubGraphT()
        self.subgraph.tensors, self.subgraph.operators = [], []
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.subgraphs = [self.subgraph]
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]  # buffer 0 means "no data"
        self._codes: dict[str, int] = {}

    def tensor(self, name: str, shape: tuple[int, ...], data: NDArray[Any] | None = None) -> int:
        """Add a tensor, constant where it has data."""
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = list(shape)
        tensor.type = TYPES[np.dtype(np.float32) if data is None else data.dtype]
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def constant(self, name: str, data: NDArray[Any]) -> int:
        """Add a constant tensor."""
        return self.tensor(name, data.shape, data)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Shape of a tensor added before."""
        return tuple(self.subgraph.tensors[tensor].shape)

    def add(
        self, code: str, inputs: list[int], name: str, shape: tuple[int, ...], options: Any = None, version: int = 1
    ) -> int:
        """Add a built-in operator and the tensor it writes; `options` is its schema record, named CODEOptionsT."""
        if code not in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, code)
            entry.version = version
            self._codes[code] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(entry)
        output = self.tensor(name, shape)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes[code]
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self.subgraph.operators.append(operator)
        return output

    def finish(self, source: int, outputs: dict[str, int]) -> bytes:
        """Name the ends, sign the graph and return the file's bytes."""
        self.subgraph.inputs, self.subgraph.outputs = [source], list(outputs.values())
        for role, index in outputs.items():
            self.subgraph.tensors[index].name = output_name(role).encode()
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
        signature.inputs = [_named(INPUT, source)]
        signature.outputs = [_named(role, index) for role, index in outputs.items()]
        self.model.signatureDefs = [signature]
        return pack(self.model)


def output_name(role: str) -> str:
    """Name of the tensor that carries a head."""
    return f"edgepose/{role}"


def unpack(content: bytes) -> Any:
    """The object tree of a .tflite file; constants stored behind the tree are taken into it."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean "not behind"
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return model


def code_of(model: Any, operator: Any) -> int:
    """Which built-in operator it is."""
    entry = model.operatorCodes[operator.opcodeIndex]
    return int(max(entry.builtinCode, entry.deprecatedBuiltinCode))


def constant_of(model: Any, tensor: Any) -> NDArray[Any]:
    """The stored values of a constant tensor."""
    content = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    return content.view(STORED[tensor.type]).reshape([int(side) for side in tensor.shape])


def set_constant(model: Any, tensor: Any, values: NDArray[Any]) -> None:
    """Replace the stored values of a constant tensor."""
    model.buffers[tensor.buffer].data = np.frombuffer(values.astype(STORED[tensor.type]).tobytes(), np.uint8)


def pack(model: Any) -> bytes:
    """The bytes of an object tree, constants aligned."""
    builder = _AlignedBuilder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """The generated classes forget the schema's `force_align: 16` on byte vectors; this one does not."""

    def CreateNumpyVector(self, x: NDArray[Any]) -> Any:  # noqa: N802 - overrides the library's name
        if x.itemsize != 1:
            return super().CreateNumpyVector(x)
        self.StartVector(1, x.size, ALIGNMENT)
        content = x.tobytes()
        self.head = self.head - len(content)
        self.Bytes[self.head : self.head + len(content)] = content
        self.vectorNumElems = x.size
        return self.EndVector()


def _named(name: str, tensor: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), tensor
    return entry

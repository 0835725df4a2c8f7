"""Builds small .tflite files operator by operator, by an independent hand: the generated classes of TFLite's schema."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Quant = tuple[float, int] | None
"""Scale and zero point."""


class Tiny:
    """One graph in the making."""

    def __init__(self) -> None:
        self.schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
        self.model, self.graph = self.schema.ModelT(), self.schema.SubGraphT()
        self.model.version, self.model.description = 3, "tiny"
        self.model.buffers, self.model.operatorCodes = [self.schema.BufferT()], []
        self.graph.name, self.graph.tensors, self.graph.operators = "main", [], []
        self.codes: dict[str, int] = {}

    def tensor(
        self, shape: tuple[int, ...], dtype: str = "int8", quant: Quant = None, data: NDArray[Any] | None = None
    ) -> int:
        """Add a tensor, constant where it has data."""
        row = self.schema.TensorT()
        row.name = f"t{len(self.graph.tensors)}"
        row.shape, row.type, row.buffer = list(shape), getattr(self.schema.TensorType, dtype.upper()), 0
        if quant:
            row.quantization = self.schema.QuantizationParametersT()
            row.quantization.scale = np.array([quant[0]], np.float32)
            row.quantization.zeroPoint = np.array([quant[1]], np.int64)
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            row.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(row)
        return len(self.graph.tensors) - 1

    def op(self, name: str, inputs: list[int], outputs: list[int], custom: bytes | None = None, **options: int) -> None:
        """Add an operator; one whose name TFLite does not know is custom; `options` are those of its own record."""
        if name not in self.codes:
            code = self.schema.OperatorCodeT()
            number = getattr(self.schema.BuiltinOperator, name, self.schema.BuiltinOperator.CUSTOM)
            code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
            code.version = {"CONV_2D": 3, "QUANTIZE": 2, "DEQUANTIZE": 2, "SUB": 2, "MUL": 2}.get(name, 1)
            code.customCode = None if hasattr(self.schema.BuiltinOperator, name) else name
            self.codes[name] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        row = self.schema.OperatorT()
        row.opcodeIndex, row.inputs, row.outputs = self.codes[name], inputs, outputs
        if custom is not None:
            row.customOptions = np.frombuffer(custom, np.uint8)
        record = {"CONV_2D": "Conv2DOptions", "CONCATENATION": "ConcatenationOptions", "SUB": "SubOptions"}.get(name)
        if record:
            row.builtinOptionsType = getattr(self.schema.BuiltinOptions, record)
            row.builtinOptions = getattr(self.schema, f"{record}T")()
            for key, value in options.items():
                setattr(row.builtinOptions, key, value)
        self.graph.operators.append(row)

    def conv(self, source: int, channels: int, quant: Quant, stride: int = 2) -> int:
        """A 1x1 convolution with weights of its own, of the source's type; returns its output."""
        of = self.graph.tensors[source]
        batch, height, width, depth = of.shape
        shape = (batch, -(-height // stride), -(-width // stride), channels)
        rng = np.random.default_rng(len(self.graph.tensors))
        weights = rng.integers(-90, 91, (channels, 1, 1, depth))
        if quant is None:
            filter_ = self.tensor((channels, 1, 1, depth), "float32", data=(weights / 90).astype(np.float32))
            bias = self.tensor((channels,), "float32", data=np.zeros(channels, np.float32))
            out = self.tensor(shape, "float32")
        else:
            filter_ = self.tensor((channels, 1, 1, depth), "int8", (0.01, 0), weights.astype(np.int8))
            scale = float(of.quantization.scale[0]) * 0.01
            bias = self.tensor((channels,), "int32", (scale, 0), np.zeros(channels, np.int32))
            out = self.tensor(shape, "int8", quant)
        self.op("CONV_2D", [source, filter_, bias], [out], strideH=stride, strideW=stride)
        return out

    def shaped(self, source: int, shape: tuple[int, ...]) -> int:
        """The same numbers in another shape."""
        of = self.graph.tensors[source]
        out = self.tensor(shape)
        self.graph.tensors[out].type, self.graph.tensors[out].quantization = of.type, of.quantization
        self.op("RESHAPE", [source, self.tensor((len(shape),), "int32", data=np.array(shape, np.int32))], [out])
        return out

    def again(self, source: int, name: str, dtype: str, quant: Quant = None) -> int:
        """The same values in another type, written by QUANTIZE, DEQUANTIZE or CAST."""
        out = self.tensor(tuple(self.graph.tensors[source].shape), dtype, quant)
        self.op(name, [source], [out])
        return out

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The finished file."""
        flatbuffers = pytest.importorskip("flatbuffers")
        self.graph.inputs, self.graph.outputs = inputs, outputs
        self.model.subgraphs = [self.graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def contents(model: bytes) -> Any:
    """All that a file says, as the generated classes read it; an empty list is as good as none."""
    schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

    def plain(value: Any) -> Any:
        if hasattr(value, "__dict__"):
            return {key: plain(entry) for key, entry in vars(value).items()}
        if hasattr(value, "tobytes"):
            return (str(value.dtype), value.tobytes())
        return [plain(entry) for entry in value] or None if isinstance(value, list) else value

    return plain(schema.ModelT.InitFromPackedBuf(bytearray(model), 0))


def posenet(size: int = 33, short: Quant = (0.4, 0), decoder: bytes | None = None, requantised: bool = False) -> bytes:
    """Three heads of PoseNet over (1, size, size, 3), with or without Coral's decoder operator behind them."""
    tiny = Tiny()
    source = tiny.tensor((1, size, size, 3), "int8", (1 / 128, 0))
    heads = [
        tiny.conv(source, channels, quant, 16)
        for channels, quant in ((17, (0.05, 0)), (34, short), (64, (1.4, -11)))
    ]  # fmt: skip
    if requantised:
        heads = [tiny.again(head, "QUANTIZE", "uint8", (0.5, 128)) for head in heads]
    if decoder is None:
        return tiny.file([source], heads)
    poses = tiny.tensor((1, 10, 17, 2), "float32")
    tiny.op("PosenetDecoderOp", heads, [poses], decoder)
    return tiny.file([source], [poses])

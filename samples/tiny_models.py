"""Builds small, real .tflite models with their manifests: one input, two convolution heads, always the same weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SIZE = 16
"""Height and width of the input; the heads are half as large."""
JOINTS = 3
QUANTISED = {
    "int8": (1 / 127.5, -1, 0.05, 3),
    "uint8": (1 / 127.5, 127, 0.05, 131),
    "float32": (1.0, 0, 1.0, 0),
}
"""Type -> scale and zero point of the input, then of the heads."""


def build(dtype: str = "int8", custom_op: str = "", heads: int = 2, channels: int = 3, batch: int = 1) -> bytes:
    """A model file: `heads` 3x3 convolutions of stride 2 over (batch, 16, 16, channels)."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers = pytest.importorskip("flatbuffers")
    kind = getattr(schema.TensorType, dtype.upper())
    scale, zero, head_scale, head_zero = QUANTISED[dtype]
    rng = np.random.default_rng(3)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description = 3, "tiny"
    model.buffers = [schema.BufferT()]
    graph.name, graph.tensors, graph.operators = "main", [], []

    def tensor(name: str, shape: list[int], type_: int, quant: tuple[Any, Any] | None, data: Any = None) -> int:
        row = schema.TensorT()
        row.name, row.shape, row.type, row.buffer = name, shape, type_, 0
        if quant and dtype != "float32":
            row.quantization = schema.QuantizationParametersT()
            row.quantization.scale, row.quantization.zeroPoint = np.atleast_1d(quant[0]), np.atleast_1d(quant[1])
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            row.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(row)
        return len(graph.tensors) - 1

    picture = tensor("picture", [batch, SIZE, SIZE, channels], kind, (np.float32(scale), zero))
    graph.inputs, graph.outputs = [picture], []
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 3 if dtype == "int8" else 1
    if custom_op:
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = custom_op
    model.operatorCodes = [code]
    for index in range(heads):
        count = JOINTS * (index + 1)
        shape = [count, 3, 3, channels]
        weights = rng.integers(-90, 91, shape)
        if dtype == "float32":
            filter_ = tensor(f"filter{index}", shape, kind, None, (weights / 100).astype(np.float32))
            bias = tensor(f"bias{index}", [count], schema.TensorType.FLOAT32, None, np.zeros(count, np.float32))
        else:
            low = 128 if dtype == "uint8" else 0
            filter_ = tensor(f"filter{index}", shape, kind, (np.float32(0.01), low), (weights + low).astype(dtype))
            bias = tensor(
                f"bias{index}",
                [count],
                schema.TensorType.INT32,
                (np.float32(0.01 * scale), 0),
                np.zeros(count, np.int32),
            )
        out = tensor(f"head{index}", [batch, SIZE // 2, SIZE // 2, count], kind, (np.float32(head_scale), head_zero))
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = 0, [picture, filter_, bias], [out]
        if not custom_op:
            options = schema.Conv2DOptionsT()
            options.strideH = options.strideW = 2
            op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
        graph.operators.append(op)
        graph.outputs.append(out)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def manifest(content: bytes, name: str = "tiny", dtype: str = "int8", **changes: Any) -> str:
    """The manifest of `build(dtype)` as TOML; `changes` replace whole keys of the top table, "input" or "heads"."""
    raw: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "title": "Two convolutions",
        "file": f"{name}.tflite",
        "sha256": hashlib.sha256(content).hexdigest(),
        "skeleton": "coco17",
    }
    input_ = {
        "shape": [1, SIZE, SIZE, 3],
        "dtype": dtype,
        "colour": "rgb",
        "range": [-1.0, 1.0],
        "resize": "linear",
        "fit": "letterbox",
        "pad": 0,
    }
    heads = [
        {"role": role, "output": output, "shape": [1, SIZE // 2, SIZE // 2, JOINTS * (output + 1)], "dtype": dtype}
        for output, role in enumerate(("heatmap", "offset"))
    ]
    input_.update(changes.pop("input", {}))
    heads = changes.pop("heads", heads)
    raw.update(changes)
    return "\n".join(
        [
            *_lines(raw),
            "[input]",
            *_lines(input_),
            *(line for head in heads for line in ("[[heads]]", *_lines(head))),
            "[decoder]",
            'name = "none"',
            "[origin]",
            'package = "none"',
            'made = "by the tests"',
            "[licence]",
            'spdx = "Apache-2.0"',
            'notice = ""',
            "",
        ]
    )


def _lines(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


def write(folder: Path, name: str = "tiny", content: bytes | None = None, dtype: str = "int8", **changes: Any) -> Path:
    """Put a model and its manifest in `folder`; returns the manifest's path."""
    content = build(dtype) if content is None else content
    (folder / f"{name}.tflite").write_bytes(content)
    path = folder / f"{name}.toml"
    path.write_text(manifest(content, name, dtype, **changes))
    return path

"""Float .tflite -> int8 .tflite: static, one scale for each output channel of the weights, int8 at both ends."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from numpy.typing import NDArray

from models_build.tflite import INPUT, output_name, pack, unpack

Ranges = dict[str, tuple[float, float]]
"""Tensor name -> least and greatest value that its int8 must reach."""

LOGITS = (-8.0, 8.0)
"""What goes into a sigmoid: its end is 0.0003 from 0 or 1 there, so a wider range only makes the steps coarser."""

GRID_BITS = 6
"""Ranges are rounded outwards to this many significant bits, so that processors whose float kernels differ in the
last digits still give the same file."""


def calibrate(model: bytes, views: Sequence[NDArray[np.uint8]]) -> Ranges:
    """The range of every tensor the model computes: median over the views of each one's least and greatest value."""
    warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors", category=UserWarning)
    interpreter = Interpreter(model_content=model, num_threads=2, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    computed = {source: INPUT}
    for operator in interpreter._get_ops_details():
        for index in operator["outputs"]:
            computed[int(index)] = ""
    tensors = {
        tensor["index"]: tensor["name"] for tensor in interpreter.get_tensor_details() if tensor["index"] in computed
    }
    ends = np.zeros((len(views), len(tensors), 2))
    for row, view in zip(ends, views, strict=True):
        interpreter.set_tensor(source, view[None].astype(np.float32) / np.float32(127.5) - 1)
        interpreter.invoke()
        for pair, index in zip(row, tensors, strict=True):
            values = interpreter.get_tensor(index)
            pair[:] = values.min(), values.max()
    return {
        name: (float(low), float(high)) for name, (low, high) in zip(tensors.values(), np.median(ends, 0), strict=True)
    }


def settle(ranges: Ranges, logits: Sequence[str]) -> Ranges:
    """Round the measured ranges and put the known ones in their place."""
    settled = {name: (_outwards(low), _outwards(high)) for name, (low, high) in ranges.items()}
    fixed = {INPUT: (-1.0, 1.0), output_name("offset"): (-4.0, 4.0), **dict.fromkeys(logits, LOGITS)}
    missing = fixed.keys() - settled.keys()
    if missing:
        raise ValueError(f"no tensor is named {', '.join(sorted(missing))}")
    return {**settled, **fixed}


def quantize(model: bytes, ranges: Ranges) -> bytes:
    """The int8 file; constants stay aligned, the order of the outputs stays."""
    tool = quantizer.Quantizer(bytearray(model))
    tool.load_quantization_recipe(recipe.static_wi8_ai8())
    statistics = {
        name: {"min": np.full((1,) * 4, low, np.float32), "max": np.full((1,) * 4, high, np.float32)}
        for name, (low, high) in ranges.items()
    }
    silence = io.StringIO()  # its progress bar
    with np.errstate(invalid="raise"), contextlib.redirect_stderr(silence):  # invalid: a bias beyond its int32
        result = tool.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    return pack(unpack(bytes(_content(result))))


def _content(result: Any) -> Any:
    if result.quantized_model is None:
        raise ValueError("the quantiser returned no model")
    return result.quantized_model


def _outwards(value: float) -> float:
    """Away from zero to GRID_BITS significant bits."""
    if value == 0:
        return 0.0
    fraction, exponent = np.frexp(abs(value))
    steps = np.ceil(fraction * 2**GRID_BITS - 1e-3)
    return float(np.copysign(np.ldexp(steps / 2**GRID_BITS, int(exponent)), value))

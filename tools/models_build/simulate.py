"""The graph's arithmetic in numpy float64: the float model and its int8 twin side by side, one operator at a time.

Float64 makes the result the same on every processor, which no inference runtime promises. The int8 side computes with
the real numbers that its integers stand for and snaps each result to its grid, as the integer kernels do up to ties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from models_build.tflite import code_of, constant_of

Values = NDArray[np.float32]
"""(N, H, W, C) one tensor for N views."""

CLAMPS = {
    schema.ActivationFunctionType.NONE: (-np.inf, np.inf),
    schema.ActivationFunctionType.RELU: (0.0, np.inf),
    schema.ActivationFunctionType.RELU6: (0.0, 6.0),
}


class Grid:
    """What the int8 of a tensor can say."""

    def __init__(self, tensor: Any) -> None:
        self.scale = float(tensor.quantization.scale[0])
        self.zero = int(tensor.quantization.zeroPoint[0])
        self.ends = (-128 - self.zero) * self.scale, (127 - self.zero) * self.scale

    def snap(self, values: NDArray[Any]) -> Values:
        """The nearest values on the grid."""
        codes = np.clip(np.round(values / self.scale) + self.zero, -128, 127)
        return np.asarray((codes - self.zero) * self.scale, np.float32)


def real_constant(model: Any, tensor: Any) -> NDArray[np.float64]:
    """The real values of a constant, whatever it is stored as."""
    raw = constant_of(model, tensor).astype(np.float64)
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return np.asarray(raw)
    shape = [1] * raw.ndim
    shape[quantization.quantizedDimension if raw.ndim > 1 else 0] = -1
    scale = np.asarray(quantization.scale, np.float64).reshape(shape)
    zero = np.asarray(quantization.zeroPoint, np.float64)
    return np.asarray((raw - zero.reshape(shape if zero.size == scale.size else (1,) * raw.ndim)) * scale)


def run_operator(model: Any, operator: Any, inputs: list[Values]) -> Values:
    """The result of one operator on the values of its non-constant inputs, before any grid."""
    tensors = model.subgraphs[0].tensors
    constants = [real_constant(model, tensors[index]) for index in operator.inputs if tensors[index].buffer]
    kernel = KERNELS[code_of(model, operator)]
    per_view = [kernel([value[view] for value in inputs], constants, operator) for view in range(len(inputs[0]))]
    return np.stack(per_view).astype(np.float32)


def _convolution(inputs: list[Values], constants: list[NDArray[np.float64]], operator: Any) -> NDArray[np.float64]:
    weights, bias = constants  # (out, kh, kw, in)
    options = operator.builtinOptions
    patches = _patches(inputs[0], weights.shape[1:3], options)
    total = sum(patches(row, column) @ weights[:, row, column].T for row, column in np.ndindex(*weights.shape[1:3]))
    return np.clip(total + bias, *CLAMPS[options.fusedActivationFunction])


def _depthwise(inputs: list[Values], constants: list[NDArray[np.float64]], operator: Any) -> NDArray[np.float64]:
    weights, bias = constants  # (1, kh, kw, channels)
    options = operator.builtinOptions
    patches = _patches(inputs[0], weights.shape[1:3], options)
    total = sum(patches(row, column) * weights[0, row, column] for row, column in np.ndindex(*weights.shape[1:3]))
    return np.clip(total + bias, *CLAMPS[options.fusedActivationFunction])


def _patches(image: Values, kernel_hw: tuple[int, ...], options: Any) -> Callable[[int, int], NDArray[np.float64]]:
    """A function: what the kernel's (row, column) sees at each output cell, (H out, W out, C)."""
    strides = options.strideH, options.strideW
    padding, sizes = [(0, 0), (0, 0), (0, 0)], []
    for axis, (size, kernel, stride) in enumerate(zip(image.shape, kernel_hw, strides, strict=False)):
        out = -(-size // stride)
        spare = max((out - 1) * stride + kernel - size, 0)
        if options.padding == schema.Padding.VALID:
            out, spare = -(-(size - kernel + 1) // stride), 0
        padding[axis] = spare // 2, spare - spare // 2
        sizes.append(out)
    padded = np.pad(image.astype(np.float64), padding)

    def patch(row: int, column: int) -> NDArray[np.float64]:
        down, across = strides
        return padded[row : row + sizes[0] * down : down, column : column + sizes[1] * across : across][
            : sizes[0], : sizes[1]
        ]

    return patch


def _sum(inputs: list[Values], constants: list[NDArray[np.float64]], operator: Any) -> NDArray[np.float64]:
    del constants, operator
    return inputs[0].astype(np.float64) + inputs[1]


def _double(inputs: list[Values], constants: list[NDArray[np.float64]], operator: Any) -> NDArray[np.float64]:
    values = inputs[0].astype(np.float64)
    half_pixel = operator.builtinOptions.halfPixelCenters
    for axis, size in enumerate(constants[0].astype(int)):
        count = values.shape[axis]
        place = (np.arange(size) + 0.5) * count / size - 0.5 if half_pixel else np.arange(size) * count / size
        place = np.clip(place, 0, count - 1)
        low = place.astype(int)
        share = (place - low).reshape([-1 if other == axis else 1 for other in range(3)])
        high = np.minimum(low + 1, count - 1)
        values = np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share
    return values


def _logistic(inputs: list[Values], constants: list[NDArray[np.float64]], operator: Any) -> NDArray[np.float64]:
    del constants, operator
    return np.asarray(1 / (1 + np.exp(-inputs[0].astype(np.float64))))


KERNELS: dict[int, Callable[[list[Values], list[NDArray[np.float64]], Any], NDArray[np.float64]]] = {
    schema.BuiltinOperator.CONV_2D: _convolution,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: _depthwise,
    schema.BuiltinOperator.ADD: _sum,
    schema.BuiltinOperator.RESIZE_BILINEAR: _double,
    schema.BuiltinOperator.LOGISTIC: _logistic,
}

"""How a picture's byte becomes a model's input value, worked out once from its quantisation."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.engine.flatfile import Tensor

ByteMap = Literal["same", "xor80", "lut", "float"]

NEARLY = 0.51
"""Steps by which a byte may miss its ideal value: half of one is lost to rounding anyway (scale 1/127.5)."""


def byte_map(tensor: Tensor, value_range: tuple[float, float], where: str) -> tuple[ByteMap, NDArray[Any]]:
    """How to fill `tensor` from bytes, and the (256,) table where one is needed.

    value_range  real value of byte 0 and of byte 255
    where        manifest's path for messages

    Raises:
        ModelError: the range lies mostly outside what the input can hold.
    """
    low, high = value_range
    byte = np.arange(256)
    real = low + byte * ((high - low) / 255)
    if tensor.dtype == "float32":
        return "float", real.astype(np.float32)
    ideal = real / tensor.scale + tensor.zero_point
    if tensor.dtype == "uint8" and np.all(np.abs(ideal - byte) <= NEARLY):
        return "same", np.zeros(0)
    if tensor.dtype == "int8" and np.all(np.abs(ideal - (byte - 128)) <= NEARLY):
        return "xor80", np.zeros(0)
    limits = np.iinfo(tensor.dtype)
    if np.mean((ideal < limits.min - 1) | (ideal > limits.max + 1)) > 0.5:
        raise ModelError(
            f"{where}: input.range is {list(value_range)}, but scale {tensor.scale:g} and zero point "
            f"{tensor.zero_point} cannot hold most of it; correct the manifest"
        )
    return "lut", np.clip(np.rint(ideal), limits.min, limits.max).astype(tensor.dtype)

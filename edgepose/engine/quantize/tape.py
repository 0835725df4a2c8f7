"""Runs a model and keeps what every operator made."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.engine.runtime import LOADING_FAILS, load_runtime, one_line
from edgepose.engine.surgery.net import Net

Values = NDArray[np.float32]


class Tape:
    """One model, opened so that nothing it computes is thrown away."""

    def __init__(self, content: bytes, where: str, threads: int = 2) -> None:
        """Open it.

        Raises:
            ModelError: damaged, or this machine's runtime cannot keep its tensors.
        """
        self.net = Net(content, where)
        self.computed = [self.net.picture.index, *(index for op in self.net.ops for index in op.outputs)]
        runtime = load_runtime()
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors", category=UserWarning)
        try:
            self.interpreter = runtime.interpreter(
                model_content=content, num_threads=threads, experimental_preserve_all_tensors=True
            )
            self.interpreter.allocate_tensors()
        except LOADING_FAILS as error:
            raise ModelError(f"{where}: {runtime.name} cannot run it: {one_line(error)}") from None

    def play(self, picture: Values) -> dict[int, Values]:
        """Tensor -> real values, batch axis kept, for a picture (H, W, 3) of real input values."""
        first = self.net.picture
        self.interpreter.set_tensor(first.index, raw_of(picture, first.dtype, first.scale, first.zero_point)[None])
        self.interpreter.invoke()
        return {index: self._real(index) for index in self.computed}

    def _real(self, index: int) -> Values:
        value = self.net.values[index]
        raw = np.array(self.interpreter.get_tensor(index))
        return ((raw.astype(np.float32) - value.zero_point) * value.scale) if value.scale else raw.astype(np.float32)


def raw_of(real: Values, dtype: str, scale: float, zero_point: int) -> NDArray[np.generic]:
    """Real values as a tensor of that type holds them."""
    if dtype == "float32":
        return real.astype(np.float32)
    limits = np.iinfo(dtype)
    scale = scale or 1.0
    raw: NDArray[np.generic] = np.clip(np.round(real / scale) + zero_point, limits.min, limits.max).astype(dtype)
    return raw

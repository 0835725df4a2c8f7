"""The interpreter's own input and output memory as arrays, so that no frame is copied in or out.

`interpreter.tensor(i)()` gives such an array too, but invoke raises while one lives. So the address is taken once,
after allocate_tensors, and wrapped. Whether that is really the memory the model reads and writes is tried with a
picture; where it is not (a tensor allocated anew by each invoke), arrays of our own are copied in and out instead.
"""

from __future__ import annotations

import ctypes
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Memory(Protocol):
    """Input and outputs of one interpreter; each array keeps its place for good."""

    tensor: Array
    """(1, H, W, C)"""
    heads: list[Array]
    """In the order of the graph's outputs, with the batch axis."""

    def invoke(self) -> None:
        """Run the model on `tensor` into `heads`."""


class Mapped:
    """Views of the interpreter's memory; each keeps the interpreter alive."""

    def __init__(self, interpreter: Any) -> None:
        self.tensor = _view(interpreter, _input(interpreter))
        self.heads = [_view(interpreter, index) for index in _outputs(interpreter)]
        self.invoke = interpreter.invoke


class Copied:
    """Arrays of our own, copied in before and out after each run. The interpreter has run once."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._input = _input(interpreter)
        self._outputs = _outputs(interpreter)
        self.tensor = interpreter.get_tensor(self._input)
        self.heads = [interpreter.get_tensor(index) for index in self._outputs]

    def invoke(self) -> None:
        """Copy in, run, copy out."""
        self._interpreter.set_tensor(self._input, self.tensor)
        self._interpreter.invoke()
        for head, index in zip(self.heads, self._outputs, strict=True):
            np.copyto(head, self._interpreter.get_tensor(index))


def map_memory(interpreter: Any) -> Memory:
    """Views where they are proven to be the model's memory, else copies; call once, after allocate_tensors.

    Runs the model once on a picture that is copied in and out, and looks whether the views saw the same.

    Raises:
        RuntimeError, ValueError: the model does not run.
    """
    mapped = _map(interpreter)
    index = _input(interpreter)
    picture = _picture(interpreter.get_tensor(index))
    interpreter.set_tensor(index, picture)
    written = mapped is not None and np.array_equal(mapped.tensor, picture)
    interpreter.invoke()
    copied = Copied(interpreter)
    if mapped is None or not written or _moved(mapped, interpreter):
        return copied
    same = (np.array_equal(ours, theirs) for ours, theirs in zip(mapped.heads, copied.heads, strict=True))
    return mapped if all(same) else copied


def _map(interpreter: Any) -> Mapped | None:
    """Views, unless some tensor has no memory before the first run: such a one gets new memory in each."""
    try:
        return Mapped(interpreter)
    except (RuntimeError, ValueError):
        return None


def _moved(mapped: Mapped, interpreter: Any) -> bool:
    return _places(mapped) != _places(Mapped(interpreter))


def _places(memory: Mapped) -> list[int]:
    return [array.ctypes.data for array in (memory.tensor, *memory.heads)]


def _picture(like: Array) -> Array:
    """Noise over the range of an image, always the same."""
    # numpy.random would do as well, and takes longer to import than the model to load
    noise = np.resize((np.arange(4099) * 2654435761 >> 16 & 255).astype(np.uint8), like.shape)
    if like.dtype.kind == "f":
        return (noise / 255).astype(like.dtype)
    return noise.view(like.dtype) if like.dtype.itemsize == 1 else noise.astype(like.dtype)


def _input(interpreter: Any) -> int:
    (index,) = (detail["index"] for detail in interpreter.get_input_details())
    return int(index)


def _outputs(interpreter: Any) -> list[int]:
    return [detail["index"] for detail in interpreter.get_output_details()]


def _view(interpreter: Any, index: int) -> Array:
    """The memory of one tensor; holds the interpreter, whose death would free it."""
    live = interpreter.tensor(index)()
    address, shape, dtype, size = live.ctypes.data, live.shape, live.dtype, live.nbytes
    del live
    owned: Any = type("Block", (ctypes.c_uint8 * size,), {})  # a class of our own: its instances take attributes
    block = owned.from_address(address)
    block.interpreter = interpreter
    return np.frombuffer(block, dtype).reshape(shape)

"""Memory that this process and a child share: no name anywhere, gone with the last who has it.

It is a memfd, handed on by its number: /dev/shm may be full, or not there.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import EngineError

Spec = tuple[str, tuple[int, ...]]
"""Type and shape of an array."""
ALIGN = 64
"""Bytes; a cache line."""


def _bytes(spec: Spec) -> int:
    dtype, shape = spec
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return -(-size // ALIGN) * ALIGN


def carve(fd: int, specs: Sequence[Spec]) -> list[NDArray[Any]]:
    """Arrays of these types and shapes one after the other in the memory of `fd`; each keeps it mapped."""
    memory = mmap.mmap(fd, sum(map(_bytes, specs)))
    arrays, at = [], 0
    for spec in specs:
        dtype, shape = spec
        arrays.append(np.frombuffer(memory, dtype, math.prod(shape), at).reshape(shape))
        at += _bytes(spec)
    return arrays


def open_block(specs: Sequence[Spec]) -> tuple[int, list[NDArray[Any]]]:
    """New shared memory: its descriptor and the arrays in it, all zero.

    Raises:
        EngineError: there is no memory for it.
    """
    size = sum(map(_bytes, specs))
    fd = -1
    try:
        fd = _anonymous()
        os.posix_fallocate(fd, 0, size)  # reserved now: else the first write to a page that is not there kills us
        return fd, carve(fd, specs)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise EngineError(
            f"engine: no {size >> 10} KiB of memory to share with a delegate's child: {error.strerror}; "
            "free memory, or set engine.delegate_process = 'inline'"
        ) from None


def file_in_memory(content: bytes) -> int:
    """A file that is nowhere but in memory; its descriptor, which others may open as /proc/self/fd/N.

    Raises:
        EngineError: there is no memory for it.
    """
    fd = -1
    try:
        fd = _anonymous()
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise EngineError(
            f"engine: no {len(content) >> 10} KiB of memory for the model: {error.strerror}; free memory"
        ) from None
    return fd


def _anonymous() -> int:
    try:
        return os.memfd_create("edgepose")
    except (AttributeError, PermissionError):  # a Python or a sandbox without it
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())

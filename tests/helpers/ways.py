"""The three ways kernels run, for tests that go through each of them."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from edgepose.kernels.aot import library

Way = str
NUMBA = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")
LIBRARY = pytest.mark.skipif(
    sys.platform != "linux" or library.machine() not in library.VARIANTS, reason="no library for this machine"
)
"""Where there is one it must be sound and made of the loops as they are: tools/build_kernels."""

WAYS = [pytest.param("aot", marks=LIBRARY), pytest.param("numba", marks=NUMBA), "numpy"]
KERNELS = pytest.mark.parametrize("kernels", WAYS)
"""What `decode.kernels` may ask for; the argument is called kernels."""

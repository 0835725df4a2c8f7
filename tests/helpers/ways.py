"""The three ways kernels run, for tests that go through each of them."""

from __future__ import annotations

import importlib.util

import pytest

COMPILED = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")

KERNELS = pytest.mark.parametrize(
    "kernels", [pytest.param("aot", marks=COMPILED), pytest.param("numba", marks=COMPILED), "numpy"]
)
"""What `decode.kernels` may ask for; the argument is called kernels."""

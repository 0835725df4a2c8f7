"""ONNX Runtime: our own networks, written as ONNX, on a Jetson's GPU by CUDA or TensorRT, or on the CPU.

The provider that is asked for must be the one that runs: ONNX Runtime goes on with the CPU by itself.
CUDA and TensorRT are untested on hardware.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepose.engine.delegate.finding import TroubleError
from edgepose.engine.memory import Array
from edgepose.engine.runtime import Runtime, one_line

NAME = "onnxruntime"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
DEFAULT = "cuda"
INSTALL = "pip install 'edgepose[onnx]'; on a Jetson NVIDIA's own build: docs/boards/jetson.md"
LONGEST = 300


def look(_options: Mapping[str, str], _library: str) -> None:
    """See that the package is here.

    Raises:
        TroubleError: it is not.
    """
    if importlib.util.find_spec(NAME) is None:
        raise TroubleError("onnxruntime is not installed", INSTALL, lasting=True, here=False)


def explain(step: str, message: str) -> TroubleError | None:
    """What is special about a failure; None: nothing."""
    if step == "load":
        return TroubleError(message, f"{INSTALL}; or engine.delegate_options = 'provider=cpu'", lasting=True)
    return None


def as_runtime() -> Runtime:
    """What a child is told to run."""
    return Runtime(NAME, "", _nothing, _nothing)


def _nothing(*_: Any, **__: Any) -> Any:
    raise RuntimeError("onnxruntime runs in the child alone")


def check_provider(options: Mapping[str, str]) -> str:
    """ONNX Runtime's name of the provider that is asked for. Called in the child.

    Raises:
        RuntimeError: this build of it has no such provider.
    """
    import onnxruntime

    asked = options.get("provider", DEFAULT)
    there = onnxruntime.get_available_providers()
    if PROVIDERS[asked] not in there:
        known = ", ".join(short for short, name in PROVIDERS.items() if name in there)
        raise RuntimeError(f"this onnxruntime has no provider {asked}, it has {known}")
    return PROVIDERS[asked]


class OrtMemory:
    """A Memory whose network ONNX Runtime runs. Made in the child."""

    def __init__(self, path: str, specs: Sequence[tuple[str, tuple[int, ...]]], provider: str, threads: int) -> None:
        """Load it; `specs`: input, then heads.

        Raises:
            RuntimeError: it is refused, or another provider would run it.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        (dtype, shape), *heads = specs
        self.tensor: Array = np.zeros(shape, dtype)
        self.heads: list[Array] = [np.zeros(head, kind) for kind, head in heads]
        try:
            self._session = onnxruntime.InferenceSession(Path(path).read_bytes(), options, providers=[provider])
        except Exception as error:  # noqa: BLE001 - it has a class of its own for each failure, of no common base
            raise RuntimeError(one_line(error)[:LONGEST]) from None
        runs = self._session.get_providers()
        if not runs or runs[0] != provider:
            raise RuntimeError(f"onnxruntime would run it on {runs[0] if runs else 'nothing'} instead of {provider}")

    def invoke(self) -> None:
        """Run it.

        Raises:
            RuntimeError: it failed.
        """
        try:
            made = self._session.run(None, {"input": self.tensor})
        except Exception as error:  # noqa: BLE001 - as above
            raise RuntimeError(one_line(error)[:LONGEST]) from None
        for head, came in zip(self.heads, made, strict=True):
            np.copyto(head, came)

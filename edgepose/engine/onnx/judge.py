"""Holds a converted network against onnxruntime, where that is installed: how far apart the heads are."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core.errors import ModelError
from edgepose.engine.onnx.convert import Converted
from edgepose.engine.runtime import LOADING_FAILS, Runtime, one_line

TOLERANCE = 1e-4
"""Of a head's range: more is a mistake, where both compute with floats."""
ROUGH = 0.05
"""The same where both are quantised: kernels round at ties as they like, and each layer adds a step."""
RANDOM = 3
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far apart two runtimes are."""

    off: Mapping[str, float]
    """Output -> largest difference, in parts of its range."""
    tolerance: float
    pictures: int

    @property
    def bad(self) -> list[str]:
        """Outputs that are further apart than they may be; NaN is."""
        return [name for name, off in self.off.items() if not off <= self.tolerance]


def available() -> bool:
    """Whether onnxruntime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def judge(original: bytes, made: Converted, runtime: Runtime, real: Sequence[Array], where: str) -> Verdict:
    """Run both on random numbers and on pictures.

    original  the ONNX file
    real      pictures (height, width, 3) in 0..1, of the input's size

    Raises:
        ModelError: one of them does not run.
    """
    theirs, ours = _session(original, where), _interpreter(runtime, made.content, where)
    quantised = b"QuantizeLinear" in original
    off = dict.fromkeys((end.name for end in made.outputs), 0.0)
    count = 0
    for feeds in _feeds(made, real):
        for end, wanted, got in zip(made.outputs, theirs.run(None, feeds), ours(made, feeds), strict=True):
            span = max(float(np.ptp(wanted)), float(np.abs(wanted).max()), 1e-6)
            away = np.abs(got.astype(np.float64) - wanted.transpose(end.perm))
            worst = float(np.quantile(away, 0.999)) if quantised else float(away.max())
            off[end.name] = max(off[end.name], worst / span) if worst == worst else float("nan")
        count += 1
    return Verdict(off, ROUGH if quantised else TOLERANCE, count)


def _feeds(made: Converted, real: Sequence[Array]) -> Iterator[dict[str, Array]]:
    rng = np.random.default_rng(16)
    for _ in range(RANDOM):
        yield {end.name: rng.random(end.shape, np.float32) for end in made.inputs}
    for picture in real:
        back = np.argsort(made.inputs[0].perm)
        yield {made.inputs[0].name: np.ascontiguousarray(picture[None].transpose(back))}


def _session(content: bytes, where: str) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - it has a class of its own for each failure, of no common base
        raise ModelError(f"{where}: onnxruntime cannot run it: {one_line(error)[:300]}; export it again") from None


def _interpreter(runtime: Runtime, content: bytes, where: str) -> Any:
    try:
        interpreter = runtime.interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except LOADING_FAILS as error:
        raise ModelError(f"{where}: {runtime.name} cannot run what came of it: {one_line(error)[:300]}") from None
    wants, gives = interpreter.get_input_details(), interpreter.get_output_details()

    def run(made: Converted, feeds: Mapping[str, Array]) -> list[Array]:
        for end, detail in zip(made.inputs, wants, strict=True):
            interpreter.set_tensor(detail["index"], np.ascontiguousarray(feeds[end.name].transpose(end.perm)))
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in gives]

    return run

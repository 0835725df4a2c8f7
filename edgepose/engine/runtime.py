"""Finds a TFLite runtime that really runs here.

Importing one proves nothing: tflite-runtime 2.14 beside numpy 2 imports, then dies at its first interpreter. So each
candidate runs a model of one operator before it is trusted, once per process.
"""

from __future__ import annotations

import binascii
import contextlib
import functools
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgepose.core.errors import ConfigError

NEGATE = binascii.a2b_base64(
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAA2AAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAAAMABQAEAAMAAgABAAMAAAAEAAAADwA"
    "AABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQACgAAAAgAAAAMAAAAAQAAAAEAAAABAAAAAAAAAAEAAAABAAAAAQAAAAAAAAACAAAANAAAAAQAAADg////"
    "CAAAAAwAAAABAAAAeQAAAAIAAAABAAAABAAAAAwADAAIAAAAAAAEAAwAAAAIAAAADAAAAAEAAAB4AAAAAgAAAAEAAAAEAAAAAQAAABAAAAAMAAwACwAAAAAA"
    "BAAMAAAAOwAAAAAAADs="
)
"""y = -x on (1, 4) float32, 284 bytes: one NEG operator, two tensors, one empty buffer, written with the object API of
ai_edge_litert.schema_py_generated (ModelT, SubGraphT, TensorT, OperatorT) and finished with the mark TFL3."""

LOADING_FAILS = (ImportError, OSError, SystemError, AttributeError, TypeError, ValueError, RuntimeError)
"""What a runtime built for another Python, numpy or C library raises when it is imported or first used."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runtime that may be installed."""

    module: str
    distribution: str
    install: str
    """What to type."""
    newest_numpy: int | None = None
    """Major version of numpy above which it cannot run; None: any."""


RUNTIMES = {
    "litert": Candidate("ai_edge_litert.interpreter", "ai-edge-litert", "pip install ai-edge-litert"),
    "tflite_runtime": Candidate(
        "tflite_runtime.interpreter",
        "tflite-runtime",
        'pip install tflite-runtime "numpy<2"',
        newest_numpy=1,
    ),
}
"""Name -> where to find it; `auto` tries them in this order."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A TFLite runtime that ran a test model in this process."""

    name: str
    version: str
    interpreter: Callable[..., Any]
    """Its Interpreter class."""
    load_delegate: Callable[..., Any]


def load_runtime(choice: Literal["auto", "litert", "tflite_runtime"] = "auto") -> Runtime:
    """The chosen runtime, or the first that works.

    Raises:
        ConfigError: for each runtime tried, why it does not work and what to type.
    """
    failures = []
    for name in RUNTIMES if choice == "auto" else (choice,):
        found = _try(name)
        if isinstance(found, Runtime):
            return found
        failures.append(f"{name}: {found}")
    raise ConfigError(f"engine.runtime = {choice!r}: no TFLite runtime works here; {'; '.join(failures)}")


@functools.cache
def _try(name: str) -> Runtime | str:
    """The runtime, or why not and what to type."""
    candidate = RUNTIMES[name]
    package = candidate.module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        return f"not installed, type: {candidate.install}"
    if candidate.newest_numpy is not None and int(np.__version__.partition(".")[0]) > candidate.newest_numpy:
        return f"cannot run with numpy {np.__version__}, type: {candidate.install}"
    try:
        module = importlib.import_module(candidate.module)
        runtime = Runtime(
            name,
            _version(getattr(module, "__file__", None) or "", candidate.distribution),
            module.Interpreter,
            module.load_delegate,
        )
        with _without_greeting():
            _run_negate(runtime)
    except LOADING_FAILS as error:
        return f"is installed but broken ({one_line(error)}), type: {candidate.install}"
    return runtime


GREETING = b"XNNPACK delegate for CPU"
"""Of the line that a runtime writes past every log when it makes its first interpreter."""


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """What libraries write to standard error meanwhile comes after it, but for their greeting."""
    try:
        before, aside = os.dup(2), os.memfd_create("edgepose-stderr")
    except (AttributeError, OSError):  # no such call here, or no standard error
        yield
        return
    with os.fdopen(aside, "rb") as said:
        os.dup2(aside, 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            said.seek(0)
            rest = b"".join(line for line in said if GREETING not in line)
            if rest:
                os.write(2, rest)


def _version(file: str, distribution: str) -> str:
    """Read off the folder beside the package; importlib.metadata, which knows more, takes as long as a first pose."""
    prefix = distribution.replace("-", "_") + "-"
    for found in Path(file).parents[1].glob(f"{prefix}*.dist-info") if file else ():
        return found.name.removeprefix(prefix).removesuffix(".dist-info")
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _run_negate(runtime: Runtime) -> None:
    interpreter = runtime.interpreter(model_content=NEGATE, num_threads=1)
    interpreter.allocate_tensors()
    sent = np.array([[1, -2, 3, -4]], np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sent)
    interpreter.invoke()
    received = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    if not np.array_equal(received, -sent):
        raise RuntimeError(f"the test model gave {received.tolist()}, expected {(-sent).tolist()}")


def one_line(error: BaseException) -> str:
    """An exception's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__

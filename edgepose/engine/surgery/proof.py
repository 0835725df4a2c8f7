"""Tries whether the arithmetic before a network does nothing but map bytes: `python -m edgepose.engine.surgery.proof`.

Rounding at a tie is a kernel's own choice, so nothing is derived on paper: those operators alone are made a model, and
every byte goes through it, by each set of kernels the runtime has. The table of the runtime's first choice counts;
the others may differ from it by one step, as MoveNet's do, whose arithmetic puts every byte on a tie.
A file that passed all checks can still kill a runtime, hence a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.engine.runtime import LOADING_FAILS, load_runtime, one_line

LIMIT_S = 60.0
LEVELS = 256
WITHOUT_XNNPACK = {"litert": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "tflite_runtime": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
"""Runtime -> name of the resolver that leaves the plain kernels in use."""


def byte_table(content: bytes, span: tuple[float, float] | None) -> NDArray[np.int64] | str:
    """(256,) what the model makes of each byte, the same in each place; or why there is no such table.

    content  a model of elementwise operators over one picture
    span     real value of byte 0 and of byte 255 where the input is float; None: bytes go in as they are
    """
    command = [sys.executable, "-m", "edgepose.engine.surgery.proof", json.dumps(span)]
    package_root = Path(__file__).resolve().parents[3]  # python -m finds edgepose in the current folder first
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=LIMIT_S, cwd=package_root)
    except subprocess.TimeoutExpired:
        return f"did not finish within {LIMIT_S:g} s"
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"the runtime died of it ({done.returncode})"
    return np.array(json.loads(done.stdout.splitlines()[-1]), np.int64)


def main(arguments: list[str]) -> int:
    """Read a model from standard input, print its table as JSON; 1 and a line on standard error where it has none."""
    span = json.loads(arguments[0])
    content = sys.stdin.buffer.read()
    try:
        runtime = load_runtime("auto")
        tables = [_table(runtime.interpreter, content, span, kernels) for kernels in _kernel_sets(runtime.name)]
    except LOADING_FAILS as error:
        sys.stderr.write(f"{one_line(error)}\n")
        return 1
    if any(table is None for table in tables):
        sys.stderr.write("their result depends on the place in the picture or the channel\n")
        return 1
    if max(int(np.abs(table - tables[0]).max()) for table in tables) > 1:
        sys.stderr.write("their result depends on the kernels\n")
        return 1
    sys.stdout.write(json.dumps(tables[0].tolist()) + "\n")
    return 0


def _kernel_sets(runtime: str) -> list[dict[str, Any]]:
    """Arguments for an interpreter that uses each set of kernels."""
    if runtime == "litert":
        from ai_edge_litert.interpreter import OpResolverType
    else:
        from tflite_runtime.interpreter import OpResolverType
    return [{}, {"experimental_op_resolver_type": OpResolverType[WITHOUT_XNNPACK[runtime]]}]


def _table(interpreter: Any, content: bytes, span: tuple[float, float] | None, kernels: dict[str, Any]) -> Any:
    """(256,) output of each byte, or None where it is not the same everywhere."""
    network = interpreter(model_content=content, num_threads=1, **kernels)
    network.allocate_tensors()
    wants = network.get_input_details()[0]
    _, height, width, channels = wants["shape"]
    byte = np.arange(height * width) % LEVELS
    real = byte if span is None else span[0] + byte * ((span[1] - span[0]) / (LEVELS - 1))
    picture = np.repeat(real.astype(wants["dtype"]), channels).reshape(1, height, width, channels)
    network.set_tensor(wants["index"], picture)
    network.invoke()
    out = network.get_tensor(network.get_output_details()[0]["index"]).reshape(height * width, channels)
    table = out[:LEVELS, 0].astype(np.int64)
    return table if np.array_equal(out, np.repeat(table[byte][:, None], channels, axis=1)) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

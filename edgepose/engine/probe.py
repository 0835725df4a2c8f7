"""Tries a model in a process of its own: `python -m edgepose.engine.probe RUNTIME THREADS < MODEL`.

A file may be sound in structure and still kill a runtime. Of files with flipped bits that passed flatfile LiteRT 2.3
died of 3 in 300 (scales of 1e35, refused since; then of 0 in 300), tflite-runtime 2.14 of 1 in 360 (an operator fed
another one's tensor). So a model that does not come with edgepose is opened and run once where a crash or a hang does
no harm, whichever runtime it is for; a crash without a word would leave a service restarting for ever.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from edgepose.core.errors import ModelError
from edgepose.engine import verdicts
from edgepose.engine.runtime import LOADING_FAILS, Runtime, load_runtime, one_line

LIMIT_S = 60.0
"""A first run that takes longer will not be a pose sensor."""


def try_in_child(content: bytes, where: str, runtime: Runtime, threads: int, limit_s: float = LIMIT_S) -> None:
    """Open and run a model once in a child process, unless it ran well here before.

    Raises:
        ModelError: it crashed, hung or failed there.
    """
    verdict = verdicts.key(content, runtime)
    if verdicts.known_good(verdict):
        return
    _try(content, where, runtime.name, threads, limit_s)
    verdicts.remember(verdict)


def _try(content: bytes, where: str, runtime: str, threads: int, limit_s: float) -> None:
    command = [sys.executable, "-m", "edgepose.engine.probe", runtime, str(threads)]
    package_root = Path(__file__).resolve().parents[2]  # python -m finds edgepose in the current folder first
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=limit_s, cwd=package_root)
    except subprocess.TimeoutExpired:
        _refuse(where, runtime, f"did not finish one run in {limit_s:g} s")
    if done.returncode < 0:
        _refuse(where, runtime, f"crashed on it ({signal.Signals(-done.returncode).name})")
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        _refuse(where, runtime, f"cannot run it: {lines[-1]}")


def _refuse(where: str, runtime: str, what: str) -> NoReturn:
    other = "" if runtime == "litert" else " or set engine.runtime = 'litert'"
    raise ModelError(f"{where}: {runtime} {what}; the file is damaged or needs a newer runtime: fetch it again{other}")


def main(arguments: list[str]) -> int:
    """Run the model on standard input once; 0 if that went well, else a line on standard error."""
    name, threads = arguments
    try:
        runtime = load_runtime(name)  # type: ignore[arg-type]
        interpreter = runtime.interpreter(model_content=sys.stdin.buffer.read(), num_threads=int(threads))
        interpreter.allocate_tensors()
        interpreter.invoke()
    except LOADING_FAILS as error:
        sys.stderr.write(f"{one_line(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A process of its own for each: from its start to its first pose, and the most memory it held."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from edgepose.engine.zoo import find_model
from edgepose.lab.demo import scene
from tools.benches.row import Row, SkipRowError
from tools.benches.stock import stock_model

RUNS = 9
MODEL = "movenet_lightning_192"
PICTURE = Path(scene.__file__).parent / "pictures" / "astronaut.jpg"

OURS = "import sys; from edgepose.commands.cli import main; main(sys.argv[1:])"
LOOP = """
import sys, cv2, numpy as np
from ai_edge_litert.interpreter import Interpreter
run = Interpreter(sys.argv[1], num_threads=1); run.allocate_tensors()
wanted = run.get_input_details()[0]
small = cv2.resize(cv2.imread(sys.argv[2]), tuple(int(side) for side in wanted["shape"][2:0:-1]))
run.set_tensor(wanted["index"], small[None].astype(wanted["dtype"])); run.invoke()
print(run.get_tensor(run.get_output_details()[0]["index"]).ravel()[:51].tolist(), flush=True)
"""
PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""
"""What a process says at its end: most kB of memory it held since it began."""


INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""An installed program has its byte code."""


def commands() -> dict[str, list[str]]:
    """Name -> command that prints one line when its first pose is there, and its peak memory when it ends."""
    python = [sys.executable, "-c"]
    ours = str(find_model(MODEL).with_suffix(".tflite"))
    found = {
        "ours": [*python, OURS + PEAK, "run", "--source", str(PICTURE), "--model", MODEL, "--engine.threads", "1"],
        "bare": [*python, LOOP + PEAK, ours, str(PICTURE)],
    }
    with contextlib.suppress(SkipRowError):
        found["stock"] = [*python, LOOP + PEAK, str(stock_model()), str(PICTURE)]
    return found


def run_once(command: list[str]) -> tuple[float, float]:
    """Seconds to the first line on standard output, and MiB of peak resident memory."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=INSTALLED) as process:
        line = process.stdout.readline() if process.stdout else ""
        taken = time.perf_counter() - started
        _, told = process.communicate()
    if process.returncode or not line:
        raise RuntimeError(f"{command[2:]} gave nothing, exit code {process.returncode}: {told[-300:]}")
    return taken, int(told.split()[-1]) / 1024


def _medians(column: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in commands()}
    for _ in range(1 + RUNS):
        for name, command in commands().items():
            taken[name].append(run_once(command)[column])
    return {name: median(values[1:]) for name, values in taken.items()}  # the first fills caches


def start_vs_bare() -> Row:
    """From process start to the first pose, against a script that runs the same model and decodes nothing."""
    taken = _medians(0)
    sides = {f"{name}_s": taken[name] for name in ("ours", "bare")}
    return Row("start_vs_bare", taken["ours"] / taken["bare"], "ratio", 1.3, sides)


def memory_vs_bare() -> Row:
    """Most resident memory, against the same."""
    held = _medians(1)
    sides = {f"{name}_mib": held[name] for name in ("ours", "bare")}
    return Row("rss_vs_bare", held["ours"] / held["bare"], "ratio", 1.15, sides)


def start() -> Row:
    """From process start to the first pose, `edgepose run` on one picture; caches warm."""
    taken = _medians(0)
    return Row("start_s", taken["ours"], "s", None, {f"{name}_s": value for name, value in taken.items()})


def memory() -> Row:
    """Most resident memory of `edgepose run` on one picture."""
    held = _medians(1)
    return Row("rss_mib", held["ours"], "MiB", None, {f"{name}_mib": value for name, value in held.items()})

"""Runs a model on a delegate in a process of its own: `python -m edgepose.engine.delegate.child JOB`.

A driver that crashes, hangs or leaks does so here, where it can be ended. Frames come and heads go through shared
memory; one byte on a pipe says that there is a frame, one on another that its heads are there. Both sides sleep
meanwhile. What it does first is a trial: each step is told before it is taken, so that who waits knows where it died.
It ends when its pipe does, and with its parent however that dies. It imports the runtime and little else.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edgepose.engine.delegate.block import Spec, carve
from edgepose.engine.memory import Memory, map_memory
from edgepose.engine.runtime import LOADING_FAILS, load_runtime, one_line

SET_PARENT_DEATH_SIGNAL = 1
TIMED_RUNS = 15
FRAME, PICTURE, DONE, FAILED = b"f", b"p", b"+", b"-"
"""Orders: run on the frame's memory, or on the probe picture's. Answers, the last with a line."""
LONGEST_LINE = 1000


class Job:
    """What a child is to do, as its only argument."""

    def __init__(self, **told: Any) -> None:
        self.runtime: str = told["runtime"]
        self.threads: int = told["threads"]
        self.library: str = told["library"]
        """Empty: no delegate."""
        self.options: dict[str, str] = told["options"]
        self.specs: list[Spec] = [(dtype, tuple(shape)) for dtype, shape in told["specs"]]
        """Input, then heads in the order of the graph's outputs."""
        self.timed: bool = told["timed"]
        self.parent: int = told["parent"]
        self.model, self.block, self.orders, self.answers, self.stderr = (
            int(told[name]) for name in ("model", "block", "orders", "answers", "stderr")
        )
        """Descriptors; the block has the arrays of `specs` twice: for frames, and for the probe picture."""

    @property
    def model_path(self) -> str:
        """Where the model can be read."""
        return f"/proc/self/fd/{self.model}"


def main(argument: str) -> int:
    """Do one job until its pipe ends."""
    job = Job(**json.loads(argument))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the parent decides when this ends
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != job.parent:
        return 1  # it died before the line above
    with contextlib.suppress(BrokenPipeError):
        _work(job)
    return 0


def _work(job: Job) -> None:
    steps: list[str] = []

    def tell(**what: Any) -> None:
        os.write(job.answers, json.dumps(what).encode() + b"\n")

    def at(step: str) -> None:
        steps.append(step)
        tell(step=step)

    try:
        at("start")
        memory, claimed, left = OPENERS.get(job.runtime, _open_tflite)(job, at)
        arrays = carve(job.block, [*job.specs, *job.specs])
        _check(memory, job.specs)
        frame, picture = arrays[: len(job.specs)], arrays[len(job.specs) :]
        _run(memory, picture)
        timing = _time(memory) if job.timed else {}
    except LOADING_FAILS as error:
        # all of it: the library's own message may have many lines
        tell(failed=steps[-1], kind=type(error).__name__, message=one_line(error)[:LONGEST_LINE])
        return
    tell(ready=True, claimed=claimed, left=left, **timing)
    os.dup2(job.stderr, 2)  # what the driver says from now on is for everybody
    _serve(job, memory, {FRAME: frame, PICTURE: picture})


Opened = tuple[Memory, list[str], list[str]]
"""A model that is loaded, operators that the delegate took, and those that it left."""


def _open_tflite(job: Job, at: Callable[[str], None]) -> Opened:
    runtime = load_runtime(job.runtime)  # type: ignore[arg-type]
    at("load")
    delegates = [runtime.load_delegate(job.library, job.options)] if job.library else []
    at("model")
    interpreter = runtime.interpreter(
        model_path=job.model_path, num_threads=job.threads, experimental_delegates=delegates
    )
    ops = interpreter._get_ops_details()  # before XNNPACK takes its part
    interpreter.allocate_tensors()
    if not job.library:
        ops = interpreter._get_ops_details()
    at("run")
    return map_memory(interpreter), *split(ops)


def _open_hef(job: Job, at: Callable[[str], None]) -> Opened:
    at("load")
    from edgepose.engine.delegate.hailo import HefMemory

    importlib.import_module("hailo_platform")
    at("model")
    memory = HefMemory(job.model_path, job.specs)
    at("run")
    return memory, ["HEF"], []


def _open_onnx(job: Job, at: Callable[[str], None]) -> Opened:
    at("load")
    from edgepose.engine.delegate.ort import OrtMemory, check_provider

    provider = check_provider(job.options)
    at("model")
    memory = OrtMemory(job.model_path, job.specs, provider, job.threads)
    at("run")
    return memory, [provider], []


OPENERS: dict[str, Callable[[Job, Callable[[str], None]], Opened]] = {"hailo": _open_hef, "onnxruntime": _open_onnx}
"""Runtime -> how its models are opened; all others are TFLite's."""


def _serve(job: Job, memory: Memory, places: Mapping[bytes, list[Any]]) -> None:
    while order := os.read(job.orders, 1):
        try:
            _run(memory, places[order])
        except (RuntimeError, ValueError) as error:
            os.write(job.answers, FAILED + one_line(error).encode()[:LONGEST_LINE])
        else:
            os.write(job.answers, DONE)


def _check(memory: Memory, specs: list[Spec]) -> None:
    for what, array, (dtype, shape) in zip(
        ("input", *(f"output {index}" for index in range(len(specs) - 1))),
        (memory.tensor, *memory.heads),
        specs,
        strict=True,
    ):
        if array.dtype != np.dtype(dtype) or array.shape != shape:
            raise ValueError(f"{what} is {array.dtype} {list(array.shape)}, expected {dtype} {list(shape)}")


def _run(memory: Memory, place: list[Any]) -> None:
    np.copyto(memory.tensor, place[0])
    memory.invoke()
    for shared, head in zip(place[1:], memory.heads, strict=True):
        np.copyto(shared, head)


def _time(memory: Memory) -> dict[str, float]:
    """Milliseconds of an inference, and the share of it in which no core worked for it."""
    walls = []
    busy, delay = time.thread_time(), _core_wait_s()
    for _ in range(TIMED_RUNS):
        started = time.perf_counter()
        memory.invoke()
        walls.append(time.perf_counter() - started)
    busy, delay = time.thread_time() - busy, _core_wait_s() - delay
    away = 1 - (busy + delay) / sum(walls)
    return {"invoke_ms": median(walls) * 1e3, "away_share": min(1.0, max(0.0, away))}


def _core_wait_s() -> float:
    """Seconds in which this thread could have run but had no core; 0 where the kernel does not count them."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def split(ops: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Names of the operators that delegates have taken, and of the others.

    ops  all nodes, as the runtime gives them: the model's own, then one DELEGATE for each part that was taken, with
         the tensors that go into and come out of that part
    """
    nodes = list(ops)
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    maker = {int(tensor): index for index, node in enumerate(own) for tensor in node["outputs"]}
    taken: set[int] = set()
    for part in nodes:
        if part["op_name"] != "DELEGATE":
            continue
        ends = {int(tensor) for tensor in part["inputs"]}
        todo = [int(tensor) for tensor in part["outputs"]]
        while todo:
            index = maker.get(todo.pop(), -1)
            if index < 0 or index in taken:
                continue
            taken.add(index)
            todo += [int(tensor) for tensor in own[index]["inputs"] if int(tensor) not in ends]
    names = [str(node["op_name"]) for node in own]
    return (
        [name for index, name in enumerate(names) if index in taken],
        [name for index, name in enumerate(names) if index not in taken],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

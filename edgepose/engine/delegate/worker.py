"""Who runs a model on memory that is not the interpreter's: a child process, or an interpreter in this one."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgepose.engine.delegate.block import Spec
from edgepose.engine.delegate.child import DONE, FAILED, FRAME, split
from edgepose.engine.delegate.finding import OpShare
from edgepose.engine.memory import map_memory
from edgepose.engine.runtime import LOADING_FAILS, Runtime, one_line

START_LIMIT_S = 120.0
"""From a child's start to its first heads; some drivers compile the graph for a minute."""
LAST_WORDS_S = 1.0
"""A child whose pipe was closed may take this long to end by itself."""
GLANCE_S = 0.1
"""While a child starts: how often to see whether it is still wanted."""
Array = NDArray[Any]


class BrokenError(Exception):
    """A worker did not do what it was told."""

    def __init__(self, step: str, kind: str, message: str) -> None:
        self.step = step
        """start, load, model or run: of the start; frame: later."""
        self.kind = kind
        """crash, hang, or the name of the exception that came."""
        self.message = message
        super().__init__(f"{step}: {kind}: {message}")


class StoppedError(Exception):
    """Nobody wants the worker any more that is being started."""


class Worker(Protocol):
    """Runs the model on one of two sets of arrays: FRAME's or PICTURE's. One order at a time."""

    share: OpShare | None
    """What the delegate takes; None: there is none."""

    def post(self, order: bytes) -> None:
        """Tell it to run.

        Raises:
            BrokenError: it cannot.
        """

    def collect(self, deadline_s: float) -> None:
        """Wait until the heads are there.

        Raises:
            BrokenError: it died, failed, or took too long.
        """

    def end(self, kill: bool = False) -> None:
        """Let go of it; a second call does nothing. kill: it may be hanging."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker is to run."""

    runtime: Runtime
    threads: int
    specs: Sequence[Spec]
    """Input, then heads in the order of the graph's outputs."""
    library: str = ""
    """Of the delegate; empty: none."""
    options: tuple[tuple[str, str], ...] = ()


# ------------------------------------------------------------------------------------------------ child


class Child:
    """A process that runs the model; start it from a thread that lives as long as the child should."""

    def __init__(self, work: Work, model: int, block: int, timed: bool = False) -> None:
        """Start it.

        model  descriptor of the model file
        block  descriptor of the memory with the arrays of `work.specs` twice
        timed  also measure an inference
        """
        self.share: OpShare | None = None
        self._waiting = self._ended = False
        opened: list[int] = []
        try:
            self._start(work, {"model": model, "block": block}, timed, opened)
        except OSError as error:
            self._close(*opened)
            raise BrokenError("start", type(error).__name__, error.strerror or str(error)) from None
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)

    def _start(self, work: Work, given: dict[str, int], timed: bool, opened: list[int]) -> None:
        """Open the pipes and start the process; `opened` are the descriptors that are ours when this fails."""
        orders, self._orders = os.pipe()
        opened += [orders, self._orders]
        self._answers, answers = os.pipe()
        opened += [self._answers, answers]
        self._said = os.memfd_create("stderr") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
        opened.append(self._said)
        try:
            stderr = os.dup(2)
        except OSError:  # closed: a service without one
            stderr = os.open(os.devnull, os.O_WRONLY)
        opened.append(stderr)
        theirs = {**given, "orders": orders, "answers": answers, "stderr": stderr}
        job = {
            "runtime": work.runtime.name, "threads": work.threads, "library": work.library,
            "options": dict(work.options), "specs": list(work.specs), "timed": timed, "parent": os.getpid(), **theirs,
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgepose.engine.delegate.child", json.dumps(job)],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=tuple(theirs.values()),
            cwd=Path(__file__).resolve().parents[3],  # python -m finds edgepose in the current folder first
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # it multiplies nothing, and each thread takes memory
            start_new_session=True,  # a terminal's Ctrl-C is for its parent
        )
        self._close(orders, answers, stderr)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait_ready(self, limit_s: float, unwanted: Callable[[], bool] = lambda: False) -> None:
        """Wait until it has run once, on the probe picture.

        Raises:
            BrokenError: it died, failed or hung; `step` says where.
            StoppedError: it became unwanted.
        """
        step, told, until = "start", b"", time.monotonic() + limit_s
        while True:
            if unwanted():
                raise StoppedError
            left = until - time.monotonic()
            if left <= 0:
                raise BrokenError(step, "hang", f"not ready after {limit_s:g} s{self._last_words()}")
            if not self._poll.poll(min(left, GLANCE_S) * 1e3):
                continue
            came = os.read(self._answers, 1 << 16)
            if not came:
                raise self._death(step)
            told += came
            *lines, told = told.split(b"\n")
            for line in map(json.loads, lines):
                step = line.get("step", step)
                if "failed" in line:
                    raise BrokenError(line["failed"], line["kind"], line["message"])
                if line.get("ready"):
                    self.share = OpShare(
                        tuple(line["claimed"]), tuple(line["left"]), line.get("away_share", 0.0),
                        line.get("invoke_ms", 0.0),
                    )  # fmt: skip
                    return

    def post(self, order: bytes) -> None:
        """As Worker."""
        if self._waiting:
            raise BrokenError("frame", "interrupted", "the last inference was not waited for")
        try:
            os.write(self._orders, order)
        except BrokenPipeError:
            raise self._death("frame") from None
        self._waiting = True

    def collect(self, deadline_s: float) -> None:
        """As Worker."""
        if not self._poll.poll(deadline_s * 1e3):
            raise BrokenError("frame", "hang", f"no answer in {deadline_s * 1e3:g} ms")
        answer = os.read(self._answers, 1 << 12)
        self._waiting = False
        if answer == DONE:
            return
        if not answer:
            raise self._death("frame")
        raise BrokenError("frame", "RuntimeError", answer.removeprefix(FAILED).decode(errors="replace"))

    def _death(self, step: str) -> BrokenError:
        """How it ended, once its pipe has."""
        try:
            code = self._process.wait(LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            return BrokenError(step, "crash", "it stopped talking")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return BrokenError(step, "crash", how + (self._last_words() if step != "frame" else ""))

    def _last_words(self) -> str:
        """The last line a driver wrote while it started, for a message."""
        size = os.lseek(self._said, 0, os.SEEK_END)
        tail = os.pread(self._said, 2000, max(0, size - 2000)).decode(errors="replace").strip().splitlines()
        lines = [line for line in tail if not line.startswith(("INFO", "W0000", "WARNING"))]
        return f", saying: {' '.join(lines[-1].split())[:200]}" if lines else ""

    def end(self, kill: bool = False) -> None:
        """As Worker; a killed one is waited for a moment, so that it writes nothing after this."""
        if self._ended:
            return
        self._ended = True
        self._close(self._orders)
        if not kill:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LAST_WORDS_S)
        self._process.kill()  # does nothing to one that was waited for
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver stuck in the kernel: it runs no more code
            self._process.wait(LAST_WORDS_S)
        self._close(self._answers, self._said)

    @staticmethod
    def _close(*fds: int) -> None:
        for fd in fds:
            os.close(fd)


# ------------------------------------------------------------------------------------------------ in this process


class Inline:
    """An interpreter of this process, with a delegate or without."""

    def __init__(self, work: Work, content: bytes, places: dict[bytes, list[Array]]) -> None:
        """Load it and run it once.

        places  order -> the arrays of `work.specs` it is for

        Raises:
            BrokenError: it cannot be loaded or run.
        """
        self.share: OpShare | None = None
        self._places = places
        step = "load"
        try:
            runtime = work.runtime
            delegates = [runtime.load_delegate(work.library, dict(work.options))] if work.library else []
            step = "model"
            interpreter = runtime.interpreter(
                model_content=content, num_threads=work.threads, experimental_delegates=delegates
            )
            claimed, left = split(interpreter._get_ops_details()) if delegates else ([], [])
            interpreter.allocate_tensors()
            step = "run"
            self._memory = map_memory(interpreter)
        except LOADING_FAILS as error:
            raise BrokenError(step, type(error).__name__, one_line(error)) from None
        if delegates:
            self.share = OpShare(tuple(claimed), tuple(left), 0.0, 0.0)

    def post(self, order: bytes) -> None:
        """As Worker; the heads are there when it returns."""
        tensor, *heads = self._places[order]
        np.copyto(self._memory.tensor, tensor)
        try:
            self._memory.invoke()
        except (RuntimeError, ValueError) as error:
            raise BrokenError("frame", type(error).__name__, one_line(error)) from None
        for head, made in zip(heads, self._memory.heads, strict=True):
            np.copyto(head, made)

    def collect(self, deadline_s: float) -> None:
        """As Worker."""

    def end(self, kill: bool = False) -> None:
        """As Worker; the interpreter goes when this object does."""


def run_frame(worker: Worker, deadline_s: float) -> None:
    """One frame, there and back.

    Raises:
        BrokenError: no heads.
    """
    worker.post(FRAME)
    worker.collect(deadline_s)

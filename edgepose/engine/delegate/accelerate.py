"""Puts a model on a delegate: finds both, starts it where a crash does no harm, and holds its heads against the CPU's.

What a delegate runs may be another file than what the CPU runs: the manifest's Edge TPU build.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import EngineError
from edgepose.engine.delegate import check, ort
from edgepose.engine.delegate import kinds as delegates
from edgepose.engine.delegate.block import file_in_memory, open_block
from edgepose.engine.delegate.child import FRAME, PICTURE
from edgepose.engine.delegate.finding import Difference, TroubleError
from edgepose.engine.delegate.guard import Guard, WorkerFactory
from edgepose.engine.delegate.worker import START_LIMIT_S, BrokenError, Child, Inline, Work, Worker
from edgepose.engine.model import Model
from edgepose.engine.runtime import Runtime

Array = NDArray[Any]


@dataclass(slots=True)
class Accelerator:
    """The delegate of the settings with one model: starts workers on it and judges what they compute."""

    cfg: config.Engine
    model: Model
    runtime: Runtime
    threads: int
    options: Mapping[str, str]
    frame: list[Array]
    """Input, then heads."""
    picture: list[Array]
    """The same for the probe picture."""
    block: int
    """Descriptor of their memory; -1: they are in no shared memory."""
    no_block: str = ""
    """Why not."""
    expected: list[Array] = field(default_factory=list)
    """The heads of the probe picture as they should be: the CPU's, or where it has no model the delegate's first."""
    heads: dict[str, Difference] = field(default_factory=dict)
    """Role -> how far the delegate was off when it was last looked at."""
    library: str = ""

    def start(self, unwanted: Callable[[], bool]) -> Worker:
        """A worker on the delegate, proven on the probe picture; as Means.start."""
        child = self._child(unwanted, timed=False)
        if self.cfg.delegate_process == "child":
            return child
        child.end()  # it went well there, so it may be loaded here
        try:
            inline = Inline(self._work(), self.model.build, {FRAME: self.frame, PICTURE: self.picture})
            inline.post(PICTURE)
        except BrokenError as error:
            raise self.explain(error) from None
        self.check()
        return inline

    def measure(self) -> Child:
        """A child that has also timed itself; to be ended by the caller.

        Raises:
            TroubleError: the delegate cannot be used.
        """
        return self._child(lambda: False, timed=True)

    def _child(self, unwanted: Callable[[], bool], timed: bool) -> Child:
        if self.cfg.delegate != "cpu":
            self._look()
        if self.block < 0:
            raise TroubleError(self.no_block.removeprefix("engine: "))
        try:
            model = file_in_memory(self.model.build)
        except EngineError as error:
            raise TroubleError(str(error).removeprefix("engine: ")) from None
        try:
            child = Child(self._work(1 if timed else self.threads), model, self.block, timed)
        except BrokenError as error:
            raise self.explain(error) from None
        finally:
            os.close(model)
        try:
            child.wait_ready(START_LIMIT_S, unwanted)
            if self.library and child.share:
                delegates.check_claims(self.cfg, child.share)
            self.check()
        except BrokenError as error:
            child.end(kill=True)
            raise self.explain(error) from None
        except BaseException:
            child.end(kill=True)
            raise
        return child

    def _look(self) -> None:
        row = delegates.DELEGATES[self.cfg.delegate]
        row.look(self.options, self.cfg.delegate_library)
        self.library = delegates.find_library(self.cfg)
        if self.cfg.delegate == "edgetpu" and not self.model.build:
            raise TroubleError(
                f"{self.model.manifest.name} has no Edge TPU build",
                "compile its file with edgetpu_compiler and name that in the manifest's [delegates.edgetpu]",
                lasting=True,
            )

    def _work(self, threads: int = 0) -> Work:
        runtime = ort.as_runtime() if self.cfg.delegate == ort.NAME else self.runtime
        return Work(runtime, threads or self.threads, self.model.specs, self.library, tuple(self.options.items()))

    def stand_in(self) -> Worker:
        """The same model on the CPU; as Means.stand_in."""
        work = Work(self.runtime, self.threads, self.model.specs)
        return Inline(work, self.model.content, {FRAME: self.frame, PICTURE: self.picture})

    def explain(self, error: BrokenError) -> TroubleError:
        """What a worker's failure means."""
        return delegates.explain(self.cfg, self.library, error.step, error.kind, error.message)

    def learn(self) -> None:
        """Fill in the probe picture, and what the CPU makes of it.

        Raises:
            EdgeposeError: the CPU cannot run its model.
        """
        np.copyto(self.picture[0], check.probe_tensor(self.model.manifest, self.model.graph))
        if not self.model.content:
            return
        try:
            self.stand_in().post(PICTURE)
        except BrokenError as error:
            raise EngineError(f"{self.model.where}: {self.runtime.name} cannot run it: {error.message}") from None
        self.expected = [head.copy() for head in self.picture[1:]]
        for head in self.picture[1:]:
            head.fill(0)

    def check(self) -> None:
        """Hold the heads of the probe picture against what they should be; as Means.check."""
        if not self.expected:
            self.expected = [head.copy() for head in self.picture[1:]]
            return
        self.heads = check.differences(self.model.manifest, self.model.graph, self.expected, self.picture[1:])
        off = check.said(self.heads)
        if off:
            raise TroubleError(
                f"{self.cfg.delegate} computes something else than the CPU: {off}",
                "use another build of its library or of the model; the manifest's [delegates.tolerance] says how much",
            )

    def close(self) -> None:
        """Let go of the shared memory; its arrays keep it as long as they live."""
        if self.block >= 0:
            os.close(self.block)
            self.block = -1


def make(cfg: config.Engine, model: Model, runtime: Runtime, threads: int) -> Accelerator:
    """What will start the delegate of `cfg`.

    Raises:
        ConfigError: a wrong option, or no library.
    """
    options = delegates.read_options(cfg)
    with contextlib.suppress(TroubleError):  # told when it is started
        delegates.find_library(cfg)
    specs = model.specs
    no_block = ""
    try:
        block, arrays = open_block([*specs, *specs])
    except EngineError as error:
        block, no_block = -1, str(error)
        arrays = [np.zeros(shape, dtype) for dtype, shape in [*specs, *specs]]
    return Accelerator(
        cfg, model, runtime, threads, options, arrays[: len(specs)], arrays[len(specs) :], block, no_block
    )


def open_guard(cfg: config.Engine, model: Model, runtime: Runtime, threads: int) -> Guard:
    """The delegate of `cfg` at work, or what stands in for it.

    Raises:
        EdgeposeError: it cannot be used, and nothing may or can stand in.
    """
    accelerator = make(cfg, model, runtime, threads)
    try:
        accelerator.learn()
        means = WorkerFactory(
            accelerator.start,
            accelerator.stand_in if model.content else None,
            accelerator.check,
            accelerator.explain,
            accelerator.close,
        )
        return Guard(cfg, accelerator.frame[0], accelerator.frame[1:], means)
    except BaseException:
        accelerator.close()
        raise

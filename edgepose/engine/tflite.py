"""A model, opened: one picture's tensor in, raw heads out."""

from __future__ import annotations

import logging
import math
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, EngineError, FrameLostError, ModelError
from edgepose.core.poses import Heads, HeadSpec, InputSpec
from edgepose.engine import tuned
from edgepose.engine.bytemap import byte_map
from edgepose.engine.flatfile import Graph
from edgepose.engine.manifest import Manifest
from edgepose.engine.memory import Memory, map_memory
from edgepose.engine.model import Model
from edgepose.engine.runtime import Runtime, load_runtime, one_line
from edgepose.engine.zoo import find_model, shipped_dir, verify_build, verify_model

if TYPE_CHECKING:
    from edgepose.engine.delegate.guard import Guard

log = logging.getLogger("edgepose.engine")
COUNTS = ("failures", "restarts", "fallbacks")
INVOKE_FAILS = (RuntimeError, ValueError)
"""What both runtimes raise for a model they cannot build, allocate or run."""


class Engine:
    """An opened model. Not for use from two threads at once."""

    def __init__(
        self,
        manifest: Manifest,
        graph: Graph,
        runtime: Runtime,
        threads: int,
        memory: Memory,
        guard: Guard | None = None,
        where: str = "",
    ) -> None:
        """`where`: what runs it, if neither the CPU nor a delegate does."""
        self.manifest = manifest
        self.runtime = runtime
        self.threads = threads
        """Of one inference."""
        self.guard = guard
        """What keeps a delegate at work; None: the CPU runs the model, as asked."""
        self._where = where
        self._memory: Memory | None = memory
        self.input = _input_spec(manifest, graph, memory.tensor[0])
        """What preprocess fills; its tensor is the model's own memory."""
        self.heads = _head_specs(manifest, graph)
        """Role -> what a decoder must know of it."""
        self._out: Heads = {
            head.role: memory.heads[head.output][0] if head.batch_axis else memory.heads[head.output]
            for head in manifest.heads
        }

        self._floats = {role: head for role, head in self._out.items() if head.dtype.kind == "f"}
        """Heads that may hold what is no number."""

    @property
    def ran_on(self) -> str:
        """What runs the model: "edgetpu", "cpu instead of edgetpu"; empty: the CPU as asked."""
        return self.guard.ran_on if self.guard else self._where

    @property
    def counts(self) -> dict[str, int]:
        """Of the delegate: "failures", "restarts", "fallbacks" to the CPU; all 0 where there is none."""
        return self.guard.counts if self.guard else dict.fromkeys(COUNTS, 0)

    def run(self, tensor: NDArray[Any]) -> Heads:
        """Role -> raw head without batch axis; the same arrays each time, overwritten by the next run.

        tensor  (H, W, 3) of the input's dtype; `self.input.tensor` itself is not copied

        Raises:
            FrameLostError: the delegate gave nothing for this frame, or the network something that is no number.
            EngineError: the interpreter failed.
        """
        if self._memory is None:
            raise ValueError("engine is closed")
        if tensor is not self.input.tensor:
            self._fill(tensor)
        try:
            self._memory.invoke()
        except INVOKE_FAILS as error:
            raise EngineError(f"engine: {self.manifest.name} failed while running: {one_line(error)}") from error
        for role, head in self._floats.items():
            if not math.isfinite(np.add.reduce(head, axis=None, dtype=np.float64)):  # an empty room it is not
                raise FrameLostError(f"engine: {self.manifest.name} gave NaN or infinity in head {role!r}")
        return self._out

    def _fill(self, tensor: NDArray[Any]) -> None:
        own = self.input.tensor
        if tensor.shape != own.shape or tensor.dtype != own.dtype:
            raise ValueError(f"tensor is {tensor.dtype} {tensor.shape}, expected {own.dtype} {own.shape}")
        np.copyto(own, tensor)

    def close(self) -> None:
        """Let go of the interpreter; its memory lives until the last array of it is gone."""
        self._memory = None
        if self.guard:
            self.guard.close()
        self._out = {}

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def prepare(cfg: config.Engine) -> tuple[Model, Runtime, int]:
    """The model that `cfg` names, checked, and what runs it: a runtime, and threads of one inference.

    A model of the user's own is tried in a child first.

    Raises:
        ModelError, ConfigError: as open_engine.
    """
    if cfg.delegate == "hailo":
        from edgepose.engine.delegate.hailo import prepare_hef

        return prepare_hef(cfg)
    path = find_model(cfg.model, cfg.models_dir)
    shipped = path.parent.resolve() == shipped_dir()
    manifest, graph, content = verify_model(path, here=cfg.delegate == "cpu", known=shipped, noted=True)
    runtime = load_runtime(cfg.runtime)
    threads = cfg.threads or tuned.threads(manifest.name) or default_threads()
    if threads > (cores := os.cpu_count() or threads):
        log.warning(
            "engine.threads is %d, and this board has %d cores; `edgepose bench --tune` finds the best", threads, cores
        )
    where = str(path.with_name(manifest.file))
    build = content
    if graph.needs:
        content = b""
    elif cfg.delegate == "edgetpu":
        named = manifest.delegates.edgetpu
        build = verify_build(path, named, graph) if named else b""
    elif cfg.delegate == "onnxruntime":
        build = _as_onnx(cfg, content, where)
    if content and not shipped:  # the shipped ones are known to run
        from edgepose.engine.probe import try_in_child

        try_in_child(content, where, runtime, threads)
    return Model(manifest, graph, content, build, where), runtime, threads


def _as_onnx(cfg: config.Engine, content: bytes, where: str) -> bytes:
    """The model as ONNX Runtime reads it.

    Raises:
        ModelError: it has operators that cannot be written so.
        ConfigError: it is to run in this process, where a hanging driver could not be ended.
    """
    if cfg.delegate_process != "child":
        raise ConfigError("engine.delegate_process: ONNX Runtime is driven by a child process; set it to child")
    from edgepose.engine.onnx.writing import to_onnx

    return to_onnx(content, where)


def on_cpu(model: Model, runtime: Runtime, threads: int) -> Memory:
    """The model, loaded into this process."""
    try:
        interpreter = runtime.interpreter(model_content=model.content, num_threads=threads)
        interpreter.allocate_tensors()
        memory = map_memory(interpreter)
    except INVOKE_FAILS as error:
        raise ModelError(
            f"{model.where}: {runtime.name} {runtime.version} cannot run it: {one_line(error)}; "
            "use another build of the model or another engine.runtime"
        ) from error
    for head in model.manifest.heads:
        found = memory.heads[head.output]
        if found.shape != head.shape or found.dtype != head.dtype:
            raise ModelError(
                f"{model.where}: head {head.role} came as {found.dtype} {list(found.shape)}, not as its file says"
            )
    return memory


def default_threads() -> int:
    """Cores this process may use but one, which camera and system need; at most 4."""
    return max(1, min(4, len(os.sched_getaffinity(0)) - 1))


def _input_spec(manifest: Manifest, graph: Graph, tensor: NDArray[Any]) -> InputSpec:
    wants = manifest.input
    kind, lut = byte_map(graph.inputs[0], wants.range, manifest.name)
    return InputSpec(tensor, wants.colour, wants.resize, wants.fit, wants.pad, kind, lut)


def _head_specs(manifest: Manifest, graph: Graph) -> dict[str, HeadSpec]:
    specs = {}
    for head in manifest.heads:
        out = graph.outputs[head.output]
        specs[head.role] = HeadSpec(head.role, head.decoded_shape, np.dtype(head.dtype), out.scale, out.zero_point)
    return specs

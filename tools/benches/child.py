"""What a frame costs more when a child process runs the model: two wake-ups, and the copies in and out."""

from __future__ import annotations

import os

import numpy as np

from edgepose.core import config
from edgepose.engine import open_engine
from edgepose.engine.delegate.block import file_in_memory, open_block
from edgepose.engine.delegate.check import probe_tensor
from edgepose.engine.delegate.worker import START_LIMIT_S, Child, Work, run_frame
from edgepose.engine.tflite import prepare
from tools.benches.row import Row, interleaved_ms

MODEL = "movenet_lightning_192"
ROUNDS = 60


def child_overhead() -> Row:
    """One inference of MoveNet at 192x192 on the CPU, one thread: in a child against in this process, picture there."""
    cfg = config.Engine(model=MODEL, threads=1)
    model, runtime, threads = prepare(cfg)
    specs = model.specs
    block, arrays = open_block([*specs, *specs])
    file = file_in_memory(model.build)
    child = Child(Work(runtime, threads, specs), file, block)
    try:
        child.wait_ready(START_LIMIT_S)
        with open_engine(cfg) as engine:
            picture = probe_tensor(model.manifest, model.graph)
            np.copyto(arrays[0], picture)
            np.copyto(engine.input.tensor, picture[0])
            taken = interleaved_ms(
                {
                    "child": lambda: run_frame(child, 2.0),
                    "inline": lambda: engine.run(engine.input.tensor),
                },
                ROUNDS,
            )
            heads = engine.run(engine.input.tensor)
            for head in model.manifest.heads:
                if not np.array_equal(heads[head.role], arrays[1 + head.output][0]):
                    raise RuntimeError(f"head {head.role} of the child is not that of this process")
    finally:
        child.end()
        os.close(file)
        os.close(block)
    sides = {f"{name}_ms": value for name, value in taken.items()}
    return Row("child_overhead_ms", taken["child"] - taken["inline"], "ms", 0.15, sides)

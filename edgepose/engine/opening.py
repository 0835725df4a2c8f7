"""Opens a model: on the CPU in this process, or on a delegate that is supervised."""

from __future__ import annotations

from edgepose.core import config
from edgepose.engine.tflite import Engine, on_cpu, prepare


def open_engine(cfg: config.Engine) -> Engine:
    """Find, check and start the model that `cfg` names.

    Raises:
        ModelError: there is no such model, or its file or manifest is damaged or contradicts itself.
        ConfigError: no TFLite runtime works here, or the delegate cannot be used here and nothing may stand in.
        EngineError: the same, but what is wrong may pass: a device that is not plugged in, a crash.
    """
    model, runtime, threads = prepare(cfg)
    if cfg.delegate == "cpu":
        memory = on_cpu(model, runtime, threads)
        return Engine(model.manifest, model.graph, runtime, threads, memory)
    from edgepose.engine.delegate.accelerate import open_guard

    guard = open_guard(cfg, model, runtime, threads)
    return Engine(model.manifest, model.graph, runtime, threads, guard, guard)

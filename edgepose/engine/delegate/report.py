"""What can be found out about every delegate: the one that is set tried with its model, the others looked for."""

from __future__ import annotations

from edgepose.core import config
from edgepose.core.errors import EdgeposeError
from edgepose.engine.delegate.accelerate import make
from edgepose.engine.delegate.devices import edge_tpus
from edgepose.engine.delegate.finding import Finding, State, TroubleError
from edgepose.engine.delegate.kinds import DELEGATES
from edgepose.engine.tflite import prepare


def examine(cfg: config.Engine) -> list[Finding]:
    """Every delegate of the table, that of `cfg.delegate` first and tried with the model of `cfg`; never raises.

    It is loaded and run in a child process with a time limit, its heads held against the CPU's. The others are only
    looked for: device and library.
    """
    findings = [examine_one(cfg)]
    return findings + [_look(name) for name in DELEGATES if name != cfg.delegate]


def _look(name: str) -> Finding:
    row = DELEGATES[name]
    if name == "cpu":
        return Finding(name, "ok", row.what)
    if name == "external":
        return Finding(name, "unavailable", "no engine.delegate_library is set")
    try:
        row.look({}, "")
    except TroubleError as trouble:
        return Finding(name, "failed" if trouble.here else "unavailable", trouble.reason, trouble.next_step)
    step = f"use it with engine.delegate = {name!r}"
    if name == "edgetpu" and edge_tpus() is None:
        return Finding(name, "unavailable", f"nobody can tell whether there is {row.what}: no /sys", step)
    return Finding(name, "ok", f"there is {row.what}, not in use", step)


def examine_one(cfg: config.Engine) -> Finding:
    """The delegate of `cfg`, tried with its model."""
    name = cfg.delegate
    try:
        model, runtime, threads = prepare(cfg)
        accelerator = make(cfg, model, runtime, threads)
    except EdgeposeError as error:
        return Finding(name, "failed", str(error), asked=True)
    try:
        accelerator.learn()
        child = accelerator.measure()
        child.end()
    except TroubleError as trouble:
        heads = accelerator.heads
        state: State = "failed" if trouble.here else "unavailable"
        return Finding(name, state, trouble.reason, trouble.next_step, asked=True, heads=heads)
    except EdgeposeError as error:
        return Finding(name, "failed", str(error), asked=True)
    finally:
        accelerator.close()
    share = child.share
    said = "runs here"
    if share:
        total = len(share.claimed) + len(share.left)
        by = "XNNPACK" if name == "cpu" else name
        said = f"{by} takes {len(share.claimed)} of {total} operators, {share.invoke_ms:.3g} ms an inference"
    if not accelerator.heads:
        said += "; not compared with the CPU: the model has no file for it"
    return Finding(name, "ok", said, asked=True, share=share, heads=accelerator.heads)

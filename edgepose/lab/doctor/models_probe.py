"""Models and delegates, looked at in the child."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec

from edgepose.core.config import Config
from edgepose.core.errors import EdgeposeError

RUNS = 5
"""Of each model that is used; the fastest counts, as this is no benchmark. The others are not run."""
ENOUGH_S = 2.0
"""A slow board need not wait for all of them."""


def look(cfg: Config) -> dict[str, Any]:
    """Every model there is: those the settings use are timed; {"models": [...], "used": [names], "wrong": text}."""
    from edgepose.engine.zoo import list_models

    on_chip = cfg.source.senses or cfg.engine.delegate == "hailo"
    facts = [_on_chip(cfg)] if on_chip else [_one(cfg, name, RUNS) for name in used_models(cfg)]
    used = [each["name"] for each in facts]
    can_run = not on_chip and not any("why" in each or each["edgetpu"] for each in facts)
    wrong = _together(cfg) if can_run else ""
    try:
        others = [path for path in list_models(cfg.engine.models_dir) if path.stem not in used]
    except EdgeposeError as error:
        return {"models": facts, "used": used, "wrong": str(error)}
    return {"models": facts + [_one(cfg, str(path), 0) for path in others], "used": used, "wrong": wrong}


def used_models(cfg: Config) -> list[str]:
    """Names of the models that engine.model asks for: one, or a finder and a refiner."""
    from edgepose.estimate.pairs import pair_of

    pair = pair_of(cfg.engine.model)
    if pair is None:
        return [cfg.engine.model]
    return list(dict.fromkeys((pair.finder, pair.refiner))) if cfg.estimate.crops else [pair.finder]


def _on_chip(cfg: Config) -> dict[str, Any]:
    """What is known of the network in the camera, or on a Hailo chip; "why" is there when it is not usable."""
    from edgepose.engine.chips import manifest_of
    from edgepose.engine.delegate.hailo import find_hef
    from edgepose.estimate.decode import DECODERS

    sensor = cfg.source.senses
    found: dict[str, Any] = {"name": Path(cfg.source.network).stem if sensor else cfg.engine.model, "shipped": False}
    try:
        path = Path(cfg.source.network) if sensor else find_hef(cfg.engine.model)
        manifest, _ = manifest_of(path)
    except EdgeposeError as error:
        return found | {"why": str(error)}
    loops = DECODERS[manifest.decoder.name].loops if manifest.decoder.name in DECODERS else None
    return {
        "name": manifest.name, "shipped": False, "file": str(path), "decoder": manifest.decoder.name,
        "sha256": manifest.sha256, "edgetpu": False, "loops": loops,
        "chip": "in the camera's sensor" if sensor else "on the Hailo chip",
    }  # fmt: skip


def _together(cfg: Config) -> str:
    """What is wrong with models that are sound, and do not go together or with the settings."""
    from edgepose.estimate import open_estimate

    engine = msgspec.structs.replace(cfg.engine, delegate="cpu")
    decode = msgspec.structs.replace(cfg.decode, kernels="numpy")
    try:
        open_estimate(msgspec.structs.replace(cfg, engine=engine, decode=decode)).close()
    except EdgeposeError as error:
        return str(error)
    return ""


def _one(cfg: Config, name: str, runs: int) -> dict[str, Any]:
    """Hash, structure and manifest; `runs` times one inference on the CPU. "why" is there when it is not usable."""
    from edgepose.engine import open_engine
    from edgepose.engine.zoo import find_model, verify_model
    from edgepose.estimate.decode import DECODERS

    found: dict[str, Any] = {"name": name, "shipped": False}
    try:
        path = find_model(name, cfg.engine.models_dir)
        found |= {"name": path.stem, "file": str(path)}
        manifest, graph, _ = verify_model(path, here=False)
        if manifest.decoder.name in DECODERS:
            found["loops"] = DECODERS[manifest.decoder.name].loops
        found |= {"decoder": manifest.decoder.name, "sha256": manifest.sha256, "edgetpu": graph.is_edgetpu}
        if graph.is_edgetpu or not runs:
            return found
        plain = msgspec.structs.replace(cfg.engine, model=str(path), delegate="cpu")
        with open_engine(plain) as engine:
            found |= {"runtime": f"{engine.runtime.name} {engine.runtime.version}", "threads": engine.threads}
            engine.run(engine.input.tensor)
            times: list[float] = []
            while len(times) < runs and sum(times) < ENOUGH_S:
                started = time.perf_counter()
                engine.run(engine.input.tensor)
                times.append(time.perf_counter() - started)
            found["invoke_ms"] = float(f"{min(times) * 1e3:.3g}")
    except EdgeposeError as error:
        found["why"] = str(error)
    return found


def delegates(cfg: Config) -> dict[str, Any]:
    """{"delegates": [...]}, each a dict of engine.finding.Finding with the share of operators it takes."""
    from edgepose.engine.delegate.report import examine

    model = cfg.engine.model if cfg.engine.delegate == "hailo" else used_models(cfg)[0]
    found = examine(msgspec.structs.replace(cfg.engine, model=model))
    return {"delegates": [_plain(each) for each in found]}


def _plain(finding: Any) -> dict[str, Any]:
    facts = asdict(replace(finding, share=None))
    if finding.share is not None:
        facts["share"] = {
            "claimed": len(finding.share.claimed),
            "left": len(finding.share.left),
            "op_share": round(finding.share.op_share, 3),
            "away_share": round(finding.share.away_share, 3),
            "invoke_ms": round(finding.share.invoke_ms, 3),
        }
    return facts

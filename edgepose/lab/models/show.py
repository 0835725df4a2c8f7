"""`edgepose models`: the list, all of one, and whether each is what it says."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgepose.core import config
from edgepose.core.errors import FrameLostError, ModelError
from edgepose.engine import Engine, open_engine
from edgepose.engine.manifest import Manifest, read_manifest
from edgepose.engine.zoo import find_model, list_models, verify_build, verify_model
from edgepose.estimate.pairs import PAIRS, own_pairs, read_pair
from edgepose.lab.output import say


def chosen(names: Sequence[str], models_dir: str = "") -> list[Path]:
    """The manifests of models by name or file; no names: every one there is."""
    if not names:
        return list_models(models_dir)
    return [find_model(name, models_dir) for name in names]


def list_all(paths: Sequence[Path]) -> int:
    """A line per model, and per pair of two."""
    rows = [("NAME", "INPUT", "MB", "DECODER", "WHAT")]
    for path in paths:
        manifest = read_manifest(path)
        _, height, width, _ = manifest.input.shape
        model = path.with_name(manifest.file)
        size = f"{model.stat().st_size / 1e6:.1f}" if model.is_file() else "missing"
        rows.append((manifest.name, f"{width}x{height}", size, manifest.decoder.name, manifest.title))
    _say_rows(rows)
    say()
    pairs = PAIRS | {path.stem: read_pair(path) for path in own_pairs()}
    named = [(name, pair.finder, pair.refiner) for name, pair in pairs.items()]
    _say_rows([("PAIR", "FINDS PEOPLE", "LOOKS AGAIN AT EACH"), *named])
    say()
    say("choose one with --model NAME (engine.model); `edgepose models show NAME` tells all of it")
    return 0


def _say_rows(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        say("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))


def show(paths: Sequence[Path]) -> int:
    """Everything the manifests and graphs say."""
    if not paths:
        raise ModelError("show which model? edgepose models show NAME; `edgepose models` lists them")
    for path in paths:
        manifest, graph, content = verify_model(path, here=False)
        _show_one(path, manifest, len(content))
        say("heads")
        for head in manifest.heads:
            out = graph.outputs[head.output]
            step = "" if head.dtype == "float32" else f"  real = (raw - {out.zero_point}) * {out.scale:.6g}"
            say(f"  {head.role:<11} {head.dtype} {'x'.join(map(str, head.shape[1:]))}{step}")
    return 0


def _show_one(path: Path, manifest: Manifest, size: int) -> None:
    wants = manifest.input
    _, height, width, _ = wants.shape
    say(f"{manifest.name}: {manifest.title}")
    say(f"  file      {path.with_name(manifest.file)}, {size} bytes")
    say(f"  sha256    {manifest.sha256}")
    if manifest.delegates.edgetpu:
        say(f"  Edge TPU  {path.with_name(manifest.delegates.edgetpu.file)}")
    say(f"  input     {width}x{height} {wants.dtype} {wants.colour}, {wants.fit}, {wants.resize} resize, {wants.range}")
    say(f"  skeleton  {manifest.joints.name}, {len(manifest.joints.joints)} joints")
    say(f"  decoder   {manifest.decoder.name}")
    _table(manifest.decoder.options, "            ")
    say(f"  origin    {manifest.origin.package}")
    say(f"  made      {manifest.origin.made}")
    say(f"  licence   {manifest.licence.spdx}: {manifest.licence.notice}")
    if manifest.accuracy:
        say("  accuracy")
        _table(manifest.accuracy, "            ")


def _table(values: Mapping[str, Any], indent: str) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            say(f"{indent}{name}")
            _table(value, indent + "  ")
        else:
            say(f"{indent}{name} = {value}")


def verify(paths: Sequence[Path]) -> int:
    """Check hash, structure and manifest of each, run it once and decode what comes out."""
    failed = 0
    for path in paths:
        started_t = time.monotonic()
        try:
            manifest, graph, _ = verify_model(path, here=False)
            if manifest.delegates.edgetpu:
                verify_build(path, manifest.delegates.edgetpu, graph)
            if graph.needs:
                say(f"sound {path.stem}  not run, it needs {graph.needs}")
                continue
            with open_engine(config.Engine(model=str(path))) as engine:
                runtime = run_once(engine)
        except ModelError as error:
            failed += 1
            say(f"BAD   {path.stem}: {error}")
            continue
        say(f"ok    {path.stem}  runs on {runtime}, {time.monotonic() - started_t:.2f} s")
    if failed:
        raise ModelError(f"{failed} of {len(paths)} models are not usable; see above")
    return 0


def run_once(engine: Engine) -> str:
    """Run a model and open its decoder, the plain numpy one, which compiles nothing; returns what it ran on.

    Raises:
        ModelError: the decoder cannot read its heads, or what is in them are no numbers.
    """
    from edgepose.estimate.decode import open_decoder

    made = engine.manifest
    open_decoder(
        made.name, made.decoder.name, made.decoder.options, made.joints, engine.heads, config.Decode(kernels="numpy")
    )
    try:
        engine.run(engine.input.tensor)
    except FrameLostError as error:
        raise ModelError(f"{error}: the file is broken; export it anew, or take another build of it") from None
    return f"{engine.runtime.name} {engine.runtime.version}"

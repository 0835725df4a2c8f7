"""`edgepose models`: what there is, what is known of it, and whether it is what it says."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edgepose.core import config
from edgepose.core.errors import FrameLostError, ModelError
from edgepose.engine import Engine, open_engine
from edgepose.engine.manifest import Manifest, read_manifest
from edgepose.engine.zoo import find_model, list_models, verify_build, verify_model


class Asked(NamedTuple):
    """What was typed behind `edgepose models ACTION`."""

    names: list[str]
    """Names or files."""
    models_dir: str = ""
    name: str = ""
    """import: of the new model; empty is the file's own."""
    to: str = ""
    """import: folder for it; empty is the user's own."""


def say(text: str = "") -> None:
    """One line of the answer."""
    sys.stdout.write(text + "\n")


def _chosen(asked: Asked) -> list[Path]:
    if not asked.names:
        return list_models(asked.models_dir)
    return [find_model(name, asked.models_dir) for name in asked.names]


def list_all(asked: Asked) -> int:
    """A line per model."""
    rows = [("NAME", "INPUT", "MB", "DECODER", "WHAT")]
    for path in _chosen(asked):
        manifest = read_manifest(path)
        _, height, width, _ = manifest.input.shape
        model = path.with_name(manifest.file)
        size = f"{model.stat().st_size / 1e6:.1f}" if model.is_file() else "missing"
        rows.append((manifest.name, f"{width}x{height}", size, manifest.decoder.name, manifest.title))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        say("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]))
    say()
    say("choose one with --model NAME (engine.model); `edgepose models show NAME` tells all of it")
    return 0


def show(asked: Asked) -> int:
    """Everything the manifests and graphs say."""
    if not asked.names:
        raise ModelError("show which model? edgepose models show NAME; `edgepose models` lists them")
    for path in _chosen(asked):
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


def verify(asked: Asked) -> int:
    """Check hash, structure and manifest of each, run it once and decode what comes out."""
    failed = 0
    for path in _chosen(asked):
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
        raise ModelError(f"{failed} of {len(_chosen(asked))} models are not usable; see above")
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


def inspect(asked: Asked) -> int:
    """What stock model files are, and what an import would write."""
    from edgepose.commands.models_import import inspect_one

    for path in _files(asked, "inspect"):
        inspect_one(path)
    return 0


def import_(asked: Asked) -> int:
    """Make stock model files models of edgepose."""
    from edgepose.commands.models_import import import_one

    paths = _files(asked, "import")
    if asked.name and len(paths) > 1:
        raise ModelError(f"--name {asked.name}: one name for {len(paths)} files; import them one by one")
    for path in paths:
        import_one(path, asked.name, asked.to)
    return 0


def _files(asked: Asked, action: str) -> list[Path]:
    if not asked.names:
        raise ModelError(f"{action} which file? edgepose models {action} FILE.tflite")
    return [Path(name).expanduser() for name in asked.names]


COMMANDS: dict[str, Callable[[Asked], int]] = {
    "list": list_all,
    "show": show,
    "verify": verify,
    "inspect": inspect,
    "import": import_,
}

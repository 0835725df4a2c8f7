"""`edgepose models inspect` and `import`: a stock .tflite file looked at, and made a model of edgepose."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgepose.core import config, places
from edgepose.core.errors import ModelError
from edgepose.engine import open_engine
from edgepose.engine.delegate.check import probe_tensor
from edgepose.engine.flatfile import ACCELERATORS, EDGETPU_OP, ETHOSU_OP, Graph, Tensor, quoted, read_graph
from edgepose.engine.formats import bundled
from edgepose.engine.manifest import SUFFIX, read_file, read_manifest
from edgepose.engine.surgery import DELEGATED, Plan, make_plan, name_of
from edgepose.engine.surgery.trial import Trial, judge
from edgepose.engine.zoo import BUILTIN_CUSTOM_OPS, shipped_dir, unlike, verify_model
from edgepose.lab.models.show import run_once
from edgepose.lab.output import say

HOW = {
    ACCELERATORS[EDGETPU_OP]: " --engine.delegate edgetpu",
    ACCELERATORS[ETHOSU_OP]: " --engine.delegate external --engine.delegate_library FILE",
}
"""Accelerator -> how a model that needs it is run."""
BUILT = "_edgetpu"
"""Behind the name of what edgetpu_compiler writes."""


# ------------------------------------------------------------------------------------------------ inspect


def inspect(names: Sequence[str]) -> int:
    """What stock model files are, and what an import would write."""
    for path, content in _opened(_paths(names, "inspect")):
        inspect_one(path, content)
    return 0


def inspect_one(path: Path, content: bytes) -> None:
    """Print what a file is and what an import would write.

    Raises:
        ModelError: damaged.
    """
    graph = read_graph(content, str(path))
    say(f"{path.name}: {len(content)} bytes, {len(graph.ops)} operators")
    _ends("input", graph.inputs)
    _ends("output", graph.outputs)
    _operators(graph)
    try:
        plan = make_plan(content, path)
    except ModelError as error:
        say(f"heads     not recognised: {str(error).removeprefix(f'{path}: ')}")
        return
    say(f"is        {plan.found.what}")
    for head in plan.manifest.heads:
        say(f"  {head.role:<12} {_described(plan.graph.outputs[head.output])}")
    if plan.dropped:
        say(f"import drops  {_counted(plan.dropped)}")
    if plan.intake.dropped:
        say(f"  of these {' '.join(plan.intake.dropped)} at the start equal a byte operation, tried with all 256 bytes")
    for warning in plan.warnings:
        say(f"warning   {warning}")
    say(f"import writes {plan.manifest.file}, {len(plan.content)} bytes, and {plan.manifest.name}{SUFFIX}:")
    say()
    say(plan.text.rstrip())


def _paths(names: Sequence[str], action: str) -> list[Path]:
    if not names:
        raise ModelError(f"{action} which file? edgepose models {action} FILE.tflite")
    return [places.at_home(name) for name in names]


def _opened(paths: Sequence[Path]) -> list[tuple[Path, bytes]]:
    """Files with their content; of a bundle each .tflite in it, as if it lay beside it."""
    opened = []
    for path in paths:
        inside = path.parent if path.parent.is_file() else None  # BUNDLE.task/part.tflite
        content = read_file(inside or path)
        parts = bundled(content, str(inside or path))
        if inside and path.name not in parts:
            raise ModelError(f"{inside}: has no {path.name} in it, but {', '.join(parts) or 'no .tflite at all'}")
        if inside:
            opened.append((inside.with_name(path.name), parts[path.name]))
        elif parts:
            opened += [(path.with_name(f"{path.stem}_{Path(name).name}"), part) for name, part in parts.items()]
        else:
            opened.append((path, content))
    return opened


def _ends(what: str, tensors: Iterable[Tensor]) -> None:
    for tensor in tensors:
        say(f"{what:<9} {_described(tensor)}  {quoted(tensor.name)}")


def _described(tensor: Tensor) -> str:
    """Type, shape and quantisation of a tensor."""
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    if not tensor.scales:
        return f"{tensor.dtype} {shape}"
    if tensor.scales > 1:
        return f"{tensor.dtype} {shape}  with {tensor.scales} scales"
    return f"{tensor.dtype} {shape}  real = (raw - {tensor.zero_point}) * {tensor.scale:.6g}"


def _operators(graph: Graph) -> None:
    """What runs in it, and what of that no delegate takes."""
    say(f"operators {_counted(map(name_of, graph.ops))}")
    slow = [name_of(op) for op in graph.ops if not isinstance(op, str) and name_of(op) not in DELEGATED]
    if slow:
        say(f"  neither XNNPACK nor an Edge TPU takes {_counted(slow)}")
    for name in graph.custom_ops:
        accelerator = ACCELERATORS.get(name)
        said = f"needs {accelerator}" if accelerator else "no TFLite runtime brings it along, no delegate takes it"
        say(f"  custom {quoted(name)}: {'comes with TFLite' if name in BUILTIN_CUSTOM_OPS else said}")


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())


# ------------------------------------------------------------------------------------------------ import


def import_(names: Sequence[str], name: str = "", to: str = "", pictures: str = "") -> int:
    """Make stock model files models of edgepose; `pictures`: a folder to measure on what a file cannot tell."""
    paths = _paths(names, "import")
    files = _opened(paths) if len(paths) == 1 or not name else []
    if name and len(files) != 1:
        raise ModelError(
            f"--name {name}: one name for {len(files) or len(paths)} files; "
            "import them one by one, those of a bundle as BUNDLE/PART"
        )
    for path, content in files:
        measure_on(import_one(path, content, name, to), pictures)
    return 0


def measure_on(manifest: Path, pictures: str) -> None:
    """Measure what the file could not tell, and write it into the manifest, with a picture as evidence."""
    if not pictures:
        return
    from edgepose.lab.models import measured, views

    people, joints = measured.people_in(views.read_pictures(pictures))
    bundle = views.read_bundle(manifest.with_name(read_manifest(manifest).file))
    found = measured.measure(bundle, people, joints)
    for line in found.said:
        say(f"measured  {line}")
    if people:
        evidence = manifest.with_suffix(".evidence.png")
        measured.evidence(found, people, evidence)
        say(f"evidence  {evidence}: our own joints are rings, the model's dots")
    if found.bundle.table != bundle.table:
        views.written(found.bundle, manifest.parent)


def import_one(path: Path, content: bytes, name: str, to: str) -> Path:
    """Cut a file at its heads, try the result, and put it with its manifest into a folder.

    name  of the new model; empty: as the file
    to    the folder; empty: the user's own, where models are found by name

    Raises:
        ModelError: damaged, not recognised, does not run, or there is another model of that name; nothing is written.
    """
    plan = make_plan(content, path, name)
    plan, built, warning = with_build(plan, path)
    folder = places.at_home(to) if to else places.models()
    _check_place(plan, built, folder)
    plan, ran, seen = _written(plan, built, folder)
    say(f"{path.name}: {plan.found.what}, {len(plan.dropped)} operators dropped, heads {', '.join(plan.found.heads)}")
    for line in filter(None, [*plan.warnings, warning, *seen]):
        say(f"warning   {line}")
    if built:
        say(f"took {path.stem}{BUILT}.tflite along as its Edge TPU build: engine.delegate = 'edgetpu' runs that")
    manifest = folder / f"{plan.manifest.name}{SUFFIX}"
    say(f"wrote {folder / plan.manifest.file} and {manifest.name}; {ran}")
    by_name = folder.resolve() == places.models().resolve()
    how = HOW.get(plan.graph.needs, "")
    say(f"use it with: edgepose run --model {plan.manifest.name if by_name else manifest}{how}")
    return manifest


def with_build(plan: Plan, path: Path) -> tuple[Plan, bytes, str]:
    """A plan whose manifest names the Edge TPU build that lies beside the file; the build, cut; why there is none.

    Coral's models come as NAME.tflite and NAME_edgetpu.tflite. Only a build with the same input and heads is the same
    model; MoveNet's is not, its centres are weighted already.
    """
    twin = path.with_name(f"{path.stem}{BUILT}.tflite")
    if plan.graph.is_edgetpu:
        own = path.with_name(f"{path.stem.removesuffix(BUILT)}.tflite")
        hint = f"for the CPU there is {own.name}; import that, and this comes along if it is the same model"
        return plan, b"", hint if own != path and own.is_file() else ""
    if not twin.is_file():
        return plan, b"", ""
    try:
        build = make_plan(read_file(twin), twin, f"{plan.manifest.name}{BUILT}")
    except ModelError as error:
        return plan, b"", f"not taken along: {error}"
    different = unlike(plan.graph, build.graph)
    if not different and plan.manifest.decoder != build.manifest.decoder:
        different = "its heads mean something else"
    if different or not build.graph.is_edgetpu:
        why = different or "it is not compiled for an Edge TPU"
        return (
            plan,
            b"",
            f"{twin.name} is not taken along as the Edge TPU build: {why}; import it as a model of its own",
        )
    sha256 = hashlib.sha256(build.content).hexdigest()
    table = {**plan.table, "delegates": {"edgetpu": {"file": build.manifest.file, "sha256": sha256}}}
    return dataclasses.replace(plan, table=table), build.content, ""


def _files(plan: Plan, built: bytes) -> dict[str, bytes]:
    """Name -> content of what is written."""
    name = plan.manifest.name
    files = {f"{name}.tflite": plan.content, f"{name}{SUFFIX}": plan.text.encode()}
    return files | ({f"{name}{BUILT}.tflite": built} if built else {})


def _check_place(plan: Plan, built: bytes, folder: Path) -> None:
    """Refuse to put another model of the same name in front of one that is there."""
    for file, content in _files(plan, built).items():
        old = folder / file
        if old.exists() and old.read_bytes() != content:
            raise ModelError(f"{old}: is there already and differs; give another --name, or remove it")
    if (shipped_dir() / f"{plan.manifest.name}{SUFFIX}").exists():
        raise ModelError(f"{plan.manifest.name}: a shipped model has that name; give another --name")


def _written(plan: Plan, built: bytes, folder: Path) -> tuple[Plan, str, tuple[str, ...]]:
    """Write the files beside their place, try them, move them there.

    Returns the plan with what the trial measured, what it ran on, and what to know of it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as beside:
            for name, content in _files(plan, built).items():
                Path(beside, name).write_bytes(content)
            manifest = f"{plan.manifest.name}{SUFFIX}"
            ran, trial = _tried(plan, Path(beside, manifest))
            if trial.options:
                plan = plan.with_options(trial.options)
                Path(beside, manifest).write_text(plan.text, encoding="utf-8")
                _tried(plan, Path(beside, manifest))
            for name in sorted(_files(plan, built), key=lambda name: name == manifest):  # the manifest last
                Path(beside, name).replace(folder / name)
            return plan, ran, trial.warnings
    except OSError as error:
        raise ModelError(f"{folder}: cannot be written: {error.strerror}; give another folder with --to") from None


def _tried(plan: Plan, manifest: Path) -> tuple[str, Trial]:
    if plan.graph.needs:
        verify_model(manifest, here=False)
        return f"not run, it needs {plan.graph.needs}", Trial({})
    with open_engine(config.Engine(model=str(manifest))) as engine:
        ran = run_once(engine)
        pictures = [probe_tensor(plan.manifest, plan.graph)[0], engine.input.tensor * 0]
        runs = [{role: head.copy() for role, head in engine.run(picture).items()} for picture in pictures]
        return f"runs on {ran}", judge(plan.manifest.file, plan.manifest, engine.heads, runs)

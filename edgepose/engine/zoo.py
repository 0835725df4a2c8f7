"""Finds models and checks them: file, hash, structure, and that the manifest tells the truth about the graph."""

from __future__ import annotations

import os
from pathlib import Path

from edgepose.core import places
from edgepose.core.errors import ModelError
from edgepose.engine.flatfile import ACCELERATORS, ETHOSU_OP, Graph, Tensor, quoted, read_ends, read_graph
from edgepose.engine.manifest import SUFFIX, Build, Manifest, read_manifest, read_model

BUILTIN_CUSTOM_OPS = frozenset({"TFLite_Detection_PostProcess", "AudioSpectrogram", "Mfcc", "NumericVerify"})
"""Custom operators that both runtimes bring along."""

CHIPS = {
    ".hef": "for a Hailo chip; set engine.delegate = 'hailo'",
    ".rpk": "for the AI Camera's sensor; use --source imx500 with source.network",
}
"""End of a file that TFLite cannot run -> what it is, and what to do."""


def shipped_dir() -> Path:
    """The folder of the models that come with edgepose: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    in_checkout = (checkout / "pyproject.toml").is_file() and (checkout / "models").is_dir()
    return checkout / "models" if in_checkout else package / "models"


def list_models(models_dir: str = "") -> list[Path]:
    """Manifests by name: those of `models_dir`, then the user's own, then the shipped ones that they do not replace.

    Raises:
        ModelError: `models_dir` is not a readable folder.
    """
    found: dict[str, Path] = {}
    for folder in _folders(models_dir):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found.setdefault(path.stem, path)
    return list(found.values())


def _folders(models_dir: str) -> list[Path]:
    known = [places.models(), shipped_dir()]
    if not models_dir:
        return known
    folder = places.at_home(models_dir)
    if not _is("dir", folder):
        raise ModelError(f"engine.models_dir: {folder}: no such folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise ModelError(f"engine.models_dir: {folder}: cannot be read; check its permissions")
    return [folder, *known]


def _is(kind: str, path: Path) -> bool:
    """Whether `path` is a "file" or "dir" that can be seen."""
    try:
        return path.is_file() if kind == "file" else path.is_dir()
    except (OSError, ValueError):  # no permission, name too long, a null byte
        return False


def find_model(name_or_path: str, models_dir: str = "") -> Path:
    """The manifest of a model given by name, or by the path of its .tflite or .toml file.

    Raises:
        ModelError: nothing of that name, or a .tflite without its manifest; says what there is.
    """
    suffix = Path(name_or_path).suffix
    if "/" in name_or_path or suffix in (".tflite", SUFFIX, *CHIPS):
        return _manifest_at(places.at_home(name_or_path))
    models = {path.stem: path for path in list_models(models_dir)}
    if name_or_path in models:
        return models[name_or_path]
    import difflib

    near = difflib.get_close_matches(name_or_path, models, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ModelError(
        f"engine.model: no model {name_or_path!r}; {hint}there are: {', '.join(models) or 'none'}; "
        "a file is given by its path, NAME.tflite"
    )


def _manifest_at(path: Path) -> Path:
    manifest = path.with_suffix(SUFFIX)
    if path.suffix == ".tflite":
        if not _is("file", path):
            raise ModelError(f"{path}: {'is a folder, not a model file' if _is('dir', path) else 'no such file'}")
        if not _is("file", manifest):
            raise ModelError(
                f"{path}: has no manifest {manifest.name} beside it, which says what the file cannot; "
                f"`edgepose models import {path}` writes one"
            )
        named = read_manifest(manifest).file
        if named != path.name:
            raise ModelError(f"{manifest}: file is {named!r}, expected {path.name!r}")
    elif path.suffix in CHIPS:
        raise ModelError(f"{path}: is {CHIPS[path.suffix]}")
    elif path.suffix != SUFFIX:
        raise ModelError(f"{path}: is neither a .tflite nor a {SUFFIX} file")
    elif not _is("file", manifest):
        raise ModelError(f"{path}: {'is a folder, not a manifest' if _is('dir', path) else 'no such file'}")
    return manifest


def verify_model(
    manifest_path: Path, *, here: bool = True, known: bool = False, noted: bool = False
) -> tuple[Manifest, Graph, bytes]:
    """Read a model and check everything that can be checked without running it.

    here   False: a model that only runs on hardware this machine may not have is sound too
    known  True: the file is one of ours, which its hash proves; its inside was checked before it came
    noted  as `read_model`

    The bytes returned are the ones that were checked: hand them to the interpreter, do not read the file again.

    Raises:
        ModelError: missing, damaged, or manifest and graph disagree.
    """
    manifest = read_manifest(manifest_path)
    content = read_model(manifest_path, manifest, noted=noted)
    path = str(manifest_path.with_name(manifest.file))
    graph = read_ends(content, path) if known else read_graph(content, path)
    _check_ops(graph, path, here)
    _check_input(graph, manifest, str(manifest_path))
    _check_heads(graph, manifest, str(manifest_path))
    return manifest, graph, content


def verify_build(manifest_path: Path, build: Build, graph: Graph) -> bytes:
    """The bytes of a model's Edge TPU build, whose input and heads are those of the CPU's file to the last step.

    graph  of the CPU's file

    Raises:
        ModelError: missing, damaged, no Edge TPU build, or of another model.
    """
    content = read_model(manifest_path, build)
    path = str(manifest_path.with_name(build.file))
    built = read_graph(content, path)
    if not built.is_edgetpu:
        raise ModelError(f"{path}: is not compiled for an Edge TPU; compile it with edgetpu_compiler")
    _check_ops(built, path, here=False)
    difference = unlike(graph, built)
    if difference:
        raise ModelError(f"{path}: {difference}; compile the very file that {manifest_path.name} names")
    return content


def unlike(graph: Graph, other: Graph) -> str:
    """Where inputs and outputs of two graphs differ in count, shape, type or quantisation; empty: nowhere."""
    for what in ("inputs", "outputs"):
        ours: tuple[Tensor, ...] = getattr(graph, what)
        theirs: tuple[Tensor, ...] = getattr(other, what)
        if len(ours) != len(theirs):
            return f"has {len(theirs)} {what}, expected {len(ours)}"
        for index, (mine, its) in enumerate(zip(ours, theirs, strict=True)):
            if _told(mine) != _told(its):
                return f"{what[:-1]} {index} is {_told(its)}, expected {_told(mine)}"
    return ""


def _told(tensor: Tensor) -> str:
    step = f" with step {tensor.scale:.5g} and zero {tensor.zero_point}" if tensor.scales else ""
    return f"{tensor.dtype} {list(tensor.shape)}{step}"


def _check_ops(graph: Graph, path: str, here: bool) -> None:
    if graph.needs and here:
        kind = "external" if ETHOSU_OP in graph.custom_ops else "edgetpu"
        more = " and engine.delegate_library" if kind == "external" else ""
        raise ModelError(
            f"{path}: this model needs {graph.needs}; use the build of it for the CPU, "
            f"or one with engine.delegate = '{kind}'{more}"
        )
    unknown = [name for name in graph.custom_ops if name not in (*BUILTIN_CUSTOM_OPS, *ACCELERATORS)]
    if unknown:
        raise ModelError(
            f"{path}: has operators that no TFLite runtime brings along: {', '.join(map(quoted, unknown[:5]))}; "
            "use a build of the model without them"
        )


def _check_input(graph: Graph, manifest: Manifest, where: str) -> None:
    if len(graph.inputs) != 1:
        raise ModelError(f"{where}: the model has {len(graph.inputs)} inputs, expected one picture; use another model")
    batch, _, _, channels = manifest.input.shape
    _agree(where, "input", manifest.input.shape, manifest.input.dtype, graph.inputs[0])
    if batch != 1 or channels != 3:
        raise ModelError(
            f"{where}: input.shape is {list(manifest.input.shape)}, expected batch 1 and 3 colour channels; "
            "use another model"
        )


def _check_heads(graph: Graph, manifest: Manifest, where: str) -> None:
    outputs = sorted(head.output for head in manifest.heads)
    if outputs != list(range(len(graph.outputs))):
        raise ModelError(
            f"{where}: heads name outputs {outputs}, but the model has {len(graph.outputs)}; name each once, from 0"
        )
    for index, head in enumerate(manifest.heads):
        _agree(where, f"heads[{index}]", head.shape, head.dtype, graph.outputs[head.output])
        if head.batch_axis and (len(head.shape) < 2 or head.shape[0] != 1):
            raise ModelError(
                f"{where}: heads[{index}].shape is {list(head.shape)}, expected batch 1; "
                "use another model, or set batch_axis = false where the first axis is none"
            )


def _agree(where: str, key: str, shape: tuple[int, ...], dtype: str, tensor: Tensor) -> None:
    """Check that the manifest describes the tensor."""
    advice = "correct the manifest or take the model it was written for"
    if shape != tensor.shape:
        raise ModelError(f"{where}: {key}.shape is {list(shape)}, but the model has {list(tensor.shape)}; {advice}")
    if dtype != tensor.dtype:
        raise ModelError(f"{where}: {key}.dtype is {dtype!r}, but the model has {tensor.dtype!r}; {advice}")
    if tensor.scales > 1 or (tensor.scales and not tensor.scale > 0):
        raise ModelError(f"{where}: {key} is quantised with {tensor.scales} scales, expected one; use another model")

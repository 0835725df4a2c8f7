"""A model file as something to run, and pictures as it is shown them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config, places
from edgepose.core.errors import ModelError
from edgepose.core.poses import Crop, Frame, Poses
from edgepose.engine import Engine, open_engine
from edgepose.engine.flatfile import read_graph
from edgepose.engine.manifest import SUFFIX, Manifest, read_file, read_manifest
from edgepose.engine.surgery import make_plan
from edgepose.engine.surgery.manifest_text import toml

MOST_VIEWS = 64
REACH = 1.35
"""A crop's side over that of the box around a person's joints."""


class Bundle(NamedTuple):
    """A model's file and what its manifest says."""

    table: Mapping[str, Any]
    content: bytes

    @property
    def span(self) -> tuple[float, float]:
        """Real values of byte 0 and of byte 255 at the input."""
        low, high = self.table["input"]["range"]
        return float(low), float(high)


class View(NamedTuple):
    """What a model is shown."""

    real: NDArray[np.float32]
    """(H, W, 3) real values at its input."""
    frame: Frame
    crop: Crop


def read_bundle(path: Path) -> Bundle:
    """A model with the manifest beside it, or else as an import would cut it.

    Raises:
        ModelError: damaged, or not recognised.
    """
    beside = path.with_suffix(SUFFIX)
    if beside.is_file() and read_manifest(beside).file == path.name:
        return Bundle(_known(msgspec.to_builtins(read_manifest(beside))), read_file(path))
    plan = make_plan(read_file(path), path)
    return Bundle(plan.table, plan.content)


def _known(value: Any) -> Any:
    """A table without what is not set: TOML has no word for it."""
    if isinstance(value, dict):
        return {key: _known(entry) for key, entry in value.items() if entry is not None}
    return [_known(entry) for entry in value] if isinstance(value, list | tuple) else value


def changed(bundle: Bundle, content: bytes, name: str, made: str) -> Bundle:
    """The same model with other bytes, under another name: what its graph says is read off it."""
    graph = read_graph(content, name)
    heads = [{**head, "dtype": graph.outputs[head["output"]].dtype} for head in bundle.table["heads"]]
    title = bundle.table["title"].replace("float32", heads[0]["dtype"])
    steps = {head["role"]: float(f"{graph.outputs[head['output']].scale / 2:.6g}") for head in heads}
    table = {
        **bundle.table,
        "name": name,
        "title": title,
        "file": f"{name}.tflite",
        "sha256": hashlib.sha256(content).hexdigest(),
        "input": {**bundle.table["input"], "dtype": graph.inputs[0].dtype},
        "heads": heads,
        "origin": {**bundle.table["origin"], "made": f"{bundle.table['origin']['made']}; {made}"},
        "accuracy": {"half_step": steps},
        "delegates": {},
    }
    return Bundle(table, content)


@contextmanager
def opened(bundle: Bundle) -> Iterator[Engine]:
    """An engine of a model that need not lie in any folder."""
    with tempfile.TemporaryDirectory(prefix="edgepose-") as folder:
        manifest = written(bundle, Path(folder))
        with open_engine(config.Engine(model=str(manifest))) as engine:
            yield engine


def written(bundle: Bundle, folder: Path) -> Path:
    """Write both files; returns the manifest's place."""
    name = bundle.table["name"]
    (folder / bundle.table["file"]).write_bytes(bundle.content)
    manifest = folder / f"{name}{SUFFIX}"
    manifest.write_text(toml(bundle.table), encoding="utf-8")
    return manifest


def read_pictures(folder: str) -> list[Frame]:
    """The pictures of a folder.

    Raises:
        ModelError: there is none.
    """
    from edgepose.source import open_source

    if not folder or not places.at_home(folder).is_dir():
        raise ModelError(f"--pictures {folder or '...'}: a folder of pictures is needed, twenty or more with people")
    with open_source(config.Source(uri=folder, kind="folder")) as source:
        frames = [frame for frame, _ in zip(source, range(MOST_VIEWS), strict=False)]
    if not frames:
        raise ModelError(f"--pictures {folder}: no picture in it")
    return frames


def people_of(frames: Sequence[Frame]) -> list[Poses]:
    """Who is in each picture, as `default` sees it."""
    from edgepose.estimate import open_estimate

    estimate = open_estimate(config.Config(engine=config.Engine(model="default")))
    try:
        return [estimate(frame, None).poses for frame in frames]
    finally:
        estimate.close()


def views_of(engine: Engine, frames: Sequence[Frame], one_person: bool) -> list[View]:
    """What a model would be shown: whole pictures, or a crop around each person seen in them; none: whole pictures."""
    from edgepose.estimate.boxes import around
    from edgepose.estimate.preprocess import Preprocess

    preprocess, manifest = Preprocess(engine.input), engine.manifest
    spec = engine.input.tensor
    boxes: list[tuple[Frame, Any]] = [(frame, None) for frame in frames]
    if one_person:
        seen = people_of(frames)
        each = [(frame, around(xy, REACH)) for frame, poses in zip(frames, seen, strict=True) for xy in poses.xy]
        boxes = [(frame, box) for frame, box in each if box is not None] or boxes
    views = []
    for frame, box in boxes[:MOST_VIEWS]:
        tensor, crop = preprocess(frame, box)
        views.append(View(_real(np.array(tensor), manifest, spec.dtype), frame, crop))
    return views


def _real(tensor: NDArray[Any], manifest: Manifest, dtype: np.dtype[Any]) -> NDArray[np.float32]:
    if dtype.kind == "f":
        return tensor.astype(np.float32)
    low, high = manifest.input.range
    byte = tensor.astype(np.float32) + (128 if dtype == np.int8 else 0)
    real: NDArray[np.float32] = (low + byte * (high - low) / 255).astype(np.float32)
    return real

"""The manifest of an imported model: as a table, and as TOML."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from edgepose.core.config import toml_value
from edgepose.engine.flatfile import Graph
from edgepose.engine.surgery.found import Found
from edgepose.engine.surgery.intake import Intake


class Origin(NamedTuple):
    """The file a model was cut from."""

    file: str
    sha256: str
    dropped: int
    """Operators that were cut away."""
    operators: int
    """Those it had."""


def table(name: str, content: bytes, graph: Graph, found: Found, intake: Intake, origin: Origin) -> dict[str, Any]:
    """Every key of the manifest; heads in the order of the graph's outputs."""
    picture = graph.inputs[0]
    _, height, width, _ = picture.shape
    heads: list[dict[str, Any]] = []
    for output, role in enumerate(found.heads):
        tensor = graph.outputs[output]
        head = {"role": role, "output": output, "shape": list(tensor.shape), "dtype": tensor.dtype}
        heads.append(head | ({"batch_axis": False} if role in found.keep_first else {}))
    steps = {
        head["role"]: float(f"{graph.outputs[head['output']].scale:.6g}")
        for head in heads
        if graph.outputs[head["output"]].scales
    }
    made = {
        "schema": 1,
        "name": name,
        "title": f"{found.what}, {width}x{height}, {heads[0]['dtype']}"
        + (f", for {graph.needs}" if graph.needs else ""),
        "file": f"{name}.tflite",
        "sha256": hashlib.sha256(content).hexdigest(),
        "skeleton": found.skeleton,
        "input": {
            "shape": list(picture.shape),
            "dtype": picture.dtype,
            "colour": found.colour,
            "range": [float(end) for end in intake.span],
            "resize": found.resize,
            "fit": found.fit,
            "pad": found.pad,
        },
        "heads": heads,
        "decoder": {"name": found.decoder, "options": found.options},
        "origin": {
            "package": f"file {origin.file}",
            "files": {origin.file: origin.sha256},
            "made": f"edgepose models import: cut at its heads, {origin.dropped} of {origin.operators} operators less",
        },
        "licence": {"spdx": "NOASSERTION", "notice": f"that of {origin.file}, which edgepose does not know"},
    }
    # nothing was measured, but no value of a quantised head is truer than half a step of it
    return made | ({"accuracy": {"half_step": {role: step / 2 for role, step in steps.items()}}} if steps else {})


def toml(manifest: Mapping[str, Any]) -> str:
    """A manifest as TOML: numbers and strings first, then a section for each table."""
    lines = ["# Made by `edgepose models import`. What the file could not say is a guess: correct it here."]
    _section(lines, "", manifest)
    return "\n".join(lines) + "\n"


def _section(lines: list[str], path: str, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if not _nested(value):
            lines.append(f"{_key(key)} = {toml_value(value)}")
    for key, value in values.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        if isinstance(value, Mapping):
            if not all(_nested(entry) for entry in value.values()):
                lines.extend(["", f"[{name}]"])
            _section(lines, name, value)
        elif _nested(value):
            for row in value:
                lines.extend(["", f"[[{name}]]"])
                _section(lines, name, row)


def _nested(value: Any) -> bool:
    """Whether a value is a table or a list of tables."""
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else toml_value(key)

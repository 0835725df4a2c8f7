"""Writes NAME.toml: what the graph cannot say, for edgepose's engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter

from models_build.environment import sha256
from models_build.recipes import BALANCE_VIEWS, PACKAGE, RANGE_VIEWS, SCORES, Recipe
from models_build.tflite import output_name

ACCURACY = Path(__file__).with_name("accuracy.json")
"""What `--measure` found, model by model; committed, so that a build needs no test pictures."""

MADE = (
    "tools/build_models: the graph from the normalised picture to the heads, written as float .tflite without "
    "TensorFlow; ai-edge-quantizer, static, int8 weights per channel, int8 activations; ranges from "
    f"{RANGE_VIEWS} and bias correction from {BALANCE_VIEWS} views of scikit-image's astronaut, camera, coffee, "
    "chelsea and rocket (public domain and CC0)"
)
NOTICE = (
    "MoveNet by Google, published under Apache-2.0; cut at its heads, converted and quantised by the edgepose "
    "project; see NOTICE"
)


def write_manifest(recipe: Recipe, folder: Path) -> None:
    """Write NAME.toml beside the finished NAME.tflite."""
    model = (folder / f"{recipe.name}.tflite").read_bytes()
    (folder / f"{recipe.name}.toml").write_text(_manifest(recipe, model), encoding="utf-8")


def _manifest(recipe: Recipe, model: bytes) -> str:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    outputs = {tensor["name"]: (place, tensor) for place, tensor in enumerate(interpreter.get_output_details())}
    lines = ["# Made by tools/build_models: change the recipe there, not this file."]
    _table(
        lines,
        "",
        {
            "schema": 1,
            "name": recipe.name,
            "title": recipe.title,
            "file": f"{recipe.name}.tflite",
            "sha256": sha256(model),
            "skeleton": "coco17",
        },
    )
    _table(
        lines,
        "[input]",
        {
            "shape": source["shape"].tolist(),
            "dtype": source["dtype"].__name__,
            "colour": "rgb",
            "range": [-1.0, 1.0],
            "resize": "linear",
            "fit": "letterbox",
            "pad": 0,
        },
    )
    for role in recipe.heads:
        place, tensor = outputs[output_name(role)]
        shape, dtype = tensor["shape"].tolist(), tensor["dtype"].__name__
        _table(lines, "[[heads]]", {"role": role, "output": place, "shape": shape, "dtype": dtype})
    _table(lines, "[decoder]", {"name": "movenet"})
    _table(lines, "[decoder.options]", recipe.decoder)
    _table(lines, "[score]", SCORES[recipe.name])
    _table(lines, "[origin]", {"package": f"npm {PACKAGE}", "made": MADE})
    _table(lines, "[origin.files]", recipe.files)
    _table(lines, "[licence]", {"spdx": "Apache-2.0", "notice": NOTICE})
    measured = json.loads(ACCURACY.read_text()).get(recipe.name, {}) if ACCURACY.exists() else {}
    for part, values in measured.items():
        _table(lines, f"[accuracy.{part}]", values)
    return "\n".join(lines) + "\n"


def _table(lines: list[str], header: str, values: Mapping[str, Any]) -> None:
    """Append one TOML table. JSON's text, numbers and flat lists read the same in TOML."""
    lines += ["", header] if header else []
    lines += [f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else json.dumps(key)

"""Scores finished models on annotated pictures; the numbers go into accuracy.json and from there into the manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models_build.build import Builder
from models_build.environment import BuildError, say
from models_build.manifest import ACCURACY, write_manifest
from models_build.recipes import MULTI_HEADS, Recipe
from samples import quality

SETS = ("coco_mini_train", "mmpose_mix", "tflite_examples", "lspet_public_400")
"""Folders looked for; what is absent is left out."""

BAR_SETS = ("coco_mini_train", "mmpose_mix")
"""Sets whose people are counted together."""


def measure(builder: Builder, recipes: Sequence[Recipe], models: Path, sets: Path, stock: Path | None) -> None:
    """Score each recipe's model, and its float graph beside it, and keep the numbers.

    Raises:
        BuildError: no set is in the folder.
    """
    people = {name: list(quality.people(sets / name)) for name in SETS if (sets / name).is_dir()}
    if not people:
        raise BuildError(f"{sets}: none of {', '.join(SETS)} is there")
    kept = json.loads(ACCURACY.read_text()) if ACCURACY.exists() else {}
    stock_scores = {} if stock is None else _single(quality.whole_model(stock.read_bytes()), people)
    say(f"stock: {stock_scores}")
    for recipe in recipes:
        score = _multi if recipe.heads is MULTI_HEADS else _single
        read = quality.many_people if recipe.heads is MULTI_HEADS else quality.one_person
        found = score(read((models / f"{recipe.name}.tflite").read_bytes()), people)
        ideal = score(read(builder.float_model(recipe, recipe.input_hw)), people)
        kept[recipe.name] = {
            "how": {
                "people": PROTOCOLS[score],
                "tools": f"ai-edge-litert, OpenCV {cv2.__version__} warpAffine, linear",
            },
            "int8": found,
            "float": ideal,
        }
        if score is _single and stock_scores:
            kept[recipe.name]["stock_lightning_int8"] = stock_scores
        say(f"{recipe.name}: int8 {found}")
        say(f"{recipe.name}: float {ideal}")
    ACCURACY.write_text(json.dumps(kept, indent=2) + "\n")
    for recipe in recipes:
        write_manifest(recipe, models)


def _single(model: Any, people: dict[str, list[quality.Person]]) -> dict[str, float]:
    found = {name: quality.crop_oks(persons, model) for name, persons in people.items()}
    scores = {f"mean_oks_{name}": _rounded(values) for name, values in found.items()}
    both = [found[name] for name in BAR_SETS if name in found]
    return scores | ({"mean_oks_coco_and_mmpose": _rounded(np.concatenate(both))} if len(both) == 2 else {})


def _multi(model: Any, people: dict[str, list[quality.Person]]) -> dict[str, float]:
    whole = {name: quality.picture_oks(persons, model) for name, persons in people.items() if name in BAR_SETS}
    scores: dict[str, float] = {}
    for name, values in whole.items():
        scores[f"mean_best_oks_{name}"] = _rounded(values)
        scores[f"found_{name}"] = _rounded(values >= 0.5)
    return scores


PROTOCOLS = {
    _single: (
        "people with 8 labelled joints or more, one crop each of 1.25 x the longer side of the ground-truth box, "
        "mean OKS over the labelled joints"
    ),
    _multi: (
        "people with 8 labelled joints or more in whole pictures, letterboxed; best OKS among the six answers of the "
        "graph's own rule at score 0.05 or more; found: share of people with 0.5 or more"
    ),
}


def _rounded(values: Any) -> float:
    return round(float(np.mean(values)), 4)

"""Builds models from recipes; runs in the build's own environment."""

from __future__ import annotations

from pathlib import Path

from models_build.balance import balance
from models_build.convert import ROOT, convert
from models_build.environment import say
from models_build.manifest import write_manifest
from models_build.pictures import calibration_views
from models_build.quantize import Ranges, calibrate, quantize, settle
from models_build.recipes import BALANCE_VIEWS, RANGE_VIEWS, Recipe
from models_build.tfjs import Graph, read_graph


class Builder:
    """Turns recipes into files; keeps what several recipes share."""

    def __init__(self, package: Path) -> None:
        self.package = package
        """Folder with the checkpoints."""
        self._graphs: dict[str, Graph] = {}
        self._ranges: dict[tuple[str, tuple[int, int]], Ranges] = {}

    def float_model(self, recipe: Recipe, input_hw: tuple[int, int]) -> bytes:
        """The float .tflite of a recipe's checkpoint at an input size."""
        if recipe.checkpoint not in self._graphs:
            self._graphs[recipe.checkpoint] = read_graph(self.package / "models" / f"{recipe.checkpoint}.json")
        return convert(self._graphs[recipe.checkpoint], recipe.heads, input_hw)

    def ranges(self, recipe: Recipe) -> Ranges:
        """What each tensor of the int8 model must reach."""
        key = recipe.checkpoint, recipe.calibration_hw
        if key not in self._ranges:
            say(f"{recipe.name}: measuring ranges on {RANGE_VIEWS} views")
            views = calibration_views(RANGE_VIEWS, recipe.calibration_hw, seed=0)
            measured = calibrate(self.float_model(recipe, recipe.calibration_hw), views)
            self._ranges[key] = settle(measured, [ROOT + node for node in recipe.logits])
        return self._ranges[key]

    def build(self, recipe: Recipe, folder: Path) -> None:
        """Write NAME.tflite and NAME.toml."""
        ranges = self.ranges(recipe)
        exact = self.float_model(recipe, recipe.input_hw)
        say(f"{recipe.name}: quantising, then correcting biases on {BALANCE_VIEWS} views")
        model = balance(exact, quantize(exact, ranges), calibration_views(BALANCE_VIEWS, recipe.input_hw, seed=1))
        (folder / f"{recipe.name}.tflite").write_bytes(model)
        write_manifest(recipe, folder)
        say(f"{recipe.name}: {len(model):,} bytes")

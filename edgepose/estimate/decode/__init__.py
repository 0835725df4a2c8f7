"""Heads become Poses, one file per head family. From here on one type flows: Poses -> Poses."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, Protocol

from edgepose import kernels
from edgepose.core import config
from edgepose.core.errors import ConfigError, ModelError
from edgepose.core.poses import SKELETONS, Crop, Frame, Heads, HeadSpec, Poses, Skeleton


class Decode(Protocol):
    """heads, crop, frame -> the people in it, in source pixels."""

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        ...


Options = dict[str, Any]


class Family(NamedTuple):
    """A decoder family: module NAME of this folder with `Options` and a class, built when a model asks for it."""

    class_: str
    """Its decoder in that module: (options, heads, skeleton, cfg[, kernels]) -> Decode."""
    loops: str | None
    """Family of edgepose.kernels that is handed to it; None: it has none and takes no kernels."""


DECODERS: dict[str, Family] = {
    "ae": Family("AssociativeEmbedding", "grouping"),
    "blazepose": Family("BlazePose", None),
    "box_heatmap": Family("BoxHeatmap", "peaks"),
    "heatmap": Family("Heatmap", "heatmap"),
    "heatmap_depth": Family("HeatmapDepth", "heatmap"),
    "integral": Family("Integral", "integral"),
    "movenet": Family("MoveNet", "movenet"),
    "paf": Family("Paf", "grouping"),
    "personlab": Family("PersonLab", "personlab"),
    "regression": Family("Regression", None),
    "scmap": Family("ScoreMaps", "grouping"),
    "simcc": Family("SimCC", None),
    "yolo_pose": Family("YoloPose", None),
}


def open_decoder(
    model: str, name: str, options: Options, skeleton: str | Skeleton, heads: dict[str, HeadSpec], cfg: config.Decode
) -> Decode:
    """The decoder `name` that the manifest of `model` asks for, for these heads.

    skeleton  or the name of one of SKELETONS

    Raises:
        ModelError: no such decoder, wrong options, or heads it cannot read.
        ConfigError: numba is asked for and not installed.
    """
    if name not in DECODERS:
        raise ModelError(f"model {model}: decoder.name is {name!r}, expected one of {', '.join(DECODERS)}")
    try:
        family = DECODERS[name]
        module = importlib.import_module(f"edgepose.estimate.decode.{name}")
        checked = config.convert(options, module.Options, "[decoder.options]")
        joints = SKELETONS[skeleton] if isinstance(skeleton, str) else skeleton
        loops = () if family.loops is None else (kernels.family(family.loops, cfg.kernels),)
        decoder: Decode = getattr(module, family.class_)(checked, heads, joints, cfg, *loops)
        return decoder
    except ConfigError as error:
        raise ModelError(f"model {model}: {error}") from None
    except ImportError as error:
        raise ConfigError(
            f'decode.kernels is {cfg.kernels!r}: {error}; pip install numba, or set it to "numpy"'
        ) from None


ONE_PERSON = ("heatmap", "heatmap_depth", "integral", "simcc")
"""Families whose heads know of one person."""


def sees_one(name: str, options: Options, max_people: int) -> bool:
    """Whether this decoder tells of one person in a picture, however many are there."""
    if name == "movenet":
        return options.get("people_head") == "single" and max_people == 1
    if name == "regression":
        return options.get("kind") != "movenet_multi"
    if name == "blazepose":
        return options.get("part") == "landmarks"
    return name in ONE_PERSON


def stands_upright(name: str, options: Options) -> bool:
    """Whether the model was trained on people turned upright, the hips in the middle of its picture."""
    return name == "blazepose" and options.get("part") == "landmarks"

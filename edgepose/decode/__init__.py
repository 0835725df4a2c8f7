"""Heads become Poses, one file per head family. From here on one type flows: Poses -> Poses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from edgepose import config, kernels
from edgepose.errors import ConfigError, ModelError
from edgepose.poses import SKELETONS, Crop, Frame, Heads, HeadSpec, Poses, Skeleton


class Decode(Protocol):
    """heads, crop, frame -> the people in it, in source pixels."""

    def __call__(self, heads: Heads, crop: Crop, frame: Frame) -> Poses:
        """Decode one frame's heads; `crop` maps model pixels to the frame's."""
        ...


Options = dict[str, Any]


def _movenet(options: Options, heads: dict[str, HeadSpec], skeleton: Skeleton, cfg: config.Decode) -> Decode:
    from edgepose.decode import movenet

    checked = config.convert(options, movenet.Options, "[decoder.options]")
    return movenet.MoveNet(checked, heads, skeleton, cfg, kernels.family("movenet", cfg.kernels))


DECODERS: dict[str, Callable[[Options, dict[str, HeadSpec], Skeleton, config.Decode], Decode]] = {
    "movenet": _movenet,
}


def open_decoder(
    model: str, name: str, options: Options, skeleton: str, heads: dict[str, HeadSpec], cfg: config.Decode
) -> Decode:
    """The decoder `name` that the manifest of `model` asks for, for these heads.

    Raises:
        ModelError: no such decoder, wrong options, or heads it cannot read.
        ConfigError: numba is asked for and not installed.
    """
    if name not in DECODERS:
        raise ModelError(f"model {model}: decoder.name is {name!r}, expected one of {', '.join(DECODERS)}")
    try:
        return DECODERS[name](options, heads, SKELETONS[skeleton], cfg)
    except ConfigError as error:
        raise ModelError(f"model {model}: {error}") from None
    except ImportError as error:
        raise ConfigError(
            f"decode.kernels is {cfg.kernels!r} but numba cannot be imported ({error}); "
            'pip install numba, or set it to "numpy"'
        ) from None

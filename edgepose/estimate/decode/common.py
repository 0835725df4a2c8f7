"""What every decoder needs: heads checked, raw values and real ones, joints made Poses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import Frame, HeadSpec, Poses, Skeleton

F = np.float32


class Scored(Protocol):
    """Options of a decoder that drops unlikely people and joints."""

    @property
    def min_person_score(self) -> float:
        """The model's own threshold, 0..1."""
        ...

    @property
    def min_joint_score(self) -> float:
        """The model's own threshold, 0..1."""
        ...


def least_scores(options: Scored, cfg: config.Decode) -> tuple[float, float]:
    """Least person score and least joint score: as set, else the model's own."""
    return (
        options.min_person_score if cfg.min_person_score is None else cfg.min_person_score,
        options.min_joint_score if cfg.min_joint_score is None else cfg.min_joint_score,
    )


def check_heads(heads: Mapping[str, HeadSpec], channels: Mapping[str, int]) -> None:
    """Raise ModelError unless every role is there as (H, W, channels) with one common H, W.

    The size is that of the head `heatmap`, or of the first role where no heatmap is asked for.
    """
    first = "heatmap" if "heatmap" in channels else next(iter(channels))
    for role in dict.fromkeys((first, *channels)):
        if role not in heads:
            raise ModelError(f"the decoder needs a head with role {role!r}; the manifest names {', '.join(heads)}")
        expected = (*heads[first].shape[:2], channels[role])
        if heads[role].shape != expected:
            raise ModelError(f"head {role!r} is {heads[role].shape}, expected {expected}")


def check_channels(heads: Mapping[str, HeadSpec], least: Mapping[str, int]) -> None:
    """Raise ModelError unless every role is there as (H, W, C) with at least so many channels and one common H, W."""
    first = next(iter(least))
    for role, count in least.items():
        if role not in heads:
            raise ModelError(f"the decoder needs a head with role {role!r}; the manifest names {', '.join(heads)}")
        shape, wanted = heads[role].shape, heads[first].shape[:2]
        if len(shape) != 3 or shape[:2] != wanted or shape[2] < count:
            raise ModelError(f"head {role!r} is {shape}, expected {(*wanted, count)} or more channels")


def quant_of(spec: HeadSpec) -> NDArray[np.float32]:
    """(2,) scale and zero point of a head, as kernels take them."""
    return np.array([spec.scale, spec.zero_point], F)


def real(raw: NDArray[Any], quant: NDArray[np.float32]) -> NDArray[np.float32]:
    """Real values of a few raw ones; `quant` is scale and zero point."""
    values: NDArray[np.float32] = (raw.astype(F) - quant[1]) * quant[0]
    return values


def least_raw(spec: HeadSpec, least: float) -> Any:
    """The smallest raw value, in the head's own type, whose real value is at least `least`.

    Where no raw value is that high it is the highest one.
    """
    if spec.dtype.kind == "f":
        return spec.dtype.type(least / spec.scale)
    limits = np.iinfo(spec.dtype)
    raw = int(np.ceil(least / spec.scale + spec.zero_point - 1e-6))
    return spec.dtype.type(min(max(raw, limits.min), limits.max))


def zero_heads(heads: Mapping[str, HeadSpec]) -> dict[str, NDArray[Any]]:
    """Role -> (H, W, C) head of raw zeros: something to warm kernels with before the first frame."""
    return {role: np.zeros(spec.shape, spec.dtype) for role, spec in heads.items()}


def poses_from(
    frame: Frame,
    skeleton: Skeleton,
    xy: NDArray[np.float32],
    score: NDArray[np.float32],
    person_score: NDArray[np.float32],
    min_joint: float,
    xyz: NDArray[np.float32] | None = None,
) -> Poses:
    """Poses of one frame; joints that score below `min_joint`, or not at all, become NaN and score 0.

    The arrays are kept, and written to where a joint is lost: hand in fresh ones.

    xy            (N, K, 2)  source pixels
    score         (N, K)     0..1
    person_score  (N,)       0..1, highest first
    xyz           (N, K, 3)  in the model's own unit
    """
    lost = ~(score >= max(min_joint, 1e-9))
    xy[lost] = np.nan
    score[lost] = 0
    if xyz is not None:
        xyz[lost] = np.nan
    return Poses.of(frame, skeleton, xy, score, person_score, xyz=xyz)

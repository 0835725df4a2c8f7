"""What was recognised in a model: heads by role, and all else a manifest says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from edgepose.engine.surgery.net import Net, Value

Resize = Literal["linear", "nearest", "area"]


@dataclass(frozen=True, slots=True)
class Shaped:
    """A head that lies flat in the file and gets its shape back."""

    tensor: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A family of models, and where its heads are."""

    what: str
    """Name of the family, for people."""
    decoder: str
    heads: dict[str, int | Shaped]
    """Role -> tensor."""
    skeleton: str | dict[str, Any]
    """Name of one of edgepose's, or the table of one of its own."""
    options: dict[str, Any]
    """[decoder.options]"""
    colour: Literal["rgb", "bgr"] = "rgb"
    span: tuple[float, float] | None = None
    """Real value of byte 0 and of byte 255 where the input is float and the file does not tell; None: not known."""
    resize: Resize = "linear"
    fit: Literal["letterbox", "stretch"] = "letterbox"
    pad: int = 0
    keep_first: frozenset[str] = frozenset()
    """Roles whose first axis is not the batch."""
    warnings: list[str] = field(default_factory=list)


def stride_of(net: Net, head: Value, axis: int = 2) -> int:
    """Model pixels per cell of an (1, H, W, C) head, rounded."""
    size, cells = net.picture.shape[axis], head.shape[axis]
    return max(1, round((size - 1) / (cells - 1))) if cells > 1 else 1


def is_map(value: Value, channels: int | None = None) -> bool:
    """Whether a tensor is (1, H, W, C) with H and W above 1."""
    shape = value.shape
    return len(shape) == 4 and shape[0] == 1 and min(shape[1:3]) > 1 and channels in (None, shape[3])

"""The records that cross module borders. Data flows through them one way: Frame -> heads -> Poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["bgr", "rgb", "gray", "i420", "nv12"]
"""How a frame's bytes lie: interleaved colour, one plane, or planar / semi-planar YUV 4:2:0."""

Heads = Mapping[str, NDArray[Any]]
"""Role -> raw head (H, W, C) exactly as the model returned it; valid until the engine's next run."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from a source."""

    image: NDArray[np.uint8]
    """(H, W, 3) for bgr and rgb, (H, W) for gray, (H * 3 / 2, W) for i420 and nv12; padding removed."""
    layout: Layout
    t: float
    """Capture time, seconds. Live: when the sensor saw it, monotonic clock. File: position in the file."""
    taken_t: float
    """Monotonic seconds from which a message's age counts: `t` when live, when it was read from a file."""
    seq: int
    """Frame number at the source; gaps are dropped frames."""
    name: str = ""
    """What the source calls it: the file's name for pictures and videos, empty for a camera."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.image.shape[:2]
        return width, height * 2 // 3 if self.layout in ("i420", "nv12") else height


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A named set of joints."""

    name: str
    joints: tuple[str, ...]
    """K names, in the order of the keypoint axis."""
    bones: tuple[tuple[int, int], ...]
    """Joint pairs to draw a line between."""
    sigmas: tuple[float, ...]
    """(K,) spread of each joint in OKS: COCO's per-keypoint sigmas, k = 2 * sigma."""


COCO17 = Skeleton(
    name="coco17",
    joints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    bones=(
        (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
        (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
)  # fmt: skip

OPENPOSE18 = Skeleton(
    name="openpose18",
    joints=(
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear",
    ),
    bones=(
        (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
        (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
    ),
    sigmas=(
        0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062,
        0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.025, 0.025, 0.035, 0.035,
    ),
)  # fmt: skip
"""The 18 parts of OpenPose's COCO model; the neck's sigma is the shoulders'."""

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, OPENPOSE18)}


@dataclass(frozen=True, slots=True)
class Crop:
    """Where the model's input lies in the source: source = offset + model * scale, in pixel centres.

    (0, 0) is the centre of the top-left pixel on both sides.
    """

    offset_xy: tuple[float, float]
    """Source pixel under the centre of the model's top-left pixel."""
    scale_xy: tuple[float, float]
    """Source pixels per model pixel."""

    def to_source(self, xy: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Map (..., 2) model pixels to source pixels."""
        scaled = xy * np.asarray(self.scale_xy, np.float64) + np.asarray(self.offset_xy, np.float64)
        return scaled.astype(np.float32)


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """What a decoder must know of one model output before the first frame."""

    role: str
    shape: tuple[int, ...]
    """Without the batch axis: (H, W, C)."""
    dtype: np.dtype[Any]
    scale: float
    """real = (raw - zero_point) * scale; 1 for a float head."""
    zero_point: int


@dataclass(frozen=True, slots=True, eq=False)
class InputSpec:
    """What preprocess must know to fill a model's input."""

    tensor: NDArray[Any]
    """(H, W, 3) the model's own input memory: written by preprocess, read by the next run."""
    colour: Literal["rgb", "bgr"]
    resize: Literal["linear", "nearest", "area"]
    fit: Literal["letterbox", "stretch"]
    pad: int
    """Byte that fills a letterbox's bars."""
    byte_map: Literal["same", "xor80", "lut", "float"]
    """How a picture's byte becomes an input value: itself, byte - 128, by table, or range[0] + byte * step."""
    lut: NDArray[Any] = field(default_factory=lambda: np.zeros(0))
    """(256,) the value of each byte where byte_map is "lut" or "float"; empty otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """People found in one frame; N may be 0. Stages return a new one, never write into it.

    Pixels are source-image pixels: x right, y down, (0, 0) the centre of the top-left one.
    A joint that was not found is NaN in xy and 0 in score.
    """

    t: float
    """Capture time, seconds, as Frame.t."""
    taken_t: float
    """As Frame.taken_t."""
    seq: int
    """Frame number at the source; gaps are dropped frames."""
    name: str
    """As Frame.name."""
    size_wh: tuple[int, int]
    """Source image width, height, pixels."""
    skeleton: Skeleton
    xy: NDArray[np.float32]
    """(N, K, 2) pixels."""
    score: NDArray[np.float32]
    """(N, K) in 0..1."""
    person_score: NDArray[np.float32]
    """(N,) in 0..1, highest first."""
    track_id: NDArray[np.int32]
    """(N,) identity, stable over frames; -1 before track."""
    xyz: NDArray[np.float32] | None = None
    """(N, K, 3) x right, y down, z away from the camera, in the model's own unit; None where the model is 2D."""

    def __len__(self) -> int:
        return len(self.person_score)

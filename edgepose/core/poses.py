"""The records that cross module borders. Data flows through them one way: Frame -> heads -> Poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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

AIC14 = Skeleton(
    name="aic14",
    joints=(
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top", "neck",
    ),
    bones=(
        (12, 13), (13, 0), (0, 1), (1, 2), (13, 3), (3, 4), (4, 5),
        (0, 6), (6, 7), (7, 8), (3, 9), (9, 10), (10, 11), (6, 9),
    ),
    sigmas=(
        0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941,
        0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
    ),
)  # fmt: skip
"""AI Challenger 2017, numbered from 0, with the spreads of its own evaluation; order and spreads as in mmpose's aic."""

MPII16 = Skeleton(
    name="mpii16",
    joints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
        "left_shoulder", "left_elbow", "left_wrist",
    ),
    bones=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9),
        (8, 12), (12, 11), (11, 10), (8, 13), (13, 14), (14, 15),
    ),
    sigmas=(
        0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079,
        0.079, 0.079, 0.062, 0.072, 0.079, 0.079, 0.072, 0.062,
    ),
)  # fmt: skip
"""MPII Human Pose. It has no spreads of its own: COCO's for the joints both have, hips' for the pelvis, shoulders' for
thorax, neck and head."""

BODY13 = Skeleton(
    name="body13",
    joints=(
        "nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    bones=(
        (0, 1), (0, 2), (1, 2), (1, 3), (3, 5), (2, 4), (4, 6), (1, 7), (2, 8), (7, 8),
        (7, 9), (9, 11), (8, 10), (10, 12),
    ),
    sigmas=(0.026, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)  # fmt: skip
"""COCO without eyes and ears, as STMicroelectronics trains its small networks; COCO's spreads."""

H36M17 = Skeleton(
    name="h36m17",
    joints=(
        "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "spine", "thorax", "neck", "head_top", "left_shoulder", "left_elbow", "left_wrist",
        "right_shoulder", "right_elbow", "right_wrist",
    ),
    bones=(
        (0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10),
        (8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16),
    ),
    sigmas=(
        0.107, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.107, 0.079, 0.079, 0.079,
        0.079, 0.072, 0.062, 0.079, 0.072, 0.062,
    ),
)  # fmt: skip
"""The 17 of Human3.6M's 32 joints that 3D networks use, right leg first, as in Martinez et al. 2017 and VideoPose3D.
It has no spreads: chosen as for MPII, hips' for the spine."""

BLAZEPOSE33 = Skeleton(
    name="blazepose33",
    joints=(
        "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
        "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky",
        "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee",
        "left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot_index", "right_foot_index",
    ),
    bones=(
        (0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10), (11, 12),
        (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19), (12, 14), (14, 16), (16, 18), (16, 20), (16, 22),
        (18, 20), (11, 23), (12, 24), (23, 24), (23, 25), (24, 26), (25, 27), (26, 28), (27, 29), (28, 30),
        (29, 31), (30, 32), (27, 31), (28, 32),
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.025, 0.025, 0.025, 0.025, 0.035, 0.035, 0.025, 0.025, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.062, 0.062, 0.062, 0.062, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
        0.089, 0.089, 0.089, 0.089, 0.089, 0.089,
    ),
)  # fmt: skip
"""MediaPipe's PoseLandmark. Spreads: COCO's where it has the joint, its eye's for eyes and mouth, wrist's for the hand,
ankle's for the foot."""

BLAZEPOSE4 = Skeleton(
    name="blazepose4",
    joints=("mid_hip", "full_body", "mid_shoulder", "upper_body"),
    bones=((0, 1), (0, 2), (2, 3)),
    sigmas=(0.107, 0.107, 0.079, 0.079),
)
"""What BlazePose's detector says of a person: where, how large, how tilted. Spreads: the hips' and the shoulders'."""

SKELETONS = {
    skeleton.name: skeleton for skeleton in (COCO17, OPENPOSE18, AIC14, BODY13, MPII16, H36M17, BLAZEPOSE33, BLAZEPOSE4)
}


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


Kind = Literal["lifted", "triangulated"]
Axes = Literal["camera", "world"]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """What the xyz of Poses means where it is metres, and how sure it is. Without it xyz is in the model's own unit."""

    kind: Kind
    """From one camera, by what people look like; from several, by geometry."""
    frame: Axes
    """x right, y down, z away from the camera; or as the calibration says, z up."""
    root: NDArray[np.float32]
    """(N, 3) metres: the mid hip in the frame. The places of joints are root + xyz."""
    root_sigma: NDArray[np.float32]
    """(N,) metres, one standard deviation of the root's distance."""
    sigma: NDArray[np.float32]
    """(N, K, 2) metres, one standard deviation of each joint across and along the view, from the root."""
    guessed: NDArray[np.bool_]
    """(N, K) joints that no picture shows: where they usually are in such a pose."""

    def of(self, rows: Any) -> Space:
        """Of some people: an index of numpy's."""
        parts = (self.root[rows], self.root_sigma[rows], self.sigma[rows], self.guessed[rows])
        return Space(self.kind, self.frame, *parts)


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
    """(N, K, 3) x right, y down, z away from the camera: metres where there is `space`, else in the model's own unit;
    None where nothing knows the third coordinate."""
    coarse_xy: NDArray[np.float32] | None = None
    """(N, K, 2) pixels: a rougher, steadier guess where the model has one; what crops are made of."""
    entered: tuple[int, ...] = ()
    """Identities seen in this frame for the first time, by track."""
    left: tuple[int, ...] = ()
    """Identities given up with this frame, by track; they never come again."""
    predicted_s: float = 0.0
    """Seconds after `t` that `xy` is meant for; 0: as seen."""
    ran_on: str = ""
    """What computed them where it is not the CPU as asked: "edgetpu", "cpu instead of edgetpu"."""
    taken_wall: float | None = None
    """Seconds since 1970 of `taken_t` where a recording says so; None: whoever knows what time it is now can tell."""
    space: Space | None = None
    """What xyz means where it is metres."""

    def __len__(self) -> int:
        return len(self.person_score)

    def age_s(self, now_t: float, now_wall: float) -> float:
        """Seconds since it was taken; the arguments are this moment on the clock of `taken_t`, and since 1970."""
        return now_t - self.taken_t if self.taken_wall is None else now_wall - self.taken_wall

    def after(self, dropped: Poses) -> Poses:
        """The same people, told to have entered and left also in earlier `dropped` poses that nobody will see."""
        if not dropped.entered and not dropped.left:
            return self
        return replace(self, entered=dropped.entered + self.entered, left=dropped.left + self.left)

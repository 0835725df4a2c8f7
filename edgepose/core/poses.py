"""The records that cross module borders. Data flows through them one way: Frame -> heads -> Poses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgepose.core.skeletons import (
    AIC14,
    BLAZEPOSE4,
    BLAZEPOSE33,
    BODY13,
    COCO17,
    H36M17,
    MPII16,
    OPENPOSE18,
    SKELETONS,
    Skeleton,
)

__all__ = [
    "AIC14", "BLAZEPOSE4", "BLAZEPOSE33", "BODY13", "COCO17", "DOUBTFUL", "H36M17", "HIDDEN", "MPII16", "OPENPOSE18",
    "OUT", "REASONS", "SKELETONS",
    "Axes", "Crop", "Frame", "HeadSpec", "Heads", "InputSpec", "Kind", "Layout", "Person", "Poses", "Sensed",
    "Skeleton", "Space", "wrong_image",
]  # fmt: skip

Layout = Literal["bgr", "rgb", "gray", "i420", "nv12"]
"""How a frame's bytes lie: interleaved colour, one plane, or planar / semi-planar YUV 4:2:0."""

Heads = Mapping[str, NDArray[Any]]
"""Role -> raw head (H, W, C) exactly as the model returned it; valid until the engine's next run."""


@dataclass(frozen=True, slots=True, eq=False)
class Sensed:
    """What a network inside the camera answered to a frame."""

    tensors: tuple[NDArray[np.float32], ...]
    """Its outputs, without the batch axis, in the order of the camera; real values."""
    seen_xywh: tuple[float, float, float, float]
    """Part of the frame that it saw: left and top edge, width, height, pixels."""


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
    sensed: Sensed | None = None
    """None: no network of the camera's own looked at it, or it has no answer."""

    def __post_init__(self) -> None:
        if wrong := wrong_image(self.image, self.layout):
            raise ValueError(f"frame: {wrong}")

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.image.shape[:2]
        return width, height * 2 // 3 if self.layout in ("i420", "nv12") else height


def wrong_image(image: NDArray[Any], layout: Layout) -> str:
    """Why an array is no picture of that layout; empty where it is one."""
    shape, interleaved = image.shape, layout in ("bgr", "rgb")
    fits = len(shape) == 3 and shape[2] == 3 if interleaved else len(shape) == 2
    if image.dtype == np.uint8 and fits and 0 not in shape:
        return ""
    wanted = "(height, width, 3)" if interleaved else "(height, width)"
    return f"the image is {image.dtype} of shape {shape}, expected uint8 of shape {wanted} for {layout}"


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

HIDDEN, OUT, DOUBTFUL = 1, 2, 3
REASONS = ("", "hidden", "out", "doubtful")
"""Why a joint was not found, by the numbers of `Poses.missing`: covered by something, outside the picture, or somewhere
in it, but not surely enough. 0: it was found."""


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
    measured: NDArray[np.bool_] | None = None
    """(N,) people who are triangulated although `kind`, the least that holds of everybody, is lifted; None: nobody."""

    def of(self, rows: Any) -> Space:
        """Of some people: an index of numpy's."""
        parts = (self.root[rows], self.root_sigma[rows], self.sigma[rows], self.guessed[rows])
        return Space(self.kind, self.frame, *parts, None if self.measured is None else self.measured[rows])


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
    missing: NDArray[np.uint8] | None = None
    """(N, K) why a joint was not found, by REASONS; None: not asked (`estimate.missing`), or nobody knows."""
    held: bool = False
    """Published before: nobody was looked at since, for nothing moves. Times are those of when they were seen."""

    @classmethod
    def of(
        cls,
        frame: Frame,
        skeleton: Skeleton,
        xy: NDArray[np.float32],
        score: NDArray[np.float32],
        person_score: NDArray[np.float32],
        **fields: Any,
    ) -> Poses:
        """The people of a frame, arrays as the fields of the same names; nobody has an identity yet.

        Raises:
            ValueError: shapes that do not fit together.
        """
        people, joints = len(person_score), len(skeleton.joints)
        if xy.shape != (people, joints, 2) or score.shape != (people, joints):
            raise ValueError(
                f"poses: xy is {xy.shape} and score {score.shape} for {people} people of {joints} joints, "
                f"expected {(people, joints, 2)} and {(people, joints)}"
            )
        fields.setdefault("track_id", np.full(people, -1, np.int32))
        return cls(
            t=frame.t,
            taken_t=frame.taken_t,
            seq=frame.seq,
            name=frame.name,
            size_wh=frame.size_wh,
            skeleton=skeleton,
            xy=xy,
            score=score,
            person_score=person_score,
            **fields,
        )

    def rows(self, rows: Any, **fields: Any) -> Poses:
        """Some of the people: a slice, their numbers or a mask; `fields` replace others."""
        arrays = {name: getattr(self, name) for name in PER_PERSON}
        some = {name: None if array is None else array[rows] for name, array in arrays.items()}
        return replace(self, **{"space": self.space and self.space.of(rows), **some, **fields})

    def __len__(self) -> int:
        return len(self.person_score)

    def __getitem__(self, joint: str) -> NDArray[np.float32]:
        """(N, 2) pixels of a joint of everybody, NaN where it was not found.

        Raises:
            KeyError: the skeleton has no such joint.
        """
        return self.xy[:, self.skeleton.index(joint)]

    def __iter__(self) -> Iterator[Person]:
        """Each person, best first."""
        return (self._person(row) for row in range(len(self)))

    def by_id(self, track_id: int) -> Person:
        """Who has that identity; where nobody in this frame has, a person who is false and whose joints are NaN."""
        found = np.flatnonzero(self.track_id == track_id)
        if len(found) and track_id >= 0:
            return self._person(int(found[0]))
        joints = len(self.skeleton.joints)
        nowhere = np.full((joints, 2), np.nan, np.float32)
        return Person(track_id, 0.0, self.skeleton, nowhere, np.zeros(joints, np.float32), None)

    def _person(self, row: int) -> Person:
        xyz = None if self.xyz is None else self.xyz[row]
        score = float(self.person_score[row])
        missing = None if self.missing is None else self.missing[row]
        return Person(
            int(self.track_id[row]), score, self.skeleton, self.xy[row], self.score[row], xyz, True, missing
        )  # fmt: skip

    def __repr__(self) -> str:
        people = "1 person" if len(self) == 1 else f"{len(self)} people"
        ids = self.track_id[self.track_id >= 0].tolist()
        known = f", id {' '.join(map(str, ids))}" if ids else ""
        picture = f"{self.size_wh[0]}x{self.size_wh[1]}, seq {self.seq}, t {self.t:.3f} s"
        return f"<{type(self).__name__}: {people}{known}; {self.skeleton.name}, {picture}>"

    def to_dicts(self) -> list[dict[str, Any]]:
        """Each person as plain values: t, seq, id (None: no identity), score, and joints by name.

        A joint is (x, y, score), None where it was not found; xyz by name likewise where there are three dimensions.
        `missing` has the reasons by name, where `estimate.missing` asks for them.
        """
        return [{"t": self.t, "seq": self.seq, **person.to_dict()} for person in self]

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Equally long columns, a row for each person and joint: what a table of any library is made of."""
        people, joints = len(self), len(self.skeleton.joints)
        columns: dict[str, NDArray[Any]] = {
            "t": np.full(people * joints, self.t),
            "seq": np.full(people * joints, self.seq),
            "id": np.repeat(self.track_id, joints),
            "person_score": np.repeat(self.person_score, joints),
            "joint": np.tile(np.array(self.skeleton.joints, object), people),
            "x": self.xy[:, :, 0].ravel(),
            "y": self.xy[:, :, 1].ravel(),
            "score": self.score.ravel(),
        }
        if self.xyz is not None:
            columns |= {f"{axis}_3d": self.xyz[:, :, at].ravel() for at, axis in enumerate("xyz")}
        return columns

    def to_pandas(self) -> Any:
        """The columns as a pandas.DataFrame.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise ImportError("to_pandas needs pandas; pip install pandas, or take to_columns()") from None
        return DataFrame(self.to_columns())

    def age_s(self, now_t: float, now_wall: float) -> float:
        """Seconds since it was taken; the arguments are this moment on the clock of `taken_t`, and since 1970."""
        return now_t - self.taken_t if self.taken_wall is None else now_wall - self.taken_wall

    def after(self, dropped: Poses) -> Poses:
        """The same people, told to have entered and left also in earlier `dropped` poses that nobody will see."""
        if not dropped.entered and not dropped.left:
            return self
        return replace(self, entered=dropped.entered + self.entered, left=dropped.left + self.left)

    def again(self) -> Poses:
        """The same, to be published once more."""
        return replace(self, entered=(), left=(), held=True)


PER_PERSON = ("xy", "score", "person_score", "track_id", "xyz", "coarse_xy", "missing")
"""Fields of Poses with a row for each person."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person of a frame: a view into its Poses."""

    id: int
    """Identity, stable over frames; -1 before track."""
    score: float
    """How sure, 0..1."""
    skeleton: Skeleton
    xy: NDArray[np.float32]
    """(K, 2) pixels, NaN where a joint was not found."""
    joint_score: NDArray[np.float32]
    """(K,) in 0..1."""
    xyz: NDArray[np.float32] | None
    """(K, 3) as Poses.xyz."""
    there: bool = False
    """In the frame; what `bool` says of the person."""
    missing: NDArray[np.uint8] | None = None
    """(K,) as Poses.missing."""

    def __bool__(self) -> bool:
        return self.there

    def __repr__(self) -> str:
        found = int(np.isfinite(self.xy).all(axis=1).sum())
        who = f"person {self.id}" if self.id >= 0 else "person"
        return f"<{who}: score {self.score:.2f}, {found} of {len(self.xy)} joints>" if self else f"<{who}: not there>"

    def __getitem__(self, joint: str) -> NDArray[np.float32]:
        """(2,) pixels of a joint, NaN where it was not found.

        Raises:
            KeyError: the skeleton has no such joint.
        """
        place: NDArray[np.float32] = self.xy[self.skeleton.index(joint)]
        return place

    def why_missing(self, joint: str) -> str:
        """Why a joint was not found, one of REASONS; empty where it was, or where nobody asked.

        Raises:
            KeyError: the skeleton has no such joint.
        """
        at = self.skeleton.index(joint)
        found = self.missing is None or not np.isnan(self.xy[at]).any()
        return "" if found or self.missing is None else REASONS[int(self.missing[at])]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as an entry of Poses.to_dicts."""
        found = [math.isfinite(sum(place)) for place in self.xy.tolist()]
        joints = [(x, y, score) for (x, y), score in zip(self.xy.tolist(), self.joint_score.tolist(), strict=True)]
        known: dict[str, Any] = {"id": self.id if self.id >= 0 else None, "score": self.score}
        known["joints"] = _by_name(self.skeleton, joints, found)
        if self.missing is not None:
            known["missing"] = {name: why for name in self.skeleton.joints if (why := self.why_missing(name))}
        if self.xyz is not None:
            solid = [math.isfinite(sum(place)) for place in self.xyz.tolist()]
            known["xyz"] = _by_name(self.skeleton, [tuple(point) for point in self.xyz.tolist()], solid)
        return known


def _by_name(skeleton: Skeleton, values: list[Any], found: list[bool]) -> dict[str, Any]:
    rows = zip(skeleton.joints, values, found, strict=True)
    return {name: value if there else None for name, value, there in rows}

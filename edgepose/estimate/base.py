"""What every estimate is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edgepose.core.poses import Crop, Frame, Poses, Skeleton
from edgepose.engine import Engine


@dataclass(slots=True)
class InFlight:
    """A frame between its preparation and its people."""

    frame: Frame
    crop: Crop
    part: bool
    """A part of the frame is looked at, not all of it."""
    nothing_expected: bool
    slot: int
    """Whose memory holds its tensor and its heads."""
    began_t: float = 0.0
    ended_t: float = 0.0
    """Of the inference, monotonic seconds."""


class Estimate(Protocol):
    """Frame -> the people in it; owns its engines. Not for use from two threads at once."""

    skeleton: Skeleton
    engines: tuple[Engine, ...]
    """Each opened model once, the one that sees whole frames first."""
    counts: dict[str, int]
    """"invokes": inferences so far; "crops": those of them that looked at a part of the frame."""

    @property
    def inferred_t(self) -> float:
        """Monotonic seconds at which the last inference of the latest frame was done."""

    enter_score: float
    """Chance of a person from which the tracker gives an id."""
    stay_score: float
    """Chance down to which it keeps telling of somebody with an id."""

    def __call__(self, frame: Frame, expected: Poses | None) -> Poses:
        """The people of one frame.

        expected  who should be where in it, by the tracker; None: nothing is known, as in a single picture

        Raises:
            FrameLostError: this frame got no result; the next one may.
            EngineError: inference failed for good.
        """

    def close(self) -> None:
        """Close the engines; a second call does nothing."""


@runtime_checkable
class Staged(Estimate, Protocol):
    """An estimate whose call falls into three steps: the second may run while others are prepared and finished.

    Of two frames on their way the first is finished before a third is prepared. `prepare` and `finish` belong to one
    thread, `infer` to any, one frame at a time.
    """

    def prepare(self, frame: Frame, expected: Poses | None) -> InFlight:
        """What comes before inference."""

    def infer(self, step: InFlight) -> None:
        """Inference; raises as a call does."""

    def finish(self, step: InFlight) -> Poses:
        """What comes after it."""

"""What every estimate is."""

from __future__ import annotations

from typing import Protocol

from edgepose.engine import Engine
from edgepose.poses import Frame, Poses, Skeleton


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

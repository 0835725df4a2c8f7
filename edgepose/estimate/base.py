"""What every estimate is, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from edgepose.core.poses import Crop, Frame, Heads, Poses, Skeleton
from edgepose.engine import Engine


class Raw(NamedTuple):
    """What a model answered before it was decoded."""

    heads: Heads
    """Good until the engine's next run."""
    crop: Crop
    """Where they lie in the frame."""
    part: bool
    """A part of the frame was looked at, not all of it."""
    nothing_expected: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The people of one frame, and how they were found."""

    poses: Poses
    began_t: float
    inferred_t: float
    """When the last inference was done; `began_t` where there was none."""
    decoded_t: float
    """Monotonic seconds, rising."""
    raw: Raw | None = None
    """Of a single model; None: a pair looked more than once."""


class Estimate(Protocol):
    """Frame -> the people in it; owns its engines. Not for use from two threads at once."""

    skeleton: Skeleton
    engines: tuple[Engine, ...]
    """Each opened model once, the one that sees whole frames first."""
    counts: dict[str, int]
    """"invokes": inferences so far; "crops": those of them that looked at a part of the frame."""
    enter_score: float
    """Chance of a person from which the tracker gives an id."""
    stay_score: float
    """Chance down to which it keeps reporting somebody with an id."""
    believe_score: float | None
    """Chance, by all looks, from which the tracker gives an id; None: it does so when somebody is seen twice."""

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:
        """The people of one frame.

        expected  who should be where in it, by the tracker; None: nothing is known, as in a single picture

        Raises:
            FrameLostError: this frame got no result; the next one may.
            EngineError: inference failed for good.
        """

    def close(self) -> None:
        """Close the engines; a second call does nothing."""

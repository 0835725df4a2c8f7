"""What was found out about one delegate: whether it can be used, why not, how much of a model it really takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgepose.core.errors import ConfigError, EdgeposeError, EngineError

State = Literal["ok", "unavailable", "failed"]


class TroubleError(Exception):
    """Why a delegate cannot be used; one line and what to do."""

    def __init__(self, reason: str, next_step: str = "", *, lasting: bool = False, here: bool = True) -> None:
        self.reason, self.next_step = reason, next_step
        self.lasting = lasting
        """Trying again cannot help."""
        self.here = here
        """False: not on this machine; True: it is here and fails."""
        super().__init__(f"{reason}; {next_step}" if next_step else reason)

    @property
    def error(self) -> type[EdgeposeError]:
        """What it is where nothing can stand in: a mistake that stays, or a failure that a restart may mend."""
        return ConfigError if self.lasting else EngineError


@dataclass(frozen=True, slots=True)
class OpShare:
    """Which operators of a model a delegate takes, and how much of an inference's time something else works."""

    claimed: tuple[str, ...]
    """Names of the operators it runs, one per operator of the model; one of an Edge TPU stands for many."""
    left: tuple[str, ...]
    """Names of those that stay on the CPU, XNNPACK's among them."""
    away_share: float
    """0..1 of an inference's time in which no core worked for it: an accelerator's part, or a wait for one.

    Measured with one thread: 1 - (its time on a core + its wait for a core) / time taken. A delegate that computes on
    the CPU, or that polls for its answer, has 0.
    """
    invoke_ms: float
    """Median of an inference."""

    @property
    def op_share(self) -> float:
        """0..1 of the operators."""
        return len(self.claimed) / max(1, len(self.claimed) + len(self.left))


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one head of the delegate is from the CPU's, over the probe picture."""

    off: float
    """Root of the mean square, in the head's real units."""
    tolerance: float
    """The most that `off` may be: the manifest's, else 0.7 of the head's own spread."""

    @property
    def bad(self) -> bool:
        """Whether the delegate computes something else; NaN is."""
        return not self.off <= self.tolerance


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of DELEGATES on this machine."""

    name: str
    """Key of DELEGATES."""
    state: State
    """ok: can be used; unavailable: not here; failed: here, and does not do what it should."""
    reason: str
    """One line."""
    next_step: str = ""
    """What to do or to type; empty where nothing is to be done."""
    asked: bool = False
    """Whether it is the one of engine.delegate, which is tried with the model; the others are only looked for."""
    share: OpShare | None = None
    """Where it ran the model."""
    heads: dict[str, Difference] = field(default_factory=dict)
    """Role -> difference to the CPU; empty where nothing was compared."""

    @property
    def line(self) -> str:
        """Reason and next step as one line."""
        return f"{self.reason}; {self.next_step}" if self.next_step else self.reason

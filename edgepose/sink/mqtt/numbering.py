"""Numbers of events never go back, whatever becomes of the disk and the clock: the broker keeps a bound above them.

A board without a battery for its clock, or with a root that forgets, starts with a new spool and a clock that is
behind. What the broker keeps on `numbering` says where numbers must go on then. The same message shows another edgepose
of the same name, whose numbers would be mixed with ours. No broker, no disk and no clock in here.
"""

from __future__ import annotations

from edgepose.sink.mqtt.spool.disk import MOST_NUMBER
from edgepose.wire.messages import NUMBERING, Numbering, decode_struct, encode_struct

SUFFIX = "numbering"
BLOCK = 1000
"""Numbers that a bound allows; a new one goes out when half of them are used."""
SETTLE_S = 0.5
"""From the subscription to the moment at which the broker has nothing kept."""
MOST_BELOW = MOST_NUMBER - (1 << 50)
"""A bound above it is nonsense, or somebody's who wants numbers to run out."""
MOST_RUNS = 64


class Bound:
    """What the broker keeps, as far as it is known on this connection."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._open_t: float | None = None
        self._below, self._due = 0, True
        self._others: set[str] = set()

    def connected(self) -> None:
        """Nothing is known yet."""
        self._open_t, self._due = None, True

    def subscribed(self, now_t: float) -> None:
        """What is kept comes now, if anything is."""
        self._open_t = now_t + SETTLE_S

    def refused(self) -> None:
        """It will never come."""
        self._open_t = float("-inf")

    def settled(self, now_t: float) -> bool:
        """Whether events may go out: what is kept is known."""
        return self._open_t is not None and now_t >= self._open_t

    def heard(self, payload: bytes, retained: bool, lineage: str, next_number: int) -> tuple[int, str]:
        """The number to go on with, at least; and the run of somebody else of our name, who is there now.

        lineage, next_number  of our spool; a bound of the same lineage is our own, unless the spool is an old copy
        """
        try:
            kept = decode_struct(Numbering, payload)
        except ValueError:
            return 0, ""
        if kept.run == self._run:
            return 0, ""
        if not retained:  # it is there now; raising would make both run away from each other
            return 0, self._meet(kept.run)
        self._open_t = float("-inf")
        is_ours = kept.lineage == lineage and kept.below - 2 * BLOCK <= next_number
        return (0 if is_ours or not 0 < kept.below <= MOST_BELOW else kept.below), ""

    def message(self, lineage: str, next_number: int) -> bytes | None:
        """What the broker should keep now; None: it does."""
        if not self._due and next_number + BLOCK // 2 < self._below:
            return None
        self._due, self._below = False, next_number + BLOCK
        return encode_struct(Numbering(schema=NUMBERING, below=self._below, lineage=lineage, run=self._run))

    def again(self) -> None:
        """It did not get there."""
        self._due = True

    def _meet(self, run: str) -> str:
        """Whoever is new gets to know us in turn."""
        if run in self._others or len(self._others) >= MOST_RUNS:
            return ""
        self._others.add(run)
        self._due = True
        return run

"""Which fault when: all of them once, then again in other orders until the time is over."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tools.soaking.faults import FAULTS

LONG_RUN_S = 300.0
"""From this length on faults last up to their longest, and those that take long come too."""


class Planned(NamedTuple):
    """A fault and how long it shall last."""

    name: str
    seconds: float


def planned(names: Sequence[str], total_s: float, rng: random.Random) -> Iterator[list[Planned]]:
    """Rounds without end; a fault that kills the service comes at the start of the first one only.

    A long run takes the lengths by chance, so that a fault meets a connection in every state of its pauses.
    """
    first = True
    while True:
        killers = [name for name in names if FAULTS[name].kills] if first else []
        others = [name for name in names if not (FAULTS[name].kills or FAULTS[name].forgets)]
        rng.shuffle(others)
        yield [Planned(name, _seconds(name, total_s, rng)) for name in (*killers, *others)]
        if not others:
            return
        first = False


def last(names: Sequence[str], total_s: float, rng: random.Random) -> list[Planned]:
    """What comes at the end and is counted apart."""
    return [Planned(name, _seconds(name, total_s, rng)) for name in names if FAULTS[name].forgets]


def chosen(total_s: float) -> list[str]:
    """What a run of this length holds where nothing is asked for by name."""
    return [name for name, fault in FAULTS.items() if total_s >= LONG_RUN_S or not fault.long]


def _seconds(name: str, total_s: float, rng: random.Random) -> float:
    shortest, longest = FAULTS[name].seconds
    return shortest if total_s < LONG_RUN_S else rng.uniform(shortest, longest)

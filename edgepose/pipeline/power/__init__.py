"""How much a live source is looked at: a motion gate, three states, the board's limits; pure until the loop asks."""

from __future__ import annotations

from edgepose.pipeline.power.gate import Gate, Signal
from edgepose.pipeline.power.governor import Governor
from edgepose.pipeline.power.states import ACTIVE, CALM, EMPTY, STATES, States

__all__ = ["ACTIVE", "CALM", "EMPTY", "STATES", "Gate", "Governor", "Signal", "States"]

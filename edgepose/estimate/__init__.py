"""One frame becomes Poses: which part of it each model looks at, and what their answers mean together."""

from __future__ import annotations

from edgepose.estimate.base import Estimate, Step, Stepwise
from edgepose.estimate.one_step import OneStep
from edgepose.estimate.opening import open_estimate
from edgepose.estimate.two_step import TwoStep

__all__ = ["Estimate", "OneStep", "Step", "Stepwise", "TwoStep", "open_estimate"]

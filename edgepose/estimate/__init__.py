"""One frame becomes Poses: which part of it each model looks at, and what their answers mean together."""

from __future__ import annotations

from edgepose.estimate.base import Estimate
from edgepose.estimate.one_step import OneStep, open_estimate

__all__ = ["Estimate", "OneStep", "open_estimate"]

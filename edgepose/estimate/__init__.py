"""One frame becomes Poses: which part of it each model looks at, and what their answers mean together."""

from __future__ import annotations

from edgepose.estimate.base import Estimate, Found, Raw
from edgepose.estimate.finder_refiner import FinderRefiner
from edgepose.estimate.opening import open_estimate
from edgepose.estimate.single import SingleModel

__all__ = ["Estimate", "FinderRefiner", "Found", "Raw", "SingleModel", "open_estimate"]

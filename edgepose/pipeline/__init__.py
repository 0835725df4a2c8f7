"""The loop, and what builds it from settings: source -> estimate -> tracker -> smoother -> sinks."""

from __future__ import annotations

from edgepose.pipeline.build import build, described
from edgepose.pipeline.loop import Pipeline
from edgepose.pipeline.stages import Stages, stages_of

__all__ = ["Pipeline", "Stages", "build", "described", "stages_of"]

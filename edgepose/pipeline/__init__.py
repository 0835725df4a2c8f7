"""The loop, and what builds it from settings: source -> estimate -> tracker -> smoother -> sinks."""

from __future__ import annotations

from edgepose.pipeline.loop import Pipeline, build, described

__all__ = ["Pipeline", "build", "described"]

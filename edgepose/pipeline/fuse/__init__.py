"""A room as a source: poses of several devices come over a broker, people of the room go through the same pipeline."""

from __future__ import annotations

from edgepose.pipeline.fuse.source import Fused, FuseSource

__all__ = ["FuseSource", "Fused"]

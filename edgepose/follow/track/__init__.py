"""Who is who from frame to frame: the stage that fills Poses.track_id."""

from __future__ import annotations

from edgepose.follow.track.tracker import Tracker

__all__ = ["Tracker"]

"""Where `samples.people` was."""

from samples.people import frame, fresh, poses

__all__ = ["frame", "fresh", "poses"]

"""Where `samples.shared` was."""

from samples.shared import FOLDER, shared

__all__ = ["FOLDER", "shared"]

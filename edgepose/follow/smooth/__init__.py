"""How joints move: jitter taken out, and told for the moment they are used. Poses -> Poses, by time stamps."""

from __future__ import annotations

from edgepose.follow.smooth.one_euro import PRESETS
from edgepose.follow.smooth.smoother import Smoother

__all__ = ["PRESETS", "Smoother"]

"""The governor that the settings ask for; nothing is loaded where they ask for none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.core import config

if TYPE_CHECKING:
    from edgepose.pipeline.power.governor import Governor
    from edgepose.source import Source


def governor_of(cfg: config.Config, source: Source) -> Governor | None:
    """None: every frame is looked at, as of a recording.

    Raises:
        ConfigError: a polygon of `power.ignore` or a line of `power.schedule` is none.
    """
    if cfg.power.mode == "off" or not source.live or source.still:
        return None
    from edgepose.pipeline.power.governor import Governor

    return Governor(cfg.power, 0.0 if cfg.track.mode == "off" else cfg.track.memory_s, source.slow)

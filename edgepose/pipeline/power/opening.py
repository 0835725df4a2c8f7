"""The governor that the settings ask for; nothing is loaded where they ask for none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.core import config

if TYPE_CHECKING:
    from edgepose.pipeline.power.governor import Governor
    from edgepose.source import Source


def governed(cfg: config.Config, source: Source) -> bool:
    """Whether frames may be left out because nothing calls for a look."""
    return cfg.power.mode != "off" and source.live and not source.still


def governor_of(cfg: config.Config, source: Source) -> Governor | None:
    """None: every frame is looked at, as of a recording.

    Raises:
        ConfigError: a polygon of `power.ignore` or a line of `power.schedule` is none.
    """
    if not governed(cfg, source):
        return None
    from edgepose.pipeline.power.governor import Governor

    return Governor(cfg.power, 0.0 if cfg.track.mode == "off" else cfg.track.memory_s, source.slow)

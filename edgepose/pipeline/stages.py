"""What knows people again and calms their joints, made anew where model or settings change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.core import config

if TYPE_CHECKING:
    from edgepose.core.poses import Skeleton
    from edgepose.estimate import Estimate
    from edgepose.follow.smooth import Smoother
    from edgepose.follow.track import Tracker
    from edgepose.source import Source


class Following:
    """Makes trackers and smoothers by the settings."""

    def __init__(self, cfg: config.Config, source: Source) -> None:
        self.on = cfg.track.mode == "on" or (cfg.track.mode == "auto" and not source.still)
        """Whether people are followed at all."""
        self.smooth = cfg.smooth
        """In force; replace it, then `smoother` makes the one to go with it."""
        self._cfg, self._live = cfg, source.live

    def tracker(self, estimate: Estimate) -> Tracker:
        """Of people as this estimate tells of them."""
        from edgepose.follow.track import Tracker

        return Tracker(
            self._cfg.track,
            estimate.skeleton,
            enter=estimate.enter_score,
            stay=estimate.stay_score,
            kernels=self._cfg.decode.kernels,
        )

    def smoother(self, skeleton: Skeleton) -> Smoother | None:
        """None: joints are told as they were seen."""
        if self.smooth.preset == "off" and self.smooth.predict == "off":
            return None
        from edgepose.follow.smooth import Smoother

        return Smoother(self.smooth, skeleton, self._live, kernels=self._cfg.decode.kernels)

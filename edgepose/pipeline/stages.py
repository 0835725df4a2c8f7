"""What a frame goes through: frozen, made by one function, swapped whole where model or settings change."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edgepose.core import config
from edgepose.pipeline.power.opening import governed

if TYPE_CHECKING:
    from edgepose.core.poses import Frame, Poses
    from edgepose.estimate import Estimate
    from edgepose.follow.smooth import Smoother
    from edgepose.follow.track import Tracker
    from edgepose.source import Source


log = logging.getLogger("edgepose.pipeline")


class Lift(Protocol):
    """Adds a third dimension."""

    def update(self, poses: Poses) -> Poses:
        """The same people with xyz; called by the thread that publishes."""


class Meaning(Protocol):
    """What poses mean."""

    def update(self, poses: Poses) -> Any:
        """Events and gauges of one frame; called by the thread that publishes."""

    def calibrate(self) -> None:
        """Take how everybody stands next as neutral; from any thread."""


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """Those in force; `stages_of` makes them from settings."""

    estimate: Estimate
    tracker: Tracker | None = None
    """None: nobody is followed."""
    smoother: Smoother | None = None
    """None: joints are reported as they were detected."""
    lift: Lift | None = None
    meaning: Meaning | None = None
    cfg: config.Config = field(default_factory=config.Config)
    """The settings they were made from."""
    still: bool = False
    """Frames have nothing to do with each other, so nobody is expected anywhere."""

    def expected(self, frame: Frame) -> Poses | None:
        """Who should be where in a frame; None: nothing is known."""
        return None if self.tracker is None or self.still else self.tracker.expected(frame.t)

    def follow(self, poses: Poses) -> Poses:
        """Who is who; in the loop's thread."""
        return poses if self.tracker is None else self.tracker.update(poses)

    def finish(self, poses: Poses) -> Poses:
        """What follows and no frame waits for; in the thread that publishes."""
        poses = poses if self.smoother is None else self.smoother.update(poses)
        return poses if self.lift is None else self.lift.update(poses)


def stages_of(cfg: config.Config, source: Source, estimate: Estimate, before: Stages | None = None) -> Stages:
    """The stages that `cfg` describes around an opened estimate.

    before  those that were in force; what does not change is kept, and everybody keeps their id

    Raises:
        ConfigError: poses of that skeleton cannot be lifted, and are to be.
    """
    if source.followed:
        return Stages(estimate, meaning=_meaning(cfg, before), cfg=cfg, still=source.still)
    lift = _lifter(cfg, estimate, before)
    if cfg.track.mode == "off" or (cfg.track.mode == "auto" and source.still):
        if cfg.meaning.rules:
            log.warning("meaning.rules %s: nobody is followed here, so no rule is judged", cfg.meaning.rules)
        return Stages(estimate, lift=lift, cfg=cfg, still=source.still)
    tracker, smoother = _kept(cfg, estimate, before)
    seldom_s = cfg.power.find_empty_s if governed(cfg, source) else 0.0
    return Stages(
        estimate,
        tracker=tracker or _tracker(cfg, estimate, before, seldom_s),
        smoother=smoother or _smoother(cfg, estimate, source.live),
        lift=lift,
        meaning=_meaning(cfg, before),
        cfg=cfg,
        still=source.still,
    )


def _meaning(cfg: config.Config, before: Stages | None) -> Meaning | None:
    """The rules in force go on where their file is the same and says the same; SIGHUP reads a changed one."""
    if not cfg.meaning.rules:
        return None
    from edgepose.pipeline.meaning import MeaningStage, read_rules

    rules = read_rules(cfg.meaning.rules)
    if before is not None and isinstance(before.meaning, MeaningStage) and before.meaning.rules == rules:
        return before.meaning
    return MeaningStage(rules)


def _kept(cfg: config.Config, estimate: Estimate, before: Stages | None) -> tuple[Tracker | None, Smoother | None]:
    if before is None or before.estimate is not estimate or before.cfg.decode.kernels != cfg.decode.kernels:
        return None, None
    same_track = before.cfg.track == cfg.track and before.cfg.power == cfg.power
    same_smooth = before.cfg.smooth == cfg.smooth
    return before.tracker if same_track else None, before.smoother if same_smooth else None


def _lifter(cfg: config.Config, estimate: Estimate, before: Stages | None) -> Lift | None:
    if cfg.lift.kind == "none":
        return None
    if before is not None and before.cfg.lift == cfg.lift and before.estimate.skeleton == estimate.skeleton:
        return before.lift
    from edgepose.lift import open_lifter

    return open_lifter(cfg.lift, estimate.skeleton)


def tracker_of(cfg: config.Config, estimate: Estimate, seldom_s: float = 0.0) -> Tracker:
    """A tracker as sure of people as those are that `estimate` finds; see Tracker for `seldom_s`."""
    from edgepose.follow.track import Tracker

    return Tracker(
        cfg.track,
        estimate.skeleton,
        enter=estimate.enter_score,
        stay=estimate.stay_score,
        believe=estimate.believe_score,
        seldom_s=seldom_s,
        kernels=cfg.decode.kernels,
    )


def _tracker(cfg: config.Config, estimate: Estimate, before: Stages | None, seldom_s: float) -> Tracker:
    tracker = tracker_of(cfg, estimate, seldom_s)
    if before is not None and before.tracker is not None:
        tracker.goes_on_from(before.tracker)
    return tracker


def _smoother(cfg: config.Config, estimate: Estimate, live: bool) -> Smoother | None:
    if cfg.smooth.preset == "off" and cfg.smooth.predict == "off":
        return None
    from edgepose.follow.smooth import Smoother

    return Smoother(cfg.smooth, estimate.skeleton, live, kernels=cfg.decode.kernels)

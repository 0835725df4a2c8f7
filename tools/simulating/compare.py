"""The same frames with the power governor and without: who was reported when, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edgepose.core import config
from edgepose.core.poses import Frame, Poses
from edgepose.estimate import Estimate
from edgepose.pipeline.power.governor import Governor
from edgepose.pipeline.stages import tracker_of


@dataclass
class Run:
    """What one way of looking reported."""

    times: list[float] = field(default_factory=list)
    """Of every frame."""
    people: list[int] = field(default_factory=list)
    """Reported last, at each."""
    looked: int = 0
    entered: list[tuple[float, int, tuple[float, float]]] = field(default_factory=list)
    """Time, identity and place of who came, pixels."""
    left: list[tuple[float, int]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    poses: list[Poses] = field(default_factory=list)
    """Of every frame that was looked at."""


class Side:
    """One way of looking at the frames."""

    def __init__(self, estimate: Estimate, cfg: config.Config, governor: Governor | None) -> None:
        self.estimate, self.governor, self.run = estimate, governor, Run()
        self.tracker = tracker_of(cfg, estimate, 0.0 if governor is None else cfg.power.find_empty_s)

    def take(self, frame: Frame) -> None:
        """One frame."""
        run = self.run
        run.times.append(frame.t)
        if self.governor is None or self.governor.wants(frame):
            found = self.estimate(frame, self.tracker.expected(frame.t)).poses
            poses = self.tracker.update(found)
            if self.governor is not None:
                self.governor.saw(found, poses)
            run.looked += 1
            run.poses.append(poses)
            run.people.append(len(poses))
            for identity in poses.entered:
                run.entered.append((frame.t, identity, _place(poses, identity)))
            run.left += [(frame.t, identity) for identity in poses.left]
        else:
            run.people.append(run.people[-1] if run.people else 0)
        run.states.append(self.governor.states.state if self.governor else "off")


def _place(poses: Poses, identity: int) -> tuple[float, float]:
    import numpy as np

    xy = poses.xy[poses.track_id.tolist().index(identity)]
    x, y = np.nanmean(xy, axis=0).tolist()
    return x, y


def agreement(one: Run, other: Run) -> float:
    """Share of the frames with somebody in both, or nobody in both."""
    same = sum((a > 0) == (b > 0) for a, b in zip(one.people, other.people, strict=True))
    return same / max(1, len(one.people))


def known(run: Run) -> list[int]:
    """At each frame, how many have entered and not left: who is there, whether or not this frame shows them."""
    changes = [(t, 1) for t, *_ in run.entered] + [(t, -1) for t, _ in run.left]
    return [sum(change for when, change in changes if when <= t) for t in run.times]


def known_alike(one: Run, other: Run) -> float:
    """Share of the frames in which both know somebody, or both nobody."""
    same = sum((a > 0) == (b > 0) for a, b in zip(known(one), known(other), strict=True))
    return same / max(1, len(one.times))


def delays_s(off: Run, on: Run, within_s: float = 5.0) -> list[float]:
    """For each who entered with power off: how much later with power on; inf where not within `within_s`."""
    left, found = list(on.entered), []
    for t, _, (x, y) in off.entered:
        near = [each for each in left if abs(each[0] - t) <= within_s]
        if not near:
            found.append(float("inf"))
            continue
        best = min(near, key=lambda each: abs(each[0] - t) + 1e-3 * (abs(each[2][0] - x) + abs(each[2][1] - y)))
        left.remove(best)
        found.append(best[0] - t)
    return found


def both(frames: Iterable[Frame], estimates: tuple[Estimate, Estimate], cfg: config.Config) -> tuple[Run, Run]:
    """Power off and power on over the same frames."""
    off = Side(estimates[0], cfg, None)
    on = Side(estimates[1], cfg, Governor(cfg.power, cfg.track.memory_s))
    for frame in frames:
        off.take(frame)
        on.take(frame)
    return off.run, on.run

"""Who is who in recorded videos, with the shipped models: the estimate looks where the tracker expects people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import Poses
from edgepose.estimate import open_estimate
from edgepose.pipeline.stages import tracker_of
from edgepose.source import open_source
from samples.shared import shared
from tests.test_track import watch

pytestmark = pytest.mark.slow


def tracked(video: str, model: str, every: int = 1) -> list[Poses]:
    """What is told of every so manieth frame."""
    cfg = config.load(None, {"source.uri": str(shared(f"data/video/{video}")), "engine.model": model})
    estimate = open_estimate(cfg)
    tracker = tracker_of(cfg, estimate)

    def film() -> Iterator[tuple[Poses, list[int]]]:
        for index, frame in enumerate(open_source(cfg.source)):
            if index % every == 0:
                poses = estimate(frame, tracker.expected(frame.t)).poses
                yield poses, [0] * len(poses)

    try:
        return [frame.poses for frame in watch(tracker, film())]
    finally:
        estimate.close()


def middles(poses: Poses) -> dict[int, tuple[float, float]]:
    """Identity -> median x and y of the joints."""
    return {int(who): tuple(np.nanmedian(xy, axis=0)) for who, xy in zip(poses.track_id, poses.xy, strict=True)}


@pytest.mark.parametrize(
    ("model", "every"),
    [("default", 1), ("default", 3), ("movenet_multipose_256x256", 3)],
    ids=["full rate", "a third of it", "a third of it, one model"],
)
def test_three_dancers_are_three_people_all_the_time(model: str, every: int) -> None:
    # they dance side by side and never change places, so the order of their x is who they are
    told = tracked("three_dancers.avi", model, every)
    assert len(told) == (393 + every - 1) // every
    assert {who for poses in told for who in poses.track_id.tolist()} == {1, 2, 3}
    assert not any(poses.left for poses in told)
    x = {who: [middles(poses)[who][0] for poses in told if who in middles(poses)] for who in (1, 2, 3)}
    left_to_right = sorted(x, key=lambda who: float(np.median(x[who])))
    for poses in told:
        order = sorted(middles(poses).items(), key=lambda one: one[1][0])
        assert [who for who, _ in order] == [who for who in left_to_right if who in middles(poses)]
    assert sum(len(poses) for poses in told) >= 0.98 * 3 * len(told)


def test_walkers_enter_and_leave_as_themselves() -> None:
    # one stands high on the left and jumps down at last; another comes in from the right below and goes out left
    told = tracked("walk_sagittal.mp4", "default", 2)
    below = [{who for who, (_, y) in middles(poses).items() if y > 560} for poses in told]
    walker = set.union(*below[38:92])
    assert len(walker) == 1, "one identity from the right to the left"
    above = {who for poses in told[:40] for who, (_, y) in middles(poses).items() if y < 400}
    assert len(above) == 1
    assert not walker & above
    x = [middles(poses)[who][0] for poses in told for who in walker if who in poses.track_id]
    assert x[0] > 1200
    assert x[-1] < 200
    gone = max(index for index, here in enumerate(below) if here & walker)
    assert 92 < gone < 107, "nobody is told of where nobody is any more"
    assert len({who for poses in told for who in poses.track_id.tolist()}) <= 4

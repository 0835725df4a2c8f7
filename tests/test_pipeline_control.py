"""What can be asked of a running loop: pause, pace, another model, other smoothing; also while nothing comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import AIC14, Frame, Poses
from edgepose.estimate import open_estimate
from edgepose.pipeline import Pipeline, Stages, build, stages_of
from edgepose.pipeline.control import Control as PipelineControl
from edgepose.pipeline.pace import Pace
from edgepose.sink import MemorySink
from edgepose.source import ListSource, Source
from edgepose.source.base import BaseSource
from tests.helpers.broker import wait_until
from tests.helpers.service import Camera, Looks, in_a_thread, picture

SMALL = np.zeros((240, 320, 3), np.uint8)


def pipeline_of(source: Source, looks: Looks | None = None, **settings: Any) -> tuple[Pipeline, MemorySink]:
    cfg = config.convert({"track": {"mode": "on"}, **settings}, config.Config, "test")
    memory = MemorySink()
    return Pipeline(source, stages_of(cfg, source, looks or Looks()), [memory]), memory


def do(pipeline: Pipeline, action: Callable[[], object]) -> None:
    """Ask for it, and wait until it is done."""
    done = threading.Event()

    def act() -> None:
        action()
        done.set()

    pipeline.control.ask(act)
    wait_until(done.is_set, "the loop to do what it was asked for")


def pause(pipeline: Pipeline, paused: bool) -> None:
    do(pipeline, lambda: pipeline.control.pause(paused))


def swap(pipeline: Pipeline, estimate: Looks) -> None:
    do(pipeline, lambda: pipeline.change(pipeline.control.stages().cfg, estimate))


def smooth(pipeline: Pipeline, preset: str) -> None:
    before = pipeline.control.stages().cfg
    cfg = msgspec.structs.replace(before, smooth=config.convert({"preset": preset}, config.Smooth, "test"))
    do(pipeline, lambda: pipeline.change(cfg))


def test_a_paused_camera_is_not_looked_at_and_goes_on_where_it_is() -> None:
    pipeline, memory = pipeline_of(Camera(SMALL, 100))
    with pipeline, in_a_thread(pipeline):
        wait_until(lambda: pipeline.control.looked > 3, "frames")
        pause(pipeline, True)
        looked, skipped = pipeline.control.looked, pipeline.counts["skipped"]
        wait_until(lambda: pipeline.counts["skipped"] > skipped + 5, "frames to be skipped")
        assert pipeline.control.looked <= looked + 1
        assert pipeline.control.waiting == "paused"
        pause(pipeline, False)
        wait_until(lambda: pipeline.control.looked > looked + 3, "frames again")
        assert pipeline.control.waiting == ""
    seqs = [poses.seq for poses in memory.poses]
    assert max(np.diff(seqs)) > 5  # those of the pause are gone for good


def test_a_paused_recording_loses_nothing() -> None:
    pipeline, memory = pipeline_of(ListSource([SMALL] * 40))
    pipeline.control.pause(True)
    with pipeline, in_a_thread(pipeline) as thread:
        wait_until(lambda: pipeline.control.waiting == "paused", "the pause")
        assert pipeline.control.looked == 0
        pause(pipeline, False)
        thread.join(10)
    assert [poses.seq for poses in memory.poses] == list(range(40))


def test_a_paused_recording_can_be_stopped() -> None:
    pipeline, memory = pipeline_of(ListSource([SMALL] * 40))
    pipeline.control.pause(True)
    with pipeline, in_a_thread(pipeline):
        wait_until(lambda: pipeline.control.waiting == "paused", "the pause")
    assert len(memory.poses) <= 1


def test_what_is_asked_for_is_done_while_the_camera_is_away() -> None:
    camera = Camera(SMALL, 100)
    camera.away = True
    pipeline, _ = pipeline_of(camera)
    with pipeline, in_a_thread(pipeline):
        smooth(pipeline, "off")
        assert pipeline.control.looked == 0
        assert pipeline.control.stages().smoother is None
        before_t = pipeline.control.progress_t
        wait_until(lambda: pipeline.control.progress_t > before_t, "a sign of life")
        assert pipeline.control.waiting == "camera: away"


def test_what_is_asked_for_is_done_while_a_recording_hangs() -> None:
    goes_on = threading.Event()

    class Hangs(BaseSource):
        def __iter__(self) -> Iterator[Frame]:
            yield Frame(SMALL, "bgr", 0.0, 0.0, 0)
            goes_on.wait(20)

    pipeline, _ = pipeline_of(Hangs())
    with pipeline, in_a_thread(pipeline) as thread:
        pause(pipeline, True)
        pause(pipeline, False)
        goes_on.set()
        thread.join(10)


def test_what_is_asked_for_is_done_while_a_sink_of_a_recording_takes_nothing() -> None:
    takes = threading.Event()

    class Stuck(MemorySink):
        def write(self, poses: Poses, frame: Frame) -> None:
            takes.wait(20)
            super().write(poses, frame)

    sink = Stuck()
    pipeline = Pipeline(ListSource([SMALL] * 30), Stages(Looks()), [sink])
    with pipeline, in_a_thread(pipeline) as thread:
        wait_until(lambda: pipeline.control.waiting == "waits for the sinks", "the queues to fill")
        pause(pipeline, True)
        pause(pipeline, False)
        takes.set()
        thread.join(10)
    assert len(sink.poses) == 30


@pytest.mark.parametrize(
    ("camera_hz", "max_fps", "expected"), [(30, 15, 150), (30, 10, 100), (30, 12, 120), (30, 60, 300)]
)
def test_a_pace_takes_as_many_frames_as_it_says(camera_hz: float, max_fps: float, expected: int) -> None:
    chance = np.random.default_rng(1)
    pace = Pace(max_fps)
    times = np.arange(300) / camera_hz + chance.normal(0, 0.002, 300)
    taken = [t for t in times if pace.wants(t)]
    assert abs(len(taken) - expected) <= 3


def test_a_pace_does_not_catch_up_after_a_gap() -> None:
    pace = Pace(10)
    assert pace.wants(0.0)
    assert pace.wants(60.0)
    assert sum(pace.wants(60 + n / 100) for n in range(1, 101)) <= 11


@pytest.mark.parametrize(("max_fps", "camera_hz"), [(1, 30), (0.5, 10), (0.1, 30), (2.9, 30), (5, 60)])
@pytest.mark.parametrize("wavers_s", [0.0, 0.002])
def test_a_camera_much_faster_than_max_fps_is_looked_at_no_more_often_in_any_window(
    max_fps: float, camera_hz: int, wavers_s: float
) -> None:
    times = np.arange(60 * camera_hz) / camera_hz + np.random.default_rng(1).normal(0, wavers_s, 60 * camera_hz)
    pace = Pace(max_fps)
    taken = np.array([t for t in times if pace.wants(t)])
    assert len(taken) == pytest.approx(60 * max_fps, abs=1)
    for first in range(len(taken)):
        window_s = taken[first:] - taken[first]
        assert (np.arange(1, len(window_s) + 1) <= window_s * max_fps + 1.15).all()


def test_a_clock_that_goes_back_does_not_stop_the_frames() -> None:
    pace = Pace(1)
    assert pace.wants(1000.0)
    assert pace.wants(1.0)


def test_nobody_looks_is_said_where_max_fps_leaves_out_frames_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("edgepose.pipeline.control.time.monotonic", lambda: now[0])
    cfg = config.convert({"service": {"max_fps": 0.001}}, config.Config, "test")
    control = PipelineControl(Stages(Looks(), cfg=cfg), live=True)
    wanted = []
    for second in range(90):
        now[0] = 100.0 + second
        wanted.append((control.wants(Frame(SMALL, "bgr", now[0], now[0], second)), control.waiting))
    assert [want for want, _ in wanted] == [True] + [False] * 89
    assert wanted[60][1] == ""
    assert "max_fps" in wanted[61][1]


def test_a_camera_is_looked_at_no_faster_than_max_fps() -> None:
    pipeline, memory = pipeline_of(Camera(SMALL, 200), service={"max_fps": 20.0})
    with pipeline, in_a_thread(pipeline):
        wait_until(lambda: len(memory.poses) >= 12, "frames")
    times = [poses.t for poses in memory.poses]
    assert len(times) - 1 <= (times[-1] - times[0]) * 20 + 1.2
    assert pipeline.counts["skipped"] > len(times)


def test_max_fps_leaves_recordings_alone() -> None:
    pipeline, memory = pipeline_of(ListSource([SMALL] * 30), service={"max_fps": 1.0})
    with pipeline:
        pipeline.run()
    assert len(memory.poses) == 30


def test_another_model_of_the_same_skeleton_keeps_everybody() -> None:
    old, new = Looks(), Looks()
    pipeline, memory = pipeline_of(Camera(SMALL, 100), old)
    with pipeline, in_a_thread(pipeline):
        wait_until(lambda: len(memory.poses) > 5, "frames")
        swap(pipeline, new)
        wait_until(lambda: new.counts["invokes"] > 5, "frames of the new one")
        assert old.closed
    ids = {identity for poses in memory.poses for identity in poses.track_id.tolist()}
    assert ids == {1}
    assert not any(poses.left for poses in memory.poses)
    assert new.closed


def test_another_skeleton_lets_everybody_leave_and_gives_new_ids() -> None:
    new = Looks(AIC14)
    pipeline, memory = pipeline_of(Camera(SMALL, 100))
    with pipeline, in_a_thread(pipeline):
        wait_until(lambda: len(memory.poses) > 5, "frames")
        swap(pipeline, new)
        wait_until(lambda: new.counts["invokes"] > 5, "frames of the new one")
    first = next(index for index, poses in enumerate(memory.poses) if poses.skeleton == AIC14)
    told = list(memory.poses)
    assert told[first].left == (1,)
    assert {identity for poses in told[first:] for identity in poses.track_id.tolist()} == {2}


def test_two_models_one_after_the_other_before_a_frame_leave_none_open() -> None:
    camera = Camera(SMALL, 100)
    old, never, new = Looks(), Looks(AIC14), Looks()
    pipeline, _ = pipeline_of(camera, old)
    with pipeline, in_a_thread(pipeline):
        wait_until(lambda: pipeline.control.looked > 3, "frames")
        camera.away = True
        wait_until(lambda: bool(pipeline.control.waiting), "the camera to be away")
        swap(pipeline, never)
        swap(pipeline, new)
        assert never.closed
        assert never.counts["invokes"] == 0
        camera.away = False
        wait_until(lambda: new.counts["invokes"] > 3, "frames of the new one")
    assert old.closed
    assert new.closed


def test_a_recording_goes_on_with_another_real_model_and_loses_no_frame() -> None:
    """From a model to a pair, and back."""
    cfg, memory = config.Config(), MemorySink()
    image = picture()
    models = ["movenet_multipose_192x256", "light", "movenet_lightning_192"]
    opened = [open_estimate(config.Config(engine=config.Engine(model=name))) for name in models]

    class Asks(ListSource):
        """Asks for the next model in the middle of it."""

        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                if frame.seq in (6, 12, 18):
                    pipeline.control.ask(partial(pipeline.change, cfg, opened[frame.seq // 6 - 1]))
                yield frame

    pipeline = build(cfg, source=Asks([image] * 24), sinks=[memory])
    with pipeline:
        pipeline.run()
    assert [poses.seq for poses in memory.poses] == list(range(24))
    assert pipeline.estimate is opened[-1]
    assert not any(poses.left for poses in memory.poses)
    with pytest.raises(ValueError, match="closed"):
        opened[0].engines[0].run(opened[0].engines[0].input.tensor)


def test_smoothing_is_switched_while_it_runs() -> None:
    pipeline, memory = pipeline_of(Camera(SMALL, 100), smooth={"preset": "off"})
    assert pipeline.control.stages().smoother is None
    with pipeline, in_a_thread(pipeline):
        smooth(pipeline, "strong")
        strong = pipeline.control.stages().smoother
        assert strong is not None
        wait_until(lambda: len(strong) > 0, "people to be smoothed")
        smooth(pipeline, "off")
        assert pipeline.control.stages().smoother is None
    assert len(memory.poses) > 0


def test_smoothing_outlives_another_model() -> None:
    camera = Camera(SMALL, 100)
    pipeline, _ = pipeline_of(camera)
    new = Looks(AIC14)
    with pipeline, in_a_thread(pipeline):
        smooth(pipeline, "off")
        swap(pipeline, new)
        wait_until(lambda: new.counts["invokes"] > 3, "frames of the new one")
        assert pipeline.control.stages().smoother is None


def test_a_tracker_that_goes_on_after_two_others_tells_of_all_who_left() -> None:
    cfg = config.Config()
    source = ListSource([])
    frames = [Frame(SMALL, "bgr", n / 30, n / 30, n) for n in range(4)]
    coco, aic = Looks(), Looks(AIC14)
    first = stages_of(cfg, source, coco)
    assert first.follow(coco(frames[0], None).poses).entered == (1,)
    second = stages_of(cfg, source, aic, first)
    third = stages_of(cfg, source, coco, second)
    told = third.follow(replace(coco(frames[1], None).poses, t=1 / 30))
    assert told.left == (1,)

"""The loop's threads: nothing is lost, nothing waits for what it need not, and whatever ends one ends all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose import wire
from edgepose.core import config
from edgepose.core.errors import EngineError, FrameLostError, SinkError, SourceError
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.core.timing import StageTimes
from edgepose.engine import Engine
from edgepose.estimate import Found
from edgepose.pipeline import Pipeline, Stages, build
from edgepose.pipeline.publish import Finished, Publisher, Seen, overtaken
from edgepose.sink import MemorySink, Sink
from edgepose.source import ListSource, Source
from edgepose.source.base import BaseSource


def poses_of(frame: Frame, entered: tuple[int, ...] = (), left: tuple[int, ...] = ()) -> Poses:
    return Poses(
        frame.t, frame.taken_t, frame.seq, frame.name, frame.size_wh, COCO17,
        np.zeros((0, 17, 2), np.float32), np.zeros((0, 17), np.float32), np.zeros(0, np.float32),
        np.zeros(0, np.int32), entered=entered, left=left,
    )  # fmt: skip


class Looks:
    """An estimate without a model: takes `seconds`, and does `does` first."""

    def __init__(self, does: Callable[[Frame], object] = lambda _: None, seconds: float = 0.0) -> None:
        self.skeleton, self.counts = COCO17, {"invokes": 0, "crops": 0}
        self.engines: tuple[Engine, ...] = ()
        self.enter_score = self.stay_score = 0.5
        self.believe_score: float | None = None
        self.closed = False
        self._does, self._seconds = does, seconds

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:
        began_t = time.monotonic()
        self._does(frame)
        time.sleep(self._seconds)
        now = time.monotonic()
        return Found(poses_of(frame), began_t, now, now)

    def close(self) -> None:
        self.closed = True


class Slow(MemorySink):
    """A sink that keeps its caller waiting, and may break."""

    waits = True

    def __init__(self, seconds: float = 0.0, breaks_at: int = -1, error: Exception | None = None) -> None:
        super().__init__()
        self.seconds, self.breaks_at, self.error = seconds, breaks_at, error or SinkError("the disk is full")

    def write(self, poses: Poses, frame: Frame) -> None:
        time.sleep(self.seconds)
        if poses.seq == self.breaks_at:
            raise self.error
        super().write(poses, frame)


class Paced(BaseSource):
    """A camera: a frame every `period_s`, stamped when it is there; ends after `count`, or breaks."""

    live = True

    def __init__(self, count: int, period_s: float = 0.01, error: Exception | None = None) -> None:
        super().__init__()
        self.count, self.period_s, self.error = count, period_s, error

    def __iter__(self) -> Iterator[Frame]:
        for seq in range(self.count):
            with self.changed:
                self.changed.wait_for(lambda: self.closed, self.period_s)
                if self.closed:
                    return
            now = time.monotonic()
            yield Frame(BLACK, "bgr", now, now, seq)
        if self.error:
            raise self.error


BLACK = np.zeros((48, 64, 3), np.uint8)


def pipeline(source: Source, estimate: Looks, *sinks: Sink) -> Pipeline:
    return Pipeline(source, Stages(estimate), sinks)


def pictures(count: int) -> list[NDArray[np.uint8]]:
    return [BLACK] * count


def seqs(sink: MemorySink) -> list[int]:
    return [poses.seq for poses in sink.poses]


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edgepose")]


def test_every_frame_of_a_recording_reaches_every_sink_in_order_however_slow() -> None:
    first, slow = MemorySink(), Slow(0.002)
    with pipeline(ListSource(pictures(60)), Looks(), first, slow) as running:
        running.run()
    assert seqs(first) == seqs(slow) == list(range(60))
    assert running.counts["late"] == 0


def test_no_thread_is_left_when_a_run_has_ended() -> None:
    before = ours()
    with pipeline(ListSource(pictures(5)), Looks(), MemorySink(), Slow()) as running:
        running.run()
    assert ours() == before


def test_reading_seeing_and_writing_happen_at_once() -> None:
    """The source before its frame 8, the model at 5 and the sink at 3 wait for each other: alone none goes on."""
    at_once = threading.Barrier(3, timeout=60)

    class Reads(ListSource):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                if frame.seq == 8:
                    at_once.wait()
                yield frame

    class Writes(MemorySink):
        def write(self, poses: Poses, frame: Frame) -> None:
            if poses.seq == 3:
                at_once.wait()
            super().write(poses, frame)

    sink = Writes()
    sees = Looks(lambda frame: at_once.wait() if frame.seq == 5 else None)
    with pipeline(Reads(pictures(15)), sees, sink) as running:
        running.run()
    assert seqs(sink) == list(range(15))


def test_a_sink_that_hangs_behind_delays_no_camera_frame_and_the_newest_wins() -> None:
    fast, slow = MemorySink(), Slow(0.05)
    with pipeline(Paced(40), Looks(), fast, slow) as running:
        running.run()
    got = seqs(slow)
    assert got == sorted(got)
    assert got[-1] == 39
    assert len(got) < len(seqs(fast))
    assert len(got) + running.counts["late"] == 40


def test_who_entered_and_left_in_a_dropped_frame_is_told_with_the_next() -> None:
    frame = Frame(BLACK, "bgr", 0.0, 0.0, 0)
    older, newer = (
        Finished(poses_of(frame, (7,), (3,)), frame, None),
        Finished(poses_of(frame, (8,), (4,)), frame, None),
    )
    told = overtaken(older, newer).poses
    assert (told.entered, told.left) == ((7, 8), (3, 4))
    quiet = Finished(poses_of(frame), frame, None)
    assert overtaken(quiet, newer).poses is newer.poses


@pytest.mark.parametrize("live", [False, True], ids=["recording", "camera"])
def test_an_estimate_that_fails_ends_the_run_after_what_was_found_before(live: bool) -> None:
    def breaks(frame: Frame) -> None:
        if frame.seq == 3:
            raise EngineError("the interpreter failed")

    estimate, memory, source = Looks(breaks), MemorySink(), Paced(9) if live else ListSource(pictures(9))
    with pipeline(source, estimate, memory) as running, pytest.raises(EngineError, match="interpreter"):
        running.run()
    assert seqs(memory) == [0, 1, 2]
    assert memory.closed
    assert estimate.closed


@pytest.mark.parametrize("place", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("live", [False, True], ids=["recording", "camera"])
def test_a_sink_that_fails_ends_the_run_with_its_own_error(live: bool, place: int) -> None:
    sinks: list[Sink] = [MemorySink()]
    sinks.insert(place, Slow(breaks_at=4))
    source = Paced(100_000, 0.001) if live else ListSource(pictures(100_000))
    with pipeline(source, Looks(seconds=0.001), *sinks) as running, pytest.raises(SinkError, match="disk is full"):
        running.run()


def test_a_recording_that_breaks_gives_its_frames_first_then_its_error() -> None:
    class Breaks(ListSource):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            raise SourceError("the file is cut short")

    memory = MemorySink()
    with pipeline(Breaks(pictures(5)), Looks(), memory) as running, pytest.raises(SourceError, match="cut short"):
        running.run()
    assert seqs(memory) == list(range(5))


def test_a_camera_that_breaks_ends_the_run_with_its_error() -> None:
    source = Paced(3, error=SourceError("the camera is gone"))
    with pipeline(source, Looks(), MemorySink()) as running, pytest.raises(SourceError, match="camera is gone"):
        running.run()


def test_a_watcher_that_fails_ends_the_run() -> None:
    def broken(_poses: Poses, _frame: Frame) -> None:
        raise RuntimeError("the watcher broke")

    with (
        pipeline(ListSource(pictures(50)), Looks(), MemorySink()) as running,
        pytest.raises(RuntimeError, match="broke"),
    ):
        running.run(broken)


def test_a_lost_frame_is_counted_and_nothing_is_published_for_it() -> None:
    def loses(frame: Frame) -> None:
        if frame.seq in (2, 3):
            raise FrameLostError("the accelerator gave nothing")

    memory = MemorySink()
    with pipeline(ListSource(pictures(6)), Looks(loses), memory) as running:
        running.run()
    assert seqs(memory) == [0, 1, 4, 5]
    assert running.counts["lost"] == 2


@pytest.mark.parametrize("live", [False, True], ids=["recording", "camera"])
def test_stop_ends_a_run_that_would_never_end_and_flushes(live: bool) -> None:
    memory = Slow(0.002)
    source = Paced(10**6, 0.001) if live else ListSource(pictures(10**6))
    with pipeline(source, Looks(seconds=0.001), memory) as running:
        threading.Timer(0.2, running.stop).start()
        running.run()
    got = seqs(memory)
    assert 0 < len(got) < 10**5
    assert live or got == list(range(len(got)))


def test_stop_wakes_a_run_that_waits_for_a_camera() -> None:
    with pipeline(Paced(10, 3600.0), Looks(), MemorySink()) as running:
        threading.Timer(0.1, running.stop).start()
        running.run()
        assert running.counts["frames"] < 10


def test_ctrl_c_that_nobody_catches_waits_for_no_sink() -> None:
    class Hangs(MemorySink):
        waits = True
        let_go = threading.Event()

        def write(self, poses: Poses, frame: Frame) -> None:
            self.let_go.wait(30)

    sink = Hangs()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pipeline(ListSource(pictures(1000)), Looks(), sink) as running:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                running.run()
    finally:
        signal.signal(signal.SIGINT, before)
        sink.let_go.set()


def test_a_camera_is_not_read_ahead() -> None:
    """What was read before it is needed would be old when it is looked at."""
    ages: list[float] = []
    estimate = Looks(lambda frame: ages.append(time.monotonic() - frame.t), 0.03)

    class Newest(BaseSource):
        live = True

        def __iter__(self) -> Iterator[Frame]:
            for seq in range(10):
                now = time.monotonic()
                yield Frame(BLACK, "bgr", now, now, seq)

    with pipeline(Newest(), estimate, MemorySink()) as running:
        running.run()
    assert sorted(ages)[len(ages) // 2] < 0.02


def test_a_frame_lost_on_the_way_is_counted_and_its_neighbours_are_published() -> None:
    def loses(frame: Frame) -> None:
        if frame.seq in (0, 3, 5):
            raise FrameLostError("the accelerator gave nothing")

    memory = MemorySink()
    with pipeline(ListSource(pictures(6)), Looks(loses), memory) as running:
        running.run()
    assert seqs(memory) == [1, 2, 4]
    assert running.counts["lost"] == 3


def test_an_engine_that_fails_ends_a_recording_after_what_was_found_before() -> None:
    def breaks(frame: Frame) -> None:
        if frame.seq == 3:
            raise EngineError("the interpreter failed")

    memory, before = MemorySink(), ours()
    with pipeline(ListSource(pictures(9)), Looks(breaks), memory) as running, pytest.raises(EngineError):
        running.run()
    assert seqs(memory) == [0, 1, 2]
    assert ours() == before


def test_what_got_old_while_the_process_stood_still_is_left_out_and_who_left_in_it_is_told_with_the_next() -> None:
    """As SIGSTOP and SIGCONT do: a frame is in hand, and the clock has gone on."""
    sink, stages = MemorySink(), Stages(Looks())
    with Publisher([sink], True, StageTimes()) as publish:
        for seq, age_s in enumerate((0.1, 4.8, 0.1)):
            taken_t = time.monotonic() - age_s
            frame = Frame(BLACK, "bgr", taken_t, taken_t, seq)
            publish(Seen(poses_of(frame, left=(7,) if seq == 1 else ()), frame, stages))
            while publish._first.queue._held or len(sink.poses) + publish.late <= seq:
                time.sleep(0.005)
    assert [(poses.seq, poses.left) for poses in sink.poses] == [(0, ()), (2, (7,))]
    assert publish.late == 1


def test_a_camera_that_always_takes_long_is_published_all_the_same() -> None:
    sink, stages = MemorySink(), Stages(Looks())
    with Publisher([sink], True, StageTimes()) as publish:
        for seq in range(3):
            taken_t = time.monotonic() - 10.0
            frame = Frame(BLACK, "bgr", taken_t, taken_t, seq)
            publish(Seen(poses_of(frame), frame, stages))
            while len(sink.poses) <= seq:
                time.sleep(0.005)
    assert seqs(sink) == [0, 1, 2]


def test_all_five_stamps_of_every_frame_are_counted() -> None:
    with pipeline(ListSource(pictures(20)), Looks(seconds=0.002), MemorySink()) as running:
        running.run()
    stages = running.times.stages
    assert {name: times.count for name, times in stages.items()} == dict.fromkeys(stages, 20)
    assert stages["infer"].shortest_s >= 0.002
    assert stages["latency"].shortest_s >= stages["infer"].shortest_s


def test_a_recording_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Twice through the real model, tracker, smoother and JSON lines."""
    from edgepose.lab.demo.scene import SceneSource

    scene = SceneSource(4.0)
    frames = []
    for seq in range(12):
        scene.see(seq)
        frames.append(scene.image(seq))
    written = []
    for name in ("one", "two"):
        cfg = config.load(None, {"sink.jsonl.path": str(tmp_path / name), "engine.model": "movenet_lightning_192"})
        with build(cfg, source=ListSource(frames)) as running:
            running.run()
        written.append((tmp_path / name).read_bytes())
    messages = [wire.decode(line) for line in written[0].splitlines()]
    assert [message.people[0].id for message in messages[1:]] == [1] * 11
    assert [message.entered for message in messages if message.entered] == [[1]]
    assert written[0] == written[1]

"""Poses of people who keep still are published again while nobody looks: marked, and as old as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from edgepose import wire
from edgepose.core import config
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.core.timing import StageTimes
from edgepose.engine import Engine
from edgepose.estimate import Found
from edgepose.pipeline import Pipeline
from edgepose.pipeline.power.governor import Governor
from edgepose.pipeline.power.states import CALM
from edgepose.pipeline.publish import Publisher, Seen, Unseen
from edgepose.pipeline.stages import Stages, stages_of
from edgepose.sink import MemorySink
from edgepose.source.base import BaseSource

FPS, SIZE_WH = 20.0, (160, 120)


def frame(t: float, seq: int, taken_t: float | None = None) -> Frame:
    image = np.random.default_rng(seq).integers(80, 90, (SIZE_WH[1], SIZE_WH[0]), dtype=np.uint8)
    return Frame(image, "gray", t, t if taken_t is None else taken_t, seq)


def somebody(frame: Frame, identity: int = 1, **fields: object) -> Poses:
    xy = np.stack([np.linspace(40, 80, 17), np.linspace(20, 100, 17)], axis=1).astype(np.float32)[None]
    return Poses.of(
        frame, COCO17, xy, np.full((1, 17), 0.9, np.float32), np.full(1, 0.9, np.float32),
        track_id=np.array([identity], np.int32), **fields,
    )  # fmt: skip


def settings(**power: object) -> config.Config:
    return config.Config(power=config.Power(calm_after_s=1.0, **power))  # type: ignore[arg-type]


class Looks:
    """An estimate without a model that finds one person who keeps still."""

    def __init__(self) -> None:
        self.skeleton, self.counts = COCO17, {"invokes": 0, "crops": 0}
        self.engines: tuple[Engine, ...] = ()
        self.enter_score = self.stay_score = 0.5
        self.believe_score: float | None = None

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:
        now = time.monotonic()
        return Found(somebody(frame, -1), now, now, now)

    def close(self) -> None:
        """Nothing to let go."""


class Camera(BaseSource):
    """A room with sensor noise, as fast as the sinks take it."""

    live = True

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._frames = round(seconds * FPS)

    def __iter__(self) -> Iterator[Frame]:
        for seq in range(self._frames):
            time.sleep(0.002)
            yield frame(seq / FPS, seq, time.monotonic())


def governed(seconds: float, **power: object) -> tuple[Governor, list[tuple[float, bool, bool]]]:
    """Somebody who keeps still; of each frame while it is calm: its time, whether it was looked at, or held."""
    governor = Governor(settings(**power).power, 1.0)
    told = []
    for seq in range(round(seconds * FPS)):
        one = frame(seq / FPS, seq)
        wanted = governor.wants(one)
        if governor.states.state == CALM:
            told.append((one.t, wanted, governor.held))
        if wanted:
            governor.saw(somebody(one), somebody(one))
    assert told, "it never became calm"
    return governor, told


@pytest.mark.parametrize("hold", [5.0, 10.0])
def test_while_calm_poses_go_out_at_the_rate_that_is_set(hold: float) -> None:
    _, told = governed(40, hold=hold)
    rate = sum(wanted or held for _, wanted, held in told) / (told[-1][0] - told[0][0])
    assert 0.9 * hold <= rate <= hold + config.Power().calm_fps  # a look that falls in between is published too
    assert not any(wanted and held for _, wanted, held in told)


def test_as_it_comes_poses_go_out_where_somebody_looked() -> None:
    _, told = governed(30)
    assert not any(held for _, _, held in told)


def test_nobody_is_held_in_an_empty_room() -> None:
    governor = Governor(settings(hold=10.0).power, 1.0)
    for seq in range(400):
        one = frame(seq / FPS, seq)
        if governor.wants(one):
            nobody = somebody(one).rows([])
            governor.saw(nobody, nobody)
        assert not governor.held


def test_a_camera_slows_down_no_further_than_what_is_held() -> None:
    asked: list[float] = []
    governor = Governor(settings(hold=15.0, idle_fps=5.0).power, 1.0, asked.append)
    for seq in range(600):
        one = frame(seq / FPS, seq)
        if governor.wants(one):
            governor.saw(somebody(one), somebody(one))
    assert asked[-1] == 15.0


def test_what_is_held_is_what_was_published_but_for_its_mark() -> None:
    memory, times = MemorySink(), StageTimes()
    seen, later = frame(1.0, 10, time.monotonic()), frame(2.0, 30, time.monotonic())
    with Publisher([memory], True, times) as publish:
        publish(Seen(somebody(seen, entered=(1,), left=(7,)), seen, Stages(Looks())))
        for _ in range(2):
            until_t = time.monotonic() + 20
            while publish._first.queue._held and time.monotonic() < until_t:
                time.sleep(0.001)
            publish.leave_out(Unseen(later, True, None))
    first, *again = memory.poses
    assert (first.held, first.entered, first.left) == (False, (1,), (7,))
    assert again
    for one in again:
        assert (one.held, one.entered, one.left) == (True, (), ())
        assert (one.seq, one.t, one.taken_t) == (10, first.t, first.taken_t)
        assert one.xy is first.xy


def test_nothing_is_held_before_anybody_was_published() -> None:
    memory = MemorySink()
    with Publisher([memory], True, StageTimes()) as publish:
        publish.leave_out(Unseen(frame(1.0, 0), True, None))
    assert not memory.poses


def test_a_running_loop_holds_who_keeps_still_and_says_of_when_that_is() -> None:
    cfg, memory = settings(hold=10.0), MemorySink()
    source, looks = Camera(30), Looks()
    pipeline = Pipeline(source, stages_of(cfg, source, looks), [memory], governor=Governor(cfg.power, 1.0))
    with pipeline:
        pipeline.run()
    seqs = {one.seq: one for one in memory.poses if not one.held}
    held = [one for one in memory.poses if one.held]
    assert held
    assert all(one.seq in seqs and one.taken_t == seqs[one.seq].taken_t for one in held)
    assert sum(len(one.entered) for one in memory.poses) == 1
    assert pipeline.times.stages["decode"].count == len(seqs) or pipeline.counts["late"]


@pytest.mark.parametrize("form", ["json", "binary"])
def test_a_reader_is_told_what_is_held_and_how_old_it_is(form: str) -> None:
    seen = somebody(frame(100.0, 7))
    ages: list[float | None] = []
    marks: list[tuple[bool, object, int]] = []
    for now_t, poses in ((100.05, seen), (100.45, seen.again())):
        now_wall = 1_790_000_000 + now_t
        if form == "json":
            message = wire.decode(wire.encode(poses, "board", "door", now_t, now_wall))
            ages.append(message.age_ms)
            marks.append((message.held, message.captured, message.seq))
        else:
            packed = wire.binary.decode(wire.binary.encode(poses, now_t, now_wall))
            ages.append(None if packed.age_us is None else packed.age_us / 1e3)
            marks.append((packed.held, packed.captured_us, packed.seq))
    assert ages == [pytest.approx(50, abs=0.1), pytest.approx(450, abs=0.1)]
    assert [mark[0] for mark in marks] == [False, True]
    assert marks[0][1:] == marks[1][1:]


def test_a_message_of_who_was_just_seen_is_as_it_always_was() -> None:
    told = msgspec.json.decode(wire.encode(somebody(frame(1.0, 1)), "board", "door", 1.0, 2.0))
    assert "held" not in told

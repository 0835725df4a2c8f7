"""A sink that fails beside others: they go on, it is reported and tried again; alone it ends the run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError, SinkError
from edgepose.core.poses import Frame, Poses
from edgepose.pipeline import build
from edgepose.sink import MemorySink, Sink, open_sinks, require_delivered
from edgepose.sink.side import RETRY_S, SideSink
from edgepose.source import ListSource
from samples.people import frame, poses
from tests.helpers.service import picture


class Disk:
    """Opens sinks that take nothing while it is full; a clock of its own."""

    def __init__(self, full: bool = False) -> None:
        self.full, self.now, self.retryable = full, 0.0, True
        self.opened: list[MemorySink] = []
        self.first: list[bool] = []

    def __call__(self, first: bool) -> Sink:
        self.first.append(first)
        self._check()
        disk = self

        class Writes(MemorySink):
            def write(self, poses: Poses, frame: Frame) -> None:
                disk._check()
                super().write(poses, frame)

        self.opened.append(Writes())
        return self.opened[-1]

    def _check(self) -> None:
        if self.full:
            raise SinkError("the disk is full", retryable=self.retryable)

    def side(self, others: list[SideSink] | None = None) -> SideSink:
        return SideSink("sink.test", self, others, lambda: self.now)


def seqs(disk: Disk) -> list[list[int]]:
    return [[one.seq for one in sink.poses] for sink in disk.opened]


def test_a_full_disk_is_reported_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    side = disk.side()
    with caplog.at_level(logging.WARNING, "edgepose.sink"):
        for seq in range(10):
            disk.full, disk.now = 2 <= seq < 6, seq * RETRY_S / 2
            side.write(poses(1, seq=seq), frame(seq=seq))
            assert side.failing == (2 <= seq < 6)
    assert seqs(disk) == [[0, 1], [6, 7, 8, 9]]
    assert disk.first == [True, False, False]
    assert side.counts == {"sent": 6, "failed": 4}
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    with pytest.raises(SinkError, match="4 poses"):
        require_delivered([side])


def test_what_is_not_there_at_the_start_may_come_later() -> None:
    disk = Disk(full=True)
    side = disk.side()
    side.write(poses(1, seq=0), frame())
    disk.full, disk.now = False, RETRY_S
    side.write(poses(1, seq=1), frame())
    assert seqs(disk) == [[1]]


def test_what_cannot_work_again_is_not_tried_again() -> None:
    disk = Disk()
    side = disk.side()
    disk.full, disk.retryable = True, False
    side.write(poses(1, seq=0), frame())
    disk.full, disk.now = False, 1e6
    side.write(poses(1, seq=1), frame())
    assert len(disk.opened) == 1


def test_the_last_of_two_that_fails_ends_the_run() -> None:
    one, two = Disk(), Disk()
    sides: list[SideSink] = []
    sides.append(one.side(sides))
    sides.append(two.side(sides))
    one.full = two.full = True
    sides[0].write(poses(1, seq=0), frame())
    with pytest.raises(SinkError, match="full"):
        sides[1].write(poses(1, seq=0), frame())


def test_a_setting_that_can_never_work_is_refused_beside_others_too(tmp_path: Path) -> None:
    chosen = config.Sink(
        jsonl=config.Jsonl(path=str(tmp_path)), overlay=config.Overlay(path=str(tmp_path / "pictures"))
    )
    with pytest.raises(ConfigError, match=str(tmp_path)):
        open_sinks(config.Config(sink=chosen), live=True)


def test_a_full_disk_under_json_lines_leaves_the_pictures_coming(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    cfg = config.load(
        None,
        {
            "engine.model": "movenet_lightning_192", "decode.kernels": "numpy", "sink.jsonl.path": "/dev/full",
            "sink.overlay.path": str(tmp_path / "pictures"),
        },
    )  # fmt: skip
    with build(cfg, source=ListSource([picture()] * 3)) as pipeline:
        pipeline.run()
        assert "No space" in pipeline.sinks[0].troubles[0]
    assert len(list((tmp_path / "pictures").iterdir())) == 3
    with pytest.raises(SinkError, match="3 poses"):
        require_delivered(pipeline.sinks)

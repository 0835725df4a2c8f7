"""A recording that is played as a camera: at its own pace, and the newest frame wins."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.core.poses import Frame
from edgepose.pipeline import build
from edgepose.sink import MemorySink
from edgepose.source import ListSource, open_paced
from edgepose.source.paced import PacedSource

BLACK = np.zeros((48, 64, 3), np.uint8)


def write_video(path: Path, count: int, fps: float) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for _ in range(count):
        writer.write(BLACK)
    writer.release()
    return path


def test_frames_come_at_their_own_distance_and_none_before_its_time() -> None:
    began_t = time.monotonic()
    with PacedSource(ListSource([BLACK] * 5, fps=50)) as source:
        got = [(frame.seq, frame.t, time.monotonic()) for frame in source]
    seqs, stamps, taken = zip(*got, strict=True)
    assert list(seqs) == sorted(set(seqs))
    assert source.counts["frames"] + source.counts["dropped"] == 5
    assert all(stamp <= now for stamp, now in zip(stamps, taken, strict=True))
    assert stamps[-1] - stamps[0] == pytest.approx((seqs[-1] - seqs[0]) / 50)
    assert time.monotonic() - began_t >= 4 / 50


def test_who_is_slow_gets_the_newest() -> None:
    with PacedSource(ListSource([BLACK] * 30, fps=200)) as source:
        seqs = []
        for frame in source:
            seqs.append(frame.seq)
            time.sleep(0.05)
    assert len(seqs) < 15
    assert seqs[-1] == 29
    assert source.counts["dropped"] == 30 - len(seqs)


def test_what_breaks_a_recording_breaks_it_after_its_frames() -> None:
    class Breaks(ListSource):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            raise SourceError("cut short")

    with PacedSource(Breaks([BLACK] * 2, fps=100)) as source:
        frames = iter(source)
        while next(frames).seq < 1:
            pass
        with pytest.raises(SourceError, match="cut short"):
            next(frames)


def test_it_ends_when_it_is_closed() -> None:
    with PacedSource(ListSource([BLACK] * 2, fps=0.001)) as source:
        frames = iter(source)
        assert next(frames).seq == 0
        source.close()
        assert list(frames) == []


@pytest.mark.parametrize(
    ("pace", "loop", "live"),
    [("auto", False, False), ("auto", True, True), ("free", True, False), ("real", False, True)],
)
def test_a_video_is_played_as_the_settings_say(tmp_path: Path, pace: str, loop: bool, live: bool) -> None:
    path = write_video(tmp_path / "clip.avi", count=3, fps=10)
    cfg = config.load(None, {"source.uri": str(path), "source.pace": pace, "source.loop": loop})
    with open_paced(cfg.source) as source:
        assert source.live is live


def test_max_fps_holds_for_a_recording_played_as_a_camera_and_is_never_ignored_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "clip.avi", count=20, fps=20)
    words = {
        "source.uri": str(path), "engine.model": "movenet_lightning_192", "decode.kernels": "numpy",
        "service.max_fps": 4.0, "power.mode": "off",
    }  # fmt: skip
    counts = {}
    for pace in ("free", "real"):
        memory = MemorySink()
        with build(config.load(None, {**words, "source.pace": pace}), sinks=[memory]) as pipeline:
            pipeline.run()
        counts[pace] = len(memory.poses)
        said = [record for record in caplog.records if "max_fps" in record.message]
        assert [record.levelno for record in said] == [logging.WARNING] * (pace == "free")
        caplog.clear()
    assert counts["free"] == 20
    assert counts["real"] <= 5

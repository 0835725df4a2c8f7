"""What holds for every sink."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError
from edgepose.sink import SINKS, MemorySink, Sink, open_sinks
from edgepose.sink.base import untold
from edgepose.sink.jsonl import JsonlSink
from samples.people import frame, poses
from tests.helpers.broker import Broker


def settings(name: str, folder: Path) -> config.Sink:
    """Every sink as it is switched on."""
    if name == "mqtt":
        return config.Sink(mqtt=config.Mqtt(broker="mqtt://127.0.0.1:1"))
    return config.Sink(
        jsonl=config.Jsonl(path=str(folder / "poses.jsonl") if name == "jsonl" else ""),
        overlay=config.Overlay(path=str(folder / "pictures") if name == "overlay" else ""),
        osc=config.Osc(to="127.0.0.1:9" if name == "osc" else ""),
        bvh=config.Bvh(listen="127.0.0.1:0" if name == "bvh" else ""),
    )


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    chosen = settings(request.param, tmp_path)
    if request.param != "mqtt":
        with SINKS[request.param](config.Config(device="board", sink=chosen), False, untold) as opened:
            yield opened
        return
    with Broker(tmp_path) as broker:
        chosen = config.Sink(mqtt=config.Mqtt(broker=broker.url))
        with SINKS["mqtt"](config.Config(device="board", sink=chosen), False, untold) as opened:
            yield opened


def test_every_sink_counts_what_went_out(sink: Sink) -> None:
    missing = np.full((1, 17, 2), np.nan, np.float32)
    sink.write(poses(0, seq=0), frame(seq=0))
    sink.write(poses(2, seq=1), frame(seq=1))
    sink.write(poses(1, seq=2, xy=missing), frame(seq=2))
    sink.close()

    assert sink.counts["sent"] == 3


def test_a_sink_closes_twice_and_then_takes_nothing(sink: Sink) -> None:
    sink.close()
    sink.close()

    with pytest.raises(ValueError, match="is closed"):
        sink.write(poses(1), frame())


def test_a_sink_leaves_poses_and_frame_as_they_are(sink: Sink) -> None:
    made, picture = poses(2), frame()
    sink.write(made, picture)
    sink.close()

    assert (picture.image == 128).all()
    assert np.array_equal(made.xy, poses(2).xy)


def test_what_has_a_destination_is_opened(tmp_path: Path) -> None:
    chosen = config.Sink(
        jsonl=config.Jsonl(path=str(tmp_path / "a.jsonl")), overlay=config.Overlay(path=str(tmp_path / "pictures"))
    )

    sinks = open_sinks(config.Config(sink=chosen), live=False)
    for opened in sinks:
        opened.close()

    assert [type(opened).__name__ for opened in sinks] == ["SideSink", "SideSink"]


def test_without_a_destination_lines_go_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    (sink,) = open_sinks(config.Config(), live=False)
    with sink:
        sink.write(poses(1, seq=5), frame())

    assert isinstance(sink, JsonlSink)
    assert '"seq":5' in capfd.readouterr().out


def test_when_one_cannot_be_opened_the_others_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = MemorySink()
    monkeypatch.setitem(SINKS, "jsonl", lambda _config, _live, _on_sent: opened)
    chosen = config.Sink(jsonl=config.Jsonl(path="x"), overlay=config.Overlay(path=str(tmp_path / "a.gif")))

    with pytest.raises(ConfigError, match=r"\.gif"):
        open_sinks(config.Config(sink=chosen), live=False)

    assert opened.closed


def test_memory_keeps_the_newest() -> None:
    with MemorySink(keep=2) as sink:
        for seq in range(5):
            sink.write(poses(0, seq=seq), frame())

    assert [kept.seq for kept in sink.poses] == [3, 4]


def test_memory_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="keep is 0"):
        MemorySink(keep=0)


def test_importing_the_sinks_loads_no_heavy_library() -> None:
    code = "import sys, edgepose.sink; print({'cv2', 'paho', 'ssl'} & set(sys.modules))"

    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"

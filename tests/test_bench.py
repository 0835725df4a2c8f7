"""`edgepose bench`: its numbers are those of the run, its files are sound, and tuning keeps what it found."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgepose.commands.cli import main
from edgepose.core import config, places
from edgepose.core.errors import ConfigError
from edgepose.core.poses import Frame
from edgepose.engine import tuned
from edgepose.lab.bench import board
from edgepose.lab.bench.page import page
from edgepose.lab.bench.report import MEANINGS, Report
from edgepose.lab.bench.session import changed
from edgepose.lab.bench.source import Again, AsCamera, scene_frames
from edgepose.lab.bench.tune import Tried, choose
from tests.helpers.broker import program

pytestmark = pytest.mark.slow

BLACK = np.zeros((48, 64, 3), np.uint8)
LIGHT = ("--model", "movenet_lightning_192", "--engine.threads", "1")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept in, or read from, the user's own folder."""
    monkeypatch.setenv("EDGEPOSE_CONFIG_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("CONFIGURATION_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path / "kept"


class Sound(HTMLParser):
    """Every element that is opened is closed, in order."""

    EMPTY = ("meta", "br", "rect", "line")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        assert tag != "script"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.EMPTY

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_recording_is_measured_flat_out_and_as_a_camera_brings_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program("mosquitto")
    files = ["--json", str(tmp_path / "bench.json"), "--report", str(tmp_path / "bench.html")]
    assert main(["bench", "--seconds", "1", *LIGHT, *files]) == 0
    told = capsys.readouterr().out
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["schema"] == "edgepose.bench/1"
    assert [run["name"] for run in report["runs"]] == ["as fast as it goes", "as a camera at 30 Hz"]
    for run in report["runs"]:
        assert run["fps"] == pytest.approx(run["frames"] / run["seconds"], rel=1e-3)
        assert run["models"][0].startswith("movenet_lightning_192 on ")
        assert set(run["stages_ms"]) == set(MEANINGS)
        stages = run["stages_ms"]
        assert stages["camera_to_subscriber"]["p50"] > stages["infer"]["p50"] > 0
        assert stages["camera_to_subscriber"]["p50"] >= stages["latency"]["p50"] * 0.9 > 0
        assert run["counts"]["missing"] == 0
        assert run["cpu_ms"] > 0
        assert run["peak_rss_mib"] >= run["rss_mib"] > 10
        assert f"{run['fps']:.1f}" in told
    assert report["runs"][1]["fps"] < 31
    assert report["settings"]["engine.threads"] == 1
    html = (tmp_path / "bench.html").read_text()
    sound = Sound(html)
    assert sound.open == []
    assert sound.loads == []
    assert report["board"]["board"] in html
    assert not re.search(r"\bnan\b|\binf\b", html)


def test_without_a_broker_times_end_where_poses_are_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["bench", "--seconds", "0.5", *LIGHT, "--decode.kernels", "numpy", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["broker"] == "none"
    assert set(report["runs"][0]["stages_ms"]) == {"wait", "infer", "decode", "publish", "latency"}


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgepose.lab.bench.session.measure", lambda *_, **__: pytest.fail("it was measured"))
    assert main(["bench", "--report", str(tmp_path / "no folder" / "x.html")]) == ConfigError.exit_code


def test_a_password_in_an_address_is_in_no_report() -> None:
    cfg = config.Config(source=config.Source(uri="rtsp://me:secret@door/1"))
    assert changed(cfg) == {"source.uri": "rtsp://***@door/1"}


def test_tuning_keeps_the_best_and_the_next_run_uses_it(
    own_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgepose.lab.bench.tune.LEAST_S", 0.5)
    monkeypatch.setattr("edgepose.lab.bench.tune.ROUNDS", 1)
    assert main(["bench", "--tune", "--seconds", "0.5", "--model", "movenet_lightning_192"]) == 0
    told = capsys.readouterr().out
    assert str(own_folder) in told
    kept = tuned.read()["movenet_lightning_192"]
    assert f"{kept.threads} thread(s) for movenet_lightning_192" in told
    assert main(["config"]) == 0
    assert f"# engine.threads = 0 is {kept.threads} for movenet_lightning_192" in capsys.readouterr().out
    assert config.load(None) == config.Config()


def row(threads: int, cpu: str = "") -> tuned.Tuned:
    return tuned.Tuned(threads, cpu or tuned.this_cpu(), 9.25, "2026-01-02")


def test_what_was_tuned_is_what_threads_0_means() -> None:
    from edgepose.engine import open_engine

    tuned.write({"movenet_lightning_192": row(3), "other": row(2)})
    with open_engine(config.Engine(model="movenet_lightning_192")) as engine:
        assert engine.threads == 3
    with open_engine(config.Engine(model="movenet_lightning_192", threads=1)) as engine:
        assert engine.threads == 1


def test_what_was_measured_on_another_processor_counts_for_nothing() -> None:
    tuned.write({"a": row(3, "Raspberry Pi 5, 4 cores")})
    assert tuned.threads("a") == 0


def test_tuning_one_model_forgets_no_other() -> None:
    tuned.write({"a": row(1), 'odd "name"': row(2)})
    tuned.write({"a": row(4)})
    assert (tuned.threads("a"), tuned.threads('odd "name"'), tuned.threads("b")) == (4, 2, 0)


@pytest.mark.parametrize("text", ["", "threads = 2", "[a]\nthreads = 'two'", "[a\n", "\0"], ids=repr)
def test_a_damaged_file_is_as_none(own_folder: Path, text: str) -> None:
    own_folder.mkdir()
    (own_folder / tuned.FILE).write_text(text)
    assert tuned.threads("a") == 0
    tuned.write({"a": row(2)})
    assert tuned.threads("a") == 2


def test_nowhere_to_keep_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(places, "settings", lambda: [tmp_path / "file" / "sub"])
    with pytest.raises(ConfigError, match="EDGEPOSE_CONFIG_DIR"):
        tuned.write({"a": row(2)})


def test_more_threads_must_be_worth_their_cores() -> None:
    def tried(threads: int, frame_ms: float) -> Tried:
        return Tried(threads, frame_ms, 0.0, 0.0, 0.0)

    assert choose([tried(1, 20.0), tried(2, 12.0), tried(3, 11.8), tried(4, 15.0)]).threads == 2
    assert choose([tried(1, 20.0), tried(2, 12.0), tried(3, 9.0)]).threads == 3


def frames(count: int) -> list[Frame]:
    return [Frame(BLACK, "bgr", 0.0, 0.0, seq) for seq in range(count)]


def test_a_camera_that_is_played_brings_frames_at_their_time_and_counts_those_nobody_took() -> None:
    source = AsCamera(frames(3), 100.0)
    got = []
    for frame in source:
        got.append(frame)
        assert time.monotonic() >= frame.t
        time.sleep(0.035)
        if len(got) == 5:
            source.close()
    gaps = np.diff([frame.seq for frame in got])
    assert (gaps >= 3).all()
    assert source.counts["dropped"] == gaps.sum() - len(gaps)
    assert [frame.t - got[0].t for frame in got] == pytest.approx([(frame.seq - got[0].seq) / 100 for frame in got])


def test_a_recording_that_is_played_again_goes_on_counting() -> None:
    got = list(Again(frames(3), 10.0, number=7))
    assert [frame.seq for frame in got] == list(range(7))
    assert [frame.t for frame in got] == pytest.approx([seq / 10 for seq in range(7)])


def test_the_scene_goes_there_and_back_without_a_jump() -> None:
    pictures = [frame.image for frame in scene_frames()]
    np.testing.assert_array_equal(pictures[0], pictures[-1])
    assert len(pictures) == 120


def test_sensors_are_read_where_there_are_some(tmp_path: Path) -> None:
    for number, text in enumerate(("48312\n", "61900\n", "-273000\n", "no\n")):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(text)
    clock = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    clock.mkdir(parents=True)
    (clock / "scaling_cur_freq").write_text("1500000\n")
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    state = board.state(tmp_path)
    assert (state.temperature_c, state.clock_mhz) == (61.9, 1500.0)
    assert state.throttled == "under-voltage, throttled"
    assert "62 °C" in board.feels(state)


def test_what_nothing_tells_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    told = board.feels(board.state(tmp_path))
    assert told.startswith("temperature unknown, clock unknown, throttled unknown")


def test_a_name_in_the_settings_cannot_break_the_page(tmp_path: Path) -> None:
    state = board.State(None, None, None, 0.5)
    odd = '<script>alert("1")</script>'
    report = Report(
        "2026-01-02T03:04:05", odd, odd, odd, {"board": odd, "edgepose": "1"}, {"camera": odd}, state, state, ()
    )
    Sound(page(report))


def test_memory_is_that_of_this_process() -> None:
    held, most = board.memory_mib()
    assert 10 < held <= most < 1e5
    assert not math.isnan(held)
    assert sys.version.split()[0] == board.describe()["python"]

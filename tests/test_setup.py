"""`edgepose setup`: every answer is tried, and nothing that exists is changed unasked."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgepose.commands import cli
from edgepose.core import config
from edgepose.lab.setup import answers, write
from tests.helpers.broker import Broker, Subscriber

PICTURE = str(Path(__file__).parents[1] / "edgepose/lab/demo/pictures/astronaut.jpg")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return cli.main(["setup", "--config", "edgepose.toml"])


def test_defaults_ask_nothing_and_load_back() -> None:
    assert cli.main(["setup", "--config", "edgepose.toml", "--yes", "--source", PICTURE, "--device", "attic"]) == 0
    cfg = config.load(Path("edgepose.toml"))
    assert (cfg.source.uri, cfg.device, cfg.sink.mqtt.broker) == (PICTURE, "attic", "")
    assert Path("edgepose.toml").stat().st_mode & 0o077 == 0


def test_an_answer_that_does_not_work_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "no-such.jpg", "n", PICTURE, "", "attic", "poses") == 0
    assert "does not work: no-such.jpg" in capsys.readouterr().out
    assert config.load(Path("edgepose.toml")).source.uri == PICTURE


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--source", "no-such.jpg"], "no-such.jpg"),
        (["--source", PICTURE, "--broker", "mqtt://127.0.0.1:1"], "nothing listens at 127.0.0.1:1"),
        (["--source", PICTURE, "--device", "a/b"], "device"),
    ],
    ids=["camera", "broker", "name"],
)
def test_without_questions_what_does_not_work_ends_it(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["setup", "--config", "edgepose.toml", "--yes", *flags]) != 0
    assert says in capsys.readouterr().err
    assert not Path("edgepose.toml").exists()


def test_settings_in_use_stay_unless_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = f'device = "hall"\n[source]\nuri = "{PICTURE}"\nfps = 7.0\n'
    Path("edgepose.toml").write_text(before)
    assert cli.main(["setup", "--config", "edgepose.toml", "--yes"]) == 78
    assert typed(monkeypatch, "", "", "attic", "", "n") == 1
    assert Path("edgepose.toml").read_text() == before
    assert typed(monkeypatch, "", "", "attic", "", "y") == 0
    cfg = config.load(Path("edgepose.toml"))
    assert (cfg.device, cfg.source.fps) == ("attic", 7.0)
    assert Path("edgepose.toml.old1").read_text() == before


def test_nobody_there_to_answer_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed(monkeypatch, PICTURE) == 78
    assert not Path("edgepose.toml").exists()


def test_ctrl_c_at_a_terminal_leaves_nothing_behind(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "edgepose", "setup", "--config", "edgepose.toml"]
    child = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # who runs tests in the background ignores it
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while b"Camera" not in seen:
        seen += os.read(ours, 1024)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    os.close(ours)
    assert not Path("edgepose.toml").exists()
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.broker
def test_a_broker_is_tried_and_a_name_in_use_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Broker(tmp_path) as broker:
        try_broker(broker, capsys)


def try_broker(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["setup", "--config", "edgepose.toml", "--yes", "--source", PICTURE, "--broker", broker.url]
    flags += ["--device", "attic", "--publish", "home-assistant"]
    assert cli.main(flags) == 0
    cfg = config.load(Path("edgepose.toml"))
    assert cfg.home_assistant.on
    assert cfg.sink.mqtt.broker == broker.url
    with Subscriber(broker.port) as somebody:
        somebody.publish("edgepose/attic/camera/availability", b"online", retain=True)
    assert cli.main([*flags, "--overwrite"]) == 78
    assert "online at that broker already" in capsys.readouterr().err


@pytest.mark.parametrize("publish", answers.PUBLISH)
def test_each_choice_is_a_setting_there_is(publish: str) -> None:
    made = answers.Answers("photo.jpg", "mqtt://broker", "attic", publish).settings()
    raw: dict[str, object] = {}
    for key, value in made.items():
        config.put(raw, key, value)
    Path("edgepose.toml").write_text(write.as_toml(raw))
    assert config.read_toml(Path("edgepose.toml")) == raw
    config.load(Path("edgepose.toml"))

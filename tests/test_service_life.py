"""A real `edgepose run` under a stand-in for systemd: ready, settings read again, stopped, failed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.helpers.supervisor import PICTURES, Listener, Service, env

SETTINGS = f"""
log = "info"
[source]
uri = "{PICTURES}"
loop = true
[track]
mode = "on"
[engine]
threads = 1
[sink.jsonl]
path = "POSES"
"""


def settings_file(folder: Path, *changes: tuple[str, str]) -> Path:
    """A file in that folder, the same but for `changes`."""
    text = SETTINGS.replace("POSES", str(folder / "poses.jsonl"))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "edgepose.toml"
    path.write_text(text)
    return path


def ready(message: dict[str, str]) -> bool:
    return "READY" in message


def test_a_service_is_ready_with_its_first_frame_reads_its_settings_again_and_stops_with_nothing_lost(
    tmp_path: Path,
) -> None:
    path = settings_file(tmp_path)
    with Listener() as listener, Service("--config", str(path), env=env(listener, WATCHDOG_USEC="4000000")) as service:
        assert listener.next()["STATUS"] == "opens the model"
        listener.wait(ready)
        assert (tmp_path / "poses.jsonl").stat().st_size > 0
        listener.wait(lambda message: message.get("WATCHDOG") == "1")

        def reload(*changes: tuple[str, str]) -> str:
            settings_file(tmp_path, *changes)
            service.process.send_signal(signal.SIGHUP)
            listener.wait(lambda message: message.get("RELOADING") == "1" and message["MONOTONIC_USEC"].isdigit())
            return listener.wait(ready)["STATUS"]

        light, one_model = ("[engine]", '[smooth]\npreset = "strong"\n[engine]'), ("threads = 1", "threads = 2")
        assert reload(light) == "settings read again: smooth.preset changed"
        assert reload(light, one_model) == "settings read again: engine.threads changed"
        where = f"settings refused, the old ones stay: {path}: "
        said = reload(("loop = true", "loop = maybe"))
        assert said.startswith(where + "not valid TOML")
        assert reload(("threads = 1", "thread = 1")) == where + (
            "engine.thread is not a setting; did you mean engine.threads?"
        )
        said = reload(("threads = 1", 'model = "nobody"'))
        assert said.startswith("settings refused, the old ones stay: ")
        assert "nobody" in said
        said = reload(light, one_model, (str(PICTURES), str(tmp_path / "nowhere")))
        assert "no such file" in said
        # what was refused left no trace: only the true change is told
        changed = (light, one_model, ('"info"', '"debug"'), ("loop = true", "loop = false"))
        assert reload(*changed) == "settings read again: log changed; source.loop needs a restart"
        assert sum("refused" in line for line in service.log) == 4
        assert sum("read again:" in line for line in service.log) == 3

        assert service.end() == 0
        assert any("STOPPING" in message for message in [*listener.heard, listener.next()])
        lines = (tmp_path / "poses.jsonl").read_text().splitlines()
        numbers = [json.loads(line)["seq"] for line in lines]
        assert numbers == list(range(len(numbers)))
        assert f"done: {len(lines)} frames" in service.log[-1]


def test_a_camera_that_is_away_at_the_start_is_waited_for_under_a_supervisor_only(tmp_path: Path) -> None:
    away = ["--source", "/dev/video-gone", "--jsonl", str(tmp_path / "poses"), "--source.backoff_max_s", "0.5"]
    with Service(*away, env=env()) as alone:
        assert alone.process.wait(30) == 1
        assert "no such camera" in alone.log[-1]
    with Listener() as listener, Service(*away, env=env(listener, WATCHDOG_USEC="2000000")) as service:
        said = listener.wait(lambda message: message.get("STATUS", "").startswith("waiting: "))
        assert "/dev/video-gone: no such camera" in said["STATUS"]
        assert said["EXTEND_TIMEOUT_USEC"] == "30000000"
        assert service.end() == 0


def test_wrong_settings_end_with_78_and_say_why_to_the_supervisor(tmp_path: Path) -> None:
    wrong = settings_file(tmp_path, ("threads = 1", "threads = -1"))
    with (
        Listener() as listener,
        Service("--config", str(wrong), env=env(listener, RUNTIME_DIRECTORY=str(tmp_path))) as service,
    ):
        said = listener.wait(lambda message: "ERRNO" in message)
        assert "engine.threads" in said["STATUS"]
        assert service.process.wait(30) == 78
        assert service.log == [f"edgepose run: {said['STATUS'].removeprefix('not started: ')}"]
    assert (tmp_path / "early-ends").read_text() == "0"


def test_a_life_that_ends_early_is_counted_and_the_next_ones_are_held_off(tmp_path: Path) -> None:
    (tmp_path / "early-ends").write_text("5")
    runs = ["--config", str(settings_file(tmp_path))]
    with Listener() as listener, Service(*runs, env=env(listener, RUNTIME_DIRECTORY=str(tmp_path))) as held:
        said = listener.next()
        assert said["STATUS"] == "5 early ends in a row; waits 16 s before the next try"
        assert held.end() == 0  # a stop need not wait for that
    assert (tmp_path / "early-ends").read_text() == "0"
    with Listener() as listener, Service(*runs, env=env(listener, RUNTIME_DIRECTORY=str(tmp_path))) as killed:
        listener.wait(ready)
        assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    assert (tmp_path / "early-ends").read_text() == "1"


def test_lines_for_the_journal_have_priorities_down_to_the_last_word(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        ended = subprocess.run(
            [sys.executable, "-m", "edgepose", "run", "--source", str(PICTURES), "--jsonl", "/nowhere/poses"],
            env=env(JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}"), stderr=stream, check=False,
        )  # fmt: skip
    ours = [line for line in (tmp_path / "journal").read_text().splitlines() if "XNNPACK" not in line]
    assert ended.returncode != 0
    assert ours
    assert all(line.startswith("<") and line[2] == ">" for line in ours)
    assert ours[-1].startswith("<3>edgepose run: ")


def test_a_terminal_that_is_closed_ends_a_run_instead_of_reading_settings(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgepose", "run", "--config", str(settings_file(tmp_path))],
            stdin=theirs, stdout=subprocess.DEVNULL, stderr=log, env=env(),
        )  # fmt: skip
        try:
            while "edgepose: model " not in (tmp_path / "log").read_text():
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGHUP)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            os.close(ours)
            os.close(theirs)

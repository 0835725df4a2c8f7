"""What the supervisor hears, when it hears nothing, and how lines of the log look in the journal."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.poses import Frame, Poses
from edgepose.pipeline import build
from edgepose.service import journal
from edgepose.service import supervised as supervised_module
from edgepose.service.notify import Notify
from edgepose.service.restarts import Restarts
from edgepose.service.run import Service
from edgepose.service.watchdog import READY_AFTER_S, SINKS, Watchdog, opening, watchdog_s
from edgepose.sink import MemorySink
from edgepose.source import ListSource
from tests.helpers.supervisor import Listener

# ------------------------------------------------------------------------------------------------ notify


@pytest.mark.parametrize("address", ["", f"@edgepose-test-{os.getpid()}"], ids=["path", "abstract"])
def test_a_datagram_arrives_at_either_kind_of_socket(address: str) -> None:
    with Listener(address) as listener:
        notify = Notify({"NOTIFY_SOCKET": listener.address})
        assert notify.on
        assert notify.send(READY=1, STATUS="fine")
        assert listener.next() == {"READY": "1", "STATUS": "fine"}
        notify.close()
        assert not notify.send(READY=1)


@pytest.mark.parametrize("told", ["", "relative", "@", "vsock:2:1234"])
def test_without_a_socket_we_know_nothing_is_said(told: str) -> None:
    notify = Notify({"NOTIFY_SOCKET": told})
    assert not notify.on
    assert not notify.send(READY=1)


def test_nobody_at_the_socket_is_no_error(tmp_path: Path) -> None:
    notify = Notify({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not notify.send(READY=1)
    notify.close()


def test_a_supervisor_that_does_not_read_never_makes_us_wait() -> None:
    with Listener() as listener:
        notify = Notify({"NOTIFY_SOCKET": listener.address})
        taken = [notify.send(WATCHDOG=1) for _ in range(5000)]
        assert taken[0]
        assert not taken[-1]
        notify.close()


def test_a_status_is_one_line_and_told_once() -> None:
    with Listener() as listener:
        notify = Notify({"NOTIFY_SOCKET": listener.address})
        assert notify.send(STATUS="camera\nREADY=1")
        assert notify.send(STATUS="camera\nREADY=1")
        assert notify.send(WATCHDOG=1)
        assert listener.next() == {"STATUS": "camera READY=1"}
        assert listener.next() == {"WATCHDOG": "1"}
        notify.close()


def test_more_time_is_asked_for_while_models_open() -> None:
    with Listener() as listener:
        notify = Notify({"NOTIFY_SOCKET": listener.address})
        with opening(notify):
            assert listener.next() == {"EXTEND_TIMEOUT_USEC": "30000000", "STATUS": "opens the model"}
        notify.close()


# ------------------------------------------------------------------------------------------------ watchdog


class Loop:
    """What the watchdog looks at of a pipeline."""

    def __init__(self) -> None:
        self.control = SimpleNamespace(looked=0, waiting="", progress_t=100.0)
        self.counts = {"lost": 0}
        self.sinks: list[Any] = []
        engine = SimpleNamespace(manifest=SimpleNamespace(name="movenet"), ran_on="edgetpu")
        self.estimate = SimpleNamespace(engines=(engine,))

    def frame(self, now: float, watchdog: Watchdog | None) -> None:
        """One goes in; with a watchdog it comes out again."""
        self.control.looked += 1
        self.control.progress_t = now
        if watchdog:
            watchdog.saw(cast("Any", []), cast("Any", None))


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def watchdog(loop: Loop) -> Watchdog:
    service = Service(config.Config(), cast("Any", loop))
    service.started_t = 100.0
    return Watchdog(service, {"WATCHDOG_USEC": "30000000"})


def test_ready_comes_with_the_first_frame_that_reached_the_sinks(loop: Loop, watchdog: Watchdog) -> None:
    assert watchdog.step(101.0) == {"EXTEND_TIMEOUT_USEC": 30_000_000, "STATUS": "waiting for the first frame"}
    loop.frame(101.5, None)
    assert "READY" not in watchdog.step(101.6)
    loop.frame(101.8, watchdog)
    told = watchdog.step(102.0)
    assert (told["READY"], told["WATCHDOG"]) == (1, 1)
    assert "READY" not in watchdog.step(103.0)


def test_a_camera_that_is_away_is_a_reason_to_be_ready_in_the_end(loop: Loop, watchdog: Watchdog) -> None:
    loop.control.waiting = "/dev/video0: no such camera"
    for second in range(101, 100 + int(READY_AFTER_S)):
        loop.control.progress_t = float(second)
        told = watchdog.step(float(second))
        assert told == {"EXTEND_TIMEOUT_USEC": 30_000_000, "STATUS": "waiting: /dev/video0: no such camera"}
    loop.control.progress_t = 131.0
    told = watchdog.step(131.0)
    assert told == {"READY": 1, "WATCHDOG": 1, "STATUS": "waiting: /dev/video0: no such camera"}


def test_a_first_inference_that_hangs_is_never_ready_and_gets_no_more_time(loop: Loop, watchdog: Watchdog) -> None:
    loop.frame(101.0, None)
    assert set(watchdog.step(150.0)) == {"STATUS"}
    assert set(watchdog.step(500.0)) == {"STATUS"}


def test_a_hung_inference_is_not_fed_and_a_live_one_is(loop: Loop, watchdog: Watchdog) -> None:
    loop.frame(101.0, watchdog)
    assert watchdog.step(102.0)["WATCHDOG"] == 1
    loop.frame(103.0, None)  # in it
    assert watchdog.step(112.0)["WATCHDOG"] == 1  # service.stall_s is 10
    assert watchdog.step(113.5) == {"STATUS": "no sign of life from the loop for 10 s"}
    loop.frame(114.0, watchdog)
    assert watchdog.step(114.5)["WATCHDOG"] == 1


def test_a_hung_sink_is_not_fed_although_frames_are_looked_at(loop: Loop, watchdog: Watchdog) -> None:
    loop.frame(101.0, watchdog)
    watchdog.step(101.0)
    fed = []
    for tenth in range(1020, 1200):
        loop.frame(tenth / 10, None)
        fed.append("WATCHDOG" in watchdog.step(tenth / 10))
    assert fed.index(False) == 91  # from 102.0 to 111.0, ten seconds after the last that came out
    assert not any(fed[91:])


def test_a_sink_that_takes_its_time_is_waited_for_twice_as_long_and_not_for_ever(
    loop: Loop, watchdog: Watchdog
) -> None:
    loop.frame(101.0, watchdog)
    watchdog.step(101.0)
    loop.control.waiting = SINKS
    fed = []
    for second in range(102, 130):
        loop.control.progress_t = float(second)
        fed.append("WATCHDOG" in watchdog.step(float(second)))
    assert fed.index(False) == 20  # from 102 to 121


def test_the_loop_says_so_when_it_waits_for_a_sink() -> None:
    release = threading.Event()

    class Stuck(MemorySink):
        def write(self, poses: Poses, frame: Frame) -> None:
            release.wait(30)

    pictures = [np.zeros((48, 64, 3), np.uint8)] * 40
    with build(config.Config(), source=ListSource(pictures), sinks=[Stuck()]) as pipeline:
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        until_t = time.monotonic() + 30
        while pipeline.control.waiting != SINKS and time.monotonic() < until_t:
            time.sleep(0.01)
        said = pipeline.control.waiting
        release.set()
        thread.join()
    assert said == SINKS


def test_a_real_pipeline_whose_inference_hangs_is_not_fed_until_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    hangs, release = threading.Event(), threading.Event()
    cfg = config.Config(service=config.Service(stall_s=1.0))
    frames = [np.zeros((48, 64, 3), np.uint8)] * 10_000
    with Listener() as listener, build(cfg, source=ListSource(frames), sinks=[MemorySink(keep=1)]) as pipeline:
        engine, invoke = pipeline.engine, pipeline.engine.run

        def run(tensor: Any) -> Any:
            if hangs.is_set():
                release.wait(60)
            return invoke(tensor)

        monkeypatch.setattr(engine, "run", run)
        with Service(cfg, pipeline, None, Notify({"NOTIFY_SOCKET": listener.address})) as service:
            thread = threading.Thread(target=pipeline.run, args=[service.saw])
            thread.start()
            listener.wait(lambda message: "WATCHDOG" in message)
            hangs.set()
            listener.wait(lambda message: "no sign of life" in message.get("STATUS", ""))
            assert [set(listener.next()) for _ in range(3)] == [{"STATUS"}] * 3  # its seconds rise
            hangs.clear()
            release.set()
            listener.wait(lambda message: "WATCHDOG" in message)
            pipeline.stop()
            thread.join()


def test_lost_frames_are_no_hang(loop: Loop, watchdog: Watchdog) -> None:
    loop.frame(101.0, watchdog)
    for tenth in range(1020, 1200):
        loop.frame(tenth / 10, None)
        loop.counts["lost"] += 1
        assert watchdog.step(tenth / 10)["WATCHDOG"] == 1


def test_a_deliberate_wait_is_fed_for_as_long_as_the_loop_says_so(loop: Loop, watchdog: Watchdog) -> None:
    loop.frame(101.0, watchdog)
    loop.control.waiting = "paused"
    for second in range(102, 1000, 7):
        loop.control.progress_t = float(second)
        told = watchdog.step(float(second))
        assert (told["WATCHDOG"], told["STATUS"]) == (1, "paused")
    assert "WATCHDOG" not in watchdog.step(1011.0)


def test_the_status_tells_rate_people_and_what_runs_the_model(loop: Loop, watchdog: Watchdog) -> None:
    loop.frame(101.0, watchdog)
    watchdog.step(101.0)
    for tenth in range(1010, 1070):
        loop.frame(tenth / 10, watchdog)
        told = watchdog.step(tenth / 10)
        if "STATUS" in told and "frames" in str(told["STATUS"]):
            assert told["STATUS"] == "10.2 frames a second, 0 in view, movenet on edgetpu"  # 51 in 5 s
            return
    raise AssertionError("no status in six seconds")


def test_the_watchdog_of_another_process_is_not_ours() -> None:
    assert watchdog_s({"WATCHDOG_USEC": "30000000"}) == 30
    assert watchdog_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}) == 30
    assert watchdog_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) == 0
    assert watchdog_s({"WATCHDOG_USEC": "soon"}) == 0
    assert watchdog_s({}) == 0


# ------------------------------------------------------------------------------------------------ restarts


def test_pauses_grow_with_early_ends_and_are_bounded(tmp_path: Path) -> None:
    env = {"NOTIFY_SOCKET": "/run/notify", "RUNTIME_DIRECTORY": str(tmp_path)}
    pauses = []
    for _ in range(12):
        restarts = Restarts(env)
        pauses.append(restarts.pause_s)
        restarts.begin()
    assert pauses == [0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    Restarts(env).good()
    assert Restarts(env).pause_s == 0


@pytest.mark.parametrize(("again", "early"), [(False, 0), (True, 4)])
def test_restarts_that_are_asked_for_in_a_row_are_held_off_too(tmp_path: Path, again: bool, early: int) -> None:
    (tmp_path / "early-ends").write_text("1")
    for _ in range(3):
        with Listener() as listener:
            env = {"NOTIFY_SOCKET": listener.address, "RUNTIME_DIRECTORY": str(tmp_path)}
            restarts = Restarts(env)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(supervised_module, "_hold_off", lambda *_: None)
                with supervised_module.supervised(Notify(env), restarts) as notify:
                    notify.again = again
    assert Restarts(env).early == early


@pytest.mark.parametrize("content", [b"", b"-3", b"\xff\xfe", b"9" * 400, b"two"])
def test_a_damaged_count_of_early_ends_counts_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "early-ends").write_bytes(content)
    assert Restarts({"NOTIFY_SOCKET": "@n", "RUNTIME_DIRECTORY": str(tmp_path)}).pause_s == 0


def test_without_a_runtime_folder_nothing_is_counted(tmp_path: Path) -> None:
    for env in ({}, {"NOTIFY_SOCKET": "@n"}, {"NOTIFY_SOCKET": "@n", "RUNTIME_DIRECTORY": str(tmp_path / "gone")}):
        restarts = Restarts(env)
        restarts.begin()
        assert restarts.early == 0
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------ journal


def test_each_line_in_the_journal_has_its_priority_and_no_level() -> None:
    record = logging.LogRecord("edgepose.source", logging.WARNING, "", 0, "camera gone\nat %s", ("noon",), None)
    assert journal.JournalFormatter().format(record) == "<4>edgepose.source: camera gone\n<4>at noon"
    assert [journal.line(level, "x") for level in (10, 20, 30, 40, 50, 25, 5)] == [
        "<7>x", "<6>x", "<4>x", "<3>x", "<2>x", "<6>x", "<7>x",
    ]  # fmt: skip


def test_a_name_in_a_message_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    journal.set_up("info")
    logging.getLogger("edgepose").warning(
        "%s: %d pictures, %s", "a\nERROR forged\x1b[31m\u2028.jpg", 3, OSError("x\ny")
    )
    journal.complain("b\n.jpg: no such file")

    forged, complaint = capsys.readouterr().err.splitlines()
    assert forged == "WARNING edgepose: a\\nERROR forged\\x1b[31m\\u2028.jpg: 3 pictures, x\\ny"
    assert complaint == "b\\n.jpg: no such file"


def test_only_the_journals_own_stream_is_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert journal.in_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not journal.in_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not journal.in_journal(stream, {"INVOCATION_ID": "1"})
        assert not journal.in_journal(stream, {"JOURNAL_STREAM": "nonsense"})


def test_last_words_have_a_priority_in_the_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setattr(sys, "stderr", stream)
        journal.complain("no camera")
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        journal.complain("no camera")
        stream.flush()
        assert (tmp_path / "log").read_text() == "no camera\n<3>no camera\n"

"""What the doctor really asks: child processes, the kernel, and real brokers with real troubles."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepose.core import config
from edgepose.core.config import Config
from edgepose.lab.doctor import broker, broker_probe, models_probe, probe
from edgepose.lab.doctor.context import Context
from edgepose.lab.doctor.finding import Finding
from edgepose.lab.doctor.machine import Machine, kernel_clock, run_command
from edgepose.lab.doctor.running import running
from tests.helpers.broker import Broker, Subscriber, certificate, free_port, program, python_broker, secret_file


def test_a_child_answers_with_json_whatever_libraries_print(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = "probe.PROBES['numpy'] = lambda cfg: [print('noise'), os.write(1, b'noise'), {'camera': cfg.camera}][2]"
    code = f"import os; from edgepose.lab.doctor import probe; {noisy}; {probe.CHILD.partition('; ')[2]}"
    monkeypatch.setattr(probe, "CHILD", f"import sys; {code}")
    assert probe.ask("numpy", Config(camera="door"), 30) == {"camera": "door"}


CHILDREN: dict[str, tuple[str, str]] = {
    "crashes": ("import os; os.kill(os.getpid(), 11)", "crashed (SIGSEGV)"),
    "hangs": ("import time; time.sleep(30)", "did not answer in 0.5 s"),
    "ends without a word": ("import os; os._exit(3)", "exit code 3"),
    "raises": ("raise RecursionError('too deep')", "RecursionError: too deep"),
}


@pytest.mark.parametrize(("code", "why"), CHILDREN.values(), ids=CHILDREN)
def test_a_child_that_does_not_answer_is_told(code: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "CHILD", code)
    assert probe.ask("numpy", Config(), 0.5 if "sleep" in code else 30)["failed"] == why


def test_a_library_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_cfg: Config) -> dict[str, Any]:
        raise ImportError("libGL.so.1: cannot open\nshared object file")

    monkeypatch.setitem(probe.PROBES, "numpy", broken)
    assert probe.here("numpy", Config()) == {"failed": "libGL.so.1: cannot open shared object file"}


def test_where_no_child_can_be_started_the_question_is_asked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_children(*_: object, **__: object) -> None:
        raise OSError(8, "Exec format error")

    monkeypatch.setattr(subprocess, "run", no_children)
    assert "version" in probe.ask("numpy", Config(), 1.0)


def test_the_models_in_use_are_run_and_the_others_read() -> None:
    told = models_probe.look(config.load(None, {"engine.model": "movenet_lightning_192"}))
    used, *others = told["models"]
    assert used["name"] == "movenet_lightning_192"
    assert used["invoke_ms"] > 0
    assert used["loops"] == "movenet"
    assert {each["name"] for each in others} >= {"movenet_thunder_256", "movenet_multipose_256x256"}
    assert not [each for each in others if "why" in each or "invoke_ms" in each]


def test_both_models_of_a_pair_are_run_and_must_go_together() -> None:
    told = models_probe.look(config.load(None, {"engine.model": "default"}))
    assert told["used"] == ["movenet_multipose_256x256", "movenet_lightning_192"]
    assert told["wrong"] == ""
    assert all(each["invoke_ms"] > 0 for each in told["models"][:2])
    backwards = "movenet_lightning_192+movenet_multipose_256x256"
    assert models_probe.look(config.load(None, {"engine.model": backwards}))["wrong"]


def test_a_model_that_is_not_there_says_what_is() -> None:
    told = models_probe.look(config.load(None, {"engine.model": "movenet"}))
    why = told.get("wrong") or told["models"][0]["why"]
    assert "movenet_lightning_192" in why


def test_the_kernel_says_whether_its_clock_is_kept() -> None:
    assert kernel_clock() in (True, False, None)


def test_a_command_that_is_not_there_or_does_not_end_is_none() -> None:
    assert run_command(["no-such-program-anywhere"], 1.0) is None
    assert run_command(["sleep", "10"], 0.1) is None
    assert run_command(["echo", "hello"], 5.0) == (0, "hello")


def test_a_running_edgepose_is_seen(tmp_path: Path) -> None:
    lines = {
        1: b"/sbin/init\0",
        7: b"/env/bin/python3\0/env/bin/edgepose\0run\0--source\x000\0",
        8: b"python3\0-m\0edgepose\0run\0",
        9: b"vim\0edgepose\0",
        10: b"/env/bin/edgepose\0doctor\0",
    }
    for number, line in lines.items():
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_bytes(line)
    assert running(tmp_path) == [7, 8]


# ------------------------------------------------------------------------------------------------ brokers


def seen(url: str, **keys: Any) -> list[Finding]:
    """What the doctor says of a broker, without a child."""
    cfg = config.load(None, {"sink.mqtt.broker": url, **{f"sink.mqtt.{key}": value for key, value in keys.items()}})
    machine = replace(Machine(), ask=lambda name, given, _limit_s: probe.here(name, given))
    return list(broker.check_broker(Context(cfg, machine)))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_probe, "ANSWER_S", 1.0)
    monkeypatch.setattr("edgepose.lab.doctor.running.running", list)


def test_a_broker_that_takes_a_pose_is_fine_and_gets_one_message_without_people(tmp_path: Path) -> None:
    with Broker(tmp_path) as made, Subscriber(made.port) as subscriber:
        (found,) = seen(made.url)
        deadline = time.monotonic() + 5
        while not subscriber.payloads() and time.monotonic() < deadline:
            time.sleep(0.01)
        (message,) = subscriber.payloads()
        assert subscriber.payloads("/availability") == []
    assert (found.state, found.data["version"], found.data["tried"]) == ("fine", "5", "allowed")
    assert b'"people":[]' in message.replace(b" ", b"")


def test_beside_a_running_edgepose_nothing_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgepose.lab.doctor.running.running", lambda: [7])
    with Broker(tmp_path) as made, Subscriber(made.port) as subscriber:
        (found,) = seen(made.url)
        time.sleep(0.2)
        assert subscriber.messages == []
    assert (found.state, "an edgepose runs here" in found.what) == ("fine", True)


def test_a_wrong_password_and_none_at_all_are_told_apart(tmp_path: Path) -> None:
    secret_file(tmp_path / "password", "wrong\n")
    with Broker(tmp_path, passwords={"pose": "right"}) as made:
        (none,) = seen(made.url)
        (wrong,) = seen(made.url, username="pose", password_file=str(tmp_path / "password"))
        (tmp_path / "password").write_text("right\n")
        (right,) = seen(made.url, username="pose", password_file=str(tmp_path / "password"))
    assert [each.state for each in (none, wrong, right)] == ["broken", "broken", "fine"]
    assert "sink.mqtt.username" in none.do[0]
    assert "mosquitto_passwd" in wrong.do[1]


def test_a_topic_that_is_denied_is_told_with_the_rule_to_add(tmp_path: Path) -> None:
    with Broker(tmp_path, acl="topic read #\n") as made:
        (found,) = seen(made.url)
        (old,) = seen(made.url, protocol="3.1.1")
    assert (found.state, found.data["kind"]) == ("broken", "denied")
    assert "above the first `user`: `topic readwrite edgepose/" in found.do[0]
    assert (old.state, "cannot tell" in old.what) == ("fine", True)


def test_a_broker_without_mqtt_5_is_fine(tmp_path: Path) -> None:
    with python_broker(tmp_path) as port:
        (found,) = seen(f"mqtt://127.0.0.1:{port}")
    assert (found.state, found.data["version"]) == ("fine", "3.1.1")


def test_a_frozen_broker_and_nobody_there_are_told_apart(tmp_path: Path) -> None:
    with Broker(tmp_path) as made:
        made.send(signal.SIGSTOP)
        (frozen,) = seen(made.url)
        made.send(signal.SIGCONT)
    (nobody,) = seen(f"mqtt://127.0.0.1:{free_port()}")
    assert (frozen.data["step"], frozen.data["kind"]) == ("login", "frozen")
    assert (nobody.data["step"], nobody.data["kind"]) == ("connect", "refused")
    assert {frozen.state, nobody.state} == {"broken"}


def test_a_certificate_says_when_it_ends(tmp_path: Path) -> None:
    files = certificate(tmp_path, "localhost")  # for two days
    with Broker(tmp_path, certificate=files) as made:
        dated, found = seen(made.url, ca_file=str(files[0]))
    assert (found.state, found.data["tls"]) == ("fine", "TLSv1.3")
    assert (dated.topic, dated.state) == ("certificate", "degraded")
    assert 1 < dated.data["days_left"] < 2.1


def expired(folder: Path) -> tuple[Path, Path]:
    """A certificate that was good for one day, long ago."""
    files = folder / "old.crt", folder / "old.key"
    request = folder / "old.csr"
    config_file = folder / "old.cnf"
    config_file.write_text(
        f"[ca]\ndefault_ca=x\n[x]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n"
    )
    (folder / "index").write_text("")
    (folder / "serial").write_text("01\n")
    openssl = program("openssl")
    new = (f"{openssl} req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=old "
           f"-addext subjectAltName=IP:127.0.0.1 -keyout {files[1]} -out {request}")  # fmt: skip
    sign = (f"{openssl} ca -batch -config {config_file} -selfsign -keyfile {files[1]} -in {request} -out {files[0]} "
            "-startdate 20200101000000Z -enddate 20200102000000Z -notext")  # fmt: skip
    for command in (new, sign):
        subprocess.run(command.split(), check=True, capture_output=True)
    return files


def test_certificates_are_refused_for_the_reason_they_are_refused_for(tmp_path: Path) -> None:
    good, old = certificate(tmp_path, "localhost"), expired(tmp_path)
    with Broker(tmp_path, certificate=good) as made:
        (stranger,) = seen(made.url)
        (other,) = seen(made.url.replace("127.0.0.1", "127.1"), ca_file=str(good[0]))  # the same, by another name
    with Broker(tmp_path, certificate=old) as made:
        (late,) = seen(made.url, ca_file=str(old[0]))
    assert "sink.mqtt.ca_file does not name it" in stranger.what
    assert "--sink.mqtt.ca_file" in stranger.do[1]
    assert "another host name" in other.what
    assert "it has expired" in late.what
    assert late.do == ("renew the broker's certificate",)


def test_tls_on_a_port_without_is_told(tmp_path: Path) -> None:
    with Broker(tmp_path) as made:
        (found,) = seen(made.url.replace("mqtt://", "mqtts://"))
    assert (found.data["step"], found.data["kind"]) == ("tls", "no tls")
    assert f"--broker mqtt://127.0.0.1:{made.port}" in found.do[0]


def test_no_tls_on_a_port_with_it_is_told(tmp_path: Path) -> None:
    files = certificate(tmp_path, "localhost")
    with Broker(tmp_path, certificate=files) as made:
        (found,) = seen(made.url.replace("mqtts://", "mqtt://"))
    assert (found.state, found.data["step"]) == ("broken", "login")
    assert f"mqtts://127.0.0.1:{made.port}" in found.do[1]


def test_an_unknown_host_a_wrong_address_and_a_missing_file_are_told() -> None:
    (name,) = seen("mqtt://nowhere.invalid")
    assert name.data["step"] == "name"
    (address,) = seen("localhost:1883")
    assert (address.data["step"], "did you mean mqtt://localhost:1883" in address.what) == ("settings", True)
    (file,) = seen("mqtts://localhost", ca_file="/no/such.crt")
    assert "/no/such.crt" in file.what


def test_a_name_server_that_is_silent_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def silent(*_: object, **__: object) -> list[Any]:
        answers.wait(60)
        return []

    monkeypatch.setattr(broker_probe, "ANSWER_S", 0.2)
    monkeypatch.setattr("socket.getaddrinfo", silent)
    (found,) = seen("mqtt://slow.example")
    assert found.data["kind"] == "slow"
    assert not answers.is_set()
    answers.set()

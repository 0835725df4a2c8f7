"""Commands over a real broker to a real pipeline, and a flood of wrong ones to a fake."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgepose import wire
from edgepose.core import config
from edgepose.core.errors import ModelError
from edgepose.core.poses import Frame
from edgepose.engine.zoo import shipped_dir
from edgepose.pipeline import Pipeline, stages_of
from edgepose.service import control
from edgepose.service.control import Control, RateLimit
from edgepose.service.models import check_name
from edgepose.service.run import RESTART, Service
from edgepose.service.settings import Settings
from edgepose.service.snapshot import LONGEST_PX, MOST_BYTES, jpeg
from edgepose.source import ListSource
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.service import PICTURES, Asker, Camera, Looks, picture, running, settings


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def kitchen(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Asker]]:
    """A service with a camera and a model, snapshots allowed, and who asks it."""
    folder = tmp_path_factory.mktemp("kitchen")
    cfg = settings(folder, broker.url, control={"snapshot": True, "per_minute": 6000})
    with Subscriber(broker.port) as subscriber, running(cfg, Camera(picture(), 12)) as service:
        wait_until(lambda: subscriber.payloads("/poses"), "poses", 20)
        yield service, Asker(subscriber)


Kitchen = tuple[Service, Asker]


def state_of(asker: Asker) -> dict[str, Any]:
    """What `status` says, as kept by the broker."""
    return asker.latest("/status")


def test_pause_and_resume_are_answered_and_seen_in_the_status(kitchen: Kitchen) -> None:
    service, asker = kitchen
    assert asker.ask("pause") == {
        "schema": "edgepose.answer/1", "command": "pause", "ok": True, "id": "pause-1", "result": {"paused": True},
    }  # fmt: skip
    wait_until(lambda: state_of(asker)["state"] == "paused", "the status to say so")
    looked = service.pipeline.control.looked
    assert asker.ask("pause")["ok"]
    assert service.pipeline.control.looked == looked
    assert asker.ask("resume")["result"] == {"paused": False}
    wait_until(lambda: state_of(asker)["state"] == "running", "the status to say so")
    wait_until(lambda: service.pipeline.control.looked > looked, "frames")


def test_the_frame_rate_is_limited_and_let_go(kitchen: Kitchen) -> None:
    service, asker = kitchen
    assert asker.ask("rate", max_fps=2.5)["result"] == {"max_fps": 2.5}
    assert service.cfg.service.max_fps == 2.5
    wait_until(lambda: state_of(asker).get("max_fps") == 2.5, "the status to say so")
    assert asker.ask("rate", max_fps=-1)["ok"] is False
    assert service.cfg.service.max_fps == 2.5
    assert asker.ask("rate", max_fps=0)["ok"]
    assert service.cfg.service.max_fps == 0


def test_power_is_told_limited_and_switched_off(kitchen: Kitchen) -> None:
    service, asker = kitchen
    assert asker.ask("power")["result"]["mode"] == "auto"
    answer = asker.ask("power", max_cpu=0.5, max_temp_c=70)["result"]
    assert (answer["max_cpu"], answer["max_temp_c"]) == (0.5, 70)
    assert service.cfg.power.max_cpu == 0.5
    assert asker.ask("power", wake=True)["result"]["state"] == "active"
    assert asker.ask("power", mode="sleep")["ok"] is False
    assert asker.ask("power", mode="off")["result"]["state"] == "off"
    assert service.pipeline.governor is None
    wait_until(lambda: state_of(asker)["power"] == "off", "the status to say so")


def test_smoothing_is_switched(kitchen: Kitchen) -> None:
    service, asker = kitchen
    assert asker.ask("smoothing", preset="strong")["result"] == {"preset": "strong"}
    assert service.cfg.smooth.preset == "strong"
    wait_until(lambda: state_of(asker)["smoothing"] == "strong", "the status to say so")
    assert asker.ask("smoothing", preset="soft")["ok"] is False
    assert service.cfg.smooth.preset == "strong"
    assert asker.ask("smoothing", preset="light")["ok"]


def test_another_model_takes_over_and_back(kitchen: Kitchen) -> None:
    service, asker = kitchen
    before = service.pipeline.estimate
    answer = asker.ask("model", model="movenet_lightning_256")
    assert answer["ok"], answer
    assert answer["result"]["model"] == "movenet_lightning_256"
    assert "movenet_lightning_256" in answer["result"]["engines"][0]
    wait_until(lambda: state_of(asker)["model"] == "movenet_lightning_256", "the status to say so")
    assert service.pipeline.estimate is not before
    assert asker.ask("model", model="light")["ok"]
    assert asker.ask("model", model="movenet_lightning_192+movenet_lightning_192")["ok"]
    assert asker.ask("model", model="movenet_lightning_192")["ok"]
    wait_until(lambda: state_of(asker)["model"] == "movenet_lightning_192", "the status to say so")


@pytest.mark.parametrize(
    "name",
    [
        "nothing_like_it",
        "../models/movenet_lightning_192",
        "/etc/passwd",
        "a.tflite",
        "movenet_lightning_192.toml",
        "movenet_lightning_192+nothing",
        "movenet_thunder_256+movenet_multipose_256x256",
        "",
        "movenet_lightning_192\n",
    ],
)
def test_a_model_that_is_none_changes_nothing(kitchen: Kitchen, name: str) -> None:
    service, asker = kitchen
    before, model = service.pipeline.estimate, service.cfg.engine.model
    answer = asker.ask("model", model=name)
    assert answer["ok"] is False
    assert answer["error"]
    assert service.pipeline.estimate is before
    assert service.cfg.engine.model == model
    looked = service.pipeline.control.looked
    wait_until(lambda: service.pipeline.control.looked > looked, "frames of the old one")


def test_status_tells_what_the_topics_tell(kitchen: Kitchen) -> None:
    _, asker = kitchen
    result = asker.ask("status")["result"]
    assert {**result["status"], "state": ""} == {**state_of(asker), "state": ""}
    assert result["health"]["counts"]["looked"] > 0
    assert result["health"]["people"] == 1
    assert set(result["health"]["latency_ms"]) == {"wait", "infer", "decode", "publish", "latency"}
    assert result["health"]["latency_ms"]["infer"]["p50"] > 0


def test_a_snapshot_shows_the_people_on_the_picture(kitchen: Kitchen) -> None:
    _, asker = kitchen
    result = asker.ask("snapshot")["result"]
    data = base64.b64decode(result["jpeg"])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    plain = picture()
    assert image.shape == plain.shape
    apart = np.abs(image.astype(int) - plain).max(axis=2)
    assert 0.005 < (apart > 60).mean() < 0.5  # lines and a label, on the same picture
    assert result["people"] == 1
    assert result["size_wh"] == [512, 512]


def test_wrong_commands_are_answered_and_change_nothing(kitchen: Kitchen) -> None:
    service, asker = kitchen
    before = service.cfg, service.pipeline.control.paused, service.cfg.service.max_fps
    cases = {
        "dance": b'{"id": "w1"}', "pause": b'{"id": "w2", "for": 3}', "rate": b'{"id": "w3"}',
        "resume": b'["w4"]', "smoothing": b'{"id": "w5", "preset": 3}',
    }  # fmt: skip
    answered = len(asker.answers())
    for name, payload in cases.items():
        asker.send(name, payload)
    wait_until(lambda: len(asker.answers()) >= answered + len(cases), "an answer to each")
    told = asker.answers()[answered:]
    assert [answer["command"] for answer in told] == list(cases)
    assert not any(answer["ok"] for answer in told)
    assert [answer.get("id", "") for answer in told] == ["w1", "w2", "w3", "", "w5"]
    assert all("\n" not in answer["error"] and answer["error"] for answer in told)
    assert "dance" in told[0]["error"]
    assert (service.cfg, service.pipeline.control.paused, service.cfg.service.max_fps) == before


def test_a_command_that_is_too_long_is_not_read(kitchen: Kitchen) -> None:
    service, asker = kitchen
    answered = len(asker.answers())
    asker.send("pause", json.dumps({"id": "x" * 5000}).encode())
    wait_until(lambda: len(asker.answers()) > answered, "the answer")
    answer = asker.answers()[answered]
    assert answer["ok"] is False
    assert "4096" in answer["error"]
    assert not service.pipeline.control.paused


def test_a_command_without_payload_is_one(kitchen: Kitchen) -> None:
    _, asker = kitchen
    answered = len(asker.answers())
    asker.send("resume", b"")
    wait_until(lambda: len(asker.answers()) > answered, "the answer")
    assert asker.answers()[answered]["ok"] is True


def test_presence_follows_the_people_and_is_unknown_while_paused(kitchen: Kitchen) -> None:
    service, asker = kitchen
    source = service.pipeline.source
    assert isinstance(source, Camera)
    wait_until(lambda: asker.latest("/presence").get("people") == 1, "somebody")
    source.image = np.zeros_like(source.image)
    wait_until(lambda: asker.latest("/presence")["people"] == 0, "nobody")
    assert asker.latest("/presence")["present"] is False
    asker.ask("pause")
    wait_until(lambda: asker.latest("/presence")["people"] is None, "nobody knows")
    source.image = picture()
    asker.ask("resume")
    wait_until(lambda: asker.latest("/presence")["present"] is True, "somebody again")


def test_a_camera_that_goes_away_is_told_with_the_reason_and_commands_go_on(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, asker = kitchen
    monkeypatch.setattr(control, "SNAPSHOT_S", 0.5)
    source = service.pipeline.source
    assert isinstance(source, Camera)
    source.away = True
    try:
        wait_until(lambda: state_of(asker)["state"] == "waiting", "the status to say so", 10)
        assert state_of(asker)["reason"] == "camera: away"
        assert asker.ask("rate", max_fps=0)["ok"]
        refused = asker.ask("snapshot")
        assert refused["ok"] is False
        assert "camera: away" in refused["error"]
    finally:
        source.away = False
    wait_until(lambda: state_of(asker)["state"] == "running", "the status to say so")


def test_a_cpu_that_stands_in_for_a_delegate_is_told_at_once(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    service, asker = kitchen
    (engine,) = service.pipeline.estimate.engines
    counts = {"failures": 3, "restarts": 2, "fallbacks": 1}
    with monkeypatch.context() as patch:
        patch.setattr(engine, "guard", SimpleNamespace(ran_on="cpu instead of edgetpu", counts=counts))
        wait_until(lambda: "cpu instead of edgetpu" in state_of(asker)["engines"][0], "the status to say so")
        health = asker.ask("status")["result"]["health"]
        assert health["delegate"] == "cpu instead of edgetpu"
        assert health["counts"]["delegate_fallbacks"] == 1
    wait_until(lambda: "cpu instead" not in state_of(asker)["engines"][0], "the status to say so")


def test_counters_go_on_with_another_model(kitchen: Kitchen) -> None:
    _, asker = kitchen
    before = asker.ask("status")["result"]["health"]["counts"]["invokes"]
    assert before > 3
    assert asker.ask("model", model="movenet_lightning_256")["ok"]
    assert asker.ask("status")["result"]["health"]["counts"]["invokes"] >= before
    assert asker.ask("model", model="movenet_lightning_192")["ok"]
    assert asker.ask("status")["result"]["health"]["counts"]["invokes"] > before


def test_health_comes_by_itself(kitchen: Kitchen) -> None:
    _, asker = kitchen
    seen = len(asker.subscriber.payloads("/health"))
    wait_until(lambda: len(asker.subscriber.payloads("/health")) > seen + 1, "two more")
    health = wire.decode_struct(wire.Health, asker.subscriber.payloads("/health")[-1])
    assert health.run == state_of(asker)["run"]
    assert health.memory_mib is not None
    assert health.memory_mib > 20
    assert health.spool["failed"] == 0


def test_an_answer_goes_where_the_command_wants_it(kitchen: Kitchen) -> None:
    _, asker = kitchen
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = "somewhere/else"
    properties.CorrelationData = b"\x00\xff"
    before = len(asker.answers())
    asker.subscriber._client.publish(f"{asker.root}/control/resume", b"{}", 1, properties=properties)

    def came() -> list[Any]:
        return [message for message in list(asker.subscriber.messages) if message.topic == "somewhere/else"]

    wait_until(came, "the answer")
    (message,) = came()
    assert json.loads(message.payload)["ok"] is True
    assert message.properties.CorrelationData == b"\x00\xff"
    assert len(asker.answers()) == before


def test_commands_are_heard_again_after_the_broker_was_gone(kitchen: Kitchen, broker: Broker) -> None:
    _, asker = kitchen
    broker.kill()
    broker.start()
    before = len(asker.answers())

    def answered() -> bool:
        asker.send("resume", b"{}")
        time.sleep(0.1)
        return len(asker.answers()) > before

    wait_until(answered, "an answer over the new connection", 20)


def test_a_command_that_the_broker_keeps_is_ignored(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port, "edgepose/kept/#") as subscriber:
        asker = Asker(subscriber, "edgepose/kept/door")
        subscriber._client.publish(f"{asker.root}/control/pause", b"{}", 1, True).wait_for_publish(5)
        with running(settings(tmp_path, broker.url, device="kept"), Camera(picture(), 10)) as service:
            assert asker.ask("status")["result"]["status"]["state"] != "paused"
            assert not service.pipeline.control.paused


def test_a_picture_is_made_small_enough_whatever_is_on_it() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (2160, 3840, 3), np.uint8)
    poses = Looks()(Frame(noise, "bgr", 0.0, 0.0, 7), None).poses
    result = jpeg(poses, Frame(noise, "bgr", 0.0, 0.0, 7))
    data = base64.b64decode(result["jpeg"])
    assert len(data) <= MOST_BYTES
    small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert small is not None
    assert max(small.shape) <= LONGEST_PX
    assert abs(small.shape[1] / small.shape[0] - 16 / 9) < 0.02
    assert result["size_wh"] == [3840, 2160]


def test_the_program_ends_with_the_exit_code_of_restart(broker: Broker, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "edgepose", "run", "--source", str(PICTURES), "--source.loop", "--broker", broker.url,
        "--device", "program", "--decode.kernels", "numpy", "--sink.mqtt.spool", str(tmp_path),
    ]  # fmt: skip
    with Subscriber(broker.port, "edgepose/program/#") as subscriber, subprocess.Popen(command) as process:
        try:
            wait_until(lambda: subscriber.payloads("/poses"), "poses", 30)
            assert Asker(subscriber, "edgepose/program/camera").ask("restart")["ok"]
            assert process.wait(30) == RESTART
        finally:
            process.kill()


def test_restart_ends_the_run_with_its_own_exit_code(broker: Broker, tmp_path: Path) -> None:
    cfg = settings(tmp_path, broker.url, device="hall")
    with Subscriber(broker.port, "edgepose/hall/#") as subscriber:
        asker = Asker(subscriber, "edgepose/hall/door")
        with running(cfg, Camera(picture(), 10)) as service:
            wait_until(lambda: subscriber.payloads("/poses"), "poses", 20)
            assert asker.ask("restart")["ok"]
            wait_until(lambda: service.exit_code == RESTART, "the end")
        wait_until(lambda: subscriber.payloads("/availability")[-1] == b"offline", "the goodbye")
        assert asker.latest("/status")["state"] == "stopping"
        assert asker.latest("/presence")["people"] is None


def test_control_that_is_off_hears_nothing(broker: Broker, tmp_path: Path) -> None:
    cfg = settings(tmp_path, broker.url, device="deaf", control={"on": False})
    with Subscriber(broker.port, "edgepose/deaf/#") as subscriber:
        asker = Asker(subscriber, "edgepose/deaf/door")
        with running(cfg, Camera(picture(), 10)) as service:
            wait_until(lambda: subscriber.payloads("/poses"), "poses", 20)
            asker.send("pause", b"{}")
            seen = len(subscriber.payloads("/health"))
            wait_until(lambda: len(subscriber.payloads("/health")) > seen + 1, "time to pass")
            assert not service.pipeline.control.paused
        assert asker.answers() == []


def test_a_picture_stays_where_it_is_unless_it_is_let_out(broker: Broker, tmp_path: Path) -> None:
    cfg = settings(tmp_path, broker.url, device="shy")
    with Subscriber(broker.port, "edgepose/shy/#") as subscriber:
        asker = Asker(subscriber, "edgepose/shy/door")
        with running(cfg, Camera(picture(), 10)):
            wait_until(lambda: subscriber.payloads("/poses"), "poses", 20)
            answer = asker.ask("snapshot")
        assert answer["ok"] is False
        assert "control.snapshot" in answer["error"]
        assert "result" not in answer


def test_a_damaged_model_is_refused_while_the_old_one_goes_on(broker: Broker, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for suffix in (".toml", ".tflite"):
        shutil.copy(shipped_dir() / f"movenet_lightning_256{suffix}", models)
    file = models / "movenet_lightning_256.tflite"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    cfg = settings(tmp_path, broker.url, device="cellar", engine={"models_dir": str(models)})
    with Subscriber(broker.port, "edgepose/cellar/#") as subscriber:
        asker = Asker(subscriber, "edgepose/cellar/door")
        with running(cfg, Camera(picture(), 10)) as service:
            wait_until(lambda: subscriber.payloads("/poses"), "poses", 20)
            answer = asker.ask("model", model="movenet_lightning_256")
            assert answer["ok"] is False
            assert "sha256" in answer["error"] or "damaged" in answer["error"], answer
            looked = service.pipeline.control.looked
            wait_until(lambda: service.pipeline.control.looked > looked + 2, "frames of the old one")


def test_a_recording_has_no_frame_rate_to_limit(broker: Broker, tmp_path: Path) -> None:
    cfg = settings(tmp_path, broker.url, device="file")
    with Subscriber(broker.port, "edgepose/file/#") as subscriber:
        asker = Asker(subscriber, "edgepose/file/door")
        with running(cfg, ListSource([picture()] * 3000)) as service:
            wait_until(lambda: subscriber.payloads("/poses"), "poses", 20)
            assert "recording" in asker.ask("rate", max_fps=5)["error"]
            assert asker.ask("pause")["ok"]
            looked = service.pipeline.control.looked
            assert asker.ask("resume")["ok"]
            wait_until(lambda: service.pipeline.control.looked > looked, "frames")


# ------------------------------------------------------------------------------------------------ without a broker


class FakeMqtt:
    """Notes what is subscribed to."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[..., None]] = {}

    def subscribe(self, suffix: str, handler: Callable[..., None]) -> None:
        self.handlers[suffix] = handler


class FakeService:
    """Its loop never runs, so nothing that is asked for is done."""

    def __init__(self, cfg: config.Config) -> None:
        source = ListSource([], live=True)
        self.pipeline, self.restarts = Pipeline(source, stages_of(cfg, source, Looks())), 0
        self.settings = Settings(cfg, self.pipeline)

    @property
    def cfg(self) -> config.Config:
        return self.settings.cfg

    @property
    def asked(self) -> int:
        return len(self.pipeline.control._asked)

    def restart(self) -> None:
        self.restarts += 1


def control_of(**control: Any) -> tuple[Control, FakeService]:
    service = FakeService(config.convert({"control": control}, config.Config, "test"))
    return Control(service, FakeMqtt(), None), service  # type: ignore[arg-type]


QUIET = {"per_minute": 6000}


@given(
    name=st.one_of(st.text(max_size=60), st.sampled_from(sorted(wire.COMMANDS))),
    payload=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=10), st.integers()),
            lambda inside: st.one_of(
                st.lists(inside, max_size=3), st.dictionaries(st.text(max_size=8), inside, max_size=3)
            ),
            max_leaves=6,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
@hypothesis_settings(max_examples=300, deadline=None)
def test_whatever_comes_gets_at_most_one_answer_and_raises_nothing(name: str, payload: bytes) -> None:
    taker, service = control_of(**QUIET)
    before = service.cfg
    answers: list[bytes] = []
    taker.handle(payload, f"control/{name}", answers.append)
    taker.stop()
    assert len(answers) <= 1
    assert service.cfg is before
    if answers:
        answer = wire.decode_struct(wire.Answer, answers[0])
        assert answer.ok is False or name == "restart"
        assert answer.error.isprintable() or name in wire.COMMANDS
    else:
        assert service.asked == 1


def test_a_flood_is_refused_with_one_answer_until_some_are_allowed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    taker, service = control_of(per_minute=10)
    now = [0.0]
    taker._allowance = RateLimit(10, lambda: now[0])
    answers: list[bytes] = []

    def send(times: int) -> None:
        for _ in range(times):
            taker.handle(b"{}", "control/pause", answers.append)

    send(1000)
    assert service.asked == 10
    assert len(answers) == 1
    assert b"per_minute" in answers[0]
    now[0] = 6.0  # a tenth of a minute: one more
    send(1000)
    assert service.asked == 11
    assert len(answers) == 2
    now[0] = 3600.0  # not more than a burst
    send(1000)
    assert service.asked == 21


def test_a_second_slow_command_is_refused_while_the_first_is_at_work() -> None:
    taker, service = control_of(snapshot=True, **QUIET)
    answers: list[dict[str, Any]] = []
    taker.handle(b'{"id": "one"}', "control/snapshot", lambda data: answers.append(json.loads(data)))
    taker.handle(b'{"id": "two"}', "control/snapshot", lambda data: answers.append(json.loads(data)))
    assert [answer["id"] for answer in answers] == ["two"]
    assert "busy" in answers[0]["error"]
    taker.stop()
    assert answers[1]["id"] == "one"
    assert service.asked == 0


def test_only_names_of_the_model_folders_are_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here.toml").write_text("")
    (tmp_path / "here.tflite").write_text("")
    monkeypatch.chdir(tmp_path)
    check_name("default", "")
    check_name("movenet_lightning_192", "")
    check_name("movenet_multipose_256x256+movenet_lightning_192", "")
    for name in ("here", "here.tflite", "here.toml", "./here", "movenet_lightning_192+", "+", ""):
        with pytest.raises(Exception, match="model folders"):
            check_name(name, "")
    check_name("here", str(tmp_path))
    with pytest.raises(ModelError):
        check_name("here", str(tmp_path / "none"))

"""A running service, heard by mosquitto's own client: everything it says fits the published schema files."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest

from edgepose import wire
from edgepose.lab.demo.scene import SIZE_WH, SceneSource
from edgepose.wire import reference
from tests.helpers.broker import Broker, program, wait_until

SCHEMAS = Path(__file__).resolve().parents[1] / "docs" / "schema"
ROOT = "edgepose/pi/door"
FILES = {"poses": "poses", "events": "event", "status": "status", "health": "health", "presence": "presence"} | {
    "control/answer": "answer"
}
"""Topic below the root -> schema file."""


@contextmanager
def heard(broker: Broker) -> Iterator[dict[str, list[bytes]]]:
    """Topic -> payloads so far, by `mosquitto_sub`, which prints them in hexadecimal."""
    messages: dict[str, list[bytes]] = defaultdict(list)
    command = [program("mosquitto_sub"), "-p", str(broker.port), "-q", "1", "-t", "#", "-F", "%t %x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as client:
        assert client.stdout is not None

        def read() -> None:
            for line in client.stdout or ():
                topic, _, payload = line.rstrip("\n").partition(" ")
                messages[topic].append(bytes.fromhex(payload))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            time.sleep(0.3)
            yield messages
        finally:
            client.terminate()
            reader.join(5)


def order(broker: Broker, command: str, payload: str) -> None:
    subprocess.run(
        [program("mosquitto_pub"), "-p", str(broker.port), "-q", "1", "-t", f"{ROOT}/control/{command}", "-m", payload],
        check=True, timeout=10,
    )  # fmt: skip


def film(path: Path) -> Path:
    """A second of the demo's scene."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, SIZE_WH)
    for frame in SceneSource(seconds=1.0):
        writer.write(frame.image)
    writer.release()
    return path


def validator(name: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="the independent validator, jsonschema, is not installed")
    document = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(document)
    return kind(document, format_checker=kind.FORMAT_CHECKER)


@contextmanager
def service(broker: Broker, folder: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable, "-m", "edgepose", "run", "--source", str(film(folder / "walk.avi")),
        "--source.loop", "true", "--broker", broker.url, "--device", "pi", "--camera", "door",
        "--sink.mqtt.spool", str(folder / "spool"), "--sink.mqtt.health_every_s", "0.2",
        "--decode.kernels", "numpy", *flags,
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True, cwd=folder) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def test_all_that_a_running_service_says_fits_the_schema_files(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, heard(broker) as messages:
        with service(broker, tmp_path):
            wait_until(lambda: all(messages[f"{ROOT}/{topic}"] for topic in list(FILES)[:-1]), "every topic", 40)
            order(broker, "status", '{"id":"a"}')
            order(broker, "smoothing", '{"preset":"strong","id":"b"}')
            order(broker, "rate", '{"max_fps":-1,"id":"c"}')
            order(broker, "fly", "{}")
            wait_until(lambda: len(messages[f"{ROOT}/control/answer"]) >= 4, "four answers", 20)
        wait_until(lambda: b"offline" in messages[f"{ROOT}/availability"], "the farewell")

    for topic, file in FILES.items():
        check = validator(file)
        for payload in messages[f"{ROOT}/{topic}"]:
            check.validate(json.loads(payload))
    answers = [json.loads(payload) for payload in messages[f"{ROOT}/control/answer"]]
    assert {answer.get("id"): answer["ok"] for answer in answers} == {"a": True, "b": True, "c": False, None: False}
    results = {answer.get("id"): answer["result"] for answer in answers if answer["ok"]}
    assert results["a"].keys() == json.loads(reference.RESULTS["status"].replace("...", "")).keys()
    assert results["b"] == json.loads(reference.RESULTS["smoothing"])
    known = {f"{ROOT}/{topic.suffix}" for topic in wire.TOPICS} | {f"{ROOT}/control/{name}" for name in wire.COMMANDS}
    assert set(messages) - {f"{ROOT}/control/fly"} <= known
    assert messages[f"{ROOT}/availability"] == [b"online", b"offline"]
    numbers = [json.loads(payload)["number"] for payload in messages[f"{ROOT}/events"]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_poses_of_a_running_service_are_binary_when_told_so(tmp_path: Path) -> None:
    with (
        Broker(tmp_path) as broker,
        heard(broker) as messages,
        service(broker, tmp_path, "--sink.mqtt.format", "binary"),
    ):
        wait_until(lambda: len(messages[f"{ROOT}/poses"]) > 5, "poses", 40)
        wait_until(lambda: messages[f"{ROOT}/status"], "the status", 40)

    for payload in messages[f"{ROOT}/poses"]:
        assert wire.binary.decode(payload).skeleton == "coco17"
    assert any(len(wire.binary.decode(payload).id) for payload in messages[f"{ROOT}/poses"])
    assert json.loads(messages[f"{ROOT}/status"][-1])["format"] == "binary"

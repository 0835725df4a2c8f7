"""The live page's server: what a viewer gets, who is refused, what a stalled viewer costs. No browser in here."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgepose import wire
from edgepose.commands import cli
from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.lab.view import qr
from edgepose.lab.view.broker import BrokerFeed, picture_of
from edgepose.lab.view.hub import MOST_CAMERAS, MOST_EVENTS, Hub
from edgepose.lab.view.local import HubSink
from edgepose.lab.view.reel import BLOCK, Reel
from edgepose.lab.view.serve import picture_route, routes
from edgepose.lab.view.server import HEADERS, PAGE, Server, is_loopback, split
from edgepose.pipeline.replay.play import Plan
from samples.people import poses
from tests.helpers.broker import Broker, Subscriber, wait_until
from tests.helpers.service import PICTURES, Camera, Looks, picture
from tests.test_recording import file_of

ROOT, NAMES = "edgepose/hall/door", ("hall", "door")
TAKEN = "2026-01-01T00:00:00.000000Z"


def message(seq: int, people: int = 1, **fields: Any) -> bytes:
    now = time.monotonic()
    return wire.encode(poses(people, seq=seq, t=now, taken_t=now, **fields), *NAMES, now, time.time())


def event(number: int, type_: str = "entered") -> bytes:
    made: dict[str, Any] = {"id": 3, "run": "r", "device": "x", "camera": "y", "seq": 0, "captured": TAKEN}
    return wire.encode_event(wire.Event(schema="edgepose.event/1", number=number, type=type_, **made))


class Viewer:
    """A browser's one connection."""

    def __init__(self, server: Server, token: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        self.token = server.token if token is None else token

    def ask(self, name: str, method: str = "GET") -> http.client.HTTPResponse:
        self._connection.request(method, f"/{self.token}/{name}")
        return self._connection.getresponse()

    def json(self, name: str, method: str = "GET") -> Any:
        return json.loads(self.ask(name, method).read())


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def server(hub: Hub) -> Iterator[Server]:
    with Server("127.0.0.1:0", routes(hub), {"picture": picture_route(hub, lambda _root: (b"", "no"))}) as server:
        yield server
        hub.close()


# ------------------------------------------------------------------------------------------------ who gets in


@pytest.mark.parametrize("path", ["/", "/index.html", "/wrong/", "/wrong/next", "/%00/", "/../../etc/passwd", "//"])
def test_without_the_secret_nothing_is_given(server: Server, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 403
    assert b"edgepose view" in answer.read()


def test_two_servers_have_two_secrets(server: Server, hub: Hub) -> None:
    with Server("127.0.0.1:0", routes(hub), {}) as other:
        assert Viewer(other, server.token).ask("").status == 403


@pytest.mark.parametrize(
    "name", ["", "index.html", "main.js", "view.css", "skeletons", "nothing-there", "next?after=x"]
)
def test_every_answer_forbids_what_comes_from_elsewhere(server: Server, name: str) -> None:
    answer = Viewer(server).ask(name)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert all(answer.headers[header] == text for header, text in HEADERS.items())


def test_the_page_names_no_other_machine() -> None:
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert "innerHTML" not in text
        assert "eval(" not in text


@pytest.mark.parametrize(
    "name", ["../server.py", "%2e%2e/server.py", "page/main.js", "view.css/", "block?reel=9&block=0"]
)
def test_what_is_not_listed_is_not_there(server: Server, name: str) -> None:
    assert Viewer(server).ask(name).status == 404


def test_an_address_without_its_slash_leads_to_the_page(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", f"/{server.token}")
    assert connection.getresponse().headers["Location"] == f"/{server.token}/"


@pytest.mark.parametrize(
    ("listen", "where"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("box:8000", ("box", 8000))]
)
def test_an_address_to_listen_on_is_read(listen: str, where: tuple[str, int]) -> None:
    assert split(listen) == where


@pytest.mark.parametrize("listen", ["", "8000", ":8000", "localhost", "localhost:http", "localhost:70000"])
def test_a_wrong_address_to_listen_on_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        split(listen)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("192.0.2.1", False), ("192.168.1.2", False)],
)
def test_only_loopback_is_of_this_machine_alone(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_a_port_that_is_taken_is_said(server: Server, hub: Hub) -> None:
    with pytest.raises(ConfigError, match="another port"):
        Server(f"127.0.0.1:{server.server_port}", routes(hub), {})


# ------------------------------------------------------------------------------------------------ the newest


def test_a_viewer_gets_the_newest_of_each_camera_once(hub: Hub, server: Server) -> None:
    for seq in range(5):
        hub.put(ROOT, NAMES, "poses", message(seq))
    hub.put("edgepose/attic/main", ("attic", "main"), "poses", message(40))
    viewer = Viewer(server)
    news = viewer.json("next?after=0")
    assert {root: camera["poses"]["seq"] for root, camera in news["cameras"].items()} == {
        ROOT: 4,
        "edgepose/attic/main": 40,
    }
    hub.put(ROOT, NAMES, "poses", message(5))
    later = viewer.json(f"next?after={news['version']}")
    assert list(later["cameras"]) == [ROOT]
    assert later["cameras"][ROOT]["poses"]["seq"] == 5


def test_a_viewer_who_is_up_to_date_waits_for_news(hub: Hub, server: Server) -> None:
    hub.put(ROOT, NAMES, "poses", message(1))
    viewer = Viewer(server)
    version = viewer.json("next?after=0")["version"]
    threading.Timer(0.2, lambda: hub.put(ROOT, NAMES, "poses", message(2))).start()
    news = viewer.json(f"next?after={version}")
    assert news["cameras"][ROOT]["poses"]["seq"] == 2
    assert news["waited_ms"] > 0


def test_a_viewer_who_stalls_holds_one_answer_and_then_gets_the_newest(hub: Hub, server: Server) -> None:
    hub.put(ROOT, NAMES, "poses", message(0))
    stalled = socket.create_connection(("127.0.0.1", server.server_port))
    ask = f"GET /{server.token}/next?after=0 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    stalled.sendall(ask)
    other = Viewer(server)
    version, seen = 0, 0
    for seq in range(1, 300):  # ten seconds of a camera
        hub.put(ROOT, NAMES, "poses", message(seq))
        version = other.json(f"next?after={version}")["version"]
        seen += 1
    assert seen == 299  # nobody waited for the one who stalls
    stalled.settimeout(5)
    waiting = b""
    while b'"seq":' not in waiting or not waiting.endswith(b"}"):
        waiting += stalled.recv(1 << 20)
    assert waiting.count(b'"seq":') == 1  # the one that was asked for, and nothing behind it
    stalled.sendall(ask)
    assert b'"seq":299,' in stalled.recv(1 << 20)
    stalled.close()


def test_a_viewer_of_an_earlier_run_gets_everything(hub: Hub, server: Server) -> None:
    hub.put(ROOT, NAMES, "poses", message(7))
    assert ROOT in Viewer(server).json("next?after=100000")["cameras"]


def test_nothing_is_read_before_somebody_looks(hub: Hub) -> None:
    hub.put(ROOT, NAMES, "poses", b"\xff nonsense")
    assert hub.refused == 0
    hub.since(0, 0)
    hub.since(0, 0)
    assert hub.refused == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"EP\x01",
        b'{"schema":"edgepose.poses/2"}',
        b"[" * 100_000,
        message(1).replace(b"[320,240]", b"[0,240]"),
    ],
    ids=["empty", "no message", "cut off", "another version", "deep", "no picture"],
)
def test_what_is_no_poses_is_left_out(hub: Hub, payload: bytes) -> None:
    hub.put(ROOT, NAMES, "poses", payload)
    assert "poses" not in json.loads(hub.since(0, 0))["cameras"][ROOT]


def test_binary_poses_come_as_json(hub: Hub) -> None:
    now = time.monotonic()
    sent = poses(2, seq=9, t=now - 0.025, taken_t=now - 0.025)
    hub.put(ROOT, NAMES, "poses", wire.binary.encode(sent, now, time.time()))
    shown = json.loads(hub.since(0, 0))["cameras"][ROOT]["poses"]
    assert shown["seq"] == 9
    assert shown["age_ms"] == pytest.approx(25, abs=0.01)
    placed = np.array([joint[:2] for joint in shown["people"][1]["keypoints"]])
    assert placed == pytest.approx(sent.xy[1], abs=0.06)


def test_a_camera_is_called_as_its_topic_says_and_not_as_its_message_does(hub: Hub) -> None:
    hub.put(ROOT, NAMES, "poses", message(1).replace(b'"hall"', b'"<b>evil</b>"'))
    camera = json.loads(hub.since(0, 0))["cameras"][ROOT]
    assert (camera["device"], camera["camera"], camera["shown"]) == ("hall", "door", "hall/door")


def test_somebody_who_makes_topics_fills_no_memory(hub: Hub) -> None:
    for number in range(2 * MOST_CAMERAS):
        hub.put(f"edgepose/d/{number}", ("d", str(number)), "poses", message(1))
    for number in range(3 * MOST_EVENTS):
        hub.event("edgepose/d/0", ("d", "0"), event(number))
    news = json.loads(hub.since(0, 0))
    assert len(news["cameras"]) == MOST_CAMERAS
    assert [one["event"]["number"] for one in news["events"]] == list(range(2 * MOST_EVENTS, 3 * MOST_EVENTS))


def test_an_event_that_is_repeated_comes_once(hub: Hub) -> None:
    for number in (1, 2, 2, 1, 3):
        hub.event(ROOT, NAMES, event(number))
    assert [one["event"]["number"] for one in json.loads(hub.since(0, 0))["events"]] == [1, 2, 3]


def test_a_camera_that_is_cleared_is_gone(hub: Hub) -> None:
    hub.put(ROOT, NAMES, "availability", b"online")
    version = json.loads(hub.since(0, 0))["version"]
    hub.forget(ROOT)
    news = json.loads(hub.since(version, 0))
    assert news["gone"] == [ROOT]
    assert news["cameras"] == {}


# ------------------------------------------------------------------------------------------------ a broker


def test_a_broker_s_cameras_come_with_all_that_it_keeps(tmp_path: Path, hub: Hub) -> None:
    with Broker(tmp_path) as broker, Subscriber(broker.port) as board:
        board.publish(f"{ROOT}/availability", b"online", retain=True)
        cfg = config.load(None, {"sink.mqtt.broker": broker.url})
        with BrokerFeed(cfg, hub):
            board.publish(f"{ROOT}/poses", message(3))
            board.publish(f"{ROOT}/events", event(1))
            wait_until(lambda: b'"events"' in hub.since(0, 0), "the event to come")
            news = json.loads(hub.since(0, 0))
            assert news["cameras"][ROOT]["availability"] == "online"
            assert news["cameras"][ROOT]["poses"]["seq"] == 3
            assert news["events"][0]["shown"] == "hall/door"
            broker.kill()
            wait_until(lambda: "away" in json.loads(hub.since(0, 0)).get("trouble", ""), "the broker to be missed")
            broker.start()
            wait_until(lambda: json.loads(hub.since(0, 0))["trouble"] == "", "the broker to be back")


def test_without_a_broker_it_is_said_which(tmp_path: Path, hub: Hub) -> None:
    cfg = config.load(None, {"sink.mqtt.broker": "mqtt://127.0.0.1:1"})
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1: cannot be reached"), BrokerFeed(cfg, hub):
        pass


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "does not answer"),
        (
            wire.Answer(schema="", command="snapshot", ok=False, error="control.snapshot is off"),
            "control.snapshot is off",
        ),
        (wire.Answer(schema="", command="snapshot", ok=True, result={"jpeg": "!"}), "no picture"),
        (wire.Answer(schema="", command="snapshot", ok=True, result={"jpeg": "PHN2Zz4="}), "no picture"),
        (wire.Answer(schema="", command="snapshot", ok=True), "no picture"),
    ],
    ids=["silence", "refused", "no base64", "another kind of file", "nothing"],
)
def test_why_there_is_no_picture_is_said(answer: wire.Answer | None, why: str) -> None:
    assert picture_of(answer)[0] == b""
    assert why in picture_of(answer)[1]


# ------------------------------------------------------------------------------------------------ a source


def test_a_source_needs_no_broker_and_its_picture_stays_unless_allowed(hub: Hub) -> None:
    from edgepose.pipeline import Pipeline
    from edgepose.pipeline.stages import stages_of
    from edgepose.service.run import Service

    for allowed in (False, True):
        cfg = config.load(None, {"device": "hall", "camera": "door", "control.snapshot": allowed})
        source, sink = Camera(picture()), HubSink(hub, "hall", "door")
        with Pipeline(source, stages_of(cfg, source, Looks()), [sink]) as pipeline, Service(cfg, pipeline) as service:
            thread = threading.Thread(target=pipeline.run, args=(service.saw,))
            thread.start()
            wait_until(lambda: b'"state":"running"' in hub.since(0, 0), "the status to come")
            camera = json.loads(hub.since(0, 0))["cameras"][ROOT]
            jpeg, why = sink.picture(ROOT)
            pipeline.stop()
            thread.join()
        assert camera["status"]["bones"]
        assert len(camera["poses"]["people"]) == 1
        assert (jpeg[:2] == b"\xff\xd8", bool(why)) == (allowed, not allowed)


# ------------------------------------------------------------------------------------------------ a recording


def recording(path: Path, frames: int) -> Path:
    """Somebody who walks to and fro, ten times a second."""
    made = []
    for seq in range(frames):
        xy = poses().xy + np.float32(abs(seq % 100 - 50))
        made.append(poses(t=seq / 10, taken_t=seq / 10, seq=seq, xy=xy, score=np.full((1, 17), 0.9, np.float32)))
    path.write_bytes(file_of(made, 20))
    return path


def test_a_recording_is_given_in_blocks_with_ids_and_places(tmp_path: Path) -> None:
    frames = 2 * BLOCK + 5
    with Reel(recording(tmp_path / "day.epr", frames), config.Config(), Plan()) as reel:
        wait_until(lambda: reel.done, "all of it to be played")
        assert not reel.failed
        told = reel.described()
        assert (told["frames"], told["seconds"]) == (frames, pytest.approx((frames - 1) / 10))
        assert told["starts"] == pytest.approx([0, BLOCK / 10, 2 * BLOCK / 10])
        blocks = [json.loads(reel.block(number) or b"") for number in range(3)]
        assert [len(block) for block in blocks] == [BLOCK, BLOCK, 5]
        assert [one["seq"] for block in blocks for one in block] == list(range(frames))
        assert blocks[1][0]["people"][0]["id"] == 1
        assert [[event["type"] for event in one["events"]] for one in blocks[0] if one["events"]] == [["entered"]]
        assert reel.block(3) is None
        assert reel.ribbon()["people"] == [1] * 14
        assert wire.decode(json.dumps(blocks[2][4]).encode()).seq == frames - 1


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.epr").write_text("no")
    with pytest.raises(SourceError, match="no recording"):
        Reel(tmp_path / "x.epr", config.Config(), Plan())


# ------------------------------------------------------------------------------------------------ the phone


@pytest.mark.parametrize("length", [1, 17, 18, 32, 33, 53, 78, 79, 106, 107, 134])
def test_another_s_reader_reads_the_code(length: int) -> None:
    text = ("http://192.168.1.20:8000/" + "aB3-_x9Z" * 40)[:length]
    code = np.pad(qr.matrix(text), qr.QUIET)
    image = np.kron(255 * (1 - code.astype(np.uint8)), np.ones((8, 8), np.uint8)).astype(np.uint8)
    assert cv2.QRCodeDetector().detectAndDecode(image)[0] == text


def test_an_address_that_is_too_long_has_no_code() -> None:
    with pytest.raises(ValueError, match="too long"):
        qr.matrix("x" * 135)


def test_a_code_in_a_terminal_has_its_quiet_zone() -> None:
    lines = qr.shown("http://x/").splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set(lines[0]) - set("\033[97;40m0") == {"█"}


# ------------------------------------------------------------------------------------------------ the command


@contextmanager
def viewing(*words: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the address that it prints."""
    command = [sys.executable, "-m", "edgepose", "view", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    told = []
    try:
        for line in process.stdout:
            told.append(line)
            if line.startswith("http://"):
                break
        else:
            pytest.fail(f"it ended: {''.join(told)}")
        yield process, told[-1].strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def get(url: str, name: str) -> Any:
    with urllib.request.urlopen(url + name, timeout=30) as answer:  # noqa: S310 (ours)
        return json.load(answer)


def test_the_command_shows_a_broker_and_ends_well_by_ctrl_c(tmp_path: Path) -> None:
    with (
        Broker(tmp_path) as broker,
        Subscriber(broker.port) as board,
        viewing("--broker", broker.url) as (process, url),
    ):
        assert url.startswith("http://127.0.0.1:")
        board.publish(f"{ROOT}/poses", message(3))
        wait_until(lambda: ROOT in get(url, "next?after=0")["cameras"], "the camera to come")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_the_command_shows_a_recording(tmp_path: Path) -> None:
    with viewing(recording(tmp_path / "day.epr", 70)) as (_process, url):
        wait_until(lambda: get(url, "reels")[0]["done"], "all of it to be read")
        assert get(url, "reels")[0]["name"] == "day.epr"
        assert len(get(url, "block?reel=0&block=1")) == 6


def test_the_command_shows_a_source_and_publishes_nothing(tmp_path: Path) -> None:
    source = ("--source", PICTURES / "astronaut.jpg", "--source.loop", "--model", "light", "--decode.kernels", "numpy")
    with Broker(tmp_path) as broker, Subscriber(broker.port) as seen:
        settings = tmp_path / "edgepose.toml"
        settings.write_text(f'[sink.mqtt]\nbroker = "{broker.url}"\n[sink.jsonl]\npath = "{tmp_path}/poses.jsonl"\n')
        with viewing("--config", settings, *source, "--device", "hall") as (_process, url):
            shown: dict[str, Any] = {}

            def came() -> bool:
                shown.update(get(url, "next?after=0")["cameras"].get("edgepose/hall/camera", {}))
                return "poses" in shown

            wait_until(came, "poses to come", 60)
            assert len(shown["poses"]["people"]) == 1
        assert not seen.messages
        assert not (tmp_path / "poses.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to look at"),
        (["a.epr", "b.epr", "c.epr"], "3 recordings"),
        (["missing.epr"], "missing.epr: No such file"),
        (["--broker", "mqtt://127.0.0.1:1"], "cannot be reached"),
        (["--broker", "mqtt://127.0.0.1:1", "--listen", "8000"], "cannot be reached|HOST:PORT"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["view", *words]) != 0
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert "Traceback" not in error

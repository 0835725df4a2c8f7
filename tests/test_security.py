"""Secrets stay where they are, no port is opened that nobody asked for, and what is written is its owner's alone."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgepose import wire
from edgepose.core import config, secret
from edgepose.core.config import Mqtt, Source
from edgepose.core.errors import ConfigError
from edgepose.sink.mqtt.target import target
from edgepose.source import open_source
from edgepose.source.detect import address, masked
from tests.helpers.broker import Broker, Subscriber, secret_file, wait_until

PASSWORD = "br0ker-s3cret-%41"  # noqa: S105
CAMERA_PASSWORD = "c@m/era:s3cret"  # noqa: S105
PICTURE = Path(__file__).parents[1] / "edgepose" / "lab" / "demo" / "pictures" / "astronaut.jpg"
KEY = "sink.mqtt.password_file"


# ----------------------------------------------------------------------------------------------- files with passwords


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_for_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    file = Path(secret_file(tmp_path / "word", "s3cret\nrest"))
    file.chmod(mode)

    assert secret.first_line(KEY, str(file)) == "s3cret"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_may_read_or_change_is_refused_with_what_to_type(tmp_path: Path, mode: int) -> None:
    file = Path(secret_file(tmp_path / "word", "s3cret\n"))
    file.chmod(mode)

    with pytest.raises(ConfigError) as caught:
        secret.first_line(KEY, str(file))

    assert str(caught.value).startswith(f"{KEY} {file}: others may read or change it (mode {mode:04o})")
    assert f"chmod 600 {file}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_link_is_as_good_as_what_it_leads_to(tmp_path: Path) -> None:
    file = Path(secret_file(tmp_path / "word", "s3cret\n"))
    (tmp_path / "link").symlink_to(file)

    assert secret.first_line(KEY, str(tmp_path / "link")) == "s3cret"
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        secret.first_line(KEY, str(tmp_path / "link"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused_even_to_root(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "word", "s3cret\n")
    os.chown(file, 12345, 0)

    with pytest.raises(ConfigError, match=f"belongs to user 12345.*sudo chown 0 {file}"):
        secret.first_line(KEY, file)


def test_a_certificate_may_be_read_by_all_but_changed_by_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("certificate")
    file.chmod(0o644)
    assert secret.read("sink.mqtt.ca_file", str(file), private=False) == b"certificate"
    file.chmod(0o666)
    with pytest.raises(ConfigError, match=f"others may change it.*chmod go-w {file}"):
        secret.read("sink.mqtt.ca_file", str(file), private=False)


def test_a_pipe_that_a_shell_makes_is_read() -> None:
    near, far = os.pipe()
    os.write(far, b"s3cret\n")
    os.close(far)
    try:
        assert secret.first_line(KEY, f"/dev/fd/{near}") == "s3cret"
    finally:
        os.close(near)


def test_a_huge_file_is_no_password(tmp_path: Path) -> None:
    file = secret_file(tmp_path / "word", "x" * (secret.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="is it the right file"):
        secret.first_line(KEY, file)


def test_a_credential_of_systemd_is_read_whatever_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt-password").write_text("s3cret\n")
    (tmp_path / "mqtt-password").chmod(0o440)

    settings = Mqtt(broker="mqtt://hub", username="pose", password_file="credential:mqtt-password")  # noqa: S106
    assert target(settings, "board", "door").password == "s3cret"  # noqa: S105
    assert secret.first_line(KEY, str(tmp_path / "mqtt-password")) == "s3cret"


@pytest.mark.parametrize("name", ["other", "", ".", "..", "../word", "/etc/passwd"])
def test_a_credential_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "mqtt-password").write_text("s3cret\n")
    secret_file(tmp_path / "word", "outside\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))

    with pytest.raises(ConfigError, match=r"hands over no credential.*only mqtt-password"):
        secret.first_line(KEY, f"credential:{name}")


def test_outside_of_systemd_a_credential_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match=r"LoadCredential=word:/path; elsewhere name a file"):
        secret.first_line(KEY, "credential:word")


# ------------------------------------------------------------------------------------------- addresses with passwords


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        ("rtsp://me:s3cret@host/path", "s3cret"),
        ("rtsp://me:s3@cret@host/path", "s3@cret"),
        ("rtsp://me:s3/cret@host", "s3/cret"),
        ("http://host/video?user=me&password=s3cret", "s3cret"),
        ("rtspsrc location=rtsp://host user-id=me user-pw=s3cret ! appsink", "s3cret"),
        ("rtsp://me:a s3cret@host/x", "s3cret"),
        ("rtsp://me:a's3cret@host/x", "s3cret"),
        ('rtsp://me:a"s3cret@host/x', "s3cret"),
        ("http://host/videostream.cgi?loginuse=admin&loginpas=s3cret", "s3cret"),
        ("http://host/cgi?usr=admin&psw=s3cret", "s3cret"),
        ("rtsp://host:554/11?usr=admin&pas=s3cret", "s3cret"),
        ("rtsp://host:554/user=admin_password=s3cret_channel=1_stream=0.sdp", "s3cret"),
        ("http://host/x;jsessionid=s3cret", "s3cret"),
        ("http://host/x?token%3Ds3cret", "s3cret"),
        ("rtspsrc location=rtsp://host/x user-pw = s3cret ! appsink", "s3cret"),
        ('rtspsrc location=rtsp://host/x user-pw="a s3cret" ! appsink', "s3cret"),
        ("rtspsrc location=rtsp://host/x user-pw=(string)s3cret ! appsink", "s3cret"),
        ('souphttpsrc location=http://host extra-headers="h,Authorization=(string)Basic\\ s3cret" ! appsink', "s3cret"),
        ("srt://host:9000?passphrase=s3cret&mode=caller", "s3cret"),
        ("rtsp:\\\\me:s3cret@host", "s3cret"),
        ("rtsp:/me:s3cret@host/x", "s3cret"),
        ("rtsp//me:s3cret@host/x", "s3cret"),
    ],
)
def test_an_address_is_shown_without_its_password(shown: str, hidden: str) -> None:
    assert secret.holds_password(shown)
    assert hidden not in masked(shown)
    assert "host" in masked(shown)


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        ("rtsps://192.168.1.1:7441/AbCdEfGhIjKl?enableSrtp", "AbCdEfGhIjKl"),
        ("http://host/live/geheim77/index.m3u8", "geheim77"),
        ("http://host/x?p=geheim", "geheim"),
        ("http://host/x?c=admin:geheim", "geheim"),
        ("http://host/x?pass:geheim", "geheim"),
        ("http://host/x?geheim77", "geheim77"),
    ],
)
def test_what_may_be_a_key_is_not_shown_either(shown: str, hidden: str) -> None:
    assert hidden not in masked(shown)


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://host/Streaming/Channels/101",
        "rtsp://host:554/h264Preview_01_main",
        "rtsp://host/cam/realmonitor?channel=1&subtype=0",
        "http://host/axis-cgi/mjpg/video.cgi?resolution=640x480",
        "http://host/walk20240501.mp4",
        "/data/me@home/clip.mp4",
        "user:data.mp4",
        "2024-05-01T10:30:05.mp4",
        "nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM), format=NV12, framerate=30/1 ! appsink drop=true",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(address: str) -> None:
    assert masked(address) == address
    assert not secret.holds_password(address)


@pytest.mark.parametrize(
    "plain", ["rtsp://host/path", "rtsp://me@host:554/a:b", "/dev/video0", "walk.mp4", "picamera2:1"]
)
def test_an_address_without_a_password_is_no_reason_to_warn(plain: str) -> None:
    assert not secret.holds_password(plain)


@pytest.mark.parametrize("kind", ["image", "folder", "v4l2", "picamera2"])
def test_an_address_for_a_source_that_reads_none_is_refused_without_its_password(kind: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source(Source(uri="rtsp://me:s3cret@host/path", kind=kind))
    assert "rtsp://***@host/path" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_an_address_of_the_wrong_type_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        config.convert({"source": {"uri": ["rtsp://me:s3cret@host"]}}, config.Config, "edgepose.toml")
    assert "s3cret" not in str(caught.value)


def test_the_password_of_a_camera_comes_from_its_file(tmp_path: Path) -> None:
    word = secret_file(tmp_path / "word", "a/b@c\n")
    assert address(Source(uri="rtsp://me@host/path", password_file=word)) == "rtsp://me:a%2Fb%40c@host/path"


@pytest.mark.parametrize("uri", ["rtsp://host/path", "rtsp://me:s3cret@host/path", "/dev/video0"])
def test_a_password_file_without_a_name_to_go_with_is_refused(tmp_path: Path, uri: str) -> None:
    word = secret_file(tmp_path / "word", "other\n")
    with pytest.raises(ConfigError, match="rtsp://NAME@host/path") as caught:
        open_source(Source(uri=uri, password_file=word))
    assert "s3cret" not in str(caught.value)


def test_what_is_not_understood_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "edgepose.toml").write_text('"a\\nb\\u001b[31m" = 1')
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / "edgepose.toml")
    assert str(caught.value).isprintable()


def test_a_command_cannot_write_lines_of_its_own_into_the_log() -> None:
    with pytest.raises(ValueError, match="unknown field") as caught:
        wire.decode_command("pause", json.dumps({"x\nERROR forged": 1}).encode())
    assert str(caught.value).isprintable()


def test_nothing_that_is_printed_of_a_broker_holds_its_password(tmp_path: Path) -> None:
    made = target(
        Mqtt(broker="mqtt://hub", username="me", password_file=secret_file(tmp_path / "w", PASSWORD)), "b", "c"
    )
    try:
        raise RuntimeError("a bug")
    except RuntimeError as error:
        crash = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert made.password == PASSWORD
    assert "hub" in crash
    assert PASSWORD not in crash + repr(made)


# ---------------------------------------------------------------------------------------------------- the real command


class Camera(BaseHTTPRequestHandler):
    """Pictures one after the other, for who knows the password."""

    wanted = "Basic " + base64.b64encode(f"viewer:{CAMERA_PASSWORD}".encode()).decode()
    image = cv2.resize(np.asarray(cv2.imread(str(PICTURE))), (320, 320))
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != self.wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(self.jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + self.jpeg + b"\r\n")
                time.sleep(0.05)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def camera_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def settings_file(folder: Path, broker: Broker, camera_port: int) -> Path:
    word = secret_file(folder / "broker-word", PASSWORD)
    viewer = secret_file(folder / "camera-word", CAMERA_PASSWORD)
    path = folder / "edgepose.toml"
    path.write_text(
        f'device = "board"\nlog = "debug"\n'
        f'[source]\nuri = "http://viewer@127.0.0.1:{camera_port}/video.mjpg"\npassword_file = "{viewer}"\n'
        f'[decode]\nkernels = "numpy"\n'
        f'[sink.mqtt]\nbroker = "{broker.url}"\nusername = "pose"\npassword_file = "{word}"\nspool = "{folder}"\n'
        f'[sink.jsonl]\npath = "{folder}/poses.jsonl"\n'
        f'[sink.overlay]\npath = "{folder}/overlay.avi"\n'
        f'[sink.record]\npath = "{folder}/poses.epr"\n'
    )
    return path


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [each for child in task.read_text().split() for each in family(int(child))]
    return found


def listening(pids: list[int]) -> list[str]:
    """Sockets of these processes on which others could connect or send to, of TCP and UDP."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.update(re.findall(r"socket:\[(\d+)\]", str(descriptor.readlink())))
    found = []
    for kind, states in {"tcp": ("0A",), "tcp6": ("0A",), "udp": ("07",), "udp6": ("07",)}.items():
        table = Path(f"/proc/net/{kind}")
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            words = line.split()
            if words[9] in inodes and words[3] in states:
                found.append(f"{kind} {words[1]}")
    return found


def hidden_in(text: str | bytes) -> list[str]:
    """The secrets that a text shows, as they are or as an address or a header writes them."""
    data = text.encode() if isinstance(text, str) else text
    coded = base64.b64encode(f"viewer:{CAMERA_PASSWORD}".encode()).decode()
    words = (PASSWORD, CAMERA_PASSWORD, "c%40m%2Fera%3As3cret", "s3cret", coded)
    return [word for word in words if word.encode() in data]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path, passwords={"pose": PASSWORD}) as broker:
        yield broker


def command(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "edgepose", *words]


def test_a_running_service_shows_no_secret_opens_no_port_and_writes_for_its_owner_alone(
    guarded: Broker, tmp_path: Path, camera_port: int
) -> None:
    settings = settings_file(tmp_path, guarded, camera_port)
    log = tmp_path / "log"
    with (
        Subscriber(guarded.port, username="pose", password=PASSWORD) as subscriber,
        log.open("wb") as out,
        subprocess.Popen(command("run", "--config", settings), cwd=tmp_path, stdout=out, stderr=out) as process,
    ):
        try:
            wait_until(lambda: len(subscriber.payloads()) > 2 or process.poll() is not None, "poses", 30)
            assert process.poll() is None, log.read_text()
            pids = family(process.pid)
            proc = {pid: [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")] for pid in pids}
            open_ports = listening(pids)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()

    assert [hidden_in(data) for shown in proc.values() for data in shown if hidden_in(data)] == []
    assert open_ports == []
    assert "DEBUG" in log.read_text()
    assert hidden_in(log.read_bytes()) == []
    assert {message.topic.rpartition("/")[2] for message in subscriber.messages} >= {"poses", "status", "availability"}
    assert [message.topic for message in subscriber.messages if hidden_in(bytes(message.payload))] == []
    assert not any(b"\xff\xd8\xff" in message.payload or b"/9j/" in message.payload for message in subscriber.messages)
    written = [path for path in tmp_path.iterdir() if path.suffix in (".jsonl", ".avi", ".epr", ".db")]
    assert {path.suffix for path in written} == {".jsonl", ".avi", ".epr", ".db"}
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in written} == {path.name: "0o600" for path in written}
    assert [path.name for path in written if hidden_in(path.read_bytes())] == []


def test_the_sockets_of_a_process_that_listens_are_found() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        assert any(line.endswith(f":{number:04X}") for line in listening([os.getpid()]))


@pytest.mark.parametrize(
    "words",
    [
        ("config",),
        ("doctor", "--only", "broker"),
        ("doctor", "--only", "broker", "--json"),
        ("bench", "--seconds", "0.5", "--json", "OUT", "--report", "PAGE"),
    ],
    ids=lambda words: "".join(words[:1] + words[3:4]),
)
def test_no_command_tells_a_secret(guarded: Broker, tmp_path: Path, camera_port: int, words: tuple[str, ...]) -> None:
    settings = settings_file(tmp_path, guarded, camera_port)
    files = {"OUT": tmp_path / "out.json", "PAGE": tmp_path / "page.html"}
    done = subprocess.run(
        command(*(str(files.get(word, word)) for word in words), "--config", settings),
        cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode in (0, 1), done.stderr.decode()
    told = done.stdout + done.stderr + b"".join(path.read_bytes() for path in files.values() if path.exists())
    assert b"password_file" in told or b"camera" in told or words[0] == "doctor"
    assert hidden_in(told) == []


def test_a_refused_login_and_a_crash_tell_no_secret(guarded: Broker, tmp_path: Path, camera_port: int) -> None:
    settings = settings_file(tmp_path, guarded, camera_port)
    crash = (
        "import sys, edgepose.pipeline as p\n"
        "from edgepose.commands.cli import main\n"
        "def broken(self, *a): raise RuntimeError('a bug')\n"
        "p.Pipeline.__iter__ = broken\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-c", crash, "run", "--config", settings],
        cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert b"RuntimeError: a bug" in done.stderr
    assert hidden_in(done.stdout + done.stderr) == []


def test_a_camera_that_refuses_its_password_is_told_without_it(tmp_path: Path, camera_port: int) -> None:
    uri = f"http://viewer:wr0ng-s3cret@127.0.0.1:{camera_port}/video.mjpg"
    done = subprocess.run(
        command("run", "--source", uri, "--source.reconnect", "false", "--jsonl", "-", "--decode.kernels", "numpy"),
        cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert b"the command line shows the password of source.uri to everybody" in done.stderr
    assert b"http://***@127.0.0.1" in done.stderr
    assert hidden_in(done.stdout + done.stderr) == []


def test_a_settings_file_with_a_password_that_others_may_read_is_warned_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgepose.commands.cli import main

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.toml"
    path.write_text('source.uri = "rtsp://me:s3cret@host/path"\n')
    for mode, warned in ((0o644, True), (0o600, False)):
        path.chmod(mode)
        assert main(["config", "--config", str(path)]) == 0
        shown = capfd.readouterr()
        assert (f"chmod 600 {path}" in shown.err) == warned
        assert 'uri = "rtsp://me:s3cret@host/path"' in shown.out, "the file it prints loads back the same"
    logging.getLogger().handlers.clear()

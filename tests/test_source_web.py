"""Web addresses: a file is read to its end, a snapshot is asked for again, a stream is a stream."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.source import open_source
from edgepose.source.web import Told, ask
from tests.test_source_files import on_its_side, write_video

Answer = Callable[[int], tuple[int, str, bytes]]
"""How often it was asked before -> status, content type, content."""


@contextmanager
def served(answer: Answer, head: bool = True, word: str = "") -> Iterator[tuple[str, list[str]]]:
    """A server's address, and the methods it was asked with."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.tell(self.command)

        def do_HEAD(self) -> None:
            if head:
                self.tell(self.command)
            else:
                self.send_error(501)

        def tell(self, method: str) -> None:
            asked.append(method)
            status, kind, content = answer(asked.count("GET"))
            if word and self.headers.get("Authorization") != "Basic " + base64.b64encode(word.encode()).decode():
                status = 401
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            if method == "GET":
                try:
                    self.wfile.write(content)
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def grey(value: int) -> bytes:
    done, data = cv2.imencode(".png", np.full((48, 64, 3), value % 256, np.uint8))
    assert done
    return data.tobytes()


def brightness(uri: str, count: int, **settings: object) -> list[int]:
    with open_source(config.convert({"uri": uri, "fps": 100.0, **settings}, config.Source, "test")) as source:
        return [round(float(frame.image.mean())) for frame in islice(source, count)]


@pytest.mark.parametrize("head", [True, False], ids=["answers HEAD", "does not answer HEAD"])
def test_a_snapshot_is_asked_for_again_and_again(head: bool) -> None:
    with served(lambda number: (200, "image/png", grey(10 * min(number, 20))), head) as (host, asked):
        seen = brightness(f"http://{host}/snap", 5, backoff_max_s=0.5)

    assert seen == sorted(seen)
    assert len(set(seen)) >= 4
    assert asked.count("GET") < 30


def test_a_snapshot_that_stays_the_same_is_asked_for_less_often() -> None:
    """At 100 Hz a second holds 100 questions; pauses that double from 10 ms hold 7."""
    with served(lambda _: (200, "image/png", grey(50))) as (host, asked):
        assert brightness(f"http://{host}/snap", 2) == [50, 50]

    assert asked.count("GET") < 50


def test_a_snapshot_is_upright_and_damaged_ones_are_skipped() -> None:
    def answer(number: int) -> tuple[int, str, bytes]:
        return 200, "image/jpeg", b"half a pic" if number == 2 else on_its_side() + bytes([number])

    with served(answer) as (host, asked), open_source(config.Source(uri=f"http://{host}/snap")) as source:
        frames = list(islice(source, 2))

    assert [frame.size_wh for frame in frames] == [(60, 80)] * 2
    assert asked.count("GET") >= 3


def test_a_snapshot_behind_a_password_is_read() -> None:
    with served(lambda number: (200, "image/png", grey(number)), word="me:geheim x") as (host, _):
        assert len(brightness(f"http://me:geheim%20x@{host}/snap", 2)) == 2


def test_a_camera_that_ends_to_answer_says_how_without_its_password() -> None:
    def answer(number: int) -> tuple[int, str, bytes]:
        return 200 if number <= 2 else 503, "image/png", grey(number)

    with served(answer) as (host, _), pytest.raises(SourceError) as caught:
        brightness(f"http://me:geheim@{host}/snap", 9, reconnect=False)
    assert str(caught.value) == f"http://***@{host}/snap: gives no picture: the server answers 503"


def test_a_video_at_an_address_is_read_once_from_start_to_end(tmp_path: Path) -> None:
    content = write_video(tmp_path / "clip.avi", 7).read_bytes()
    with (
        served(lambda _: (200, "video/avi", content)) as (host, _),
        open_source(config.Source(uri=f"http://{host}/clip.avi")) as source,
    ):
        frames = list(source)

    assert [frame.seq for frame in frames] == list(range(7))
    assert frames[1].t == pytest.approx(0.04)
    assert (source.live, frames[0].name) == (False, "clip.avi")


def test_a_video_whose_address_does_not_say_so_is_not_started_for_ever(tmp_path: Path) -> None:
    content = write_video(tmp_path / "clip.avi").read_bytes()
    with (
        served(lambda _: (200, "video/mp4", content)) as (host, _),
        open_source(config.Source(uri=f"http://{host}/get?id=3")) as source,
        pytest.raises(ConfigError, match=r"is a video file, not a camera; set source\.kind to video"),
    ):
        list(source)


def test_what_is_there_is_not_known_where_nobody_answers() -> None:
    with served(lambda _: (404, "text/html", b"")) as (host, _):
        assert ask(f"http://{host}/") == Told("", whole=False)
    assert ask(f"http://{host}/") == Told("", whole=False)
    assert ask("http://[nonsense/") == Told("", whole=False)

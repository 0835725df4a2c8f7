"""Cameras: the newest frame wins; dead, unplugged, hanging and recovering ones, with fakes and a real HTTP stream."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import ConfigError, SourceError
from edgepose.core.poses import Frame
from edgepose.source import Source, open_source, stream, v4l2
from edgepose.source import live as live_source
from edgepose.source.live import Grab, LiveSource, capture_time
from edgepose.source.opencv import colour
from tests.helpers.fake_capture import FakeCapture, plugged_in

SOON_S = 20.0
"""Patience of a test with another thread; reached only by one that fails."""


def picture(value: int = 0) -> NDArray[np.uint8]:
    return np.full((4, 6, 3), value, np.uint8)


Steps: TypeAlias = Sequence["int | Callable[[], object]"]


class Camera:
    """A scripted camera. Each opening plays the next life; each step of a life is a picture's value or an action."""

    def __init__(self, *lives: Steps) -> None:
        self.lives = list(lives)
        self.opened = 0
        self.given = 0
        self.closed = 0

    def __call__(self) -> Life:
        return Life(self)

    def has_closed(self, times: int) -> bool:
        return self.closed == times


class Life:
    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.steps: Iterator[int | Callable[[], object]] = iter(())

    def open(self) -> None:
        index, self.camera.opened = self.camera.opened, self.camera.opened + 1
        if index >= len(self.camera.lives):
            raise SourceError("cam: no such camera")
        self.steps = iter(self.camera.lives[index])

    def grab(self) -> Grab | None:
        for step in self.steps:
            if callable(step):
                step()
                continue
            self.camera.given += 1
            return Grab(picture(step), "bgr", time.monotonic())
        return None

    def close(self) -> None:
        self.camera.closed += 1


def live(
    camera: Camera,
    *,
    stall_s: float = SOON_S,
    open_s: float = SOON_S,
    first_backoff_s: float = 0.001,
    hung_s: float = SOON_S,
    **settings: Any,
) -> LiveSource:
    cfg = config.Source(uri="cam", stall_s=stall_s, backoff_max_s=0.01, **settings)
    return LiveSource(cfg, camera, "cam", open_s=open_s, first_backoff_s=first_backoff_s, hung_s=hung_s)


def raised(error: Exception) -> Callable[[], object]:
    def step() -> None:
        raise error

    return step


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.001)


def value(frame: Frame) -> int:
    return int(frame.image[0, 0, 0])


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a hanging camera hangs at; opened when the test ends so that no thread outlives it."""
    event = threading.Event()
    yield event
    event.set()


# ------------------------------------------------------------------------------------------------ the newest wins


def test_a_slow_consumer_gets_the_newest_frame_and_the_gap_is_counted(gate: threading.Event) -> None:
    first_taken = threading.Event()
    camera = Camera([1, first_taken.wait, 2, 3, 4, gate.wait])
    with live(camera) as source:
        frames = iter(source)
        first = next(frames)
        first_taken.set()
        until(lambda: camera.given == 4)
        time.sleep(0.01)
        newest = next(frames)
        assert (value(first), first.seq) == (1, 0)
        assert (value(newest), newest.seq) == (4, 3)
        assert source.counts["dropped"] == 2
        assert source.counts["frames"] == 2
        gate.set()


def test_a_frame_is_never_handed_out_twice(gate: threading.Event) -> None:
    camera = Camera([1, gate.wait, 2])
    with live(camera, reconnect=False) as source:
        frames = iter(source)
        assert value(next(frames)) == 1
        gate.set()
        assert value(next(frames)) == 2
        with pytest.raises(SourceError, match="cam: gives no more frames"):
            next(frames)


def test_a_live_frame_is_as_old_as_its_capture(gate: threading.Event) -> None:
    with live(Camera([1, gate.wait])) as source:
        before = time.monotonic()
        frames = iter(source)
        frame = next(frames)
        gate.set()
    assert source.live
    assert source.total is None
    assert before <= frame.t == frame.taken_t <= time.monotonic()


def test_time_never_runs_backwards_when_a_driver_does(gate: threading.Event) -> None:
    class Backwards(Life):
        def grab(self) -> Grab | None:
            grab = super().grab()
            return grab and grab._replace(t=100.0 - grab.image[0, 0, 0])

    camera = Camera([1, lambda: until(lambda: source.counts["frames"] == 1), 2])
    cfg = config.Source(uri="cam", reconnect=False)
    source = LiveSource(cfg, lambda: Backwards(camera), "cam", open_s=SOON_S)
    with source:
        frames = iter(source)
        assert [next(frames).t, next(frames).t] == [99.0, 99.0]


@pytest.mark.parametrize(
    ("stamp", "taken"), [(99.0, 99.0), (100.0, 100.0), (94.0, 100.0), (100.1, 100.0), (0.0, 100.0), (1.7e9, 100.0)]
)
def test_a_driver_time_stamp_counts_only_if_it_can_be_of_our_clock(stamp: float, taken: float) -> None:
    assert capture_time(stamp, 100.0) == taken


# ------------------------------------------------------------------------------------------------ cameras that fail


def test_a_camera_missing_at_start_is_an_error_at_once() -> None:
    camera = Camera()
    with live(camera) as source, pytest.raises(SourceError, match="cam: no such camera"):
        next(iter(source))
    assert (camera.opened, camera.closed) == (1, 1)


def test_a_camera_that_opens_and_gives_nothing_is_an_error_at_once() -> None:
    with live(Camera([])) as source, pytest.raises(SourceError, match="cam: gives no more frames"):
        next(iter(source))


def test_an_unplugged_camera_is_reopened_counted_and_told_once_per_change(
    gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gone = raised(SourceError("cam: unplugged"))
    camera = Camera([1, gone], [gone], [gone], [2, gate.wait])
    with live(camera) as source:
        frames = iter(source)
        assert [value(next(frames)), value(next(frames))] == [1, 2]
        assert source.counts["reconnects"] == 1
        gate.set()
    assert (camera.opened, camera.closed) == (4, 4)
    lost, back = (record.message for record in caplog.records)
    assert lost == "cam: unplugged; trying to reopen it"
    assert back.startswith("cam: back after ")
    assert back.endswith(" and 3 attempts")


def test_a_camera_that_comes_and_goes_all_the_time_is_counted_and_does_not_fill_the_log(
    gate: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(live_source, "TOLD", 3)
    an_hour_later = threading.Event()
    lives = [[number] for number in range(1, 20)]
    with live(Camera(*lives, [20, an_hour_later.wait], [21, gate.wait])) as source:
        frames = iter(source)
        assert [value(next(frames)) for _ in range(20)] == list(range(1, 21))
        assert source.counts["reconnects"] == 19
        assert len(caplog.records) == 6
        monkeypatch.setattr(live_source, "TOLD_S", 0.0)
        an_hour_later.set()
        assert value(next(frames)) == 21
        gate.set()
    assert caplog.messages[6].endswith("trying to reopen it (16 times more since the last of these lines)")
    assert caplog.messages[7].startswith("cam: back after ")


def test_a_cameras_frames_are_turned_as_asked(gate: threading.Event) -> None:
    with live(Camera([7, gate.wait]), rotate=90, mirror=True) as source:
        frame = next(iter(source))
        gate.set()
    assert (frame.size_wh, value(frame)) == ((4, 6), 7)


def test_numbers_and_time_go_on_rising_over_a_reconnect(gate: threading.Event) -> None:
    with live(Camera([1], [2], [3, gate.wait])) as source:
        frames = iter(source)
        one, two, three = next(frames), next(frames), next(frames)
        gate.set()
    assert [value(one), value(two), value(three)] == [1, 2, 3]
    assert [one.seq, two.seq, three.seq] == [0, 1, 2]
    assert one.t < two.t < three.t


def test_without_reconnect_a_lost_camera_ends_the_run() -> None:
    with live(Camera([1], [2]), reconnect=False) as source:
        frames = iter(source)
        assert value(next(frames)) == 1
        with pytest.raises(SourceError, match="no more frames"):
            next(frames)


def test_pauses_between_attempts_double_with_jitter_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nominal 2, 4, 8, 10, 10 ms, each shortened by up to a quarter."""
    pauses: list[float] = []
    camera = Camera([1])
    source = live(camera, first_backoff_s=0.002)

    def wait_for(_: Callable[[], bool], timeout: float) -> bool:
        pauses.append(timeout)
        if len(pauses) == 5:
            source.close()
        return True

    monkeypatch.setattr(source.changed, "wait_for", wait_for, raising=False)
    assert [value(frame) for frame in source] == [1]
    for pause, nominal in zip(pauses, [0.002, 0.004, 0.008, 0.01, 0.01], strict=True):
        assert 0.75 * nominal <= pause <= nominal
    assert len({pause / nominal for pause, nominal in zip(pauses, [2, 4, 8, 10, 10], strict=True)}) == 5


def test_a_camera_that_lived_for_a_while_is_reopened_soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nominal 2 and 4 ms after lives of one frame, 2 ms after a life of 50 ms."""
    pauses: list[float] = []
    camera = Camera([1], [2], [3, partial(time.sleep, 0.05), 4])
    source = live(camera, first_backoff_s=0.002)

    def wait_for(_: Callable[[], bool], timeout: float) -> bool:
        pauses.append(timeout)
        if len(pauses) == 3:
            source.close()
        return True

    monkeypatch.setattr(source.changed, "wait_for", wait_for, raising=False)
    assert value(list(source)[-1]) == 4
    for pause, nominal in zip(pauses, [0.002, 0.004, 0.002], strict=True):
        assert 0.75 * nominal <= pause <= nominal


def test_a_bug_in_a_grabber_is_raised_not_retried() -> None:
    with live(Camera([1, raised(ZeroDivisionError("oops"))], [2])) as source, pytest.raises(ZeroDivisionError):
        list(source)


def test_a_wrong_setting_found_while_opening_is_raised_not_retried() -> None:
    with live(Camera([1, raised(ConfigError("wrong"))], [2])) as source, pytest.raises(ConfigError, match="wrong"):
        list(source)


# ------------------------------------------------------------------------------------------------ cameras that hang


def test_a_camera_that_hangs_is_left_and_opened_anew_and_its_last_frame_not_repeated(
    gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    camera = Camera([1, gate.wait, 99], [2, gate.wait])
    with live(camera, stall_s=0.05) as source:
        frames = iter(source)
        assert [value(next(frames)), value(next(frames))] == [1, 2]
        assert source.counts["reconnects"] == 1
        assert "cam: no frame for 0.05 s; trying to reopen it" in caplog.messages
        gate.set()
        source.close()
        assert list(frames) == []
    until(lambda: camera.closed == 2)


def test_a_camera_that_hangs_from_the_start_is_an_error(gate: threading.Event) -> None:
    source = live(Camera([gate.wait]), stall_s=0.05, open_s=0.1)
    with source, pytest.raises(SourceError, match=r"no frame for 0\.15 s"):
        next(iter(source))


def test_a_camera_may_take_longer_to_open_than_to_give_a_frame() -> None:
    with live(Camera([partial(time.sleep, 0.2), 1]), stall_s=0.05) as source:
        assert value(next(iter(source))) == 1


def test_when_hanging_reads_pile_up_the_run_ends_so_that_a_supervisor_restarts_it(gate: threading.Event) -> None:
    camera = Camera([1, gate.wait], [2, gate.wait], [3, gate.wait], [4, gate.wait])
    with live(camera, stall_s=0.05) as source:
        frames = iter(source)
        assert [value(next(frames)) for _ in range(3)] == [1, 2, 3]
        with pytest.raises(SourceError, match="3 reads hang in the driver"):
            next(frames)


def test_a_hanging_read_that_keeps_the_device_busy_ends_the_run_in_the_end(gate: threading.Event) -> None:
    camera = Camera([1, gate.wait])
    camera.lives += [[raised(SourceError("cam: busy"))]] * 1000
    with live(camera, stall_s=0.05, hung_s=0.1) as source, pytest.raises(SourceError, match="1 reads hang"):
        list(source)
    assert camera.opened < 1000


def test_a_hanging_read_that_ends_later_is_no_longer_held_against_the_camera(gate: threading.Event) -> None:
    gates = [threading.Event() for _ in range(6)]
    camera = Camera()
    camera.lives += [[index, gates[index].wait] for index in range(6)]
    with live(camera, stall_s=0.05) as source:
        frames = iter(source)
        for index in range(6):
            assert value(next(frames)) == index
            if index:
                gates[index - 1].set()
                until(partial(camera.has_closed, index))
        gates[5].set()
    assert source.counts["reconnects"] == 5


# ------------------------------------------------------------------------------------------------ closing


def test_close_from_another_thread_ends_a_wait_for_a_frame() -> None:
    camera = Camera([1, lambda: until(lambda: source.closed)])
    source = live(camera)
    frames = iter(source)
    next(frames)
    closer = threading.Timer(0.02, source.close)
    closer.start()
    assert list(frames) == []
    closer.join()
    assert camera.closed == 1


def test_close_ends_a_pause_between_attempts() -> None:
    source = live(Camera([1]), first_backoff_s=1000)
    frames = iter(source)
    next(frames)
    closer = threading.Timer(0.02, source.close)
    closer.start()
    assert list(frames) == []
    closer.join()


def test_closing_a_camera_gives_it_back_and_may_be_repeated(gate: threading.Event) -> None:
    gate.set()
    camera = Camera([1, *[2] * 10_000_000])
    with live(camera) as source:
        next(iter(source))
        source.close()
    source.close()
    assert camera.closed == 1
    assert list(source) == []


def test_leaving_the_loop_gives_the_camera_back(gate: threading.Event) -> None:
    camera = Camera([1, *[2] * 1000, gate.wait])
    gate.set()
    source = live(camera)
    for _ in source:
        break
    until(lambda: camera.closed == 1)


# ------------------------------------------------------------------------------------------------ V4L2


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeCapture]:
    """A /dev with three cameras, and an OpenCV that opens them."""
    for name in ("video0", "video10", "video2"):
        (tmp_path / name).touch()
    monkeypatch.setattr(v4l2, "DEV", tmp_path)
    return plugged_in(monkeypatch, [picture(7)])


def camera_source(uri: str, **settings: Any) -> Source:
    return open_source(config.Source(uri=uri, reconnect=False, **settings))


@pytest.mark.parametrize(("size_wh", "code"), [((640, 480), "YUYV"), ((1280, 720), "MJPG")])
def test_a_v4l2_camera_is_asked_for_format_size_rate_and_a_short_queue(
    fake: type[FakeCapture], tmp_path: Path, size_wh: tuple[int, int], code: str
) -> None:
    with camera_source("2", size_wh=size_wh, fps=15) as source:
        frame = next(iter(source))
    (capture,) = fake.made
    assert capture.address == (str(tmp_path / "video2"), cv2.CAP_V4L2)
    assert list(capture.settings.items()) == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code)),
        (cv2.CAP_PROP_FRAME_WIDTH, size_wh[0]),
        (cv2.CAP_PROP_FRAME_HEIGHT, size_wh[1]),
        (cv2.CAP_PROP_FPS, 15),
        (cv2.CAP_PROP_BUFFERSIZE, 1),
    ]
    assert (value(frame), frame.layout, frame.name) == (7, "bgr", "")
    assert capture.released


def test_a_v4l2_frame_has_the_time_of_the_driver(fake: type[FakeCapture]) -> None:
    fake.stamp_ms = (time.monotonic() - 1) * 1000
    with camera_source("0") as source:
        assert next(iter(source)).t == pytest.approx(fake.stamp_ms / 1000)


def test_a_v4l2_camera_with_damaged_frames_goes_on(fake: type[FakeCapture]) -> None:
    fake.pictures = [None, None, picture(3)]
    with camera_source("0") as source:
        assert value(next(iter(source))) == 3


def test_a_v4l2_camera_that_is_not_there_names_those_that_are(fake: type[FakeCapture], tmp_path: Path) -> None:
    with camera_source("7") as source, pytest.raises(SourceError) as caught:
        next(iter(source))
    assert str(caught.value) == (
        f"{tmp_path}/video7: no such camera; there are {tmp_path}/video0, {tmp_path}/video2, {tmp_path}/video10"
    )


def test_without_any_v4l2_camera_the_error_says_so(
    fake: type[FakeCapture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(v4l2, "DEV", tmp_path / "empty")
    with camera_source("0") as source, pytest.raises(SourceError, match=r"no such camera; no .*/video\* is connected"):
        next(iter(source))


def test_a_v4l2_camera_without_permission_says_which_group_helps(
    fake: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with camera_source("0") as source, pytest.raises(SourceError, match=r"permission denied; add yourself .* video"):
        next(iter(source))


def test_a_v4l2_device_that_does_not_open_says_what_to_look_at(fake: type[FakeCapture]) -> None:
    fake.opens = False
    with camera_source("0") as source, pytest.raises(SourceError, match="another program may use it"):
        next(iter(source))


@pytest.mark.parametrize(
    ("shape", "layout", "kept"),
    [
        ((4, 6), "gray", (4, 6)),
        ((4, 6, 1), "gray", (4, 6)),
        ((4, 6, 3), "bgr", (4, 6, 3)),
        ((4, 6, 4), "bgr", (4, 6, 3)),
    ],
)
def test_the_layout_of_a_camera_frame_follows_its_shape(
    shape: tuple[int, ...], layout: str, kept: tuple[int, ...]
) -> None:
    image, told = colour(np.zeros(shape, np.uint8))
    assert (told, image.shape) == (layout, kept)
    assert image.flags.c_contiguous


# ------------------------------------------------------------------------------------------------ GStreamer


PIPELINE = "nvarguscamerasrc ! nvvidconv ! video/x-raw,format=(string)NV12,width=6 ! appsink"


def test_a_pipeline_needs_an_opencv_with_gstreamer_and_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   NO\n")
    with pytest.raises(ConfigError, match=r"GStreamer.*built without it.*sudo apt install python3-opencv"):
        open_source(config.Source(uri=PIPELINE))
    with pytest.raises(ConfigError, match=r"source.uri is csi:1, which takes GStreamer.*python3-opencv"):
        open_source(config.Source(uri="csi:1"))


def test_a_pipeline_gives_the_format_of_its_last_caps(fake: type[FakeCapture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   YES (1.22.0)\n")
    fake.pictures = [np.zeros((6, 6), np.uint8)]
    with camera_source(PIPELINE) as source:
        frame = next(iter(source))
    assert fake.made[0].address == (PIPELINE, cv2.CAP_GSTREAMER)
    assert (frame.layout, frame.size_wh) == ("nv12", (6, 4))


@pytest.mark.parametrize(
    ("uri", "layout"),
    [
        ("a ! video/x-raw,format=NV12 ! b ! video/x-raw, format = I420 ! appsink", "i420"),
        ('a ! video/x-raw,format="NV12" ! appsink', "nv12"),
        ("a ! video/x-raw,format=BGR ! appsink", None),
        ("a ! appsink", None),
    ],
)
def test_a_pipelines_yuv_layout_is_read_from_its_text(uri: str, layout: str | None) -> None:
    assert stream.pipeline_yuv(uri) == layout


CSI_PIPELINE = (
    "nvarguscamerasrc sensor-id=%d ! video/x-raw(memory:NVMM), format=NV12, framerate=%s ! nvvidconv ! "
    "video/x-raw, format=I420, width=%d, height=%d ! appsink drop=true max-buffers=1 sync=false"
)
"""As documented for nvarguscamerasrc and nvvidconv: sensor-id, then the rate of the sensor, then the scaled size."""


@pytest.mark.parametrize(
    ("uri", "settings", "made_of"),
    [
        ("csi", {}, (0, "30/1", 640, 480)),
        ("csi:1", {"size_wh": (1281, 721), "fps": 29.97}, (1, "2997/100", 1280, 720)),
        ("csi:", {"fps": 7.5}, (0, "15/2", 640, 480)),
    ],
)
def test_a_jetsons_ribbon_camera_is_a_pipeline(uri: str, settings: dict[str, Any], made_of: tuple[Any, ...]) -> None:
    assert stream.pipeline_of(config.Source(uri=uri, **settings)) == CSI_PIPELINE % made_of


def test_a_jetsons_ribbon_camera_gives_its_yuv(fake: type[FakeCapture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   YES (1.22.0)\n")
    fake.pictures = [np.zeros((720, 640), np.uint8)]
    with camera_source("csi:1") as source:
        frame = next(iter(source))
    assert fake.made[0].address == (CSI_PIPELINE % (1, "30/1", 640, 480), cv2.CAP_GSTREAMER)
    assert (frame.layout, frame.size_wh) == ("i420", (640, 480))


def test_a_ribbon_camera_without_a_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected csi or csi:N"):
        open_source(config.Source(uri="csi:left"))


# ------------------------------------------------------------------------------------------------ a real HTTP stream


class MjpegServer:
    """A camera that streams plain grey JPEGs, brighter by 10 with each connection, until it is told to stop."""

    def __init__(self, port: int = 0, brightness: int = 50) -> None:
        self.running = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                good, data = cv2.imencode(".jpg", np.full((48, 64, 3), brightness, np.uint8))
                assert good
                part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % data.size
                try:
                    while outer.running:
                        self.wfile.write(part + data.tobytes() + b"\r\n")
                        time.sleep(0.005)
                except OSError:
                    return

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = True

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        self.running = False
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def test_an_http_stream_survives_the_death_of_its_server(caplog: pytest.LogCaptureFixture) -> None:
    server = MjpegServer(brightness=50)
    cfg = config.Source(uri=f"http://me:s3cret@127.0.0.1:{server.port}/cam", stall_s=5, backoff_max_s=0.5)
    with open_source(cfg) as source:
        frames = iter(source)
        try:
            early = [next(frames) for _ in range(3)]
        finally:
            server.stop()
        server = MjpegServer(port=server.port, brightness=90)
        try:
            late = next(frame for frame in frames if frame.image.mean() > 70)
        finally:
            source.close()
            server.stop()
    assert [round(float(frame.image.mean())) for frame in (*early, late)] == [50, 50, 50, 90]
    assert source.counts["reconnects"] == 1
    seqs = [frame.seq for frame in (*early, late)]
    assert seqs == sorted(set(seqs))
    assert "s3cret" not in caplog.text
    assert f"http://***@127.0.0.1:{server.port}/cam: gives no more frames; trying to reopen it" in caplog.messages


def test_a_stream_nobody_serves_is_an_error_that_says_why_and_keeps_the_password() -> None:
    server = MjpegServer()
    server.stop()
    with camera_source(f"http://me:s3cret@127.0.0.1:{server.port}/cam") as source, pytest.raises(SourceError) as caught:
        next(iter(source))
    assert str(caught.value) == (
        f"http://***@127.0.0.1:{server.port}/cam: cannot be opened; "
        f"127.0.0.1:{server.port} does not answer: Connection refused"
    )


def test_an_rtsp_address_that_is_no_camera_says_to_check_path_and_password() -> None:
    server = MjpegServer()
    try:
        source = camera_source(f"rtsp://me:s3cret@127.0.0.1:{server.port}/1")
        with source, pytest.raises(SourceError, match="answers but gives no video: check path") as caught:
            next(iter(source))
        assert "s3cret" not in str(caught.value)
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("uri", "says"), [("rtsp://cam:nan/1", "malformed"), ("udp://@:5000", "check the address"), ("rtsp://", "check")]
)
def test_an_address_that_cannot_be_asked_still_gets_an_explanation(uri: str, says: str) -> None:
    assert says in stream._why_not(uri)

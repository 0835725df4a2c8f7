"""What each power state costs: CPU time of the whole process, through a real motion-JPEG camera of our own."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.core.poses import Frame, Poses
from edgepose.pipeline import Pipeline, build
from edgepose.sink import MemorySink
from edgepose.source import open_source

SIZE_WH, FPS, SHOWN = (640, 480), 30.0, 60
"""Of the camera; how many pictures it shows again and again."""
SIGMA = 3.0
"""Noise of its sensor, grey levels."""
PERSON = Path(__file__).parents[1] / "demo" / "pictures" / "astronaut.jpg"
CALM_AFTER_S = 1.0
"""So that a measurement need not wait for it."""
SETTLE_S = 6.0
"""Before anything counts; a state that has not come by then is an error."""
PATIENCE_S = 20.0
SIDES = ("read", "empty", "calm", "active", "off")
"""The camera alone; the three states; somebody who moves with power.mode off."""


@dataclass(frozen=True)
class Cost:
    """One side."""

    name: str
    cpu: float
    """CPU seconds a second, as a share of one core."""
    fps: float
    """Frames looked at a second."""
    state: str
    """At the end."""


def pictures(name: str) -> list[bytes]:
    """JPEGs of a room: empty, with somebody who keeps still, or who moves; none is like another."""
    from edgepose.core.opencv import cv2

    rng, width, height = np.random.default_rng(3), *SIZE_WH
    room = np.linspace(70, 150, width, dtype=np.float32)[None, :, None] + np.zeros((height, 1, 3), np.float32)
    person = cv2.resize(np.asarray(cv2.imread(str(PERSON))), (300, 300), interpolation=cv2.INTER_AREA)
    sent = []
    for at in range(SHOWN):
        picture = room.copy()
        if name != "empty":
            left = 170 + (round(60 * np.sin(2 * np.pi * at / SHOWN)) if name == "active" else 0)
            picture[150:450, left : left + 300] = person
        noisy: NDArray[Any] = picture + rng.normal(0, SIGMA, (height, width, 1)).astype(np.float32)
        image = np.clip(noisy, 0, 255).astype(np.uint8)
        sent.append(bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]))
    return sent


@contextmanager
def camera(shown: Sequence[bytes], fps: float = FPS) -> Iterator[str]:
    """A network camera in a process of its own, whose CPU time is not ours; its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, list(shown), fps), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/camera.mjpg"
    finally:
        process.terminate()
        process.join()


def _serve(theirs: Connection, shown: list[bytes], fps: float) -> None:
    """Send pictures to one client after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs.send(server.getsockname()[1])
        while True:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                client.recv(4096)
                client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
                began_t = time.monotonic()
                for at, jpeg in enumerate(cycle(shown)):
                    time.sleep(max(0.0, began_t + at / fps - time.monotonic()))
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    client.sendall(head.encode() + jpeg + b"\r\n")


def costs(cfg: config.Config, seconds: float, rounds: int = 1, sides: Sequence[str] = SIDES) -> list[Cost]:
    """Each side, `rounds` times in turns; the least of each, which a busy machine disturbs least.

    Raises:
        SourceError: the camera gave nothing, or the pictures did not bring about the state.
    """
    shown = {name: pictures(name) for name in ("empty", "calm", "active")}
    taken: dict[str, list[Cost]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            with camera(shown["active" if side == "off" else "empty" if side == "read" else side]) as uri:
                taken[side].append(_read(cfg, uri, seconds) if side == "read" else _run(cfg, uri, side, seconds))
    return [min(of, key=lambda cost: cost.cpu) for of in taken.values()]


def _with(cfg: config.Config, uri: str, mode: str) -> config.Config:
    replace = msgspec.structs.replace
    source = replace(cfg.source, uri=uri, kind="auto", fps=FPS, size_wh=SIZE_WH)
    return replace(cfg, source=source, power=replace(cfg.power, mode=mode, calm_after_s=CALM_AFTER_S))


def _read(cfg: config.Config, uri: str, seconds: float) -> Cost:
    """The camera's frames are taken, and nothing is done with them."""
    frames, began_t, began_s = 0, 0.0, 0.0
    opened_t = time.monotonic()
    with open_source(_with(cfg, uri, "off").source) as source:
        for frame in source:
            if not began_t and time.monotonic() - opened_t > 1:
                began_t, began_s = time.monotonic(), time.process_time()
            frames += bool(began_t)
            if began_t and frame.t - began_t > seconds:
                break
        spent_s, lasted_s = time.process_time() - began_s, time.monotonic() - began_t
    return Cost("read", spent_s / lasted_s, frames / lasted_s, "")


class _Meter:
    """Waits for a state, then measures."""

    def __init__(self, pipeline: Pipeline, side: str, seconds: float) -> None:
        self._pipeline, self._side, self._seconds = pipeline, side, seconds
        self._opened_t = time.monotonic()
        self._began: tuple[float, float, int] | None = None
        self.cost: Cost | None = None

    def saw(self, _poses: Poses, _frame: Frame) -> None:
        """Called for each frame that is looked at."""
        now, governor = time.monotonic(), self._pipeline.governor
        state = "off" if governor is None else governor.report().state
        looked = self._pipeline.control.looked
        if self._began is None:
            if now - self._opened_t > SETTLE_S and state == self._side:
                self._began = now, time.process_time(), looked
            elif now - self._opened_t > SETTLE_S + PATIENCE_S:
                self._pipeline.stop()
        elif now - self._began[0] >= self._seconds:
            lasted_s = now - self._began[0]
            cpu = (time.process_time() - self._began[1]) / lasted_s
            self.cost = Cost(self._side, cpu, (looked - self._began[2]) / lasted_s, state)
            self._pipeline.stop()


def _run(cfg: config.Config, uri: str, side: str, seconds: float) -> Cost:
    with build(_with(cfg, uri, "off" if side == "off" else "auto"), sinks=[MemorySink(1)]) as pipeline:
        meter = _Meter(pipeline, side, seconds)
        pipeline.run(meter.saw)
    if meter.cost is None:
        raise SourceError(
            f"bench: the pictures did not bring about the state {side}; is power.ignore over all of them?"
        )
    return meter.cost


def say(measured: Sequence[Cost]) -> str:
    """A table for a terminal."""
    by = {cost.name: cost for cost in measured}
    names = {"read": "reading the camera alone", "off": "active, power.mode off"}
    lines = [f"{'state':<28}{'% of a core':>12}{'frames looked at a second':>28}"]
    lines += [f"{names.get(c.name, c.name):<28}{100 * c.cpu:>12.1f}{c.fps:>28.1f}" for c in measured]
    for name, over in (("empty", "read"), ("calm", "active"), ("active", "off")):
        if name in by and over in by:
            lines.append(f"{name} / {names.get(over, over)}: {by[name].cpu / max(by[over].cpu, 1e-9):.2f}")
    return "\n".join(lines) + "\n"


def page_of(measured: Sequence[Cost]) -> str:
    """One HTML document."""
    from html import escape

    from edgepose.lab.page import document, header, panel, section

    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    table = panel(f"<pre>{escape(say(measured))}</pre>")
    about = f"A motion-JPEG camera of {SIZE_WH[0]}x{SIZE_WH[1]} at {FPS:g} Hz; CPU time of the whole process."
    return document(
        "edgepose: what each power state costs",
        header("What each power state costs", when, [about]) + section("CPU time", "", table),
    )

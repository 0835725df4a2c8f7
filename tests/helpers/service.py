"""A service for tests: a camera made of pictures, a pipeline, the parts around it, all in this process."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import COCO17, Frame, Poses, Skeleton
from edgepose.engine import Engine
from edgepose.estimate import Found
from edgepose.pipeline import Pipeline, build
from edgepose.service.run import Service
from edgepose.source.base import IDLE_S, BaseSource, Source
from tests.helpers.broker import Subscriber, wait_until

PICTURES = Path(__file__).resolve().parents[2] / "edgepose" / "lab" / "demo" / "pictures"


def picture(name: str = "astronaut.jpg") -> NDArray[np.uint8]:
    image = cv2.imread(str(PICTURES / name), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


class Camera(BaseSource):
    """Gives the same picture all the time, and tells whoever waits; `away` is a cable pulled out."""

    live = True

    def __init__(self, image: NDArray[np.uint8], fps: float = 20.0) -> None:
        super().__init__()
        self.image, self.fps, self.away = image, fps, False

    def __iter__(self) -> Iterator[Frame]:
        seq = -1
        while not self.closed:
            if self.away:
                time.sleep(IDLE_S / 10)
                self.idle("camera: away")
                continue
            time.sleep(1 / self.fps)
            seq, t = seq + 1, time.monotonic()
            self.counts["frames"] += 1
            yield Frame(self.image, "bgr", t, t, seq)


class Looks:
    """An estimate that needs no model: one person who stands still."""

    def __init__(self, skeleton: Skeleton = COCO17) -> None:
        self.skeleton: Skeleton = skeleton
        self.engines: tuple[Engine, ...] = ()
        self.counts = {"invokes": 0, "crops": 0}
        self.enter_score, self.stay_score = 0.5, 0.25
        self.believe_score: float | None = None
        self.closed = False
        self.people = 1

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:
        assert not self.closed
        now = time.monotonic()
        self.counts["invokes"] += 1
        n, k = self.people, len(self.skeleton.joints)
        xy = np.stack([np.linspace(20, 120, k), np.linspace(10, 200, k)], axis=1).astype(np.float32)
        xy = np.stack([xy + 150 * row for row in range(n)]) if n else np.zeros((0, k, 2), np.float32)
        poses = Poses(
            frame.t, frame.taken_t, frame.seq, frame.name, frame.size_wh, self.skeleton, xy,
            np.full((n, k), 0.9, np.float32), np.full(n, 0.9, np.float32), np.full(n, -1, np.int32),
        )  # fmt: skip
        return Found(poses, now, now, now)

    def close(self) -> None:
        self.closed = True


def settings(folder: Path, broker: str = "", **more: Any) -> config.Config:
    """Of a service at a broker."""
    mqtt = {"broker": broker, "spool": str(folder), "health_every_s": 0.5}
    mqtt |= more.pop("mqtt", {})
    raw = {"device": "kitchen", "camera": "door", "sink": {"mqtt": mqtt}, **more}
    return config.convert(raw, config.Config, "test")


@contextlib.contextmanager
def running(cfg: config.Config, source: Source | None = None, sinks: Any = None) -> Iterator[Service]:
    """Build it, run it in a thread, end it."""
    pipeline = build(cfg, source=source or Camera(picture()), sinks=sinks)
    with pipeline, Service(cfg, pipeline) as service, in_a_thread(pipeline, service):
        yield service


@contextlib.contextmanager
def in_a_thread(pipeline: Pipeline, service: Service | None = None) -> Iterator[threading.Thread]:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            pipeline.run(*([service.saw] if service else []))
        except BaseException as error:  # noqa: BLE001  shown by the test's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="test run")
    thread.start()
    try:
        yield thread
    finally:
        pipeline.stop()
        thread.join(20)
        assert not thread.is_alive(), "the run does not end"
    assert not failed, failed


class Asker:
    """Sends commands, and finds their answers."""

    def __init__(self, subscriber: Subscriber, root: str = "edgepose/kitchen/door") -> None:
        self.subscriber, self.root, self._asked = subscriber, root, 0

    def send(self, name: str, payload: bytes) -> None:
        self.subscriber._client.publish(f"{self.root}/control/{name}", payload, 1)

    def ask(self, name: str, timeout_s: float = 15.0, **fields: Any) -> dict[str, Any]:
        """Its answer."""
        self._asked += 1
        id_ = f"{name}-{self._asked}"
        self.send(name, json.dumps({"id": id_, **fields}).encode())
        return self.answer_to(id_, timeout_s)

    def answer_to(self, id_: str, timeout_s: float = 15.0) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def came() -> bool:
            found.extend(a for a in self.answers() if a.get("id") == id_)
            return bool(found)

        wait_until(came, f"an answer to {id_}", timeout_s)
        return found[0]

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.subscriber.payloads("/control/answer")]

    def latest(self, ending: str) -> dict[str, Any]:
        payloads = [m.payload for m in list(self.subscriber.messages) if m.topic == f"{self.root}{ending}"]
        return json.loads(payloads[-1]) if payloads else {}

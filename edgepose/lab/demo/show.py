"""The demo itself: run the pipeline, listen at the broker, judge what comes back, keep a picture of it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgepose.core import config, oks
from edgepose.core.errors import SinkError
from edgepose.core.opencv import cv2
from edgepose.core.poses import COCO17, SKELETONS, Frame, Poses, Skeleton
from edgepose.core.secret import masked
from edgepose.lab.demo.broker import local_broker
from edgepose.lab.demo.listener import Listener
from edgepose.lab.demo.scene import SceneSource
from edgepose.lab.output import say
from edgepose.pipeline import Pipeline, build, described
from edgepose.sink.draw import bgr, draw
from edgepose.sink.mqtt.target import target
from edgepose.sink.whole import put_whole

SETTLE_S = 3.0
"""How long the last messages may take."""
RIGHT_OKS = 0.5
ENOUGH = 0.9
"""Share of the messages that must show the marked person, with at least RIGHT_OKS."""


Scene = tuple[NDArray[np.uint8], dict[str, Any]]
"""A picture and the message that came back for it."""


def show(cfg: config.Config, seconds: float, picture: Path) -> int:
    """Run for `seconds`, print what comes back, save `picture`; 0 only if correct poses came back."""
    own_source = not cfg.source.uri
    cfg = _with_broker(cfg, events=False)  # a demo leaves nothing on disk
    with ExitStack() as stack:
        if not cfg.sink.mqtt.broker:
            url, name = stack.enter_context(local_broker())
            # the Python broker knows no MQTT 5; finding that out would take the sink some seconds
            cfg = _with_broker(cfg, broker=url, **({"protocol": "3.1.1"} if name == "amqtt" else {}))
            say(f"broker   {name} at {url}, started for this demo")
        else:
            say(f"broker   {cfg.sink.mqtt.broker}")
        there = target(cfg.sink.mqtt, cfg.device_name, cfg.camera)
        listener = stack.enter_context(Listener(there))
        scene = SceneSource(seconds) if own_source else None
        pipeline = stack.enter_context(build(cfg, source=scene))
        for engine in pipeline.estimate.engines:
            say(f"model    {described(engine)}")
        say(f"source   {'two photographs under a moving camera' if own_source else masked(cfg.source.uri)}")
        say(f"topic    {there.root}/poses")
        watcher = Watcher(pipeline, listener, seconds)
        with pipeline.publishing() as publish:
            for seen in pipeline:
                publish(seen)
                watcher.saw(seen.poses, seen.frame)
                if watcher.done:
                    break
        watcher.settle()
        watcher.report("total")
        scenes = _best_scenes(scene, listener) if scene else watcher.last_scene()
        verdict = _judge_scene(scene, listener) if scene else _judge_any(watcher, listener)
    if scenes:
        save(scenes, picture)
        say(f"picture  {picture}")
    compared = "correct poses" if own_source else "poses of your own source, compared with nothing,"
    say(verdict or f"result   {compared} came back through the broker")
    return 1 if verdict else 0


def _with_broker(cfg: config.Config, **change: Any) -> config.Config:
    mqtt = msgspec.structs.replace(cfg.sink.mqtt, **change)
    return msgspec.structs.replace(cfg, sink=msgspec.structs.replace(cfg.sink, mqtt=mqtt))


class Watcher:
    """Counts what was sent, prints what came back once a second, says when the time is up."""

    def __init__(self, pipeline: Pipeline, listener: Listener, seconds: float) -> None:
        self.pipeline, self.listener = pipeline, listener
        self.sent: list[int] = []
        """seq of every frame that went through."""
        self.started_t = self.told_t = time.monotonic()
        self.until_t = self.started_t + seconds
        self.told = 0
        self.last: tuple[Frame, int] | None = None
        """The last frame with somebody in it, and its seq."""

    def saw(self, poses: Poses, frame: Frame) -> None:
        """One more frame went through."""
        self.sent.append(poses.seq)
        if len(poses):
            self.last = frame, poses.seq
        now = time.monotonic()
        if now - self.told_t >= 1:
            self.report(f"{now - self.started_t:4.0f} s")
            self.told_t, self.told = now, len(self.listener.latency_ms)

    @property
    def done(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.until_t

    def report(self, head: str) -> None:
        """Print a line on the messages that came since the last one, or on all of them."""
        whole = head == "total"
        latency = self.listener.latency_ms[0 if whole else self.told :]
        if not latency:
            say(f"{head:>7}  nothing came back yet")
            return
        since_t = self.started_t if whole else self.told_t
        rate = len(latency) / (time.monotonic() - since_t)
        newest = self.listener.messages[max(self.listener.messages)]
        p50, p95 = np.percentile(latency, (50, 95))
        people = "" if whole else f"  people {len(newest['people'])}"
        count = f"{len(latency)} of {len(self.sent)} messages" if whole else f"{rate:5.1f} poses/s"
        say(f"{head:>7}  {count}{people}  camera to subscriber p50 {p50:.1f} ms  p95 {p95:.1f} ms")

    def settle(self) -> None:
        """Close the sinks, which flushes them, and wait for the last messages."""
        for sink in self.pipeline.sinks:
            sink.close()
        until = time.monotonic() + SETTLE_S
        while self.sent and self.sent[-1] not in self.listener.messages and time.monotonic() < until:
            time.sleep(0.02)

    def last_scene(self) -> list[Scene]:
        """The last frame with somebody in it, with the message that came back for it."""
        if self.last is None or self.last[1] not in self.listener.messages:
            return []
        frame, seq = self.last
        return [(bgr(frame), self.listener.messages[seq])]


def poses_of(message: dict[str, Any]) -> Poses:
    """What a message says, as Poses: how a reader sees it."""
    name, names = message["skeleton"], tuple(message["joints"])
    skeleton = SKELETONS.get(name) or Skeleton(name, names, bones=(), sigmas=())  # a model may bring its own
    missing = [np.nan, np.nan, 0.0]
    rows = [[joint or missing for joint in person["keypoints"]] for person in message["people"]]
    joints = np.array(rows, np.float32).reshape(-1, len(skeleton.joints), 3)
    return Poses(
        t=0.0,
        taken_t=0.0,
        seq=message["seq"],
        name=message.get("source", ""),
        size_wh=tuple(message["size_wh"]),
        skeleton=skeleton,
        xy=joints[..., :2],
        score=joints[..., 2],
        person_score=np.array([person["score"] for person in message["people"]], np.float32),
        track_id=np.array([-1 if person["id"] is None else person["id"] for person in message["people"]], np.int32),
    )


def likeness(truth: NDArray[np.float32], message: dict[str, Any]) -> float:
    """Highest OKS of anybody in the message to the marked joints; a marked joint that is missing counts as 0.

    truth  (17, 2) as COCO17, NaN where not marked; joints that the message's skeleton does not have are left out
    """
    poses = poses_of(message)
    marked = {name: at for at, name in enumerate(COCO17.joints) if not np.isnan(truth[at]).any()}
    known = [name for name in marked if name in poses.skeleton.joints]
    if not len(poses) or not known:
        return 0.0
    at = [marked[name] for name in known]
    found = poses.xy[:, [poses.skeleton.joints.index(name) for name in known]]
    xy = np.where(np.isnan(found), np.float32(1e6), found)
    area = oks.AREA_OF_BOX * np.ptp(truth[at], axis=0).prod()
    distance2 = ((xy - truth[at]) ** 2).sum(axis=2)
    return float(np.exp(-distance2 / (2 * area * (2 * np.array(COCO17.sigmas)[at]) ** 2)).mean(axis=1).max())


def _judge_scene(scene: SceneSource, listener: Listener) -> str:
    """Compare every message with the marked joints; says what is wrong, empty if nothing is."""
    alike = np.array([likeness(scene.truth(seq), message) for seq, message in listener.messages.items()])
    if not len(alike):
        return "FAILED   no message came back through the broker; see its log"
    right = float((alike >= RIGHT_OKS).mean())
    say(f"checked  {right:.0%} of {len(alike)} messages show the marked joints, mean OKS {alike.mean():.2f}")
    if listener.broken:
        return f"FAILED   {len(listener.broken)} messages are not what they should be: {listener.broken[0][:80]!r}"
    if right < ENOUGH:
        return f"FAILED   only {right:.0%} of the messages show the marked person, expected {ENOUGH:.0%}"
    return ""


def _judge_any(watcher: Watcher, listener: Listener) -> str:
    """Without marks: messages must come back, be sound, and somebody must have been seen."""
    if not watcher.sent:
        return "FAILED   the source gave no frame"
    if not listener.messages:
        return "FAILED   no message came back through the broker; see its log"
    if listener.broken:
        return f"FAILED   {len(listener.broken)} messages are not what they should be: {listener.broken[0][:80]!r}"
    if not any(message["people"] for message in listener.messages.values()):
        return "FAILED   messages came back, but nobody was seen; is a person in view?"
    return ""


def _best_scenes(scene: SceneSource, listener: Listener) -> list[Scene]:
    """For each photograph the frame whose message fits best."""
    best: dict[str, tuple[float, int]] = {}
    for seq, message in listener.messages.items():
        name, _ = scene.views[seq]
        best[name] = max(best.get(name, (-1.0, -1)), (likeness(scene.truth(seq), message), seq))
    return [(scene.image(seq), listener.messages[seq]) for _, seq in best.values()]


def save(scenes: list[Scene], path: Path) -> None:
    """Draw each message on its picture, side by side, into one file.

    Raises:
        SinkError: the file cannot be written.
    """
    height = min(image.shape[0] for image, _ in scenes)
    drawn = []
    for image, message in scenes:
        picture = draw(image, poses_of(message))
        width = max(1, round(picture.shape[1] * height / picture.shape[0]))
        drawn.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
    try:
        done, data = cv2.imencode(path.suffix, np.hstack(drawn))
    except cv2.error as error:
        raise SinkError(f"{path}: not a picture's name ({error.err}); give --picture NAME.jpg") from None
    try:
        put_whole(path, data.tobytes() if done else b"")
    except OSError as error:
        raise SinkError(f"{path}: {error.strerror}; give another place with --picture") from None

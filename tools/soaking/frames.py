"""Memory over very many frames: the service's whole loop at full speed, with a model of 16x16 pixels.

Source, engine, tracker, smoother, MQTT sink with its spool, health and control are the real ones; what the model sees
is replaced by two people, one of whom comes and goes, for nothing that small knows people.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgepose.core import config
from edgepose.core.poses import COCO17, Frame, Poses
from edgepose.engine import Engine, open_engine
from edgepose.estimate import Found
from edgepose.service.vitals import open_files
from edgepose.source.base import BaseSource
from samples import people, tiny_models
from tools.soaking.broker import NAME, PASSWORD, Broker
from tools.soaking.report import FILES_STEP, MEMORY_STEP_MIB
from tools.soaking.service import rss_bytes
from tools.soaking.slope import Slope, slope

SAMPLES = 400
WARM = 0.2
"""Of all frames: not counted, it still compiles and fills its caches."""
TURN_S = 0.4
"""Somebody comes or goes this often."""


class FullSpeed(BaseSource):
    """A camera that always has the next frame."""

    live = True

    def __init__(self, frames: int) -> None:
        super().__init__()
        self._frames = frames
        self._image = np.full((240, 320, 3), 128, np.uint8)

    def __iter__(self) -> Iterator[Frame]:
        for seq in range(self._frames):
            if self.closed:
                return
            self.counts["frames"] += 1
            now = time.monotonic()
            yield Frame(self._image, "bgr", now, now, seq)


class TwoPeople:
    """An estimate: the engine runs on each frame, what it says is not looked at."""

    def __init__(self, engine: Engine) -> None:
        self.skeleton = COCO17
        self.engines: tuple[Engine, ...] = (engine,)
        self.counts = {"invokes": 0, "crops": 0}
        self.enter_score, self.stay_score = 0.5, 0.25
        self.believe_score: float | None = None
        self._tensor = np.zeros((tiny_models.SIZE, tiny_models.SIZE, 3), np.int8)
        self._rng = np.random.default_rng(1)

    def __call__(self, frame: Frame, expected: Poses | None) -> Found:  # noqa: ARG002 (every estimate is told)
        """One, or two of them, who tremble."""
        began_t = time.monotonic()
        self.engines[0].run(self._tensor)
        self.counts["invokes"] += 1
        inferred_t = time.monotonic()
        number = 1 + int(frame.t / TURN_S) % 2
        seen = people.poses(number, seq=frame.seq, t=frame.t, taken_t=frame.taken_t)
        seen.xy[:] += self._rng.normal(0, 0.5, seen.xy.shape)
        return Found(seen, began_t, inferred_t, time.monotonic())

    def close(self) -> None:
        """Close the engine."""
        self.engines[0].close()


@dataclass
class FramesReport:
    """What came of it."""

    frames: int
    looked: int
    seconds: float
    events: int
    messages: int
    memory: Slope | None
    """MiB per 1000 frames."""
    files: Slope | None
    first_mib: float
    last_mib: float
    misses: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether nothing grows."""
        return not self.misses

    def text(self) -> str:
        """The numbers."""
        rows = {
            "frames": f"{self.looked:,} in {self.seconds:.0f} s, {self.looked / self.seconds:,.0f} a second",
            "poses taken by the broker": f"{self.messages:,}",
            "events taken by the broker": f"{self.events:,}",
            "memory": f"{self.first_mib:.2f} MiB after the first fifth, {self.last_mib:.2f} at the end",
            "memory, slope": _told(self.memory, "KiB per 1,000 frames", 1024, MEMORY_STEP_MIB, "MiB"),
            "open files, slope": _told(self.files, "per 1,000 frames", 1, FILES_STEP, "files"),
        }
        lines = [f"{name:<28} {text}" for name, text in rows.items()]
        return "\n".join([*lines, "", *(f"NOT MET: {miss}" for miss in self.misses)] if self.misses else lines)

    def plain(self) -> dict[str, Any]:
        """The same for json."""
        told = {name: each._asdict() if isinstance(each, Slope) else each for name, each in vars(self).items()}
        return {"schema": "edgepose.soak-frames/1", "met": self.met, **told}


def frames(number: int) -> FramesReport:
    """Run them all."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgepose-soak-")))
        folder.chmod(0o755)
        broker = Broker(folder / "broker")
        stack.callback(broker.kill)
        return _run(number, folder, broker)


def _run(number: int, folder: Path, broker: Broker) -> FramesReport:
    from edgepose.pipeline import Pipeline, stages_of
    from edgepose.service.run import Service
    from edgepose.sink import open_sinks

    password = folder / "password"
    password.touch(0o600)
    password.write_text(PASSWORD + "\n")
    cfg = config.load(
        None,
        {
            "device": "board", "camera": "frames", "track.memory_s": 0.1,
            "engine.model": str(tiny_models.write(folder)),
            "sink.mqtt.broker": f"mqtt://127.0.0.1:{broker.plain}", "sink.mqtt.username": NAME,
            "sink.mqtt.password_file": str(password), "sink.mqtt.spool": str(folder), "sink.mqtt.health_every_s": 1.0,
        },
    )  # fmt: skip
    source, estimate = FullSpeed(number), TwoPeople(open_engine(cfg.engine))
    sinks = open_sinks(cfg, live=True)
    pipeline = Pipeline(source, stages_of(cfg, source, estimate), sinks)
    sampled, taken = np.zeros((SAMPLES, 3), np.int64), 0  # made before, so that noting them takes no memory
    every = max(1, number // SAMPLES)
    began_t = time.monotonic()
    with pipeline, Service(cfg, pipeline) as service:

        def saw(poses: Poses, frame: Frame) -> None:
            nonlocal taken
            service.saw(poses, frame)
            if taken < SAMPLES and pipeline.control.looked >= (taken + 1) * every:
                sampled[taken] = pipeline.control.looked, rss_bytes(os.getpid()), open_files() or 0
                taken += 1
                if taken % (SAMPLES // 10) == 0:
                    mib = sampled[taken - 1, 1] / 2**20
                    print(f"soak: {pipeline.control.looked:,} frames, {mib:.2f} MiB", file=sys.stderr, flush=True)

        pipeline.run(saw)
        seconds = time.monotonic() - began_t
        sink = sinks[0]
    kept = sampled[round(WARM * taken) : taken]
    thousands = kept[:, 0] / 1000
    report = FramesReport(
        frames=number,
        looked=pipeline.control.looked,
        seconds=seconds,
        events=int(getattr(sink, "spool_counts", {}).get("sent", 0)),
        messages=int(sink.counts["sent"]),
        memory=slope(thousands, kept[:, 1] / 2**20),
        files=slope(thousands, kept[:, 2]),
        first_mib=float(kept[0, 1]) / 2**20,
        last_mib=float(kept[-1, 1]) / 2**20,
    )
    for what, found, step in (("memory", report.memory, MEMORY_STEP_MIB), ("open files", report.files, FILES_STEP)):
        if found is None:
            report.misses.append(f"{what}: too few samples for a slope")
        elif found.slope > 0 and not found.level(step):
            report.misses.append(f"{what} grow by {found.slope * found.span:.2f} over {found.span:.0f} thousand frames")
    return report


def _told(found: Slope | None, unit: str, factor: float, step: float, what: str) -> str:
    if found is None:
        return "too few samples"
    low, middle, high = (factor * each for each in (found.low, found.slope, found.high))
    return f"{middle:+.4f} {unit}, 95 % interval {low:+.4f} to {high:+.4f}: {found.verdict(step, what)}"

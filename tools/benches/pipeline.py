"""The whole pipeline: against the bare invoke of its model, and from decoded poses to a subscriber's callback."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

from edgepose.core import config
from edgepose.engine.zoo import find_model, verify_model
from edgepose.lab.bench.measure import measure
from edgepose.lab.bench.source import Again, AsCamera, scene_frames
from edgepose.lab.demo.broker import local_broker
from edgepose.pipeline import build
from edgepose.sink import MemorySink
from tools.benches.peers import clip
from tools.benches.row import Row, SkipRowError

MODEL = "movenet_lightning_192"
FRAMES = 120
"""Of a run; the first quarter warms up."""
ROUNDS = 7
PUBLISH_S = 20.0


def _frame_s(cfg: config.Config, source: Again | None) -> float:
    """Seconds a frame, from the first quarter of a run to its end."""
    stamps = []
    with build(cfg, source=source, sinks=[MemorySink(1)]) as pipeline, pipeline.publishing() as publish:
        for seen in islice(pipeline, FRAMES):
            publish(seen)
            stamps.append(time.perf_counter())
    first = FRAMES // 4
    return (stamps[FRAMES - 1] - stamps[first]) / (FRAMES - 1 - first)


def pipeline_vs_invoke() -> Row:
    """Frames per second of everything over 1 / bare invoke, one thread: the worse of pictures in memory and a video.

    Crops, ids and smoothing are on, as they come. Bare bursts lie between the runs.
    """
    cfg = config.load(None, {"engine.model": MODEL, "engine.threads": 1})
    with build(cfg, source=Again([], number=1), sinks=[MemorySink(1)]) as pipeline:
        runtime = pipeline.engine.runtime
    bare = runtime.interpreter(model_content=verify_model(find_model(MODEL))[2], num_threads=1)
    bare.allocate_tensors()

    def bare_s() -> float:
        taken = []
        for _ in range(FRAMES // 2):
            began = time.perf_counter()
            bare.invoke()
            taken.append(time.perf_counter() - began)
        return median(taken)

    frames = scene_frames()
    with tempfile.TemporaryDirectory() as folder:
        video = config.load(None, {"engine.model": MODEL, "engine.threads": 1, "source.uri": str(clip(Path(folder)))})
        runs: dict[str, Callable[[], float]] = {
            "list": lambda: _frame_s(cfg, Again(frames)),
            "video": lambda: _frame_s(video, None),
        }
        ratios: dict[str, list[float]] = {name: [] for name in runs}
        invokes = [bare_s()]
        for _ in range(ROUNDS):
            for name, run in runs.items():
                taken = run()
                invokes.append(bare_s())
                ratios[name].append((invokes[-2] + invokes[-1]) / 2 / taken)
    sides = {name: median(found) for name, found in ratios.items()}
    worst = min(sides.values())
    return Row("pipeline_vs_invoke", worst, "ratio", 0.97, {**sides, "invoke_ms": median(invokes) * 1e3}, at_least=True)


def publish_p99() -> Row:
    """Milliseconds from decoded poses to the callback of a subscriber in another process, 99 %: a camera at 30 Hz."""
    if not shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"):
        raise SkipRowError("mosquitto is not installed")
    frames, found = scene_frames(), []
    with local_broker() as (url, _):
        cfg = config.load(None, {"engine.model": MODEL, "engine.threads": 1, "sink.mqtt.broker": url})
        for _ in range(3):
            run = measure("publish", cfg, AsCamera(frames), PUBLISH_S, subscribe=True)
            if run is not None:
                found.append(run.stages["to_subscriber"])
    p50, p95, p99, longest = (median(column) for column in zip(*found, strict=True))
    return Row("publish_p99_ms", p99, "ms", 3.0, {"p50_ms": p50, "p95_ms": p95, "longest_ms": longest})


ROWS: dict[str, Callable[[], Row]] = {"pipeline_vs_invoke": pipeline_vs_invoke, "publish_p99_ms": publish_p99}

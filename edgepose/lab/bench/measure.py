"""One measurement: a pipeline runs for a while, and its numbers are taken once it has settled."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass

from edgepose.core import config
from edgepose.core.poses import Frame, Poses
from edgepose.core.timing import Histogram, Percentiles, percentiles_ms
from edgepose.lab.bench.board import memory_mib
from edgepose.lab.bench.source import Again
from edgepose.lab.bench.subscriber import Subscriber
from edgepose.pipeline import Pipeline, build, described
from edgepose.source import Source

WARM_S = 1.0
"""A run's first second does not count, nor does what follows while loops are still being compiled."""
TERMINAL_S = 0.2


@dataclass(frozen=True)
class Measured:
    """What one run gave."""

    name: str
    read_ahead: bool
    """A recording flat out: its frames wait in a queue, which is most of their latency."""
    models: tuple[str, ...]
    """Each with what ran it."""
    size_wh: tuple[int, int]
    frames: int
    seconds: float
    fps: float
    stages: dict[str, Percentiles]
    """Name -> milliseconds: those of the pipeline; with a subscriber "to_subscriber" from decoded and
    "camera_to_subscriber" from captured to its callback."""
    frame_ms: float
    """Mean time from taken to decoded."""
    latency: Histogram
    """Captured until the subscriber's callback, or without one until sent."""
    cpu_ms: float
    """Of all cores, per frame, of this process: reading, seeing, publishing."""
    rss_mib: float
    """Without the frames that are kept to play again, here and below."""
    peak_rss_mib: float
    """Since the process began."""
    people: float
    """In a frame, on average."""
    invokes: float
    """Inferences for a frame, on average."""
    counts: dict[str, int]
    """What was dropped, lost, late, all from the start of the run; "missing": frames that no subscriber saw."""


class _Watch:
    """Marks where the counted part of a run begins and ends it; keeps the stamps that a subscriber's are held to."""

    def __init__(self, pipeline: Pipeline, name: str, seconds: float) -> None:
        self.pipeline, self.name, self.seconds = pipeline, name, seconds
        self.began_t = self.told_t = self.last_t = time.monotonic()
        self.first_t: float | None = None
        self.cpu_s = self.cpu_end_s = 0.0
        self.people = self.invokes = 0
        self.size_wh = (0, 0)
        self.stamps: dict[int, tuple[float, float]] = {}
        """seq -> captured, decoded."""
        self.done = False
        self.terminal = sys.stderr.isatty()

    def saw(self, poses: Poses, frame: Frame) -> None:
        now = time.monotonic()
        if self.first_t is None:
            warm = now - self.began_t >= min(WARM_S, self.seconds / 2)
            if warm and not any(thread.name == "edgepose-kernels" for thread in threading.enumerate()):
                self.first_t, self.cpu_s, self.size_wh = now, time.process_time(), frame.size_wh
                self.invokes = self.pipeline.estimate.counts["invokes"]
                self.pipeline.times.restart()
            return
        self.last_t, self.cpu_end_s = now, time.process_time()
        self.people += len(poses)
        self.stamps[poses.seq] = frame.taken_t, self.pipeline.times.decoded_t(poses.seq)
        self.done = now - self.first_t >= self.seconds
        if self.terminal and now - self.told_t > TERMINAL_S:
            self.told_t = now
            left_s = max(0.0, self.seconds - (now - self.first_t))
            sys.stderr.write(f"\r{self.name}: {len(self.stamps)} frames, {left_s:.0f} s to go \033[K")
            sys.stderr.flush()

    def clear(self) -> None:
        if self.terminal:
            sys.stderr.write("\r\033[K")


def measure(
    name: str, cfg: config.Config, source: Source | None, seconds: float, *, subscribe: bool
) -> Measured | None:
    """Run `cfg` for `seconds` after it has settled; None if the source ended before anything was counted.

    source     instead of that of `cfg`
    subscribe  let a client in another process note when the poses reach it
    """
    listener = Subscriber(cfg) if subscribe else None
    if listener:
        listener.__enter__()
    try:
        with build(cfg, source=source) as pipeline:
            watch = _Watch(pipeline, name, seconds)
            try:
                with pipeline.publishing() as publish:
                    for seen in pipeline:
                        publish(seen)
                        watch.saw(seen.poses, seen.frame)
                        if watch.done:
                            break
            finally:
                watch.clear()
            kept_mib = source.kept_mib if isinstance(source, Again) else 0.0
            held, peak = (mib - kept_mib for mib in memory_mib())
            for sink in pipeline.sinks:
                sink.close()  # which sends what is left
            arrived = listener.arrivals() if listener else {}
            if watch.first_t is None or not watch.stamps:
                return None
            return _measured(pipeline, watch, (held, peak), arrived if subscribe else None)
    finally:
        if listener:
            listener.__exit__(None, None, None)


def _measured(
    pipeline: Pipeline, watch: _Watch, memory: tuple[float, float], arrived: dict[int, float] | None
) -> Measured:
    frames, seconds = len(watch.stamps), watch.last_t - (watch.first_t or 0.0)
    times = pipeline.times
    stages, latency = times.table_ms(), times.stages["latency"]
    counts = {name: count for name, count in pipeline.counts.items() if name != "frames"}
    if arrived is not None:
        from_decoded, latency = Histogram(), Histogram()
        for seq, (captured_t, decoded_t) in watch.stamps.items():
            if seq in arrived:
                latency.add(arrived[seq] - captured_t)
                from_decoded.add(arrived[seq] - decoded_t)
        counts["missing"] = sum(seq not in arrived for seq in watch.stamps)
        stages["to_subscriber"] = percentiles_ms(from_decoded)
        stages["camera_to_subscriber"] = percentiles_ms(latency)
    return Measured(
        name=watch.name,
        read_ahead=not pipeline.source.live,
        models=tuple(described(engine) for engine in pipeline.estimate.engines),
        size_wh=watch.size_wh,
        frames=frames,
        seconds=seconds,
        fps=frames / seconds,
        stages=stages,
        frame_ms=(times.stages["infer"].mean_s + times.stages["decode"].mean_s) * 1e3,
        latency=latency,
        cpu_ms=(watch.cpu_end_s - watch.cpu_s) / frames * 1e3,
        rss_mib=memory[0],
        peak_rss_mib=memory[1],
        people=watch.people / frames,
        invokes=(pipeline.estimate.counts["invokes"] - watch.invokes) / frames,
        counts=counts,
    )

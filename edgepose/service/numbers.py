"""The numbers of a running pipeline, gathered in one place: `health`, the metrics and `status` tell the same."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from edgepose.core.timing import Histogram
from edgepose.service.vitals import Board, Vitals

if TYPE_CHECKING:
    from edgepose.core.poses import Frame, Poses
    from edgepose.pipeline import Pipeline
    from edgepose.pipeline.power.governor import Report
    from edgepose.sink.base import Topics

FPS_S = 5.0
"""Over which the frame rate is counted."""
CPU_S = 0.5
"""Over less time CPU time is not reported: its clock is coarse."""
VITALS_S = 1.0
"""How often process and board are looked at; the latter more seldom, see edgepose.service.vitals."""
WINDOW_S = 30.0
"""Percentiles are of the last one to two of these."""


class Numbers(NamedTuple):
    """At one moment; counters from the start of the run."""

    uptime_s: float
    people: int
    """In the newest frame; 0 while nobody looks."""
    fps: float
    """Frames looked at a second, over the last FPS_S."""
    counts: dict[str, int]
    """See COUNTERS."""
    stages: dict[str, Histogram]
    """Stage of edgepose.core.timing -> how long it took, from the start of the run."""
    lately: dict[str, Histogram]
    """The same of the last WINDOW_S to twice that."""
    spool: dict[str, int]
    """Events: kept, dropped, failed; empty without a spool."""
    delegate: str
    """What computes, where it is not the CPU as asked."""
    vitals: Vitals
    cpu: float | None = None
    """CPU time over the last FPS_S, as a share of one core."""
    power: Report | None = None
    """None: every frame is looked at."""


class Counter(NamedTuple):
    """A number that only rises."""

    metric: str
    """Its name in the metrics, between edgepose_ and _total."""
    says: str


COUNTERS = {
    "frames": Counter("frames", "frames that the source gave"),
    "looked": Counter("frames_looked", "frames that a model looked at"),
    "dropped": Counter(
        "frames_dropped", "frames of a camera overwritten by newer ones before anybody had time for them"
    ),
    "skipped": Counter("frames_skipped", "frames of a camera skipped: paused, max_fps, or nothing to see"),
    "unreadable": Counter("frames_unreadable", "pictures that could not be read"),
    "lost": Counter("frames_lost", "frames without a result"),
    "late": Counter("poses_late", "poses of a camera overtaken on the way to a sink"),
    "source_reconnects": Counter("source_reconnects", "times that the camera came back"),
    "invokes": Counter("inferences", "inferences"),
    "crops": Counter("crop_inferences", "inferences that looked at a part of a frame"),
    "delegate_failures": Counter("delegate_failures", "times that the delegate failed"),
    "delegate_restarts": Counter("delegate_restarts", "times that the delegate was started again"),
    "delegate_fallbacks": Counter("delegate_fallbacks", "times that the CPU took over from the delegate"),
    "sent": Counter("poses_sent", "poses that reached the broker"),
    "overtaken": Counter("poses_overtaken", "poses dropped for newer ones while the broker was away or slow"),
    "refused": Counter("broker_refusals", "poses and logins that the broker refused"),
    "reconnects": Counter("broker_reconnects", "connections to the broker after the first"),
    "garbled": Counter("broker_messages_garbled", "messages to this device that are not as MQTT wants them"),
}
"""Keys of Numbers.counts; the last five only with a broker."""


TALLY = ("fired", "suppressed", "judged_s", "unjudged_s")
"""What is counted of each rule."""


class Gauges:
    """A part of the service: reads a pipeline."""

    def __init__(self, pipeline: Pipeline, mqtt: Topics | None, board: Board | None = None) -> None:
        self._pipeline, self._mqtt, self._board = pipeline, mqtt, board or Board()
        self._started_t = now = time.monotonic()
        self._looked = deque([(now, 0, time.process_time())])
        self.people = 0
        """Of the newest frame."""
        self._before, self._snapshot, self._snapshot_t = self._copies(), self._copies(), now
        self._invokes = self._crops = 0
        self._estimate = pipeline.estimate
        self._last: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._lock = threading.Lock()
        self._vitals, self._vitals_t = self._board.vitals(), now
        """Asked for by `tick` alone: who reads the numbers must not wait for a program that asks the firmware."""

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""

    def saw(self, poses: Poses, _frame: Frame) -> None:
        """Who is in the newest frame."""
        self.people = len(poses)

    def rules(self) -> dict[str, dict[str, float]]:
        """Of each rule: fired, suppressed, judged_s, unjudged_s; any thread."""
        tallies = getattr(self._pipeline.control.stages().meaning, "tallies", {})
        return {name: {key: getattr(tally, key) for key in TALLY} for name, tally in tallies.items()}

    def tick(self) -> None:
        """Note how many frames were looked at until now, and how the board is."""
        now = time.monotonic()
        if now - self._vitals_t >= VITALS_S:
            self._vitals, self._vitals_t = self._board.vitals(), now
            governor = self._pipeline.governor
            if governor is not None:
                governor.board(self._vitals.temperature_c, self._vitals.throttled)
        with self._lock:
            self._looked.append((now, self._pipeline.control.looked, time.process_time()))
            while len(self._looked) > 2 and now - self._looked[1][0] >= FPS_S:
                self._looked.popleft()
            if now - self._snapshot_t >= WINDOW_S:
                self._before, self._snapshot, self._snapshot_t = self._snapshot, self._copies(), now

    def read(self) -> Numbers:
        """All of it, now; any thread."""
        pipeline, now = self._pipeline, time.monotonic()
        with self._lock:
            then, looked, cpu_s = self._looked[0]
            before = self._before
            models = self._models()
        counts = {**pipeline.counts, "looked": pipeline.control.looked, **models}
        counts["source_reconnects"] = counts.pop("reconnects", 0)
        if self._mqtt is not None:
            sink = self._mqtt.counts
            counts |= {name: sink[name] for name in ("sent", "refused", "reconnects", "garbled")}
            counts["overtaken"] = sink["dropped"]
        spool = self._mqtt.spool_counts if self._mqtt is not None else {}
        stages = self._copies()
        return Numbers(
            uptime_s=now - self._started_t,
            people=0 if pipeline.control.waiting else self.people,
            fps=(pipeline.control.looked - looked) / max(now - then, 1e-3),
            counts={name: counts[name] for name in COUNTERS if name in counts},
            stages=stages,
            lately={name: stages[name].since(before[name]) for name in stages},
            spool={name: spool[name] for name in ("kept", "dropped", "failed") if name in spool},
            delegate=", ".join(dict.fromkeys(engine.ran_on for engine in pipeline.estimate.engines if engine.ran_on)),
            vitals=self._vitals,
            cpu=(time.process_time() - cpu_s) / (now - then) if now - then > CPU_S else None,
            power=None if pipeline.governor is None else pipeline.governor.report(),
        )

    def _models(self) -> dict[str, int]:
        """Counts of the models; those of replaced ones are kept, for counters only rise."""
        estimate = self._pipeline.estimate
        if estimate is not self._estimate:
            self._ended = {name: count + self._ended.get(name, 0) for name, count in self._last.items()}
            self._estimate = estimate
        engines = estimate.engines
        self._last = {
            "invokes": estimate.counts["invokes"],
            "crops": estimate.counts["crops"],
            **{
                f"delegate_{name}": sum(e.counts[name] for e in engines)
                for name in ("failures", "restarts", "fallbacks")
            },
        }
        return {name: count + self._ended.get(name, 0) for name, count in self._last.items()}

    def _copies(self) -> dict[str, Histogram]:
        return {name: times.copy() for name, times in self._pipeline.times.stages.items()}

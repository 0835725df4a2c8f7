"""The supervisor's watchdog is fed with what the loop does, never because a thread of ours still runs.

Alive is: the loop did a frame, or waits and says why (paused, a camera that is being reopened), within `stall_s`; and
what it did reached the sinks. A hung inference, a hung driver that holds the loop, or a hung sink ends in a restart.

READY is told with the first frame that reached the sinks, or after READY_AFTER_S with the reason why there is none.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from edgepose.service.notify import Notify

if TYPE_CHECKING:
    from edgepose.core.poses import Frame, Poses
    from edgepose.pipeline import Pipeline
    from edgepose.service.base import Host

log = logging.getLogger("edgepose.service")

READY_AFTER_S = 30.0
"""A camera that is away for this long at the start does not hold up the boot any more."""
OPEN_S = 300.0
"""Most time for models, delegates and kernels to open; then it is a hang."""
EXTEND_S = 30.0
"""Asked for, again and again, while there is progress."""
SINKS = "waits for the sinks"
"""The one wait of the loop that may be a hang too: a sink may take its time, but not for ever."""
STATUS_S = 5.0
TICK_S = 1.0


def watchdog_s(env: Mapping[str, str] | None = None) -> float:
    """How often systemd wants to hear of us, seconds; 0: it does not."""
    env = os.environ if env is None else env
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    usec = env.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isascii() and usec.isdigit() else 0.0


class Life:
    """Whether a pipeline gets anywhere. Times are monotonic seconds."""

    def __init__(self, pipeline: Pipeline, now: float) -> None:
        self._pipeline = pipeline
        self._published = self._published_before = self._done_before = 0
        self._moved_t = now
        """When something last reached the sinks, or nothing had to."""

    def published(self) -> None:
        """A frame reached the sinks."""
        self._published += 1

    @property
    def began(self) -> bool:
        """Whether one ever did."""
        return self._published > 0

    @property
    def frames(self) -> int:
        """How many did."""
        return self._published

    def trouble(self, now: float, stall_s: float) -> str:
        """Why it is not alive; empty while it is."""
        counts = self._pipeline.counts
        done = self._pipeline.control.looked - counts["lost"] - 1  # the latest may be in work
        blocked = self._pipeline.control.waiting == SINKS
        if self._published != self._published_before or (done <= self._done_before and not blocked):
            self._published_before, self._done_before, self._moved_t = self._published, done, now
        silent_s = now - self._pipeline.control.progress_t
        if silent_s > stall_s:
            return f"no sign of life from the loop for {silent_s:.0f} s"
        if now - self._moved_t > (2 * stall_s if blocked else stall_s):
            return f"no pose reached the sinks for {now - self._moved_t:.0f} s although frames are looked at"
        return ""


class Watchdog:
    """A part of the service: READY, STATUS, WATCHDOG, and EXTEND_TIMEOUT_USEC until READY."""

    def __init__(self, service: Host, env: Mapping[str, str] | None = None) -> None:
        self._service, self._notify = service, service.notify
        self._every_s = watchdog_s(env)
        self._life = Life(service.pipeline, service.started_t)
        self._ready = self._complained = False
        self._people = 0
        self._told_t, self._told_frames = service.started_t, 0
        self._ended = threading.Event()
        self._first = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look at the pipeline from now on."""
        if self._notify.on or self._every_s:
            self._thread = threading.Thread(target=self._run, name="edgepose-watchdog", daemon=True)
            self._thread.start()

    def saw(self, poses: Poses, frame: Frame) -> None:  # noqa: ARG002
        """Once more something reached the sinks."""
        self._life.published()
        self._people = len(poses)
        if not self._first.is_set():
            self._first.set()

    def stop(self) -> None:
        """Say no more."""
        self._ended.set()
        self._first.set()
        if self._thread is not None:
            self._thread.join()

    def step(self, now: float) -> dict[str, str | int]:
        """What to tell the supervisor at this moment."""
        pipeline, stall_s = self._service.pipeline, self._service.cfg.service.stall_s
        trouble = self._life.trouble(now, stall_s)
        if trouble:
            if not self._complained:
                fed = "; the watchdog is not fed" if self._every_s else ""
                log.error("%s%s", trouble, fed)
            self._complained = True
            return {"STATUS": trouble}
        if self._complained:
            log.warning("the loop is alive again")
            self._complained = False
        told: dict[str, str | int] = {}
        if not self._ready:
            waited_s = now - self._service.started_t
            if self._life.began or (waited_s >= READY_AFTER_S and pipeline.control.waiting):
                self._ready = True
                told["READY"] = 1
            else:
                told["EXTEND_TIMEOUT_USEC"] = int(EXTEND_S * 1e6)
        if self._ready and self._every_s:
            told["WATCHDOG"] = 1
        return {**told, "STATUS": self._status(now)} if self._due(now, told) else told

    def _due(self, now: float, told: Mapping[str, object]) -> bool:
        waits = bool(self._service.pipeline.control.waiting)
        return waits or "READY" in told or not self._life.began or now - self._told_t >= STATUS_S

    def _status(self, now: float) -> str:
        """One line for `systemctl status`."""
        frames, before_t = self._life.frames - self._told_frames, self._told_t
        self._told_t, self._told_frames = now, self._life.frames
        pipeline = self._service.pipeline
        if waiting := pipeline.control.waiting:
            return waiting if waiting == "paused" else f"waiting: {waiting}"
        if not self._life.began:
            return "waiting for the first frame"
        rate = frames / max(now - before_t, 1e-6)
        on = "".join(
            f", {engine.manifest.name} on {engine.ran_on or 'cpu'}" for engine in pipeline.estimate.engines[:1]
        )
        return f"{rate:.1f} frames a second, {self._people} in view{on}" if now - before_t > 1 else f"running{on}"

    def _run(self) -> None:
        tick_s = min(TICK_S, self._every_s / 4) if self._every_s else TICK_S
        wake = self._first  # READY does not wait for the next tick
        while not self._ended.is_set():
            wake.wait(tick_s)
            wake = self._ended if self._first.is_set() else self._first
            if not self._ended.is_set():
                self._notify.send(**self.step(time.monotonic()))


@contextlib.contextmanager
def opening(notify: Notify) -> Iterator[None]:
    """While models and kernels open, which may take minutes: ask for more time, up to OPEN_S."""
    if not notify.on:
        yield
        return
    opened = threading.Event()

    def extend() -> None:
        until_t = time.monotonic() + OPEN_S
        while time.monotonic() < until_t:
            notify.send(EXTEND_TIMEOUT_USEC=int(EXTEND_S * 1e6), STATUS="opens the model")
            if opened.wait(EXTEND_S / 3):
                return

    thread = threading.Thread(target=extend, name="edgepose-opening", daemon=True)
    thread.start()
    try:
        yield
    finally:
        opened.set()
        thread.join()

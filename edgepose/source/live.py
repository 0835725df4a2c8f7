"""What all cameras share: the newest frame wins, and one that dies is reopened, never waited for in vain."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Condition, Thread
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.errors import SourceError
from edgepose.core.poses import Frame, Layout, Sensed
from edgepose.source.base import IDLE_S, BaseSource
from edgepose.source.turn import turn_of

log = logging.getLogger(__name__)

OPEN_S = 10.0
"""A camera may take this long to open, on top of `stall_s`, until its first frame."""

FIRST_BACKOFF_S = 0.5
"""Pause before the first attempt to reopen; it doubles up to `backoff_max_s`."""

MAX_HUNG = 3
"""Reading threads that may be stuck in a driver before only a new process helps."""

HUNG_S = 60.0
"""A thread stuck for this long keeps the device for good, if it cannot be opened again meanwhile."""

JOIN_S = 2.0
"""Longest wait for a reading thread to give its camera back."""

TOLD, TOLD_S = 6, 3600.0
"""Times in so many seconds that a camera's loss and return are logged; all of them are counted."""

EARLY = 0.25
"""Of a period by which a picture that is wanted may come too early: cameras waver."""

MAX_AGE_S = 5.0
"""A driver's time stamp older than this, or in the future, is of another clock."""


class Grab(NamedTuple):
    """One picture as a camera gave it."""

    image: NDArray[np.uint8]
    """As Frame.image; belongs to the receiver, never written again."""
    layout: Layout
    t: float
    """When the sensor saw it, seconds, monotonic clock."""
    sensed: Sensed | None = None
    """As Frame.sensed."""


class Grabber(Protocol):
    """One connection to one camera. All three methods run in the same thread, `close` always last and once."""

    def open(self) -> None:
        """Connect; a SourceError says why not and what to do."""

    def grab(self) -> Grab | None:
        """Wait for the next picture; None or a SourceError if the camera gives no more."""

    def close(self) -> None:
        """Give the camera back, also after a failed open."""


@runtime_checkable
class Skipping(Grabber, Protocol):
    """One that can let a picture go by without the work of decoding it."""

    def skip(self) -> bool:
        """Wait for the next picture and leave it; False if the camera gives no more."""


@runtime_checkable
class Slowing(Grabber, Protocol):
    """One whose camera can be told to give fewer pictures, and more again, while it runs."""

    def slow(self, fps: float) -> None:
        """Ask for so many a second; 0: as many as set. Called between two `grab`."""


class Rate:
    """How many pictures a camera need give for now; the same for all connections to it."""

    def __init__(self) -> None:
        self.fps = 0.0
        """Hz; 0: as many as set. Replaced by the loop's thread, read by the one that grabs."""


def capture_time(stamp_s: float, now: float) -> float:
    """The driver's time stamp where it can be one of the monotonic clock, else `now`."""
    return stamp_s if 0 <= now - stamp_s <= MAX_AGE_S else now


class _Capture:
    """One life of a camera: a thread that opens it, keeps its newest picture in a slot, and closes it."""

    def __init__(self, grabber: Grabber, changed: Condition, label: str, rate: Rate) -> None:
        self._grabber, self._rate = grabber, rate
        self._asked_fps, self._due_t = 0.0, 0.0
        self._changed = changed
        self.newest: Grab | None = None  # the slot
        self.grabbed = self.taken = 0  # pictures put into it so far; how many of them when it was last emptied
        self.began = self.seen = time.monotonic()  # of the first and the latest picture, until then of the start
        self.error: Exception | None = None
        self.ended = self.hung = False
        self._unwanted = False
        self.thread = Thread(target=self._run, name=f"edgepose grab {label}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._grabber.open()
            while not self._unwanted:
                if not self._slowly():
                    return
                grab = self._grabber.grab()
                if grab is None:
                    return
                with self._changed:
                    self.seen = time.monotonic()
                    self.began = self.began if self.grabbed else self.seen
                    self.newest = grab
                    self.grabbed += 1
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001  raised again in the thread that iterates
            self.error = error
        finally:
            self._grabber.close()
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _slowly(self) -> bool:
        """Let pictures go by that nobody needs for now; False where there are no more."""
        fps, grabber = self._rate.fps, self._grabber
        if isinstance(grabber, Slowing):
            if fps != self._asked_fps:
                self._asked_fps = fps
                grabber.slow(fps)
        elif isinstance(grabber, Skipping):
            while (fps := self._rate.fps) and time.monotonic() < self._due_t - EARLY / fps and not self._unwanted:
                if not grabber.skip():
                    return False
                self.seen = time.monotonic()
            now = time.monotonic()
            self._due_t = max(self._due_t, now - 1 / fps) + 1 / fps if fps else now
        return True

    def stop(self) -> None:
        """Let the thread end after the picture it waits for; one that hangs is left to itself."""
        self._unwanted = True
        if not self.hung:
            self.thread.join(JOIN_S)


class LiveSource(BaseSource):
    """Frames of a camera as they come. `grabber` makes a new connection each time the camera is (re)opened."""

    live = True

    def __init__(
        self,
        cfg: config.Source,
        grabber: Callable[[], Grabber],
        label: str,
        *,
        open_s: float = OPEN_S,
        first_backoff_s: float = FIRST_BACKOFF_S,
        hung_s: float = HUNG_S,
    ) -> None:
        super().__init__()
        self._cfg = cfg
        self._grabber = grabber
        self._label = label
        self._turn = turn_of(cfg)
        self._open_s = open_s
        self._first_backoff_s = self._backoff_s = first_backoff_s
        self._hung_s = hung_s
        self._hung: list[_Capture] = []
        self._rate = Rate()
        self._capture: _Capture | None = None
        self._told_t: list[float] = []
        self._untold = 0
        self._seq = -1  # of the latest frame handed out
        self._t = 0.0

    def __iter__(self) -> Iterator[Frame]:
        lost: float | None = None  # when the camera went away
        attempts, told = 0, True
        while not self.closed:
            with self._opened() as capture:
                while (frame := self._next(capture)) is not None:
                    if lost is not None:
                        self.counts["reconnects"] += 1
                        away_s = time.monotonic() - lost
                        level = logging.WARNING if told else logging.DEBUG
                        log.log(level, "%s: back after %.1f s and %d attempts", self._label, away_s, attempts)
                        lost, attempts = None, 0
                    yield self._turned(frame)
            if self.closed:
                return
            reason = self._reason(capture)
            if lost is None:
                lost = time.monotonic()
                told = self._tell_lost(reason, lost)
            self._give_up_on_hung(capture)
            self._pause(capture, str(reason))
            attempts += 1

    def _tell_lost(self, reason: SourceError, now: float) -> bool:
        """Log it, but for a camera that comes and goes all the time: then once in TOLD_S, with how often."""
        told = [t for t in self._told_t if now - t < TOLD_S]
        if len(told) >= TOLD:
            self._untold += 1
            return False
        more = f" ({self._untold} times more since the last of these lines)" if self._untold else ""
        log.warning("%s; trying to reopen it%s", reason, more)
        self._told_t, self._untold = [*told, now], 0
        return True

    @contextmanager
    def _opened(self) -> Iterator[_Capture]:
        capture = self._capture = _Capture(self._grabber(), self.changed, self._label, self._rate)
        try:
            yield capture
        finally:
            capture.stop()

    def _next(self, capture: _Capture) -> Frame | None:
        """The newest frame not yet handed out; None when the camera ended or hangs, or the source was closed."""
        while not self.closed:
            with self.changed:
                if capture.newest is not None:
                    return self._frame(capture, capture.newest)
                if capture.ended:
                    return None
                patience_s = self._cfg.stall_s + (0 if capture.grabbed else self._open_s)
                left_s = capture.seen + patience_s - time.monotonic()
                if left_s <= 0:
                    capture.hung = True
                    return None
                if self.closed or self.changed.wait(min(left_s, IDLE_S)):
                    continue
            self.idle(f"{self._label}: waits for a frame")
        return None

    def _frame(self, capture: _Capture, grab: Grab) -> Frame:
        """Empty the slot; frames overwritten in it since the last time are the dropped ones."""
        fresh = capture.grabbed - capture.taken
        capture.newest, capture.taken = None, capture.grabbed
        self.counts["frames"] += 1
        self.counts["dropped"] += fresh - 1
        self._seq += fresh
        self._t = max(self._t, grab.t)
        return Frame(grab.image, grab.layout, self._t, self._t, self._seq, sensed=grab.sensed)

    def _turned(self, frame: Frame) -> Frame:
        """As source.rotate and source.mirror say; by the thread that iterates, for frames that are handed out."""
        return frame if self._turn is None else replace(frame, image=self._turn(frame.image, frame.layout))

    def _reason(self, capture: _Capture) -> SourceError:
        """Why the camera is gone; raised here where reopening it is not wanted or cannot help."""
        reason = capture.error or SourceError(f"{self._label}: gives no more frames")
        if capture.hung:
            waited_s = self._cfg.stall_s + (0 if capture.grabbed else self._open_s)
            reason = SourceError(f"{self._label}: no frame for {waited_s:g} s")
        known = self.counts["frames"] > 0 or self.patient
        if not isinstance(reason, SourceError) or not known or not self._cfg.reconnect:
            raise reason
        return reason

    def _give_up_on_hung(self, capture: _Capture) -> None:
        """End the run where threads stuck in the driver pile up, or one keeps the device from being reopened."""
        self._hung = [each for each in (*self._hung, capture) if each.hung and each.thread.is_alive()]
        oldest_s = time.monotonic() - self._hung[0].seen if self._hung else 0.0
        if len(self._hung) >= MAX_HUNG or (oldest_s > self._hung_s and not capture.grabbed):
            raise SourceError(
                f"{self._label}: {len(self._hung)} reads hang in the driver, the oldest for {oldest_s:.0f} s; "
                "restart the process, and look at the cable and `dmesg` if it comes again"
            )

    def _pause(self, capture: _Capture, why: str) -> None:
        """Back off, longer each time until a camera has lived for longer than the pause before it."""
        if capture.grabbed and capture.seen - capture.began > self._backoff_s:
            self._backoff_s = self._first_backoff_s
        until_t = time.monotonic() + self._backoff_s * random.uniform(0.75, 1)  # noqa: S311
        while (left_s := until_t - time.monotonic()) > 0:
            with self.changed:
                if self.changed.wait_for(lambda: self.closed, min(left_s, IDLE_S)):
                    break
            self.idle(why)
        self._backoff_s = min(2 * self._backoff_s, self._cfg.backoff_max_s)

    def slow(self, fps: float) -> None:
        """As Source.slow: a camera that cannot is read all the same, its pictures left undecoded where that helps."""
        self._rate.fps = fps if fps < self._cfg.fps else 0.0

    def close(self) -> None:
        """As Source.close; the camera is given back unless it hangs."""
        super().close()
        if self._capture is not None:
            self._capture.stop()

"""What the MQTT sink knows and decides, without a broker: the queue, the pauses, what is told once."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edgepose.core.errors import one_line
from edgepose.core.poses import Poses

MOST_IDS = 256
"""Who entered and left in dropped poses is told later, the newest so many; `events` tells of everybody."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what may take, seconds."""

    answer_s: float = 4.0
    """To connect, and for each step of it."""
    stall_s: float = 4.0
    """Messages handed over and none settled: the broker is frozen."""
    probe_s: float = 0.1
    """From one pose that asks for an answer to the next."""
    hold_s: float = 0.3
    """Live: an answer this late holds back what follows."""
    retry_s: float = 10.0
    """From one attempt to publish what the broker does not allow to the next: events, kept topics."""
    again_s: float = 60.0
    """Where the broker keeps no messages: from one time that kept topics are sent to the next."""
    backoff_s: tuple[float, float] = (0.5, 3.0)
    """First and longest pause between attempts to connect; each is cut by up to half at random."""
    healthy_s: float = 10.0
    """A connection that lasted this long starts the pauses anew."""
    patience_s: float = 10.0
    """Not live: write() waits this long for room before it drops poses."""
    close_s: float = 1.0
    """Live: close() waits this long for the newest poses."""
    drain_s: float = 10.0
    """Not live: close() waits this long for all of them."""


class Outbox:
    """Poses on their way from the pipeline to the sender, oldest first. Never holds more than `size` for long.

    patience_s None  live: the newest win, put() never waits
    otherwise        put() waits for room; after patience_s without any it is `stuck`, and the newest win
                     until something went out again
    """

    def __init__(self, size: int, patience_s: float | None) -> None:
        self._size, self._patience_s = size, patience_s
        self._queue: deque[Poses] = deque()
        self._changed = threading.Condition()
        self._carried: Poses | None = None
        self._put_t = float("-inf")
        self.stuck = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, poses: Poses) -> None:
        """Add the newest."""
        with self._changed:
            if self._patience_s is not None and not self.stuck:
                self.stuck = not self._changed.wait_for(lambda: len(self._queue) < self._size, self._patience_s)
            if self._carried is not None:
                poses, self._carried = _after(poses, self._carried), None
            self._put_t = time.monotonic()
            self._queue.append(poses)
            if self._patience_s is None or self.stuck:
                self._trim()

    def take(self) -> Poses | None:
        """Remove the oldest; None when empty."""
        with self._changed:
            poses = self._queue.popleft() if self._queue else None
            self._changed.notify_all()
            return poses

    def put_back(self, poses: Iterable[Poses]) -> None:
        """Return, in their old order, those that were taken and did not go out."""
        with self._changed:
            self._queue.extendleft(reversed(list(poses)))
            if self._patience_s is None or self.stuck:
                self._trim()

    def expire(self, before_t: float) -> None:
        """Drop everything if nothing came since `before_t`; who entered and left is told with the next that comes."""
        with self._changed:
            while self._queue and self._put_t < before_t:
                self._give_up(self._queue.popleft())

    def give_up(self, poses: Iterable[Poses]) -> None:
        """Drop those, which were taken; who entered and left with them is told with the next that comes."""
        with self._changed:
            for one in poses:
                self._give_up(one)

    def went_out(self) -> None:
        """Tell that one of those taken reached the broker."""
        with self._changed:
            self.stuck = False

    def drop_all(self) -> int:
        """Give up what is left; how many that were."""
        with self._changed:
            left = len(self._queue)
            self.dropped += left
            self._queue.clear()
            self._changed.notify_all()
            return left

    def _give_up(self, poses: Poses) -> None:
        self._carried = poses if self._carried is None else _after(poses, self._carried)
        self.dropped += 1

    def _trim(self) -> None:
        """Drop the oldest; who entered and left with them is told with the next."""
        while len(self._queue) > self._size:
            oldest = self._queue.popleft()
            self._queue[0] = _after(self._queue[0], oldest)
            self.dropped += 1


def _after(poses: Poses, dropped: Poses) -> Poses:
    """As Poses.after, but bounded, however long nothing goes out."""
    poses = poses.after(dropped)
    if max(len(poses.entered), len(poses.left)) > MOST_IDS:
        return replace(poses, entered=poses.entered[-MOST_IDS:], left=poses.left[-MOST_IDS:])
    return poses


class Backoff:
    """Pauses between attempts to connect: doubling from `first_s` to `max_s`, each cut by up to half at random.

    Without the chance a fleet that lost its broker would come back in step.
    """

    def __init__(self, first_s: float, max_s: float, chance: Callable[[], float] = random.random) -> None:
        self._first_s, self._max_s, self._chance = first_s, max_s, chance
        self._next_s = first_s

    def next_s(self) -> float:
        """How long to wait now, seconds."""
        pause_s = self._next_s * (1 - self._chance() / 2)
        self._next_s = min(self._next_s * 2, self._max_s)
        return pause_s

    def reset(self) -> None:
        """Start again from the shortest pause."""
        self._next_s = self._first_s


class Changes:
    """Logs a state when it is new for its subject; later only as a debug message, or not at all if it was one.

    What others may have written into a text cannot forge a line, or colour a terminal.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._states: dict[str, str] = {}

    def tell(self, subject: str, state: str, level: int, text: str) -> None:
        """Log `text` at `level` if `subject` was not in `state` already."""
        known = self._states.get(subject) == state
        self._states[subject] = state
        if not known:
            self._log.log(level, "%s", one_line(text))
        elif level > logging.DEBUG:
            self._log.debug("%s", one_line(text))

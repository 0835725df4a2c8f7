"""Threads around the loop: frames are read before they are needed, poses handed on while the next frame is seen.

All queues are bounded. What a thread raises is raised again in the thread that runs the loop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

READ_AHEAD = 2
"""Frames of a recording that are read before they are needed."""
IDLE_S = 0.25
"""The thread of the loop hears so often that it waits."""
JOIN_S = 2.0
"""Longest wait for a reader that hangs in a driver or on a network."""


class BoundedQueue(Generic[T]):
    """A queue of at most `size` from one thread to another.

    merge None  put() waits for room
    otherwise   the newest wins: put() never waits, the oldest is dropped, and `merge(dropped, next)` takes its place
                before the next, for what must not get lost with it
    """

    def __init__(self, size: int, merge: Callable[[T, T], T] | None = None) -> None:
        self._size, self._merge = size, merge
        self._held: deque[T] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        self.error: BaseException | None = None
        """What the thread that puts died of; raised to the one that takes once all is taken."""
        self.dropped = 0

    def put(self, item: T, idle: Callable[[], None] | None = None) -> bool:
        """Add the newest; False when nobody takes any more. `idle` is called every IDLE_S while there is no room."""
        while idle is not None and not self._has_room():
            idle()
        with self._changed:
            if self._merge is None:
                while len(self._held) >= self._size and not self._closed:
                    self._changed.wait()
            elif len(self._held) >= self._size and not self._closed:
                oldest = self._held.popleft()
                if self._held:
                    self._held[0] = self._merge(oldest, self._held[0])
                else:
                    item = self._merge(oldest, item)
                self.dropped += 1
            if self._closed:
                return False
            self._held.append(item)
            self._changed.notify()
            return True

    def put_if_empty(self, item: T) -> None:
        """Add what may as well get lost, where nothing waits."""
        with self._changed:
            if not self._held and not self._closed:
                self._held.append(item)
                self._changed.notify()

    def _has_room(self) -> bool:
        """Wait for it, but no longer than IDLE_S."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._merge is not None or self._closed or len(self._held) < self._size, IDLE_S
            )

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes; what is held is still taken."""
        with self._changed:
            self.error = self.error or error
            self._closed = True
            self._changed.notify_all()

    def cut(self) -> None:
        """Nothing more is taken: what is held is thrown away."""
        with self._changed:
            self._closed = True
            self._held.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Everything put, in order, until the end."""
        return self.taken()

    def taken(self, idle: Callable[[], None] | None = None) -> Iterator[T]:
        """Everything put, in order, until the end; `idle` is called every IDLE_S while there is nothing."""
        while True:
            with self._changed:
                waited = self._changed.wait_for(lambda: self._held or self._closed, IDLE_S if idle else None)
                item = self._held.popleft() if self._held else None
                self._changed.notify()
            if item is not None:
                yield item
            elif waited:
                break
            elif idle:
                idle()
        if self.error is not None:
            raise self.error


@contextmanager
def read_ahead(items: Iterable[T], name: str, idle: Callable[[], None]) -> Iterator[Iterator[T]]:
    """`items`, taken by a thread of its own some way ahead; in order, and none is lost unless the reader leaves.

    idle  called every IDLE_S by the reader's thread while it waits
    """
    queue: BoundedQueue[T] = BoundedQueue(READ_AHEAD)

    def read() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not queue.put(item):
                    break
        except BaseException as error:  # noqa: BLE001  raised again in the thread that runs the loop
            queue.end(error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
            queue.end()

    thread = threading.Thread(target=read, name=name, daemon=True)
    thread.start()
    try:
        yield queue.taken(idle)
    finally:
        queue.cut()
        thread.join(JOIN_S)


class Consumer(Generic[T]):
    """A thread that does one thing to every item handed over, in order.

    merge   as BoundedQueue's: given where the newest wins
    failed  called by the thread when `does` raised; `close` raises it again
    """

    def __init__(
        self,
        does: Callable[[T], object],
        failed: Callable[[], None],
        name: str,
        size: int,
        merge: Callable[[T, T], T] | None = None,
    ) -> None:
        self._does, self._failed = does, failed
        self.queue: BoundedQueue[T] = BoundedQueue(size, merge)
        self.put = self.queue.put
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self.queue:
                self._does(item)
        except BaseException as error:  # noqa: BLE001  raised again in the thread that runs the loop
            self.error = error
            self.queue.cut()
            self._failed()

    def close(self) -> None:
        """Wait until everything handed over is done."""
        self.queue.end()
        self._thread.join()

    def abandon(self) -> None:
        """Wait for nothing: what is held is thrown away."""
        self.queue.cut()

"""What is read from a disk, in order: nothing is dropped, reading runs a few frames ahead."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from threading import Thread
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose import config
from edgepose.poses import Frame
from edgepose.source.base import BaseSource

AHEAD = 4
"""Frames read while earlier ones are worked on."""

JOIN_S = 2.0
"""Longest wait for the reading thread when iteration stops early."""


class Picture(NamedTuple):
    """One picture of a recording."""

    image: NDArray[np.uint8]
    """(H, W, 3) bgr."""
    t: float
    """Position in the recording, seconds."""
    name: str


class Recording(BaseSource, ABC):
    """A file or folder, from its start to its end, again and again if `loop` is set."""

    def __init__(self, cfg: config.Source) -> None:
        super().__init__()
        self._loop = cfg.loop
        self._period_s = 1 / cfg.fps

    @abstractmethod
    def _pictures(self) -> Iterator[Picture]:
        """One pass from start to end; at least one picture, or a SourceError."""

    def __iter__(self) -> Iterator[Frame]:
        with closing(_Ahead(self, self._passes())) as pictures:
            for seq, picture in enumerate(pictures):
                self.counts["frames"] += 1
                yield Frame(picture.image, "bgr", picture.t, time.monotonic(), seq, picture.name)

    def _passes(self) -> Generator[Picture, None, None]:
        """All passes, with time going on rising from one to the next."""
        begin = t = 0.0
        while True:
            for picture in self._pictures():
                t = begin + picture.t
                yield picture._replace(t=t)
            if not self._loop:
                return
            begin = t + self._period_s


class _Ahead:
    """Pictures read by a thread that stays at most AHEAD in front of the one that iterates."""

    def __init__(self, source: BaseSource, pictures: Generator[Picture, None, None]) -> None:
        self._source = source
        self._changed = source.changed
        self._ready: deque[Picture] = deque()
        self._left = self._done = False
        self._error: Exception | None = None
        self._thread = Thread(target=self._read, args=(pictures,), name="edgepose read ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Picture]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._source.closed or self._ready or self._done)
                if self._source.closed:
                    return
                if not self._ready:
                    break
                picture = self._ready.popleft()
                self._changed.notify_all()
            yield picture
        if self._error is not None:
            raise self._error

    def _read(self, pictures: Generator[Picture, None, None]) -> None:
        try:
            for picture in pictures:
                with self._changed:
                    self._ready.append(picture)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._unwanted() or len(self._ready) < AHEAD)
                if self._unwanted():
                    return
        except Exception as error:  # noqa: BLE001  raised again in the thread that iterates
            self._error = error
        finally:
            pictures.close()
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _unwanted(self) -> bool:
        return self._left or self._source.closed

    def close(self) -> None:
        """Stop reading; the thread ends with the picture it is at."""
        with self._changed:
            self._left = True
            self._changed.notify_all()
        self._thread.join(JOIN_S)

"""What is read from a disk, in order: nothing is dropped."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgepose.core import config
from edgepose.core.poses import Frame
from edgepose.source.base import BaseSource
from edgepose.source.turn import turn_of


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
        self._turn = turn_of(cfg)

    @abstractmethod
    def _pictures(self) -> Generator[Picture, None, None]:
        """One pass from start to end; at least one picture, or a SourceError."""

    def __iter__(self) -> Iterator[Frame]:
        seq, begin, t = 0, 0.0, 0.0
        while not self.closed:
            with closing(self._pictures()) as pictures:
                for picture in pictures:
                    if self.closed:
                        return
                    t = begin + picture.t
                    self.counts["frames"] += 1
                    image = picture.image if self._turn is None else self._turn(picture.image, "bgr")
                    yield Frame(image, "bgr", t, time.monotonic(), seq, picture.name)
                    seq += 1
            if not self._loop:
                return
            begin = t + self._period_s

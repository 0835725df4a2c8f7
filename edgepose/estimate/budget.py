"""How many inferences one frame may cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgepose.core import config

NEW_SHARE = 0.1
"""Of the latest crop in the running mean of what a crop takes."""


class Budget:
    """Counts and times the inferences of each frame against `estimate.max_invokes` and `estimate.budget_ms`."""

    def __init__(self, cfg: config.Estimate, clock: Callable[[], float] = time.perf_counter) -> None:
        self.most = cfg.max_invokes or math.inf
        self.most_s = cfg.budget_ms / 1000 or math.inf
        self.clock = clock
        self.crop_s = 0.0
        """What a crop takes, running mean; 0 before the first."""
        self.start, self.done = clock(), 0

    def begin(self) -> None:
        """A frame starts."""
        self.start, self.done = self.clock(), 0

    @contextmanager
    def inference(self, crop: bool) -> Iterator[None]:
        """Count and time what runs inside."""
        before = self.clock()
        yield
        self.done += 1
        if crop:
            took = self.clock() - before
            self.crop_s = took if not self.crop_s else self.crop_s + NEW_SHARE * (took - self.crop_s)

    @property
    def crops(self) -> float:
        """Crops that fit in a frame in which nothing else is done; at least one does."""
        in_time = self.most_s // self.crop_s if self.crop_s and self.most_s < math.inf else math.inf
        return max(1.0, min(self.most, in_time))

    @property
    def allows(self) -> bool:
        """Whether one more crop fits in this frame; the first inference always does."""
        if not self.done:
            return True
        return self.done < self.most and self.clock() - self.start + self.crop_s <= self.most_s

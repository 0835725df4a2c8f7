"""A sink beside others: when it fails the others go on, and it is tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from edgepose.core.errors import ReaderLeftError, SinkError
from edgepose.core.poses import Frame, Poses
from edgepose.sink.base import GateView, Sink

log = logging.getLogger("edgepose.sink")

RETRY_S = 5.0
"""From one try to open it again to the next."""


class SideSink(Sink):
    """Opens a sink, now or later, and opens it again where it fails of what may pass.

    others  the sinks beside it and itself; where all of them have failed, write() raises
    """

    def __init__(
        self,
        name: str,
        opens: Callable[[bool], Sink],
        others: Sequence[SideSink] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`opens` gets whether that is for the first time; `others` None: one goes on whatever happens.

        Raises:
            ConfigError: it can never work.
        """
        self._name, self._opens, self._others, self._clock = name, opens, others, clock
        self._error: SinkError | None = None
        self._retry_t = 0.0
        self._sent = self._missed = 0
        self._closed = False
        self._sink: Sink | None = None
        self._open(first=True)

    @property
    def counts(self) -> dict[str, int]:
        """sent, and "failed": those that it could not take."""
        now = 0 if self._sink is None else self._sink.counts["sent"]
        return {"sent": self._sent + now, "failed": self._missed}

    @property
    def troubles(self) -> list[str]:
        """As Sink."""
        return [
            *([] if self._error is None else [str(self._error)]),
            *([] if self._sink is None else self._sink.troubles),
        ]

    @property
    def failing(self) -> bool:
        """It takes nothing at the moment."""
        return self._error is not None

    @property
    def undelivered(self) -> int:
        """As Sink."""
        return self._missed

    def write(self, poses: Poses, frame: Frame) -> None:
        """As Sink.write; raises only where no other sink is left."""
        self._with(lambda sink: sink.write(poses, frame))

    @property
    def wants_gate(self) -> bool:
        """As Sink."""
        return self._sink is not None and self._sink.wants_gate

    def take_gate(self, view: GateView) -> None:
        """As Sink.take_gate."""
        if self._sink is not None:
            self._sink.take_gate(view)

    def write_meaning(self, meaning: Any, poses: Poses) -> None:
        """As Sink.write_meaning."""
        if self._sink is not None:
            self._with(lambda sink: sink.write_meaning(meaning, poses))

    def _with(self, does: Callable[[Sink], None]) -> None:
        if self._closed:
            raise ValueError(f"{self._name} is closed")
        if self._sink is None and self._clock() >= self._retry_t:
            self._open(first=False)
        try:
            if self._sink is not None:
                does(self._sink)
                return
        except SinkError as error:
            self._fail(error)
        self._missed += 1
        if self._others is not None and all(other.failing for other in self._others) and self._error is not None:
            raise self._error

    def _open(self, *, first: bool) -> None:
        try:
            self._sink = self._opens(first)
        except SinkError as error:
            self._fail(error)
            return
        if self._error is not None:
            log.warning("%s: works again; %d poses are missing in it", self._name, self._missed)
        self._error = None

    def _fail(self, error: SinkError) -> None:
        """Let go of it, until it is tried again."""
        failed, self._sink = self._sink, None
        self._retry_t = self._clock() + RETRY_S if error.retryable else float("inf")
        if self._error is None:
            again = f"tried again every {RETRY_S:g} s" if error.retryable else "not tried again"
            level = logging.INFO if isinstance(error, ReaderLeftError) else logging.ERROR
            log.log(level, "%s; the other sinks go on, and it is %s", error, again)
        self._error = error
        if failed is not None:
            self._sent += failed.counts["sent"]
            try:
                failed.close()
            except SinkError as last:
                log.debug("%s", last)

    def close(self) -> None:
        """As Sink.close."""
        if not self._closed:
            self._closed = True
            if self._sink is not None:
                self._sink.close()
